"""What may come to a player from another: what it has room for, and of strangers' things only a part of that."""

from actors.core import Query, Rejected, Turn
from actors.player.packing import has_room, stacks_of
from actors.player.state import Player
from actors.player.wallet import room_for
from actors.trade.goods import Goods
from schemas.shape import Key


def slots_open_to(player: Player, turn: Turn, giver: str) -> int | None:
    """How many more slots of the bag what this one gives may take; None when as many as there are."""
    tie = player.ties.get(giver)
    if tie is not None and tie.friends:
        return None
    return max(0, turn.content.character.slots_for_strangers - len(player.bag))


def _refuse_without_room(player: Player, goods: Goods) -> None:
    """Refuse what the player has no room for, as `bag_full` or `balance_too_high`."""
    if goods.things and not has_room(player):
        raise Rejected("bag_full", "There is no room for it in the bag.")
    for currency, amount in sorted(goods.currencies.items()):
        if amount > room_for(player, currency) - player.surplus.get(currency, 0):
            raise Rejected("balance_too_high", f"There is no room for {amount} {currency} in the wallet.")


def _refuse_unwelcome(player: Player, turn: Turn, goods: Goods, giver: str) -> None:
    """Refuse, as `gift_unwelcome`, a stranger's things that would take too much of the bag, or come from somebody who
    was blocked. Who is refused does not learn which."""
    slots = slots_open_to(player, turn, giver)
    if goods.things and (
        giver in player.blocked or (slots is not None and (player.waiting or _slots_for(player, turn, goods) > slots))
    ):
        raise Rejected("gift_unwelcome", "The other has no room for gifts of strangers.")


def _slots_for(player: Player, turn: Turn, goods: Goods) -> int:
    """How many free slots the things would take."""
    needed = len(goods.ids)
    for name, count in goods.items.items():
        item = turn.content.items.get(name)
        if item is None or item.unique:
            needed += count
            continue
        room = sum(max(0, item.stack - stack.quantity) for _, stack in stacks_of(player, name))
        needed += -(-max(0, count - room) // item.stack)
    return needed


class TradeName(Query[Player]):
    """What a trade knows of the player: how it is called, and the code of what keeps goods from coming to it. Who does
    not exist has no name."""

    creates = True

    goods: Goods | None = None
    """What would come."""
    giver: Key | None = None
    """Who gives it; None when the player itself agrees to it."""

    def answer(self, player: Player, turn: Turn) -> dict[str, str]:
        try:
            if self.goods is not None:
                _refuse_without_room(player, self.goods)
            if self.goods is not None and self.giver is not None:
                _refuse_unwelcome(player, turn, self.goods, self.giver)
        except Rejected as refusal:
            return {"name": player.name, "because": refusal.code, "message": refusal.message}
        return {"name": player.name, "because": "", "message": ""}

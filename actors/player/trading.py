"""What a player does for a trade that was agreed on: it puts up what it offered, or says why it cannot."""

from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Rejected, Tell, Turn
from actors.player.inventory import ItemsTaken, refuse_too_many, taken
from actors.player.packing import item_of, stack_of
from actors.player.state import Player
from actors.player.wallet import WalletChanged, debited
from actors.trade.delivery import Deliver
from actors.trade.goods import Goods, Held
from actors.trade.state import trade_address
from schemas import limits
from schemas.shape import Amount, Key

Ids = Annotated[list[Key], Field(max_length=limits.TRADE_STACKS_MAX)]
Seen = Annotated[dict[Key, Amount], Field(max_length=limits.TRADE_STACKS_MAX)]


class PutUp(Command[Player]):
    """The goods leave the player for the trade: all of them or none."""

    trade: Key
    goods: Goods
    seen: Seen = {}
    """How many the other side saw under an id: with more or fewer there, it would not be what was agreed on."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if self.goods.nothing:
            raise Rejected("offer_empty", "There is nothing to put up.")
        to = trade_address(self.trade)
        try:
            payments, things = self._gathered(player, turn)
        except Rejected as refusal:
            yield PutUpDeclined(trade=self.trade, because=refusal.code)
            yield Tell(to, Deliver(by=player.id, held=Held(), because=refusal.code), into="trade")
            return {"delivered": False, "reason": refusal.code}
        yield from payments
        held = Held(currencies=dict(self.goods.currencies))
        if things is not None:
            yield things
            held = held.model_copy(update={"items": things.loose, "lots": things.uniques})
        yield Tell(to, Deliver(by=player.id, held=held), into="trade")
        return {"delivered": True}

    def _gathered(self, player: Player, turn: Turn) -> tuple[list[WalletChanged], ItemsTaken | None]:
        for name in (*self.goods.items, *(stack_of(player, stack_id).item for stack_id in self.goods.ids)):
            if item_of(turn, name).bound:
                raise Rejected("item_bound", f"{name} stays with its player.")
        if any(stack_of(player, stack_id).quantity != quantity for stack_id, quantity in self.seen.items()):
            raise Rejected("offer_changed", "What was offered is not what it was.")
        reason = f"trade {self.trade}"
        payments = [
            debited(player, turn, currency, amount, reason)
            for currency, amount in sorted(self.goods.currencies.items())
        ]
        if not self.goods.items and not self.goods.ids:
            return payments, None
        things = taken(player, turn, "trade", self.goods.items, self.goods.ids, by=self.trade)
        refuse_too_many(things.uniques)
        return payments, things


class PutUpDeclined(Event[Player]):
    """Something that the player had offered is not there any more."""

    trade: str
    because: str

    def apply(self, player: Player) -> None:
        """It changes nothing."""


class Things(Query[Player]):
    """What lies in the bag under these ids, with its history; what does not is left out."""

    ids: Ids

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        here = [stack_id for stack_id in dict.fromkeys(self.ids) if stack_id in player.bag]
        return {"things": [player.bag[stack_id].lot(stack_id).model_dump(mode="python") for stack_id in here]}

"""How goods that were held by a trade come to a player."""

from actors.core import Command, Effects, Turn
from actors.player.gifts import slots_open_to
from actors.player.inventory import received
from actors.player.state import Player
from actors.player.wallet import owed
from actors.trade.goods import Held
from schemas.shape import Key, Text


class HandOver(Command[Player]):
    """Goods come: what another player put up, or its own back. What a full bag or wallet does not take waits."""

    trade: Key
    held: Held
    by: Key
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        for currency, amount in sorted(self.held.currencies.items()):
            yield from owed(player, turn, currency, amount, f"{self.reason} {self.trade}")
        if self.held.items or self.held.lots:
            # What comes unasked for leaves the rest of the bag free, even if much of it was under way at once.
            slots = slots_open_to(player, turn, self.by) if self.reason == "gift" else None
            held = self.held
            yield received(player, turn, self.reason, held.items, held.lots, by=self.by, owed=True, slots=slots)
        return {"items": dict(self.held.items), "currencies": dict(self.held.currencies)}

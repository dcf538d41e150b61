"""How goods that were held by a trade come to a player."""

from actors.core import Command, Effects, Turn
from actors.player.inventory import received
from actors.player.state import Player
from actors.player.wallet import credited
from actors.trade.goods import Held
from schemas.shape import Key, Text


class HandOver(Command[Player]):
    """Goods come: what another player put up, or its own back. What a full bag does not take waits."""

    trade: Key
    held: Held
    by: Key
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        for currency, amount in sorted(self.held.currencies.items()):
            yield credited(player, turn, currency, amount, f"{self.reason} {self.trade}")
        if self.held.items or self.held.lots:
            yield received(player, turn, self.reason, self.held.items, self.held.lots, by=self.by, owed=True)
        return {"items": dict(self.held.items), "currencies": dict(self.held.currencies)}

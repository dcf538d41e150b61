"""How a player gets what a quest, an achievement or an event gives."""

from actors.content.rewards import Rewards
from actors.core import Command, Effects, Turn
from actors.player.character import gained
from actors.player.inventory import received
from actors.player.state import Player
from actors.player.wallet import credited
from schemas.shape import Text


class GrantRewards(Command[Player]):
    """Gives all of it, or is refused; a refused one is tried again, and in the end waits among the dead letters."""

    rewards: Rewards
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        given: dict[str, int] = {}
        for currency, amount in sorted(self.rewards.currencies.items()):
            changed = credited(player, turn, currency, amount, self.reason)
            yield changed
            given[currency] = amount
        yield from gained(player, turn, self.rewards.experience, self.reason)
        if self.rewards.items:
            yield received(player, turn, self.reason, self.rewards.items)
        return {
            "currencies": given,
            "experience": self.rewards.experience,
            "items": dict(self.rewards.items),
        }

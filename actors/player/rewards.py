"""How a player gets what a quest, an achievement, an event, or a trusted game server gives."""

from actors.content.rewards import Rewards
from actors.core import Command, Effects, Turn
from actors.player.character import gained
from actors.player.inventory import Items, received
from actors.player.state import Player
from actors.player.wallet import owed
from schemas.shape import Amount, Text


class GrantRewards(Command[Player]):
    """Gives all of it: it was earned, so what finds no room in the bag or the wallet waits until there is some."""

    rewards: Rewards
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        currencies = dict(sorted(self.rewards.currencies.items()))
        for currency, amount in currencies.items():
            yield from owed(player, turn, currency, amount, self.reason)
        yield from gained(player, turn, self.rewards.experience, self.reason)
        if self.rewards.items:
            yield received(player, turn, self.reason, self.rewards.items, owed=True)
        return {"currencies": currencies, "experience": self.rewards.experience, "items": dict(self.rewards.items)}


class AwardItems(Command[Player]):
    """A trusted game server gives items; what does not fit into the bag waits."""

    public = True
    callers = frozenset({"server"})

    items: Items
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        if not self.items:
            return {"items": {}, "waiting": 0}
        event = received(player, turn, self.reason, self.items, by=turn.caller.user)
        yield event
        return {"items": dict(event.items), "waiting": sum(lot.quantity for lot in event.waiting)}


class AwardExperience(Command[Player]):
    """A trusted game server gives experience."""

    public = True
    callers = frozenset({"server"})

    amount: Amount
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        yield from gained(player, turn, self.amount, self.reason)
        total = player.experience + self.amount
        return {"experience": total, "level": max(player.level, turn.content.character.level_at(total))}

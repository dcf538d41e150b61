"""An achievement as the whole game sees it: how many players have each of its tiers."""

from typing import Annotated, Any

from pydantic import Field

from actors.core import ANYONE, Actor, Command, Effects, Event, Query, Rejected, Turn
from schemas import limits


class AchievementHolders(Actor):
    """How many have it. The key is the achievement's name in the content."""

    kind = "achievement"

    holders: list[int] = []
    """By tier, the lowest first."""


class CountHolder(Command[AchievementHolders]):
    """One more player has this tier; the lowest tier is 1."""

    tier: Annotated[int, Field(ge=1, le=limits.TIERS_MAX)]

    def decide(self, achievement: AchievementHolders, turn: Turn) -> Effects:
        yield HolderCounted(tier=self.tier)
        return {}


class HolderCounted(Event[AchievementHolders]):
    """One more player had this tier."""

    tier: int

    def apply(self, achievement: AchievementHolders) -> None:
        holders = achievement.holders
        holders.extend([0] * (self.tier - len(holders)))
        holders[self.tier - 1] += 1


class Holders(Query[AchievementHolders]):
    """How many players have each tier, the lowest first."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, achievement: AchievementHolders, turn: Turn) -> dict[str, Any]:
        found = turn.content.achievements.get(turn.key)
        if found is None:
            raise Rejected("achievement_unknown", f"There is no achievement {turn.key!r}.", status=404)
        counted = [*achievement.holders, *[0] * len(found.tiers)]
        return {"title": found.title, "holders": counted[: len(found.tiers)]}

"""Quests and achievements: what a player is asked to do, how far it is, and what it brings."""

from datetime import datetime

from greenroom_client.game.noun import Noun, asked
from greenroom_client.models import Model


class Rewards(Model):
    """What something brings."""

    currencies: dict[str, int] = {}
    items: dict[str, int] = {}
    experience: int = 0


class Objective(Model):
    """One thing that must be done, and how far it is."""

    title: str
    target: int
    progress: int = 0


class Quest(Model):
    """A quest as the content defines it."""

    quest: str
    title: str
    text: str | None
    objectives: dict[str, Objective]
    turn_in: bool
    repeats: str | None
    within_s: int | None
    rewards: Rewards


class ActiveQuest(Quest):
    """A quest that the player is on; `ready` when it only waits to be turned in."""

    state: str
    started_at: datetime
    ends_at: datetime | None


class CompletedQuest(Model):
    """A quest that was done; `available_at` says when it can be done again, None: for now, or never."""

    quest: str
    title: str
    times: int
    completed_at: datetime
    available_at: datetime | None


class QuestLog(Model):
    """What can be started, what the player is on, and what it has done."""

    available: list[Quest]
    active: list[ActiveQuest]
    completed: list[CompletedQuest]


class TurnedIn(Model):
    """A quest that is completed for the `times`th time, and the quests that it opens."""

    quest: str
    state: str
    times: int
    opens: list[str]


class Abandoned(Model):
    """A quest that was given up."""

    quest: str
    state: str


class Quests(Noun):
    """The quests of one's own player."""

    async def log(self) -> QuestLog:
        """All of them."""
        return await self._query(QuestLog, "quests")

    async def start(self, quest: str, *, op: str | None = None) -> ActiveQuest:
        """Take a quest on."""
        return await self._command(ActiveQuest, "start_quest", op, quest=quest)

    async def turn_in(self, quest: str, *, op: str | None = None) -> TurnedIn:
        """Complete a quest whose objectives are met; its rewards follow."""
        return await self._command(TurnedIn, "complete_quest", op, quest=quest)

    async def abandon(self, quest: str, *, op: str | None = None) -> None:
        """Give a quest up, and what was done for it."""
        await self._command(Abandoned, "abandon_quest", op, quest=quest)


class Tier(Model):
    """A tier of an achievement; `unlocked_at` is None until it is reached."""

    title: str
    target: int
    unlocked_at: datetime | None
    rewards: Rewards


class Achievement(Model):
    """An achievement, and how far the player is."""

    achievement: str
    title: str
    text: str | None
    progress: int
    tiers: list[Tier]


class AchievementList(Model):
    """All achievements that the player may know of, and how many tiers it has."""

    unlocked: int
    achievements: list[Achievement]


class Holders(Model):
    """How many players have each tier, the lowest first."""

    title: str
    holders: list[int]


class Achievements(Noun):
    """The achievements of one's own player."""

    async def listed(self) -> AchievementList:
        """All that are not hidden."""
        return await self._query(AchievementList, "achievements")

    async def holders(self, achievement: str) -> Holders:
        """How many players have it."""
        return await asked(self._asker, "achievement", achievement, Holders, "holders")

"""The state of a player, shared by all facets; each facet's part of it has a file here."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from actors.core import Actor, Effect, Event, Turn
from actors.player.state.achievements import Feat
from actors.player.state.character import Gauge
from actors.player.state.crafting import Job
from actors.player.state.facet import Facet
from actors.player.state.friends import Tie
from actors.player.state.guild import Invited, Membership
from actors.player.state.inbox import Message, NoticeSettings
from actors.player.state.items import Lot, Mark, Placed, Stack, Worn, counted, parted
from actors.player.state.quests import Errand, Fulfilled
from actors.player.state.score import Held, Tally, Used
from actors.player.state.wallet import Entry
from actors.times import rfc3339
from schemas.messages import Caller

Reaction = Callable[["Player", list[Event[Any]], Turn], Iterable[Effect]]
_REACTIONS: list[tuple[Reaction, frozenset[type[Event[Any]]]]] = []


def reaction(*to: type[Event[Any]]) -> Callable[[Reaction], Reaction]:
    """Has the function called with a turn's events, to yield what follows from them in the same turn.

    If events are named, it is called when one of these is among them. Functions are called in the order of their
    modules' names, so that a turn does not depend on who was imported first.
    """

    def listening(react: Reaction) -> Reaction:
        _REACTIONS.append((react, frozenset(to)))
        _REACTIONS.sort(key=lambda known: known[0].__module__)
        _reacting.cache_clear()
        return react

    return listening


@lru_cache(maxsize=4_096)
def _reacting(happened: frozenset[type[Event[Any]]]) -> tuple[Reaction, ...]:
    """The functions that listen to any of these."""
    return tuple(react for react, to in _REACTIONS if not to or not to.isdisjoint(happened))


class Player(Actor):
    """One player of the game."""

    kind = "player"
    unknown = "player_unknown"
    pushes = "turn"

    id: str = ""
    name: str = ""
    created_at: int = 0

    tallies: dict[str, Tally] = {}
    """By board."""
    held: dict[str, Held] = {}
    """Open actions, by id, oldest first."""
    used: dict[str, Used] = {}
    """Completed actions, by id, oldest first."""
    paces: dict[str, list[int]] = {}
    """Times within the last minute, by what is limited; oldest first."""
    recent: list[list[int]] = []
    """The newest completions that fraud rules look at, as [at, took_ms, points]; oldest first."""
    unassessed: int = 0
    """Completions that no fraud detector had assessed when they counted."""

    wallet: dict[str, int] = {}
    ledger: list[Entry] = []
    surplus: dict[str, int] = {}
    """What the wallet had no room for, by currency; it comes in as soon as there is some."""
    inbox: list[Message] = []
    notices: NoticeSettings | None = None
    """None: as usual."""

    ties: dict[str, Tie] = {}
    """By the other player."""
    wishes: int = 0
    """How often this player changed what it wants of others."""
    blocked: dict[str, int] = {}
    """Since when, by the other player."""
    muted: dict[str, int] = {}

    level: int = 1
    experience: int = 0
    """All that was ever earned."""
    gauges: dict[str, Gauge] = {}
    """By resource; one that is not here is full."""
    effects: dict[str, int] = {}
    """When each effect ends."""
    skills: list[str] = []
    """What was learnt, beside what every player can do."""

    bag: dict[str, Stack] = {}
    """By id."""
    worn: dict[str, Worn] = {}
    """By equipment slot."""
    waiting: dict[str, Lot] = {}
    """What the bag had no room for, by id; oldest first."""
    jobs: dict[str, Job] = {}
    """Work under way and in line, by id, in the order in which it was begun."""

    quests: dict[str, Errand] = {}
    """What the player is on."""
    quests_done: dict[str, Fulfilled] = {}
    achievements: dict[str, Feat] = {}

    guild: Membership | None = None
    guild_invitations: dict[str, Invited] = {}
    """By guild, oldest first."""

    def exists(self) -> bool:
        return bool(self.id)

    def sheet(self) -> dict[str, Any]:
        """The player as it sees itself."""
        return {
            "userId": self.id,
            "username": self.name,
            "createdAt": rfc3339(self.created_at),
            "scores": {board: tally.score for board, tally in self.tallies.items()},
            "wallet": dict(self.wallet),
            "level": self.level,
            "experience": self.experience,
            "equipment": {slot: worn.shown() for slot, worn in self.worn.items()},
            "achievements": {"unlocked": sum(len(feat.unlocked) for feat in self.achievements.values())},
            "guild": self.guild.shown() if self.guild else None,
            "inbox": {"unread": sum(not message.read for message in self.inbox)},
        }

    def view(self) -> Any:
        return self.sheet()

    def reacts(self, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
        for react in _reacting(frozenset(map(type, events))):
            yield from react(self, events, turn)

    @classmethod
    def may_subscribe(cls, key: str, caller: Caller) -> bool:
        return caller.internal or caller.user == key


__all__ = [
    "Entry",
    "Errand",
    "Facet",
    "Feat",
    "Fulfilled",
    "Gauge",
    "Held",
    "Invited",
    "Job",
    "Lot",
    "Mark",
    "Membership",
    "Message",
    "NoticeSettings",
    "Placed",
    "Player",
    "Reaction",
    "Stack",
    "Tally",
    "Tie",
    "Used",
    "Worn",
    "counted",
    "parted",
    "reaction",
]

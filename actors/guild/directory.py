"""The directory of guilds: whose name is whose, and where players find a guild to join."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from sortedcontainers import SortedList

from actors.core import ANYONE, Actor, Address, Command, Effects, Event, Query, Turn
from schemas import limits
from schemas.shape import Count, Key, Line

ROWS_MAX = 50
"""Guilds that one search finds."""
LOOKED_AT_MAX = 500
"""Guilds that one search looks at; it answers with what it found and where to go on."""
_WORDS = str.maketrans(dict.fromkeys("-_.'&", " "))


def directory_address() -> Address:
    return Address("guild_directory", "main")


@dataclass(slots=True)
class Listing:
    """A guild in the directory. One that is founded still has a name, and is not shown."""

    founding: str
    name: str
    skeletons: list[str]
    level: int = 1
    open: bool = False
    members: int = 0
    revision: int = 0

    @property
    def stands(self) -> bool:
        """Whether its guild does; one that is being founded has not said yet how it is."""
        return self.revision > 0

    def words(self) -> Iterator[str]:
        """The beginnings under which it is found: the whole name, and the rest from each further word on."""
        words = self.name.casefold().translate(_WORDS).split()
        return (" ".join(words[first:]) for first in range(len(words)))

    def found_by(self, begin: str) -> str:
        """The first of these that begins so; empty when none does."""
        return min((words for words in self.words() if words.startswith(begin)), default="")

    def row(self, guild: str) -> list[Any]:
        """The guild's key, then the fields in order."""
        listed = (self.level, self.open, self.members, self.revision)
        return [guild, self.founding, self.name, list(self.skeletons), *listed]

    def shown(self, guild: str) -> dict[str, Any]:
        """The guild as those who search see it."""
        told = {"guild": guild, "name": self.name, "level": self.level}
        return {**told, "open": self.open, "members": self.members}


class Shelf:
    """All listings, found by key, by skeleton of the name, by its words, and by level."""

    __slots__ = ("_by_level", "_by_word", "_listings", "_taken")

    def __init__(self) -> None:
        self._listings: dict[str, Listing] = {}
        self._taken: dict[str, str] = {}
        self._by_word: Any = SortedList()
        self._by_level: Any = SortedList()

    def __len__(self) -> int:
        return len(self._listings)

    def get(self, guild: str) -> Listing | None:
        """The listing of a guild that has a name."""
        return self._listings.get(guild)

    def holder(self, skeletons: list[str]) -> str | None:
        """The guild whose name looks like this."""
        return next((self._taken[skeleton] for skeleton in skeletons if skeleton in self._taken), None)

    def put(self, guild: str, listing: Listing) -> None:
        """Take the listing in, in place of the one before."""
        self.remove(guild)
        self._listings[guild] = listing
        self._taken.update(dict.fromkeys(listing.skeletons, guild))
        if listing.stands:
            self._by_word.update((words, guild) for words in listing.words())
            self._by_level.add((-listing.level, guild))

    def remove(self, guild: str) -> None:
        """Let the name go; nothing happens when there is none."""
        listing = self._listings.pop(guild, None)
        if listing is None:
            return
        for skeleton in set(listing.skeletons):
            del self._taken[skeleton]
        if listing.stands:
            for words in set(listing.words()):
                self._by_word.remove((words, guild))
            self._by_level.remove((-listing.level, guild))

    def rows(self, name: str, after: str | None) -> Iterator[tuple[str, Listing]]:
        """Guilds one of whose words begins so, by those words; without a name, all, the highest level first.

        `after` is the guild at which the last search stopped.
        """
        begin = " ".join(name.casefold().translate(_WORDS).split())
        last = self._listings.get(after or "")
        if not begin:
            spots = self._by_level.irange((-last.level, after), inclusive=(False, True)) if last else self._by_level
            for _, guild in spots:
                yield guild, self._listings[guild]
            return
        start = (last.found_by(begin), after) if last and last.found_by(begin) else (begin, "")
        for words, guild in self._by_word.irange(start, inclusive=(False, True)):
            if not words.startswith(begin):
                return
            listing = self._listings[guild]
            if words == listing.found_by(begin):
                yield guild, listing

    def pack(self) -> list[list[Any]]:
        return [self._listings[guild].row(guild) for guild in sorted(self._listings)]

    @classmethod
    def unpack(cls, packed: list[list[Any]]) -> "Shelf":
        shelf = cls()
        for guild, *fields in packed:
            shelf.put(guild, Listing(*fields))
        return shelf


class GuildDirectory(Actor):
    """Every guild, its name, and what a search tells of it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind = "guild_directory"
    checkpoint_every: ClassVar[int] = 1_000

    shelf: Shelf = Field(default_factory=Shelf)

    def pack_state(self) -> Any:
        return {"shelf": self.shelf.pack()}

    @classmethod
    def unpack_state(cls, packed: Any) -> "GuildDirectory":
        return cls(shelf=Shelf.unpack(packed["shelf"]))

    def checkpoint_due(self, events_since: int) -> bool:
        """Writing n listings is worth it after a fifth of n events: a constant cost for each event."""
        return events_since >= max(self.checkpoint_every, len(self.shelf) // 5)


class ListGuild(Command[GuildDirectory]):
    """A guild says how it is now. What it said before, and comes later, no longer counts."""

    guild: Key
    founding: Key
    name: Line
    level: Count
    open: bool
    members: Count
    revision: Count

    def decide(self, directory: GuildDirectory, turn: Turn) -> Effects:
        listing = directory.shelf.get(self.guild)
        if listing is not None and listing.founding == self.founding and listing.revision < self.revision:
            yield GuildListed(
                guild=self.guild,
                founding=self.founding,
                name=self.name,
                level=self.level,
                open=self.open,
                members=self.members,
                revision=self.revision,
            )
        return {}


class GuildListed(Event[GuildDirectory]):
    """What a search tells of a guild has changed."""

    guild: str
    founding: str
    name: str
    level: int
    open: bool
    members: int
    revision: int

    def apply(self, directory: GuildDirectory) -> None:
        before = directory.shelf.get(self.guild)
        skeletons = before.skeletons if before else []
        listing = Listing(self.founding, self.name, skeletons, self.level, self.open, self.members, self.revision)
        directory.shelf.put(self.guild, listing)


class ReleaseName(Command[GuildDirectory]):
    """A guild is no more, or came to nothing: its name is free again."""

    guild: Key
    founding: Key

    def decide(self, directory: GuildDirectory, turn: Turn) -> Effects:
        listing = directory.shelf.get(self.guild)
        if listing is not None and listing.founding == self.founding:
            yield NameReleased(guild=self.guild, founding=self.founding)
        return {}


class NameReleased(Event[GuildDirectory]):
    """A guild left the directory."""

    guild: str
    founding: str

    def apply(self, directory: GuildDirectory) -> None:
        directory.shelf.remove(self.guild)


class Search(Query[GuildDirectory]):
    """Guilds by the beginning of the name or of one of its words, by level and openness.

    `after` is the `next` of the page before.
    """

    public = True
    callers = frozenset({ANYONE})

    name: Annotated[str, Field(max_length=limits.NAME_CHARS_MAX)] = ""
    level_min: Annotated[int, Field(ge=1)] = 1
    level_max: Annotated[int, Field(ge=1)] = limits.LEVELS_MAX
    open: bool | None = None
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = 20
    after: Key | None = None

    def answer(self, directory: GuildDirectory, turn: Turn) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        for number, (guild, listing) in enumerate(directory.shelf.rows(self.name, self.after), 1):
            if self._fits(listing):
                rows.append(listing.shown(guild))
            if len(rows) == self.limit or number == LOOKED_AT_MAX:
                return {"guilds": rows, "next": guild}
        return {"guilds": rows, "next": None}

    def _fits(self, listing: Listing) -> bool:
        if self.open is not None and listing.open is not self.open:
            return False
        return self.level_min <= listing.level <= self.level_max

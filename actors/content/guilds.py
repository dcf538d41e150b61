"""Content of guilds: what founding one costs, what its roles may do, how it grows, and what it holds."""

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.part import Faults, Part, missing
from actors.times import DAY_MS, HOUR_MS, SECOND_MS
from schemas import limits
from schemas.shape import Amount, Count, Key, Line

if TYPE_CHECKING:
    from actors.content import Content

Permission = Literal["invite", "review", "kick", "withdraw", "take_items", "describe"]
"""What a role may be allowed; the leader may do everything."""

Percent = Annotated[int, Field(ge=0, le=1_000)]

INCOME_HOURS_MAX = 30 * 24
INVITATION_DAYS_MAX = 365
SECOND_IN_HOURS, SECOND_IN_DAYS = SECOND_MS / HOUR_MS, SECOND_MS / DAY_MS


class Perk(Part):
    """What guilds of a level and above enjoy; perks of several levels add up."""

    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)]
    title: Line
    officers: Annotated[int, Field(ge=0, le=limits.GUILD_MEMBERS_MAX)] = 0
    """So many officers more."""
    income_percent: Percent = 0
    """So much more income from territories."""
    donation_percent: Percent = 0
    """So much more experience for what is paid into the bank."""


class Donation(Part):
    """Each `per` of a currency that is paid into the bank give `experience`."""

    per: Amount
    experience: Amount


class Deeds(Part):
    """Each `every` points that a member earns on the board give the guild `experience`."""

    board: Key
    every: Amount
    experience: Amount


class Territory(Part):
    """Land that a guild can hold, and what it yields."""

    title: Line
    income: Annotated[dict[Key, Amount], Field(max_length=limits.CURRENCIES_MAX)] = {}
    every_hours: Annotated[int | float, Field(ge=SECOND_IN_HOURS, le=INCOME_HOURS_MAX)] = 24
    """Parts of hours are allowed, down to a second."""

    @property
    def every_ms(self) -> int:
        """The time from one income to the next."""
        return round(self.every_hours * HOUR_MS)


class Roles(Part):
    """What officers and members may do; the leader may do everything."""

    officer: list[Permission] = ["invite", "review", "kick"]
    member: list[Permission] = []


class Guilds(Part):
    """Everything about guilds that designers decide."""

    cost: Annotated[dict[Key, Amount], Field(max_length=limits.CURRENCIES_MAX)] = {}
    """What the founder pays."""
    members_max: Annotated[int, Field(ge=2, le=limits.GUILD_MEMBERS_MAX)] = 100
    officers_max: Annotated[int, Field(ge=0, le=limits.GUILD_MEMBERS_MAX)] = 10
    invitation_days: Annotated[int | float, Field(ge=SECOND_IN_DAYS, le=INVITATION_DAYS_MAX)] = 7
    """How long an invitation or a request is open; parts of days are allowed, down to a second."""
    storage_slots: Annotated[int, Field(ge=0, le=limits.GUILD_SLOTS_MAX)] = 200
    roles: Roles = Roles()
    levels: Annotated[list[Amount], Field(max_length=limits.LEVELS_MAX - 1)] = []
    """The experience in all that each level from the second on takes."""
    perks: Annotated[list[Perk], Field(max_length=limits.LEVELS_MAX)] = []
    donations: Annotated[dict[Key, Donation], Field(max_length=limits.CURRENCIES_MAX)] = {}
    """By currency."""
    deeds: Deeds | None = None
    board: Key | None = None
    """The board on which guilds are ranked by their experience."""
    territories: Annotated[dict[Key, Territory], Field(max_length=limits.CONTENT_ENTRIES_MAX)] = {}

    @property
    def invitation_ms(self) -> int:
        """How long an invitation or a request is open."""
        return round(self.invitation_days * DAY_MS)

    def level_of(self, experience: int) -> int:
        """The level that so much experience makes."""
        return 1 + sum(experience >= needed for needed in self.levels)

    def perks_of(self, level: int) -> "Perks":
        """What guilds of this level enjoy in all."""
        return self._perks[min(level, len(self._perks)) - 1]

    @cached_property
    def _perks(self) -> list["Perks"]:
        reached = [[perk for perk in self.perks if perk.level <= level] for level in range(1, len(self.levels) + 2)]
        return [
            Perks(
                officers=sum(perk.officers for perk in perks),
                income_percent=sum(perk.income_percent for perk in perks),
                donation_percent=sum(perk.donation_percent for perk in perks),
            )
            for perks in reached
        ]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.levels != sorted(set(self.levels)):
            raise PydanticCustomError("levels", "`levels` must rise: each level takes more experience than the last")
        return self


class Perks(Part):
    """The sum of the perks that a guild has reached."""

    officers: Count = 0
    income_percent: Count = 0
    donation_percent: Count = 0


def faults_of_guilds(content: "Content") -> Faults:
    """What the guilds' rules name and is not there, and perks that no guild can reach."""
    guilds, faults = content.guilds, Faults()
    for place, amounts in (("cost", guilds.cost), ("donations", guilds.donations)):
        for name in amounts:
            faults += missing(f"guilds.{place}.{name}", "currency", name, content.currencies)
    for key, territory in guilds.territories.items():
        for name in territory.income:
            faults += missing(f"guilds.territories.{key}.income.{name}", "currency", name, content.currencies)
    if guilds.deeds is not None:
        faults += missing("guilds.deeds.board", "board", guilds.deeds.board, content.boards)
    if guilds.board is not None:
        faults += missing("guilds.board", "board", guilds.board, content.boards)
        board = content.boards.get(guilds.board)
        if board is not None and (board.subject != "guild" or board.follows is not None):
            faults.append(("guilds.board", f"board {guilds.board!r} must have `subject: guild` and follow no other"))
    highest = len(guilds.levels) + 1
    for index, perk in enumerate(guilds.perks):
        if perk.level > highest:
            faults.append((f"guilds.perks.{index}.level", f"no guild gets there: the highest level is {highest}"))
    return faults

"""Content of the score: action types, boards with their rewards, currencies, and how often a player may act."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.part import Faults, Part, missing
from actors.periods import Reset, Season
from actors.times import DAY_MS, DAY_S
from schemas import limits
from schemas.shape import Amount, Count, Key, Line

if TYPE_CHECKING:
    from actors.content import Content

PLAYER = "player"
"""The subject of a board on which players themselves are ranked."""

SHARDS_MAX = 64
"""Of one board."""

PerMinute = Annotated[int, Field(ge=1, le=limits.ACTIONS_PER_MINUTE_MAX)] | Literal["unlimited"]


class ActionType(Part):
    """Something a player can do for points."""

    points: Amount
    board: Key
    minimum_ms: Annotated[int, Field(ge=0, le=DAY_MS)] = 0
    """Completions faster than this are suspicious."""
    starts_per_minute: PerMinute | None = None
    """None: the limit of the family that the action is started through."""
    completions_per_minute: PerMinute | None = None
    fraud: bool = True
    """Whether fraud detectors are consulted."""


class Reward(Part):
    """What the ranks `first` to `last` get when a board is reset."""

    first: Annotated[int, Field(ge=1, le=limits.REWARDED_RANKS_MAX)]
    last: Annotated[int, Field(ge=1, le=limits.REWARDED_RANKS_MAX)]
    currency: Key
    amount: Amount

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise PydanticCustomError("ranks", "`last` must not be smaller than `first`")
        return self


class Board(Part):
    """A ranking of players, or of what an attribute of the score names (such as teams)."""

    title: Line = "Board"
    subject: Key = PLAYER
    """`player`, or the attribute of a score event that names who is ranked."""
    order: Literal["high_first", "low_first"] = "high_first"
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = 1
    follows: Key | None = None
    """The board whose every score event counts here too."""
    actions: list[Key] | None = None
    """With `follows`: only these action types (and awards with one of these reasons) count."""
    reset: Reset = "never"
    seasons: list[Season] = []
    """With `reset: season`: the days on which seasons start, in order."""
    rewards: Annotated[list[Reward], Field(max_length=limits.REWARDED_RANKS_MAX)] = []

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.reset == "season") != bool(self.seasons):
            raise PydanticCustomError("seasons", "`seasons` belongs to `reset: season`, and that needs it")
        if self.seasons != sorted(set(self.seasons)):
            raise PydanticCustomError("seasons", "`seasons` must be in order, each day once")
        if self.rewards and (self.reset == "never" or self.subject != PLAYER):
            raise PydanticCustomError("rewards", "rewards need a board of players that is reset")
        if self.actions is not None and self.follows is None:
            raise PydanticCustomError("actions", "`actions` picks from the board that it `follows`, which is missing")
        return self


class Currency(Part):
    """Something a wallet holds."""

    title: Line = "Currency"
    start: Count = 0
    """What a new player begins with."""


class Family(Part):
    """One way to earn points through the API, with limits of its own (sliding window of a minute)."""

    starts_per_minute: PerMinute
    completions_per_minute: PerMinute
    lives_s: Annotated[int, Field(ge=1, le=DAY_S)]
    """How long a token is good for."""
    action: Key | None = None
    """The action type of families whose requests do not name one."""


class Limits(Part):
    """The families of the score API."""

    actions: Family = Family(starts_per_minute=30, completions_per_minute=30, lives_s=600)
    tokens: Family = Family(starts_per_minute=10, completions_per_minute=5, lives_s=60, action="quick_win")
    scoreboard: Family = Family(starts_per_minute=10, completions_per_minute=10, lives_s=600, action="quick_win")


def faults_of_actions(content: "Content") -> Faults:
    """What the action types and the families of the score API name and is not there."""
    faults: Faults = []
    for name, action in content.actions.items():
        faults += missing(f"actions.{name}.board", "board", action.board, content.boards)
    for family in ("tokens", "scoreboard"):
        action_name = getattr(content.limits, family).action
        if action_name is not None and content.actions:
            faults += missing(f"limits.{family}.action", "action", action_name, content.actions)
    return faults


def faults_of_boards(content: "Content") -> Faults:
    """What boards name and is not there."""
    faults: Faults = []
    for name, board in content.boards.items():
        if board.follows is not None:
            faults += missing(f"boards.{name}.follows", "board", board.follows, content.boards)
            leader = content.boards.get(board.follows)
            if leader is not None and leader.follows is not None:
                faults.append((f"boards.{name}.follows", f"{board.follows!r} follows another board itself"))
        for index, action_name in enumerate(board.actions or []):
            faults += missing(f"boards.{name}.actions.{index}", "action", action_name, content.actions)
        for index, reward in enumerate(board.rewards):
            place = f"boards.{name}.rewards.{index}.currency"
            faults += missing(place, "currency", reward.currency, content.currencies)
    return faults

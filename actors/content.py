"""What designers write: action types, boards, currencies, limits and fraud rules, checked as a whole."""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from actors.periods import Reset, Season
from schemas import limits
from schemas.shape import Amount, Count, Key, Line, Text

PLAYER = "player"
"""The subject of a board on which players themselves are ranked."""


class Part(BaseModel):
    """A piece of content: strict, unchangeable, and nothing unknown in it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


PerMinute = Annotated[int, Field(ge=1, le=10_000)] | Literal["unlimited"]


class ActionType(Part):
    """Something a player can do for points."""

    points: Amount
    board: Key
    minimum_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0
    """Completions faster than this are suspicious."""
    starts_per_minute: PerMinute | None = None
    """None: the limit of the family that the action is started through."""
    completions_per_minute: PerMinute | None = None
    fraud: bool = True
    """Whether fraud detectors are consulted."""


class Reward(Part):
    """What the ranks `first` to `last` get when a board is reset."""

    first: Annotated[int, Field(ge=1, le=100)]
    last: Annotated[int, Field(ge=1, le=100)]
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
    shards: Annotated[int, Field(ge=1, le=64)] = 1
    follows: Key | None = None
    """The board whose every score event counts here too."""
    actions: list[Key] | None = None
    """With `follows`: only these action types (and awards with one of these reasons) count."""
    reset: Reset = "never"
    seasons: list[Season] = []
    """With `reset: season`: the days on which seasons start, in order."""
    rewards: Annotated[list[Reward], Field(max_length=100)] = []

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
    lives_s: Annotated[int, Field(ge=1, le=86_400)]
    """How long a token is good for."""
    action: Key | None = None
    """The action type of families whose requests do not name one."""


class Limits(Part):
    """The families of the score API."""

    actions: Family = Family(starts_per_minute=30, completions_per_minute=30, lives_s=600)
    tokens: Family = Family(starts_per_minute=10, completions_per_minute=5, lives_s=60, action="quick_win")
    scoreboard: Family = Family(starts_per_minute=10, completions_per_minute=10, lives_s=600, action="quick_win")


class Burst(Part):
    """More than `more_than` completions within `within_s`."""

    kind: Literal["burst"]
    points: Amount
    more_than: Annotated[int, Field(ge=1, lt=limits.COMPLETIONS_REMEMBERED_MAX)]
    within_s: Annotated[int, Field(ge=1, le=3_600)]


class TooFast(Part):
    """A completion in less than the action's minimum."""

    kind: Literal["too_fast"]
    points: Amount


class Periodic(Part):
    """The last `samples` pauses between completions differ by no more than `tolerance_ms`."""

    kind: Literal["periodic"]
    points: Amount
    samples: Annotated[int, Field(ge=3, lt=limits.COMPLETIONS_REMEMBERED_MAX)]
    tolerance_ms: Annotated[int, Field(ge=0, le=60_000)]
    at_least_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0
    """Shorter pauses are left to other rules."""


class Identical(Part):
    """The last `samples` completions took the same time, within `tolerance_ms`."""

    kind: Literal["identical"]
    points: Amount
    samples: Annotated[int, Field(ge=3, lt=limits.COMPLETIONS_REMEMBERED_MAX)]
    tolerance_ms: Annotated[int, Field(ge=0, le=60_000)]
    at_least_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0


class ScoreRate(Part):
    """More than `more_than` points within `within_s`."""

    kind: Literal["score_rate"]
    points: Amount
    more_than: Amount
    within_s: Annotated[int, Field(ge=1, le=3_600)]


class Shared(Part):
    """More than `more_than` players behind one address or device within `within_s`."""

    kind: Literal["shared_address", "shared_device"]
    points: Amount
    more_than: Annotated[int, Field(ge=1, lt=limits.SIGHTED_PLAYERS_MAX)]
    within_s: Annotated[int, Field(ge=1, le=7 * 86_400)]


FraudRule = Annotated[Burst | TooFast | Periodic | Identical | ScoreRate | Shared, Field(discriminator="kind")]


class Fraud(Part):
    """When play is suspicious, and what follows. Suspicion decays by half each `half_life_s`."""

    detectors: Annotated[int, Field(ge=1, le=64)] = 1
    half_life_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3_600
    flag_above: Amount = 50
    suspend_above: Amount = 100
    halved_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3_600
    suspend_s: Annotated[int, Field(ge=1, le=3_650 * 86_400)] = 86_400
    flags_until_ban: Annotated[int, Field(ge=1, le=100)] = 3
    flags_within_s: Annotated[int, Field(ge=1, le=365 * 86_400)] = 86_400
    fail_closed: bool = False
    """Refuse an action that its detector did not assess in time, instead of letting it pass under halved limits."""
    rules: Annotated[dict[Key, FraudRule], Field(max_length=100)] = {}


class Content(Part):
    """One version of everything that designers write."""

    version: Count = 0
    note: Text | None = None
    actions: Annotated[dict[Key, ActionType], Field(max_length=limits.COLLECTION_ITEMS_MAX)] = {}
    boards: Annotated[dict[Key, Board], Field(max_length=limits.BOARDS_PER_PLAYER_MAX)] = {}
    currencies: Annotated[dict[Key, Currency], Field(max_length=limits.CURRENCIES_MAX)] = {}
    limits: Limits = Limits()
    fraud: Fraud = Fraud()

    def followers(self, board: str) -> list[str]:
        """The boards on which a score event of this board counts too, in order of name."""
        return self._followers.get(board, [])

    @cached_property
    def _followers(self) -> dict[str, list[str]]:
        following: dict[str, list[str]] = {}
        for name, board in sorted(self.boards.items()):
            if board.follows is not None:
                following.setdefault(board.follows, []).append(name)
        return following

    @model_validator(mode="after")
    def _no_dangling_references(self, info: ValidationInfo) -> Self:
        faults = list(dangling(self))
        if faults and not (info.context or {}).get("lenient"):
            raise PydanticCustomError("dangling", "{faults}", {"faults": "; ".join(f"{w}: {m}" for w, m in faults)})
        return self


def dangling(content: Content) -> list[tuple[str, str]]:
    """References to what is not there, as (place, what would be right)."""
    return [*_of_actions(content), *_of_boards(content), *_of_fraud(content.fraud)]


def _missing(place: str, what: str, name: str, known: Any) -> list[tuple[str, str]]:
    if name in known:
        return []
    return [(place, f"there is no {what} {name!r}; there are {', '.join(sorted(known)) or 'none'}")]


def _of_actions(content: Content) -> list[tuple[str, str]]:
    faults = []
    for name, action in content.actions.items():
        faults += _missing(f"actions.{name}.board", "board", action.board, content.boards)
    for family in ("tokens", "scoreboard"):
        action_name = getattr(content.limits, family).action
        if action_name is not None and content.actions:
            faults += _missing(f"limits.{family}.action", "action", action_name, content.actions)
    return faults


def _of_boards(content: Content) -> list[tuple[str, str]]:
    faults = []
    for name, board in content.boards.items():
        if board.follows is not None:
            faults += _missing(f"boards.{name}.follows", "board", board.follows, content.boards)
            leader = content.boards.get(board.follows)
            if leader is not None and leader.follows is not None:
                faults.append((f"boards.{name}.follows", f"{board.follows!r} follows another board itself"))
        for index, action_name in enumerate(board.actions or []):
            faults += _missing(f"boards.{name}.actions.{index}", "action", action_name, content.actions)
        for index, reward in enumerate(board.rewards):
            place = f"boards.{name}.rewards.{index}.currency"
            faults += _missing(place, "currency", reward.currency, content.currencies)
    return faults


def _of_fraud(fraud: Fraud) -> list[tuple[str, str]]:
    if fraud.suspend_above <= fraud.flag_above:
        return [("fraud.suspend_above", f"must be above flag_above ({fraud.flag_above})")]
    return []

"""Content of the fraud detectors: when play is suspicious, and what follows."""

from typing import Annotated, Literal

from pydantic import Field

from actors.content.part import Faults, Part
from actors.times import DAY_S, HOUR_MS, HOUR_S, MINUTE_MS
from schemas import limits
from schemas.shape import Amount, Key

RULES_MAX = 100
DETECTORS_MAX = 64

Window = Annotated[int, Field(ge=1, le=HOUR_S)]
"""The seconds within which something is counted."""
Samples = Annotated[int, Field(ge=3, lt=limits.COMPLETIONS_REMEMBERED_MAX)]
"""How many of the newest completions are compared."""
Tolerance = Annotated[int, Field(ge=0, le=MINUTE_MS)]
Shortest = Annotated[int, Field(ge=0, le=HOUR_MS)]
"""Shorter ones are left to other rules."""


class Burst(Part):
    """More than `more_than` completions within `within_s`."""

    kind: Literal["burst"]
    points: Amount
    more_than: Annotated[int, Field(ge=1, lt=limits.COMPLETIONS_REMEMBERED_MAX)]
    within_s: Window


class TooFast(Part):
    """A completion in less than the action's minimum."""

    kind: Literal["too_fast"]
    points: Amount


class Periodic(Part):
    """The last `samples` pauses between completions differ by no more than `tolerance_ms`."""

    kind: Literal["periodic"]
    points: Amount
    samples: Samples
    tolerance_ms: Tolerance
    at_least_ms: Shortest = 0


class Identical(Part):
    """The last `samples` completions took the same time, within `tolerance_ms`."""

    kind: Literal["identical"]
    points: Amount
    samples: Samples
    tolerance_ms: Tolerance
    at_least_ms: Shortest = 0


class ScoreRate(Part):
    """More than `more_than` points within `within_s`."""

    kind: Literal["score_rate"]
    points: Amount
    more_than: Amount
    within_s: Window


class Shared(Part):
    """More than `more_than` players behind one address or device within `within_s`."""

    kind: Literal["shared_address", "shared_device"]
    points: Amount
    more_than: Annotated[int, Field(ge=1, lt=limits.SIGHTED_PLAYERS_MAX)]
    within_s: Annotated[int, Field(ge=1, le=7 * DAY_S)]


FraudRule = Annotated[Burst | TooFast | Periodic | Identical | ScoreRate | Shared, Field(discriminator="kind")]


class Fraud(Part):
    """When play is suspicious, and what follows. Suspicion decays by half each `half_life_s`."""

    detectors: Annotated[int, Field(ge=1, le=DETECTORS_MAX)] = 1
    half_life_s: Annotated[int, Field(ge=1, le=30 * DAY_S)] = HOUR_S
    flag_above: Amount = 50
    suspend_above: Amount = 100
    halved_s: Annotated[int, Field(ge=1, le=30 * DAY_S)] = HOUR_S
    suspend_s: Annotated[int, Field(ge=1, le=3_650 * DAY_S)] = DAY_S
    flags_until_ban: Annotated[int, Field(ge=1, le=100)] = 3
    flags_within_s: Annotated[int, Field(ge=1, le=365 * DAY_S)] = DAY_S
    fail_closed: bool = False
    """Refuse an action that its detector did not assess in time, instead of letting it pass under halved limits."""
    rules: Annotated[dict[Key, FraudRule], Field(max_length=RULES_MAX)] = {}


def faults_of_fraud(fraud: Fraud) -> Faults:
    """Thresholds that make no sense together."""
    if fraud.suspend_above <= fraud.flag_above:
        return [("fraud.suspend_above", f"must be above flag_above ({fraud.flag_above})")]
    return []

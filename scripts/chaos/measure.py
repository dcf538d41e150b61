"""What each fault cost the players: time to the first and to 99 % of service, and who saw an error."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.runtime.placement import Placement
from scripts.chaos.faults import Struck
from scripts.chaos.history import Operation
from scripts.chaos.wires import ATTEMPT_S

WINDOW_S = 12.0
"""An answer that comes later after a fault is still counted to it, unless another fault comes before."""
SLOW_S = 0.25
"""Beyond this an answer is counted as delayed by the fault before it."""
SOON_S, LATEST_S = 1.0, 5.0
"""The goals for a host's death: 99 % of what it affects answered within the one, everything within the other."""


@dataclass(slots=True)
class Cost:
    """What one fault cost. Times are seconds after it struck (for a pause: after it began)."""

    struck: Struck
    affected: int = 0
    first_s: float | None = None
    most_s: float | None = None
    """After so long 99 % of the affected operations were answered."""
    all_s: float | None = None
    late: int = 0
    """Affected operations that were answered later than SOON_S."""
    errors: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.struck.kind,
            "victim": self.struck.name,
            "affected": self.affected,
            "firstServiceS": _rounded(self.first_s),
            "service99S": _rounded(self.most_s),
            "allServedS": _rounded(self.all_s),
            "later": self.late,
            "errors": self.errors,
        }


@dataclass(slots=True)
class KindCost:
    """All faults of a kind together."""

    kind: str
    costs: list[Cost] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.costs)

    @property
    def affected(self) -> int:
        return sum(cost.affected for cost in self.costs)

    @property
    def errors(self) -> int:
        return sum(cost.errors for cost in self.costs)

    @property
    def in_time(self) -> float:
        """The share of the affected operations that were answered within SOON_S of the fault."""
        return 1.0 - sum(cost.late for cost in self.costs) / self.affected if self.affected else 1.0

    def median(self, name: str) -> float | None:
        found = sorted(value for cost in self.costs if (value := getattr(cost, name)) is not None)
        return found[len(found) // 2] if found else None

    def worst(self, name: str) -> float | None:
        return max((value for cost in self.costs if (value := getattr(cost, name)) is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.kind,
            "count": self.count,
            "affected": self.affected,
            "firstServiceS": {"median": _rounded(self.median("first_s")), "worst": _rounded(self.worst("first_s"))},
            "service99S": {"median": _rounded(self.median("most_s")), "worst": _rounded(self.worst("most_s"))},
            "slowestS": _rounded(self.worst("all_s")),
            "within1s": round(self.in_time, 4),
            "errors": self.errors,
        }


@dataclass(slots=True)
class Measured:
    """The figures of a whole run."""

    costs: list[Cost]
    operations: int
    attempts: int
    outcomes: Counter[str]
    errors: list[Operation]
    """What players were left without an answer to, after all repetitions."""
    refusals: Counter[str]
    p50_ms: float
    p99_ms: float
    per_s: float

    @property
    def kinds(self) -> list[KindCost]:
        grouped: dict[str, KindCost] = {}
        for cost in self.costs:
            grouped.setdefault(cost.struck.kind, KindCost(cost.struck.kind)).costs.append(cost)
        return list(grouped.values())


def measure(operations: Sequence[Operation], struck: Sequence[Struck]) -> Measured:
    """Hold the history of the players against the list of faults."""
    by_end = sorted(operations, key=lambda operation: operation.ended)
    costs = [_cost(one, _until(number, struck), by_end) for number, one in enumerate(struck)]
    quick = sorted(one.ended - one.sent for one in operations if one.outcome == "ok")
    refusals: Counter[str] = Counter()
    for one in operations:
        if one.outcome == "fail":
            refusals[f"{one.attempts[-1].status} {one.attempts[-1].code}"] += 1
    began = min((one.sent for one in operations), default=0.0)
    ended = by_end[-1].ended if by_end else 0.0
    return Measured(
        costs=costs,
        operations=len(operations),
        attempts=sum(len(one.attempts) for one in operations),
        outcomes=Counter(one.outcome for one in operations),
        errors=[one for one in operations if one.outcome == "info"],
        refusals=refusals,
        p50_ms=_at(quick, 0.5) * 1e3,
        p99_ms=_at(quick, 0.99) * 1e3,
        per_s=len(operations) / (ended - began) if ended > began else 0.0,
    )


def survived(count: int) -> str:
    """What so many kills without a failure say of the failure rate, with 95 % confidence: the rule of three."""
    if count < 3:
        return "too few to bound the failure rate"
    return f"failure rate below {300 / count:.3g} % with 95 % confidence"


def _until(number: int, struck: Sequence[Struck]) -> float:
    """When the next fault ends the time in which delays are counted to this one."""
    this = struck[number]
    end = max(this.over_at, this.at) + WINDOW_S
    return min([end, *(later.at for later in struck[number + 1 :] if later.at > this.over_at)])


def _cost(struck: Struck, until: float, by_end: Sequence[Operation]) -> Cost:
    cost = Cost(struck)
    near = [one for one in by_end if _met(one, struck) and one.sent < until and _hit(one, struck)]
    first = next((one.ended for one in near if one.sent > struck.at and one.outcome == "ok"), None)
    cost.first_s = None if first is None else first - struck.at
    delays: list[float] = []
    for one in near:
        waited = bool(struck.slots) and (one.sent <= struck.at or (first is not None and one.sent <= first))
        slow = one.ended - max(one.sent, struck.at) > SLOW_S or len(one.attempts) > 1
        if one.outcome == "info":
            cost.errors += 1
        elif waited:
            delays.append(one.ended - struck.at)
        elif slow:
            # Service was back when it was sent: what it waited itself is what the fault cost it.
            delays.append(one.ended - max(one.sent, struck.at))
    delays.sort()
    cost.affected = len(delays) + cost.errors
    cost.late = sum(delay > SOON_S for delay in delays) + cost.errors
    if delays:
        cost.most_s, cost.all_s = _at(delays, 0.99), delays[-1]
    return cost


def _met(operation: Operation, struck: Struck) -> bool:
    """Whether it was under way when the fault struck, or came later. Without an answer it ended some time later."""
    return operation.ended + (ATTEMPT_S if operation.outcome == "info" else 0.0) >= struck.at


def _hit(operation: Operation, struck: Struck) -> bool:
    """Whether the actor lived on the host that was struck; other faults may hit everybody."""
    if not struck.slots:
        return True
    return str(Placement.bucket(operation.actor)) in struck.slots or str(operation.actor) in struck.slots


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

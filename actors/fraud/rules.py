"""The fraud rules: what each looks at, and when it hits."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from actors.content import Burst, Fraud, FraudRule, Identical, Periodic, ScoreRate, TooFast
from actors.times import SECOND_MS


@dataclass(frozen=True, slots=True)
class Play:
    """A completion, and the player's newest ones before it as [at, took_ms, points], oldest first."""

    action: str
    at: int
    took_ms: int
    minimum_ms: int
    points: int
    recent: list[list[int]]

    @property
    def line(self) -> list[list[int]]:
        """The newest completions with this one at their end."""
        return [*self.recent, [self.at, self.took_ms, self.points]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that found something, and what proves it."""

    rule: str
    points: int
    evidence: dict[str, Any]


def hits(fraud: Fraud, play: Play) -> list[Hit]:
    """The hits of all rules on one completion, in the order of the rules."""
    return [
        Hit(name, rule.points, {"action": play.action, **evidence})
        for name, rule in fraud.rules.items()
        for evidence in _found(rule, play)
    ]


def _found(rule: FraudRule, play: Play) -> Iterator[dict[str, Any]]:
    if isinstance(rule, TooFast):
        if play.took_ms < play.minimum_ms:
            yield {"took_ms": play.took_ms, "minimum_ms": play.minimum_ms}
    elif isinstance(rule, Burst):
        count = sum(at > play.at - rule.within_s * SECOND_MS for at, _, _ in play.line)
        if count > rule.more_than:
            yield {"actions": count, "within_s": rule.within_s}
    elif isinstance(rule, ScoreRate):
        earned = sum(points for at, _, points in play.line if at > play.at - rule.within_s * SECOND_MS)
        if earned > rule.more_than:
            yield {"earned": earned, "within_s": rule.within_s}
    elif isinstance(rule, Periodic):
        times = [at for at, _, _ in play.line][-rule.samples - 1 :]
        pauses = [after - before for before, after in pairwise(times)]
        yield from _alike(pauses, rule, "pauses_ms")
    elif isinstance(rule, Identical):
        yield from _alike([took for _, took, _ in play.line][-rule.samples :], rule, "took_ms")


def _alike(samples: list[int], rule: Periodic | Identical, name: str) -> Iterator[dict[str, Any]]:
    if len(samples) < rule.samples or min(samples) < rule.at_least_ms:
        return
    if max(samples) - min(samples) <= rule.tolerance_ms:
        yield {name: samples}

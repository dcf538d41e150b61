"""What a session of chaos tests measured, as the tables that docs/reliability.md takes over."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from schemas.settings import PROJECT
from scripts.chaos.measure import KindCost, survived
from scripts.chaos.report import COLUMNS, SEEN, row
from scripts.chaos.session import Outcome
from tests.chaos.tiers import TIER


@dataclass(slots=True)
class Summary:
    """Filled by the tests of one session."""

    runs: list[tuple[str, Outcome]] = field(default_factory=list)
    """By the name of their test."""
    figures: list[tuple[str, str]] = field(default_factory=list)
    """What else was measured, by the name of the test."""
    kills: int = 0
    """Of processes, outside of the runs."""
    tests: list[tuple[str, str, float]] = field(default_factory=list)
    """Name, how it ended, seconds."""

    def note(self, test: str, figure: str) -> None:
        """Keep a figure for the report."""
        self.figures.append((test, figure))

    def written(self) -> str:
        """All of it, as Markdown."""
        return "\n".join([*self._head(), *self._faults(), *self._runs(), *self._figures(), *self._tests(), ""])

    def _head(self) -> Iterator[str]:
        right = [outcome for _, outcome in self.runs if outcome.ok]
        kills = self.kills + sum(outcome.kills for outcome in right)
        broken = len(self.runs) - len(right)
        yield f"# Chaos, tier {TIER}, {datetime.now(UTC):%Y-%m-%d}"
        yield ""
        yield f"{len(self.runs)} runs under load, {broken} of them with findings of verify."
        yield f"Survived {kills} kills: {survived(kills)}." if not broken else "What was found stands below."
        yield ""

    def _faults(self) -> Iterator[str]:
        kinds: dict[str, KindCost] = {}
        for _, outcome in self.runs:
            for kind in outcome.kinds:
                kinds.setdefault(kind.kind, KindCost(kind.kind)).costs.extend(kind.costs)
        if not kinds:
            return
        columns = (COLUMNS[0], "what clients see", *COLUMNS[1:])
        yield f"| {' | '.join(columns)} |"
        yield "|---" * len(columns) + "|"
        for name in sorted(kinds):
            first, *rest = row(kinds[name])
            yield f"| {' | '.join((first, SEEN.get(name, ''), *rest))} |"
        yield ""

    def _runs(self) -> Iterator[str]:
        if not self.runs:
            return
        yield "| run | operations | errors of clients | kills | verify | seed | again |"
        yield "|---|---|---|---|---|---|---|"
        for name, outcome in self.runs:
            found = f"{len(outcome.verdict.findings)} findings" if not outcome.ok else "all holds"
            measured = outcome.measured
            facts = (f"{measured.operations:,}", str(len(measured.errors)), str(outcome.kills), found)
            yield f"| {' | '.join((name, *facts, str(outcome.plan.seed), f'`{outcome.again}`'))} |"
        yield ""

    def _figures(self) -> Iterator[str]:
        if self.figures:
            yield "| test | measured |"
            yield "|---|---|"
            yield from (f"| {name} | {figure} |" for name, figure in self.figures)
            yield ""

    def _tests(self) -> Iterator[str]:
        yield "| test | ended | seconds |"
        yield "|---|---|---|"
        yield from (f"| `{name}` | {ended} | {seconds:.0f} |" for name, ended, seconds in self.tests)


SUMMARY = Summary()


def place() -> Path | None:
    """The file of the summary: where GREENROOM_CHAOS_REPORTS says, else beside the game's data; none in tier Q."""
    kept = os.environ.get("GREENROOM_CHAOS_REPORTS")
    if kept:
        return Path(kept) / f"tier-{TIER}.md"
    return None if TIER == "Q" else PROJECT / ".greenroom" / "chaos" / f"tier-{TIER}.md"

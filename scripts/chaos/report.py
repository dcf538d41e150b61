"""What a chaos run shows to people: each kind of fault with its cost, what players saw, and the verdict."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from scripts.chaos.faults import FAULTS
from scripts.chaos.measure import KindCost, survived
from scripts.chaos.players import RETRIES_MAX
from scripts.chaos.session import KILLS, Outcome
from scripts.terminal import printable, table
from scripts.verify.report import UNJUDGED

COLUMNS = ("fault", "times", "affected", "first answer", "99 % answered", "slowest", "within 1 s", "errors")
_FINDINGS_SHOWN = 10
SEEN: dict[str, str] = {
    "host": "commands to its actors wait, then succeed; others go on",
    "host-pause": "its actors wait until its lease tells that it stands still; others go on",
    "gateway": "its sockets close, its requests break; clients come back through another",
    "director": "nothing: hosts and gateways go on without it",
    "head": "the whole game starts anew",
    "raylet": "everything on that node starts anew",
    "postgres": "commands wait or are refused for a moment (503, Retry-After); questions go on",
    "postgres-stop": "as when it is killed",
    "postgres-pause": "commands wait or are refused (503, Retry-After) for as long as it stands still",
    "sessions": "commands wait for new sessions of the database",
    "redis": "pushes pause; commands and questions go on",
    "redis-flush": "nothing",
    "redis-hold": "pushes pause; commands and questions go on",
    "redis-pause": "pushes pause; commands and questions go on",
}
"""What clients see of each fault."""


def drawn(outcome: Outcome) -> RenderableType:
    """The report for a terminal."""
    return Group(
        Text.assemble(("Chaos", "bold"), f", seed {outcome.plan.seed}: {_load(outcome)}"),
        Text(),
        table(COLUMNS, (row(kind) for kind in outcome.kinds), right=COLUMNS[1:]),
        Text("Seconds after the fault: the median of all of its kind, and the worst.", style="dim"),
        Text(),
        *(Text(line) for line in _findings(outcome)),
        Text(f"Survived {outcome.kills} kills: {survived(outcome.kills)}." if outcome.ok else "", style="green"),
        Text(f"Again: {outcome.again}", style="dim"),
        Text(f"History: {outcome.history}", style="dim"),
    )


def written(outcome: Outcome) -> str:
    """The report as Markdown, for a file."""
    lines = [f"# Chaos, seed {outcome.plan.seed}", "", f"{_load(outcome)}.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(row(kind))} |" for kind in outcome.kinds]
    lines += ["", *(line for line in _findings(outcome) if line), ""]
    if outcome.ok:
        lines += [f"Survived {outcome.kills} kills: {survived(outcome.kills)}.", ""]
    return "\n".join([*lines, f"Again: `{outcome.again}`", ""])


def write(outcome: Outcome, path: Path) -> None:
    """Write the report into a file."""
    path.write_text(written(outcome), encoding="utf-8")


def _load(outcome: Outcome) -> str:
    measured = outcome.measured
    return (
        f"{outcome.plan.players} players did {measured.operations:,} operations "
        f"({measured.per_s:,.0f} a second, p50 {measured.p50_ms:.1f} ms, p99 {measured.p99_ms:.1f} ms), "
        f"asked {outcome.questions:,} questions and got {outcome.pushes:,} pushes over "
        f"{outcome.reconnects:,} reconnects"
    )


def row(kind: KindCost) -> tuple[str, ...]:
    """A line of the table of COLUMNS."""
    return (
        kind.kind,
        str(kind.count),
        f"{kind.affected:,}",
        _two(kind.median("first_s"), kind.worst("first_s")),
        _two(kind.median("most_s"), kind.worst("most_s")),
        _seconds(kind.worst("all_s")),
        f"{kind.in_time * 100:.1f} %" if kind.affected else "",
        str(kind.errors),
    )


def _two(median: float | None, worst: float | None) -> str:
    return f"{_seconds(median)} / {_seconds(worst)}" if median is not None else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _findings(outcome: Outcome) -> Iterator[str]:
    measured, verdict = outcome.measured, outcome.verdict
    for code, count in measured.refusals.most_common(_FINDINGS_SHOWN):
        yield f"Refused: {count:,} x {printable(code)}"
    if measured.errors:
        share = len(measured.errors) / measured.operations
        yield f"Without an answer after {RETRIES_MAX} repetitions: {len(measured.errors):,} operations ({share:.2%})."
    else:
        yield "Every operation was answered, within three repetitions."
    for one in verdict.findings[:_FINDINGS_SHOWN]:
        yield f"{one.invariant} is broken: {printable(one.actor)}: {printable(one.what)}"
    if verdict.ok:
        held = sum(verdict.verdict(invariant) != UNJUDGED for invariant in ("K1", "K2", "K3", "K4", "K5"))
        yield (
            f"verify: all holds ({verdict.events:,} events of {verdict.actors:,} actors, K1 to K5 {held} of 5 judged, "
            "and whatever else there was to judge)."
        )


def described(faults: tuple[str, ...]) -> Iterator[str]:
    """What a run is going to do."""
    for name in faults:
        mark = "kills" if name in KILLS else "disturbs"
        yield f"  {name:<15} {FAULTS[name].says}, every {FAULTS[name].every_s:g} s or so ({mark})"

"""What a run found, as a table on screen, as JSON, and as docs/performance.md."""

from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from scripts.bench.figures import GOALS, Goal, Results, Series

_VERDICTS = {"aim": "aim met", "floor": "floor met", "missed": "missed"}
_STYLES = {"aim": "green", "floor": "yellow", "missed": "red"}
_HOW = """\
Run `greenroom bench` to measure them again; it writes this page. All figures of one run come from one machine, and
ratios compare programs that ran in the same round, one after the other. The load client is a process of its own on
the same cores. CPU seconds are those of all processes of the server: gateways, hosts, Ray, Postgres, Redis and the
supervisor. Each figure is the median of its rounds; the spread is the lowest and the highest round.
"""


def as_json(results: Results, facts: dict[str, str]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "machine": facts,
        "figures": {
            goal.key: {
                "what": goal.what,
                "unit": goal.unit,
                "median": series.median,
                "spread": list(series.spread),
                "rounds": series.rounds,
                "floor": goal.floor,
                "aim": goal.aim,
                "verdict": goal.verdict(series.median),
                "details": series.details,
            }
            for goal, series in _measured(results)
        },
        "remarks": results.remarks,
    }


def as_table(results: Results, *, quick: bool = False) -> Table:
    """Everything, for people in a hurry."""
    table = Table(title="Greenroom, tried out: smaller and shorter, so no verdict" if quick else "Greenroom, measured")
    for heading, side in (("", "left"), ("measured", "left"), ("median", "right"), ("spread", "right")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for heading in ("floor", "aim", ""):
        table.add_column(heading, justify="right")
    for goal, series in _measured(results):
        verdict = goal.verdict(series.median)
        table.add_row(
            goal.key,
            goal.what,
            _value(series.median, goal),
            _spread(series, goal),
            _value(goal.floor, goal),
            _value(goal.aim, goal),
            "" if quick else f"[{_STYLES[verdict]}]{_VERDICTS[verdict]}[/]",
        )
    for key, text in results.remarks.items():
        table.add_row(key, text, "", "", "", "", "")
    return table


def write_page(path: Path, results: Results, facts: dict[str, str], notes: str) -> None:
    """The page for the repository; `notes` is what people wrote below the figures, and stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(results, facts) + notes, encoding="utf-8")


def notes_of(path: Path) -> str:
    """What people wrote on the page: everything from the heading `What stands out` on."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    at = text.find("\n## What stands out")
    return text[at:] if at >= 0 else ""


def _page(results: Results, facts: dict[str, str]) -> str:
    today = datetime.now(UTC).date().isoformat()
    lines = ["# Performance", "", _HOW, f"Measured on {today}.", "", "| machine | |", "|---|---|"]
    lines += [f"| {name} | {fact} |" for name, fact in facts.items()]
    lines += ["", "## Figures", "", "| | measured | median | spread | floor | aim | |", "|---|---|---|---|---|---|---|"]
    for goal, series in _measured(results):
        cells = (_value(series.median, goal), _spread(series, goal), _value(goal.floor, goal), _value(goal.aim, goal))
        lines.append(f"| {goal.key} | {goal.what} | {' | '.join(cells)} | {_VERDICTS[goal.verdict(series.median)]} |")
    lines += [f"| {key} | {text} | | | | | remark |" for key, text in results.remarks.items()]
    lines += ["", "## What they are made of", "", "Medians of the same rounds.", ""]
    for goal, series in _measured(results):
        parts = ", ".join(f"{name} {_number(median(values))}" for name, values in series.details.items())
        lines.append(f"- **{goal.key}** {parts or _value(series.median, goal)}")
    return "\n".join(lines) + "\n"


def _measured(results: Results) -> list[tuple[Goal, Series]]:
    return [(goal, results.series[goal.key]) for goal in GOALS if goal.key in results.series]


def _value(value: float, goal: Goal) -> str:
    return f"{_number(value)}x" if goal.unit == "x" else f"{_number(value)} {goal.unit}"


def _spread(series: Series, goal: Goal) -> str:
    low, high = series.spread
    return f"{_number(low)} to {_value(high, goal)}" if len(series.rounds) > 1 else "one round"


def _number(value: float) -> str:
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

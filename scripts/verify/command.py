"""`greenroom verify`: the command, its progress bar and what it prints."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from actors.runtime.database import Refused
from schemas.problems import Refusal
from scripts.connect import open_database, read_settings
from scripts.terminal import FAILED, AsJson, Failed, Terminal, printable
from scripts.verify.history import read_history
from scripts.verify.report import BROKEN, HOLDS, INVARIANTS, UNJUDGED, Finding, Report
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk

_MARKS = {HOLDS: ("✓", "green"), BROKEN: ("✗", "bold red"), UNJUDGED: ("-", "dim")}


class Bar:
    """How far the reading is; nothing when nobody watches."""

    def __init__(self, total: int, *, visible: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("reading {task.description:<8}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("turns"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not (visible and console.is_terminal),
        )
        self._total = total
        self._task = self._progress.add_task("journal", total=total)
        self._what = "journal"

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int) -> None:
        """So many turns of this are read."""
        if what != self._what:
            self._what = what
            self._progress.reset(self._task, total=self._total, description=what)
        self._progress.update(self._task, completed=done)


def verify(
    history: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="what clients sent and saw, as JSON lines: judges K1 to K13 too"
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="turns that today's rules decide otherwise are breaches")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="findings shown of each invariant")] = 10,
    as_json: AsJson = False,
) -> None:
    """Prove on the data itself that nothing is lost, doubled or wrong. Reads only; the game goes on meanwhile.

    Ends with 0 when everything holds that could be judged, with 1 when something is broken.
    """
    terminal = Terminal(as_json=as_json)

    async def run() -> Report:
        told = None if history is None else read_history(history)
        async with open_database(read_settings()) as database:
            try:
                async with snapshot_of(database) as snapshot:
                    with Bar(await snapshot.turns_about(), visible=not as_json) as bar:
                        return await Walk(snapshot, bar, history=told, strict=strict).run()
            except Refused as refused:
                raise Failed(_advice(str(refused))) from None
            except Refusal as refusal:
                what = f"The database went away while it was read: {refusal.message}"
                raise Failed(f"{what} Nothing was changed; run `greenroom verify` again.") from None

    async def show() -> None:
        report = await run()
        terminal.show(report.as_json(), _drawn(report, limit))
        if not report.ok:
            raise typer.Exit(FAILED)

    terminal.run(show())


def _advice(refused: str) -> str:
    if refused.startswith("InsufficientPrivilege"):
        return f"The database refuses to be read: {refused}. This user needs SELECT on all tables of Greenroom."
    return f"Postgres ended the reading: {refused}. Nothing was changed; run `greenroom verify` again."


def _drawn(report: Report, limit: int) -> RenderableType:
    head = Text.assemble(
        ("Greenroom verified", "bold"),
        f"  as of {report.at}: {report.actors:,} actors, {report.turns:,} turns, {report.events:,} events",
        f" in {report.seconds:.1f} s",
    )
    parts: list[RenderableType] = [head, Text(), _table(report)]
    for invariant, title in INVARIANTS.items():
        found = [one for one in report.findings if one.invariant == invariant]
        if found:
            parts += [Text(), Text.assemble((f"{invariant} is broken", "bold red"), f": {title}")]
            for todo, lines in _by_todo(found[:limit]):
                parts += [*lines, Text.assemble(("    next: ", "cyan"), printable(todo))]
            further = report.counts[invariant] - limit
            if further > 0:
                parts.append(Text(f"  and {further:,} more; --limit and --json show more", style="dim"))
    parts += [Text(), *(Text.assemble(("remark: ", "yellow"), printable(remark)) for remark in report.remarks)]
    parts.append(_verdict(report))
    return Group(*parts)


def _table(report: Report) -> Table:
    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column()
    drawn.add_column(style="dim")
    for invariant, title in INVARIANTS.items():
        verdict = report.verdict(invariant)
        mark, style = _MARKS[verdict]
        count = report.counts[invariant]
        about = Text(title, style="dim" if verdict == UNJUDGED else "")
        if count:
            about.append(f"  {count:,} broken", style="bold red")
        looked, why = report.looked.get(invariant), report.unjudged.get(invariant)
        beside = [looked] if looked else []
        beside += [f"not judged: {why}"] if why else []
        drawn.add_row(Text(f"{mark} {invariant}", style=style), about, Text("\n".join(beside)))
    return drawn


def _by_todo(found: list[Finding]) -> list[tuple[str, list[Text]]]:
    """Findings with the same advice together, in their order."""
    grouped: dict[str, list[Text]] = {}
    for one in found:
        line = Text.assemble("  ", (printable(one.actor), "bold"), ": ", printable(one.what))
        grouped.setdefault(one.todo, []).append(line)
    return list(grouped.items())


def _verdict(report: Report) -> Text:
    broken = [invariant for invariant in INVARIANTS if report.verdict(invariant) == BROKEN]
    judged = [invariant for invariant in INVARIANTS if report.verdict(invariant) != UNJUDGED]
    if broken:
        total = report.counts.total()
        return Text.assemble(
            (f"{', '.join(broken)} broken", "bold red"),
            f": {total:,} finding{'s' if total > 1 else ''}. Nothing was changed.",
        )
    return Text.assemble((f"All {len(judged)} invariants that could be judged hold.", "bold green"))

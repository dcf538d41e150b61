"""`greenroom chaos`: the command, what it asks before it begins, and its progress."""

import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from schemas.settings import Settings
from scripts.bench.harness import BenchFailed, own_server
from scripts.chaos.faults import FAULTS, USUAL, Struck
from scripts.chaos.nemesis import Nemesis
from scripts.chaos.report import described, drawn, write
from scripts.chaos.session import PLAYERS, RATE_PER_S, Plan, run
from scripts.chaos.target import Target
from scripts.chaos.workload import Workload
from scripts.connect import read_settings
from scripts.terminal import FAILED, USAGE, AsJson, Failed, Terminal

_REDRAWS_PER_S = 4


def chaos(
    seconds: Annotated[float, typer.Option(min=5, max=86_400, help="how long the load lasts")] = 60.0,
    seed: Annotated[int | None, typer.Option(min=0, help="what is struck and when; default: another each time")] = None,
    faults: Annotated[str, typer.Option(help=f"kinds of faults, comma-separated: {', '.join(FAULTS)}")] = ",".join(
        USUAL
    ),
    own: Annotated[bool, typer.Option("--own", help="start a Greenroom for this, and take it away afterwards")] = False,
    players: Annotated[int, typer.Option(min=4, max=2_000, help="how many play")] = PLAYERS,
    rate: Annotated[float, typer.Option(min=1, help="operations a second, all players together")] = RATE_PER_S,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    history: Annotated[Path | None, typer.Option(dir_okay=False, help="where to write what players were told")] = None,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="write the report into this file too")] = None,
    as_json: AsJson = False,
) -> None:
    """Kill the processes of a running Greenroom while players load it, and prove that nothing was lost.

    Ends with 0 when verify finds everything right, with 1 when something is broken.
    """
    terminal = Terminal(as_json=as_json)
    named = tuple(dict.fromkeys(name.strip() for name in faults.split(",") if name.strip()))
    unknown = [name for name in named if name not in FAULTS]
    if unknown:
        terminal.fail(f"There is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}.", USAGE)
    fresh = Plan.fresh_seed()
    plan = Plan(fresh if seed is None else seed, seconds, named, players, rate)

    async def go() -> None:
        async with _greenroom(own, terminal) as settings:
            if not own and not yes:
                _ask(terminal, settings, plan)
            path = history or Path(tempfile.mkdtemp(prefix="greenroom-chaos-")) / "history.jsonl"
            with _Progress(plan, visible=not as_json) as progress:
                outcome = await run(settings, plan, path, told=progress.struck, watch=progress.watch)
        outcome.again = plan.command(*(["--own"] if own else []))
        if report is not None:
            write(outcome, report)
        terminal.show(outcome.as_json(), drawn(outcome))
        if not outcome.ok:
            raise typer.Exit(FAILED)

    terminal.run(go())


@asynccontextmanager
async def _greenroom(own: bool, terminal: Terminal) -> AsyncIterator[Settings]:
    if not own:
        yield read_settings()
        return
    terminal.remark("Starting a Greenroom for this ...")
    try:
        async with own_server() as server:
            yield Settings(_env_file=None, data=server.data)
    except BenchFailed as failed:
        raise Failed(str(failed)) from None


def _ask(terminal: Terminal, settings: Settings, plan: Plan) -> None:
    """Say plainly what will happen, and go on only when somebody wants that."""
    target = Target(settings)
    terminal.remarks.print(
        Text(
            f"This is going to harm the Greenroom that serves {settings.data} ({target.running.url}) "
            f"for {plan.seconds:g} s, seed {plan.seed}:"
        )
    )
    for line in described(plan.faults):
        terminal.remarks.print(Text(line))
    terminal.remarks.print(
        Text(
            f"{plan.players} guests join and play; they and their scores stay in the database. "
            "Its own players will notice. Only processes of this Greenroom on this machine are struck, by their pids."
        )
    )
    if not sys.stdin.isatty():
        raise Failed("There is no terminal to ask: give --yes.", USAGE)
    if not typer.confirm("Go on?", default=False, err=True):
        raise Failed("Nothing was done.")


class _Progress:
    """One line while it runs, and one for each fault."""

    def __init__(self, plan: Plan, *, visible: bool) -> None:
        self._plan = plan
        self._console = Console(stderr=True, highlight=False)
        self._visible = visible
        self._began = time.monotonic()
        self._load: Workload | None = None
        self._struck = 0
        self._live: Live | None = None

    def __enter__(self) -> "_Progress":
        if self._visible and self._console.is_terminal:
            self._live = Live(
                console=self._console, refresh_per_second=_REDRAWS_PER_S, transient=True, get_renderable=self._line
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()

    def watch(self, load: Workload, nemesis: Nemesis) -> None:
        self._load = load
        self._began = time.monotonic()

    def struck(self, struck: Struck) -> None:
        self._struck += 1
        if self._visible:
            self._console.print(f"{struck.at - self._began:7.1f} s  {struck.kind:<15} {struck.name}")

    def _line(self) -> Text:
        if self._load is None:
            return Text("players join ...", style="dim")
        seconds = time.monotonic() - self._began
        done = len(self._load.history.operations)
        if seconds > self._plan.seconds:
            return Text("healing, then verify ...", style="dim")
        return Text(
            f"{seconds:5.0f} of {self._plan.seconds:g} s  {done:,} operations  {self._struck} faults", style="dim"
        )

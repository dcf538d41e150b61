"""`greenroom bench`: the fourteen figures, in rounds, with progress on screen."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from greenroom_client import GreenroomError
from schemas.settings import PROJECT
from scripts.bench import board, commands, fanout, memory, mixed, queries, rules, startup, wake
from scripts.bench.figures import GOALS, Results
from scripts.bench.harness import Accounts, BenchFailed, Server, accounts, attached_server, own_server, settled
from scripts.bench.machine import load_of_others, machine
from scripts.bench.report import as_json, as_table, notes_of, write_page

PAGE = PROJECT / "docs" / "performance.md"
_BUSY = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: a full run, or a quick one that only shows that everything works."""

    rounds: int = 5
    seconds: float = 3.0
    sockets: int = 1_000
    sessions: int = 500
    stored: int = 100_000
    entries: int = 1_000_000
    samples: int = 20_000
    days: int = 200
    """Of a game that is played in memory."""
    idle_s: float = 5.0


QUICK = Plan(
    rounds=1, seconds=1.5, sockets=200, sessions=100, stored=4_000, entries=100_000, samples=2_000, days=20, idle_s=1.0
)


def bench(
    only: Annotated[str | None, typer.Option(help="figures to measure, such as 1,2,6a; default: all")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="one short round: shows that it works, proves nothing")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="rounds of each figure; default: 5")] = None,
    football: Annotated[Path | None, typer.Option(exists=True, help="goals for figure 12 (goalscorers.csv)")] = None,
    attach: Annotated[Path | None, typer.Option(help="data folder of a server that runs (for 1 to 8)")] = None,
    username: Annotated[str, typer.Option(envvar="GREENROOM_ADMIN_USERNAME", help="its administrator")] = "",
    password: Annotated[str, typer.Option(envvar="GREENROOM_ADMIN_PASSWORD", help="the password")] = "",
    page: Annotated[
        Path | None, typer.Option(help="page to write; default: docs/performance.md after a full run")
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="print everything as JSON")] = False,
) -> None:
    """Measure Greenroom against plain programs on this machine."""
    plan = QUICK if quick else Plan()
    if rounds is not None:
        plan = replace(plan, rounds=rounds)
    wanted = wanted_figures(only)
    console = Console(stderr=True, quiet=as_json_)
    if load_of_others() > _BUSY:
        console.print(f"[yellow]{load_of_others():.1f} cores are busy already: expect a wide spread[/]")

    @asynccontextmanager
    async def serving() -> AsyncIterator[Server]:
        async with attached_server(attach, username, password) if attach else own_server() as server:
            yield server

    results = Results()
    try:
        uvloop.run(_run(_Run(plan, wanted, results, console, football, serving)))
    except (BenchFailed, GreenroomError) as problem:
        console.print(f"[red]error:[/] {escape(str(problem))}", highlight=False)
        raise typer.Exit(1) from problem
    facts = machine()
    if page is None and not quick and only is None:
        page = PAGE
    if page is not None:
        write_page(page, results, facts, notes_of(page))
    if as_json_:
        print(json.dumps({"quick": quick, **as_json(results, facts)}))
    else:
        Console().print(as_table(results, quick=quick))


@dataclass(frozen=True, slots=True)
class _Run:
    plan: Plan
    wanted: set[str]
    results: Results
    console: Console
    football: Path | None
    serving: Callable[[], AbstractAsyncContextManager[Server]]


def wanted_figures(only: str | None) -> set[str]:
    """The keys of the figures asked for, by key or number."""
    keys = [goal.key for goal in GOALS]
    if only is None:
        return set(keys)
    asked = [part.strip() for part in only.split(",") if part.strip()]
    wanted = {key for key in keys for part in asked if key == part or key.rstrip("abc") == part}
    unknown = [part for part in asked if not any(key == part or key.rstrip("abc") == part for key in keys)]
    if unknown:
        raise typer.BadParameter(f"no figure {', '.join(unknown)}; there are {', '.join(keys)}")
    return wanted


async def _run(run: _Run) -> None:
    plan, results, wanted = run.plan, run.results, run.wanted
    if run.football is None and "12" in wanted:
        results.remark("12", "needs `--football FILE`")
        wanted.discard("12")
    boards = partial(board.measure, results, wanted, entries=plan.entries, samples=plan.samples)
    await _measure(run, "board", board.KEYS, boards)
    await _measure(run, "rules", rules.KEYS, partial(rules.measure, results, wanted, days=plan.days))
    if wanted & (commands.KEYS | queries.KEYS | fanout.KEYS | memory.KEYS | mixed.KEYS):
        await _on_one_server(run)
    waking = partial(wake.measure, results, wanted, stored=plan.stored, rounds=plan.rounds)
    await _measure(run, "waking", wake.KEYS, waking, rounds=1)
    starting = partial(startup.measure, results, wanted, football=run.football, idle_s=plan.idle_s)
    await _measure(run, "start and import", startup.KEYS, starting)


async def _on_one_server(run: _Run) -> None:
    plan, results, wanted = run.plan, run.results, run.wanted
    async with run.serving() as server, accounts(server, players=commands.PLAYERS) as made:
        await settled(server)
        asked = (server, made, results)
        await _measure(run, "commands", commands.KEYS, partial(commands.measure, *asked, wanted, plan.seconds))
        if wanted & mixed.KEYS:
            await _mix(run, server, made)
        await _measure(run, "queries", queries.KEYS, partial(queries.measure, *asked, wanted, plan.seconds))
        telling = partial(fanout.measure, *asked, sockets=plan.sockets, seconds=plan.seconds)
        await _measure(run, "fan-out", fanout.KEYS, telling)
        holding = partial(memory.measure, *asked, sessions=plan.sessions, rounds=plan.rounds)
        await _measure(run, "memory", memory.KEYS, holding, rounds=1)


async def _mix(run: _Run, server: Server, made: Accounts) -> None:
    run.console.print("a game is set up")
    try:
        game = await mixed.set_up(server, made)
    except (BenchFailed, GreenroomError) as problem:
        run.results.remark("13", f"could not be set up: {str(problem).splitlines()[0]}")
        return
    await settled(server)
    playing = partial(mixed.measure, server, game, run.results, run.plan.seconds)
    await _measure(run, "mixed game", mixed.KEYS, playing)


async def _measure(
    run: _Run, name: str, keys: frozenset[str], measure: Callable[[], Awaitable[None]], rounds: int | None = None
) -> None:
    """Measure a group of figures; what cannot be measured is a remark, and the other groups go on."""
    wanted = run.wanted & keys
    count = rounds or run.plan.rounds
    for number in range(1, count + 1 if wanted else 1):
        run.console.print(f"{name}, round {number} of {count}" if count > 1 else name)
        try:
            await measure()
        except* (BenchFailed, GreenroomError) as problems:
            run.console.print(f"[red]{name}:[/] {escape(str(problems.exceptions[0]))}", highlight=False)
            for key in wanted:
                run.results.remark(key, f"failed in round {number}: {str(problems.exceptions[0]).splitlines()[0]}")

"""`greenroom demo`: bots that live on a server, and a terminal that shows their world."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
import uvloop
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from greenroom_client import Client, Connection, ConnectionLost, GreenroomError
from schemas.settings import Settings
from scripts.bots import Bot, World
from scripts.goalscorers import read_goals
from scripts.import_scores import fail, first_problem, import_goals, trusted_client

_REDRAWS_PER_SECOND = 4
_JOINS_AT_ONCE = 4
_HISTORY_S = 60


class View:
    """The screen: boards, figures, and what just happened."""

    def __init__(self, world: World, boards: Sequence[str], url: str) -> None:
        self.world = world
        self.boards = boards
        self.url = url
        self._completed: list[tuple[float, int, int]] = []

    def __rich__(self) -> RenderableType:
        layout = Layout()
        layout.split_column(Layout(name="top", ratio=3), Layout(self._ticker(), name="ticker", ratio=2))
        columns = [Layout(self._board(name)) for name in self.boards]
        layout["top"].split_row(*columns, Layout(self._figures(), size=34))
        return layout

    def _board(self, name: str) -> Panel:
        table = Table(expand=True, box=None, padding=(0, 1))
        table.add_column("", justify="right", style="dim")
        table.add_column("who", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("points", justify="right", style="bold")
        for row in self.world.boards.get(name, []):
            table.add_row(str(row["rank"]), Text(row.get("username") or row["userId"]), f"{row['score']:,}")
        return Panel(table, title=f"board {name}")

    def _figures(self) -> Panel:
        world = self.world
        actions_s, pushes_s = self._rates()
        table = Table(box=None, padding=(0, 1))
        table.add_column("", style="dim")
        table.add_column("", justify="right")
        rows = (
            ("bots playing", f"{world.playing:,}"),
            ("actions completed", f"{world.completed:,}"),
            ("actions a second", f"{actions_s:.1f}"),
            ("pushes a second", f"{pushes_s:.1f}"),
            ("answer, p50", f"{world.percentile_ms(0.5):.1f} ms"),
            ("answer, p99", f"{world.percentile_ms(0.99):.1f} ms"),
            ("reconnects", f"{world.reconnects:,}"),
        )
        for name, value in rows:
            table.add_row(name, value)
        troubles = [Text(f"{code} {count}", style="yellow") for code, count in world.troubles.most_common(4)]
        return Panel(Group(table, *troubles), title=self.url.removeprefix("http://"), subtitle="Ctrl-C ends")

    def _rates(self) -> tuple[float, float]:
        now, world = time.monotonic(), self.world
        self._completed.append((now, world.completed, world.pushes + world.board_updates))
        while self._completed[0][0] < now - _HISTORY_S / 6:
            self._completed.pop(0)
        then, completed, pushes = self._completed[0]
        seconds = max(0.001, now - then)
        return (world.completed - completed) / seconds, (world.pushes + world.board_updates - pushes) / seconds

    def _ticker(self) -> Panel:
        lines = [Text.from_markup(line) for line in list(self.world.ticker)[-12:]]
        return Panel(Group(*reversed(lines)), title="just now")


def demo(
    bots: Annotated[int, typer.Option(min=1, max=2_000, help="how many play")] = 24,
    seconds: Annotated[float | None, typer.Option(help="end after so long; default: at Ctrl-C")] = None,
    football: Annotated[
        Path | None, typer.Option(exists=True, help="history to import first (goalscorers.csv)")
    ] = None,
    url: Annotated[str | None, typer.Option(help="server; default: GREENROOM_BIND on this machine")] = None,
    username: Annotated[
        str | None, typer.Option(envvar="GREENROOM_ADMIN_USERNAME", help="account that imports the history")
    ] = None,
    password: Annotated[str | None, typer.Option(envvar="GREENROOM_ADMIN_PASSWORD", help="its password")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="no screen; print what happened at the end")] = False,
) -> None:
    """Let bots play on a running server, and watch."""
    settings = Settings()
    address = url or f"http://{settings.bind}"
    world = World()
    boards = ("main", "teams") if football else ("main", "practice")

    async def run() -> None:
        if football is not None:
            async with trusted_client(address, None, username, password) as trusted:
                await import_goals(trusted, read_goals(football), visible=not as_json)
        await _populate(address, world, boards, bots, seconds, visible=not as_json)

    try:
        uvloop.run(run())
    except KeyboardInterrupt:
        pass
    except (GreenroomError, ExceptionGroup) as problem:
        error = first_problem(problem)
        hint = f"{error} - is Greenroom running at {address}?" if isinstance(error, ConnectionLost) else str(error)
        fail(hint, as_json=as_json)
    if as_json:
        print(json.dumps(world.as_json(), ensure_ascii=False))
    else:
        _farewell(world)


async def _populate(
    url: str, world: World, boards: Sequence[str], bots: int, seconds: float | None, *, visible: bool
) -> None:
    joins = asyncio.Semaphore(_JOINS_AT_ONCE)
    world.began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        watcher = Client(url, session=session)
        await watcher.guest("demo-watcher-screen")
        try:
            async with asyncio.timeout(seconds), watcher.connect() as connection, asyncio.TaskGroup() as group:
                for board in boards:
                    group.create_task(_watch(connection, board, world))
                for number in range(bots):
                    group.create_task(_live(Bot(number, url, session, world, joins)))
                group.create_task(_show(View(world, boards, url), visible=visible))
        except TimeoutError:
            return


async def _live(bot: Bot) -> None:
    # A bot that cannot go on leaves; the others stay.
    try:
        await bot.live()
    except GreenroomError as error:
        bot.world.troubles[error.code or type(error).__name__] += 1


async def _watch(connection: Connection, board: str, world: World) -> None:
    subscription = await connection.subscribe(f"leaderboard:{board}")
    rows: Any = subscription.initial.data if subscription.initial else []
    world.boards[board] = rows or []
    async for push in subscription:
        world.boards[board] = push.data
        world.board_updates += 1


async def _show(view: View, *, visible: bool) -> None:
    console = Console()
    if not visible or not console.is_terminal:
        await asyncio.Event().wait()
    with Live(view, console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            await asyncio.sleep(1 / _REDRAWS_PER_SECOND)


def _farewell(world: World) -> None:
    found = world.as_json()
    console = Console()
    console.print(
        f"{found['completed']:,} actions in {found['seconds']:.0f} s, {found['pushes']:,} pushes, "
        f"answers in {found['p50Ms']} ms (p50) and {found['p99Ms']} ms (p99)"
    )
    if found["troubles"]:
        console.print(f"[yellow]troubles: {found['troubles']}[/]")

"""`greenroom import-scores FILE`: a file of goals becomes players and trusted awards, each counted once."""

import asyncio
import csv
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from greenroom_client import Award, Backoff, Client, ConnectionLost, Forbidden, GreenroomError, RateLimited, Tokens
from schemas.limits import BATCH_ITEMS_MAX, BODY_BYTES_MAX
from schemas.settings import Settings
from scripts.goalscorers import ExpectedBoards, Goal, GoalFile, NotAGoalFile, expected_boards, read_goals

__all__ = ["ExpectedBoards", "Outcome", "expected_boards", "import_goals", "import_scores", "read_goals"]

_BATCH_BYTES_MAX = BODY_BYTES_MAX - 1024
_BATCH_DEADLINE_S = 300.0
_PATIENT = Backoff(base_s=0.1, cap_s=2.0, attempts_max=1_000)
_LINES_SHOWN_MAX = 8
_USER_ID_CHARS_MAX = 48

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Outcome:
    """What an import did, row by row."""

    file: GoalFile
    players_created: int = 0
    acknowledged: int = 0
    moved: int = 0
    refused: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every goal that counts is counted."""
        return self.acknowledged + self.moved == len(self.file.goals)

    def as_json(self) -> dict[str, Any]:
        goals = len(self.file.goals)
        return {
            "rows": self.file.rows,
            "players": len(self.file.players()),
            "playersCreated": self.players_created,
            "goals": goals,
            "acknowledged": self.acknowledged,
            "countedBeforeElsewhere": self.moved,
            "skipped": {reason: {"count": len(lines), "lines": lines} for reason, lines in self.file.skipped.items()},
            "refused": {code: {"count": len(lines), "lines": lines} for code, lines in self.refused.items()},
            "seconds": round(self.seconds, 3),
            "goalsPerSecond": round(goals / self.seconds) if self.seconds else None,
        }


class ProgressLines:
    """Two bars, players and goals; silent when nobody watches."""

    def __init__(self, file: GoalFile, *, visible: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not visible,
        )
        self._players = self._progress.add_task("players", total=len(file.players()))
        self._goals = self._progress.add_task("goals", total=len(file.goals))

    def __enter__(self) -> "ProgressLines":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def players(self, count: int) -> None:
        self._advance(self._players, count)

    def goals(self, count: int) -> None:
        self._advance(self._goals, count)

    def _advance(self, task: TaskID, count: int) -> None:
        self._progress.advance(task, count)


async def import_goals(client: Client, file: GoalFile, *, concurrency: int = 8, visible: bool = False) -> Outcome:
    """Provision every scorer, then award every goal; run it again after whatever broke it.

    Batches travel side by side: the result does not depend on their order, because each award says when it happened.
    """
    began = time.monotonic()
    outcome = Outcome(file)
    with ProgressLines(file, visible=visible) as progress:
        user_ids: dict[str, str] = {}

        async def provision(players: list[tuple[str, str]]) -> None:
            for player in await _patiently(client.provision, players):
                user_ids[player.external_id] = player.user_id
                outcome.players_created += player.created
            progress.players(len(players))

        async def award(goals: list[Goal]) -> None:
            await _award(client, goals, user_ids, outcome)
            progress.goals(len(goals))

        await _side_by_side(provision, _batches(file.players().items(), _player_bytes), concurrency)
        await _side_by_side(award, _batches(file.goals, _goal_bytes), concurrency)
    outcome.seconds = time.monotonic() - began
    return outcome


async def _award(client: Client, goals: list[Goal], user_ids: dict[str, str], outcome: Outcome) -> None:
    attempt = 0
    while goals:
        items = [goal.award(user_ids[goal.external_id]) for goal in goals]
        again: list[Goal] = []
        for goal, answer in zip(goals, await _patiently(client.award_items, items), strict=True):
            if isinstance(answer, Award):
                outcome.acknowledged += 1
            elif answer.worth_repeating or isinstance(answer, RateLimited):
                again.append(goal)
            elif answer.code == "OP_REUSED":
                # Counted before, when the file was shorter and the goal stood at another place of its day.
                outcome.moved += 1
            else:
                outcome.refused[answer.code].append(goal.line)
        goals = again
        if goals:
            await asyncio.sleep(_PATIENT.delay_s(attempt))
            attempt += 1


async def _patiently(ask: Callable[[Item], Awaitable[Answer]], argument: Item) -> Answer:
    while True:
        try:
            return await ask(argument)
        except RateLimited as limit:
            await asyncio.sleep(_PATIENT.delay_s(2, limit.retry_after_s))


async def _side_by_side(
    work: Callable[[list[Item]], Awaitable[None]], batches: Iterator[list[Item]], concurrency: int
) -> None:
    async def lane() -> None:
        for batch in batches:
            await work(batch)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(lane())


def _batches(items: Iterable[Item], bytes_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Lists that are small enough for one request, by number and by bytes."""
    batch: list[Item] = []
    size = 0
    for item in items:
        size += bytes_of(item)
        if batch and (len(batch) == BATCH_ITEMS_MAX or size > _BATCH_BYTES_MAX):
            yield batch
            batch, size = [], bytes_of(item)
        batch.append(item)
    if batch:
        yield batch


def _goal_bytes(goal: Goal) -> int:
    return _json_bytes(goal.award("u" * _USER_ID_CHARS_MAX))


def _player_bytes(player: tuple[str, str]) -> int:
    return _json_bytes({"externalId": player[0], "displayName": player[1]})


def _json_bytes(item: dict[str, Any]) -> int:
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) + 1


@asynccontextmanager
async def trusted_client(
    url: str, token: str | None, username: str | None, password: str | None
) -> AsyncIterator[Client]:
    """A client that may award (role `server` or `admin`): by token, or logged in, by default as the administrator.

    Import with one account only: op ids count once for each caller.
    """
    tokens = Tokens(access_token=token) if token else None
    async with Client(url, tokens=tokens, backoff=_PATIENT, deadline_s=_BATCH_DEADLINE_S) as client:
        if not token:
            settings = Settings()
            username = username or settings.admin_username
            if password is None and settings.admin_password is not None:
                password = settings.admin_password.get_secret_value()
            if not username or not password:
                raise typer.BadParameter(
                    "awards need a server account: give --token, or --username and --password "
                    "(GREENROOM_ADMIN_USERNAME and GREENROOM_ADMIN_PASSWORD)"
                )
            await client.login(username, password)
        yield client


def import_scores(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with date, team, scorer, own_goal")],
    url: Annotated[str | None, typer.Option(help="server; default: GREENROOM_BIND on this machine")] = None,
    token: Annotated[str | None, typer.Option(help="access token of a server account")] = None,
    username: Annotated[str | None, typer.Option(envvar="GREENROOM_ADMIN_USERNAME", help="account to log in")] = None,
    password: Annotated[str | None, typer.Option(envvar="GREENROOM_ADMIN_PASSWORD", help="its password")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="batches in flight")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and report, send nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Import a history of goals: scorers become players, goals become points. Run it again whenever it broke."""
    try:
        goals = read_goals(file)
    except (NotAGoalFile, csv.Error) as problem:
        fail(str(problem), as_json=as_json)
    outcome = Outcome(goals)
    if not dry_run:
        address = url or f"http://{Settings().bind}"

        async def run() -> Outcome:
            async with trusted_client(address, token, username, password) as client:
                return await import_goals(client, goals, concurrency=concurrency, visible=not as_json)

        try:
            outcome = uvloop.run(run())
        except (GreenroomError, ExceptionGroup) as problem:
            fail(_advice(first_problem(problem), address), as_json=as_json)
    print(json.dumps(outcome.as_json())) if as_json else _print(outcome, dry_run=dry_run)
    if not dry_run and not outcome.complete:
        raise typer.Exit(1)


def fail(message: str, *, as_json: bool) -> NoReturn:
    """Say what went wrong, where the caller looks for it, and end with code 1."""
    if as_json:
        print(json.dumps({"error": message}))
    else:
        Console(stderr=True).print(f"[red]error:[/] {escape(message)}", highlight=False)
    raise typer.Exit(1)


def first_problem(problem: Exception) -> GreenroomError:
    """The first of ours among what went wrong at once; anything else is raised as it is."""
    while isinstance(problem, ExceptionGroup):
        problem = problem.exceptions[0]
    if not isinstance(problem, GreenroomError):
        raise problem
    return problem


def _advice(error: GreenroomError, url: str) -> str:
    if isinstance(error, Forbidden):
        return f"{error} - the account needs the role server: greenroom admin grants it"
    if isinstance(error, ConnectionLost):
        return f"{error} - is Greenroom running at {url}? What was acknowledged is safe; run the import again"
    return f"{error} (request {error.request_id})" if error.request_id else str(error)


def _print(outcome: Outcome, *, dry_run: bool) -> None:
    console = Console()
    table = Table(title="Goals imported" if not dry_run else "Goals found (nothing was sent)")
    table.add_column("rows")
    table.add_column("count", justify="right")
    table.add_column("lines")
    table.add_row("players", f"{len(outcome.file.players()):,}", f"{outcome.players_created:,} of them new")
    table.add_row("goals", f"{len(outcome.file.goals):,}", "")
    if not dry_run:
        table.add_row("  acknowledged", f"{outcome.acknowledged:,}", "")
    if outcome.moved:
        table.add_row("  counted before", f"{outcome.moved:,}", "at another place of the file")
    for title, lines_by_reason in (("refused", outcome.refused), ("skipped", outcome.file.skipped)):
        for reason, lines in sorted(lines_by_reason.items()):
            table.add_row(f"  {title}: {reason}", f"{len(lines):,}", _some(lines))
    console.print(table)
    if outcome.seconds:
        rate = len(outcome.file.goals) / outcome.seconds
        console.print(f"{outcome.seconds:.1f} s, {rate:,.0f} goals a second, every one acknowledged durable")


def _some(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:_LINES_SHOWN_MAX]))
    return shown + (
        f" and {len(lines) - _LINES_SHOWN_MAX:,} more (all with --json)" if len(lines) > _LINES_SHOWN_MAX else ""
    )

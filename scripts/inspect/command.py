"""`greenroom inspect list | show | history | at | watch`: what each prints."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from actors.player.state import Player
from actors.runtime.content import ContentStore
from actors.times import milliseconds, rfc3339
from schemas.address import Address
from schemas.problems import Refusal
from scripts.connect import open_database, read_settings
from scripts.inspect.legible import as_text, changes, legible, masked, timed
from scripts.inspect.reading import VERSION_MAX, Reader, Seen, caller_of, told
from scripts.inspect.tokens import token_states
from scripts.inspect.where import NotACondition, Where, find
from scripts.terminal import USAGE, AsJson, Failed, Terminal, printable, table

app = typer.Typer(
    no_args_is_help=True,
    help="Look at any actor, awake or asleep, now or in the past. Reading never disturbs it.",
)

PAGE = 500
POLL_S = 0.5
CELL_CHARS_MAX = 100
COLUMNS_MAX = 6

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="such as player, leaderboard or fraud")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="which one; for players an id or a name")]


@asynccontextmanager
async def reading() -> AsyncIterator[Reader]:
    async with open_database(read_settings()) as database:
        yield Reader(database)


@app.command("list")
def list_(
    kind: KindArgument,
    where: Annotated[
        str, typer.Option(help="only those for which it holds: 'score > 10', 'name ~ ali and wallet.gold >= 100'")
    ] = "",
    fields: Annotated[str, typer.Option(help="columns to show, comma-separated: name,wallet.gold")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
    as_json: AsJson = False,
) -> None:
    """The actors of a kind, with their state in short."""
    terminal = Terminal(as_json=as_json)
    try:
        condition = Where(where) if where else None
    except NotACondition as problem:
        terminal.fail(f"--where: {problem}", USAGE)
    wanted = [part.strip() for part in fields.split(",") if part.strip()]

    async def run() -> None:
        async with reading() as reader:
            reader.kind(kind)
            found, looked, more = await _matching(reader, kind, condition, limit)
            _show_list(terminal, kind, found, condition, wanted)
            if more:
                terminal.remark(f"There are more; --limit shows more than {limit}.")
            if condition is not None:
                terminal.remark(f"{len(found)} of {looked} looked at.")
                for field in sorted(set(condition.fields) - condition.seen):
                    terminal.remark(f"No {kind} that was looked at has a field {field!r}.")

    terminal.run(run())


async def _matching(
    reader: Reader, kind: str, condition: Where | None, limit: int
) -> tuple[list[tuple[Address, Seen, Any]], int, bool]:
    found: list[tuple[Address, Seen, Any]] = []
    looked, after = 0, ""
    while True:
        keys = await reader.keys(kind, after, PAGE if condition else min(PAGE, limit + 1 - len(found)))
        addresses = [Address(kind, key) for key in keys]
        seen = await reader.now(addresses) if addresses else {}
        for address in addresses:
            looked += 1
            state = legible(seen[address].actor)
            if condition is None or condition({"key": address.key, "version": seen[address].version, **state}):
                if len(found) == limit:
                    return found, looked, True
                found.append((address, seen[address], state))
        if len(keys) < PAGE and (condition or len(found) < limit):
            return found, looked, False
        after = keys[-1]


def _show_list(
    terminal: Terminal, kind: str, found: list[tuple[Address, Seen, Any]], condition: Where | None, fields: list[str]
) -> None:
    if terminal.as_json:
        rows = [
            {"kind": kind, "key": a.key, "version": seen.version, "state": masked(state)} for a, seen, state in found
        ]
        terminal.show(rows)
        return
    if not found:
        terminal.remark(f"No {kind} found.")
        return
    columns = fields or [*_plain_fields(found[0][2]), *(condition.fields if condition else [])]
    columns = list(dict.fromkeys(column for column in columns if column not in ("key", "version")))
    lines = []
    for address, seen, state in found:
        row = masked(timed(state))
        cells = [", ".join(_short(value) for value in find(row, column.split("."))) for column in columns]
        lines.append([address.key, seen.version, *cells])
    terminal.show(None, table(["key", "version", *columns], lines, right=["version"]))


def _plain_fields(state: dict[str, Any]) -> list[str]:
    """The fields of a state that fit into a column."""
    plain = [name for name, value in state.items() if isinstance(value, str | int | bool) and name != "id"]
    return plain[:COLUMNS_MAX]


def _short(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 3] + "..."


@app.command()
def show(kind: KindArgument, key: KeyArgument, as_json: AsJson = False) -> None:
    """An actor's state as it is committed now; for players also the states of their action tokens."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with reading() as reader:
            address = await reader.address(kind, key)
            seen = (await reader.now([address]))[address]
            described = await _described(reader, address, seen)
            if isinstance(seen.actor, Player):
                described["tokens"] = await _tokens(reader, seen.actor)
            _show_actor(terminal, described)

    terminal.run(run())


async def _described(reader: Reader, address: Address, seen: Seen) -> dict[str, Any]:
    described = {
        "address": str(address),
        "kind": address.kind,
        "key": address.key,
        "version": seen.version,
        "checkpoint": seen.checkpoint,
        "quarantined": seen.quarantined,
        "state": masked(legible(seen.actor)),
    }
    turns = await reader.last_turns(address, 1, seen.version) if seen.version else []
    if turns:
        last = told(turns[0], await reader.names([caller_of(turns[0])]))
        described["lastTurn"] = {name: last[name] for name in ("version", "at", "command", "callerName", "op")}
    return described


async def _tokens(reader: Reader, player: Player) -> list[dict[str, Any]]:
    content = ContentStore(reader.database)
    await content.poll()
    try:
        types = set(content.current.actions)
    except Refusal:
        types = {held.type for held in player.held.values()}
    return token_states(player, int(time.time() * 1000), types)


def _show_actor(terminal: Terminal, described: dict[str, Any]) -> None:
    head = Text(described["address"], style="bold")
    head.append(f"  version {described['version']}", style="default")
    if described["checkpoint"]:
        head.append(f", checkpoint at {described['checkpoint']}", style="dim")
    if described["quarantined"]:
        head.append("  QUARANTINED: it crashed its host repeatedly", style="bold red")
    parts: list[Any] = [head]
    if "lastTurn" in described:
        last = described["lastTurn"]
        parts.append(Text(f"last turn {last['at']}: {last['command']} by {printable(last['callerName'])}", style="dim"))
    parts.append(Text(as_text(described["state"])))
    if described.get("tokens"):
        columns = ["id", "state", "type", "createdAt", "expiresAt", "consumedAt"]
        rows = [[token.get(column) for column in columns] for token in described["tokens"]]
        headings = ["action token", "state", "type", "created", "expires", "consumed"]
        parts += [Text(), table(headings, rows)]
    terminal.show(described, Group(*parts))


@app.command()
def history(
    kind: KindArgument,
    key: KeyArgument,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many turns")] = 30,
    before: Annotated[int | None, typer.Option(min=1, help="only turns before this version")] = None,
    after: Annotated[int | None, typer.Option(min=0, help="only turns after this version, oldest first")] = None,
    events: Annotated[bool, typer.Option("--events", help="with what each event holds")] = False,
    as_json: AsJson = False,
) -> None:
    """An actor's turns: who asked what, when, and what came of it. The newest stand last."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with reading() as reader:
            address = await reader.address(kind, key)
            if after is not None:
                rows = await reader.turns(address, after, limit)
            else:
                rows = await reader.last_turns(address, limit, before - 1 if before is not None else VERSION_MAX)
            callers = await reader.names(map(caller_of, rows))
            turns = [told(row, callers) for row in rows]
            lines = [
                [_versions(turn), turn["at"], _command(turn), turn["callerName"], _events(turn, whole=events)]
                for turn in turns
            ]
            terminal.show(turns, table(["version", "time", "command", "caller", "events"], lines, right=["version"]))
            if turns and after is None and turns[0]["version"] > 1:
                terminal.remark(f"Earlier turns: --before {turns[0]['version']}")

    terminal.run(run())


def _versions(turn: dict[str, Any]) -> str:
    return str(turn["version"]) if turn["last"] == turn["version"] else f"{turn['version']}-{turn['last']}"


def _command(turn: dict[str, Any]) -> str:
    """The command; for a parcel the tells in it."""
    if "tells" not in turn:
        return str(turn["command"])
    told_names = [name for _, name in turn["tells"]]
    return ", ".join(f"{name} x{told_names.count(name)}" for name in dict.fromkeys(told_names)) + " (tells)"


def _events(turn: dict[str, Any], *, whole: bool) -> str:
    if whole:
        return "\n".join(f"{event['name']} {as_text(event['data'])}" for event in turn["events"])
    named = [event["name"] for event in turn["events"]]
    return ", ".join(
        name if named.count(name) == 1 else f"{name} x{named.count(name)}" for name in dict.fromkeys(named)
    )


@app.command()
def at(
    kind: KindArgument,
    key: KeyArgument,
    moment: Annotated[str, typer.Argument(metavar="VERSION|TIME", help="such as 17 or 2026-01-31T12:00:00Z")],
    as_json: AsJson = False,
) -> None:
    """An actor's state as it was at a version or a time."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with reading() as reader:
            address = await reader.address(kind, key)
            wanted = await _version(reader, address, moment)
            seen = await reader.at(address, wanted)
            if seen.version < wanted and moment.isdigit():
                newest = await reader.last_turns(address, 1)
                last = newest[0]["version"] + newest[0]["length"] - 1 if newest else 0
                if wanted > last:
                    raise Failed(f"{address} has only {last} versions.")
                terminal.remark(f"Version {wanted} lies within a turn, which nobody ever saw; this is before it.")
            described = await _described(reader, address, seen)
            _show_actor(terminal, described)

    terminal.run(run())


async def _version(reader: Reader, address: Address, moment: str) -> int:
    if moment.isdigit():
        return int(moment)
    try:
        wanted = milliseconds(moment)
    except ValueError as problem:
        raise Failed(f"{moment!r} is neither a version nor a time: a time {problem}", USAGE) from None
    version = await reader.version_at(address, wanted)
    if version == 0:
        raise Failed(f"{address} did not exist at {rfc3339(wanted)}.")
    return version


@app.command()
def watch(
    kind: KindArgument,
    key: KeyArgument,
    after: Annotated[int | None, typer.Option(min=0, help="begin after this version; default: now")] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="end after so many turns; default: at Ctrl-C")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after so long; default: at Ctrl-C")] = None,
    as_json: AsJson = False,
) -> None:
    """An actor live: each turn as it is committed, and what it changed. With --json one line for each turn."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with reading() as reader:
            address = await reader.address(kind, key)
            seen = await reader.at(address, after) if after is not None else (await reader.now([address]))[address]
            terminal.remark(f"Watching {address} from version {seen.version}; Ctrl-C ends.")
            await _follow(reader, address, seen, terminal, turns, seconds)

    terminal.run(run())


async def _follow(
    reader: Reader, address: Address, seen: Seen, terminal: Terminal, turns: int | None, seconds: float | None
) -> None:
    until = time.monotonic() + seconds if seconds is not None else None
    state, shown = legible(seen.actor), 0
    while True:
        rows = await _patiently(reader.turns(address, seen.version, PAGE), terminal)
        callers = await reader.names(map(caller_of, rows)) if rows else {}
        for row in rows:
            seen = reader.play(address, seen, row)
            before, state = state, legible(seen.actor)
            turn = told(row, callers)
            changed = [
                {"path": path, "before": masked(old), "after": masked(new)} for path, old, new in changes(before, state)
            ]
            _show_turn(terminal, turn, changed)
            shown += 1
            if turns is not None and shown >= turns:
                return
        if until is not None and time.monotonic() >= until:
            return
        if not rows:
            await asyncio.sleep(POLL_S)


async def _patiently(rows: Awaitable[list[Any]], terminal: Terminal) -> list[Any]:
    """Keep watching while Postgres is away."""
    try:
        return await rows
    except Refusal as refusal:
        terminal.remark(f"{refusal.message} Waiting.")
        return []


def _show_turn(terminal: Terminal, turn: dict[str, Any], changed: list[dict[str, Any]]) -> None:
    line = Text(f"{turn['at']}  {_versions(turn):>8}  ", style="dim")
    line.append(_command(turn), style="bold")
    line.append(f"  {_events(turn, whole=False)}  by {printable(turn['callerName'])}", style="default")
    parts: list[Any] = [line]
    for change in changed:
        path = change["path"]
        old, new = (_value(change[side], path.removesuffix(".+").rpartition(".")[2]) for side in ("before", "after"))
        parts.append(Text(f"    {printable(path)}: {new}" if old == "-" else f"    {printable(path)}: {old} -> {new}"))
    terminal.show({**turn, "changes": changed}, Group(*parts))


def _value(value: Any, name: str) -> str:
    if value is None:
        return "-"
    shown = timed({name: value})[name]
    return _short(json.dumps(shown, ensure_ascii=False) if isinstance(shown, dict | list) else shown)

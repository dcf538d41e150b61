"""`greenroom dead-letters`: messages between actors that could not be delivered; nothing happens to them by itself."""

from typing import Annotated, Any

import typer
from pydantic_core import from_json, to_json
from rich.console import Group
from rich.text import Text

from actors.runtime.database import Connection, Database, Row
from actors.runtime.placement import Placement
from actors.times import rfc3339
from gateway.accounts import store
from schemas.address import Address
from scripts.connect import open_database, operator, read_settings
from scripts.inspect.legible import as_text, masked
from scripts.terminal import AsJson, Failed, Terminal, table

app = typer.Typer(no_args_is_help=True, help="Messages that could not be delivered: list, show, replay, discard.")

_COLUMNS = """
SELECT id, kind, key, tell, reason, attempts, (extract(epoch FROM died_at) * 1000)::bigint AS died_at
FROM dead_letter
"""
_LIST = (
    f"{_COLUMNS} WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR reason = $2) ORDER BY dead_letter.died_at DESC LIMIT $3"
)
_ONE = f"{_COLUMNS} WHERE id = $1"
_COUNT = "SELECT count(*) FROM dead_letter WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR reason = $2)"
_TAKE = "DELETE FROM dead_letter WHERE id = $1 RETURNING kind, key, tell, reason, attempts"
# Under its own id, so that a receiver that had it after all knows it again; due at once.
_SEND = """
INSERT INTO outbox (id, slot, kind, key, attempts, due, tells) VALUES ($1, $2, $3, $4, 0, now(), $5)
ON CONFLICT (id) DO UPDATE SET attempts = 0, due = now()
"""

IdArguments = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="ids as `list` shows them")]
AllOption = Annotated[bool, typer.Option("--all", help="all that --kind and --reason name")]
KindOption = Annotated[str, typer.Option(help="only for receivers of this kind")]
ReasonOption = Annotated[str, typer.Option(help="only refused for this reason")]


@app.command("list")
def list_(
    kind: KindOption = "",
    reason: ReasonOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="at most so many, the newest first")] = 50,
    as_json: AsJson = False,
) -> None:
    """The dead letters, the newest first."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            letters = [_told(row) for row in await database.fetch(_LIST, kind, reason, limit)]
            count = await database.fetch_value(_COUNT, kind, reason)
        columns = ["id", "diedAt", "to", "command", "reason", "attempts"]
        drawn = table(columns, ([letter[name] for name in columns] for letter in letters), right=["attempts"])
        terminal.show(letters, drawn if letters else "No dead letters.")
        if count > len(letters):
            terminal.remark(f"{count - len(letters)} more; --limit shows more.")

    terminal.run(run())


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """One dead letter with all that it carries."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            row = await database.fetch_row(_ONE, letter_id)
        if row is None:
            raise Failed(f"There is no dead letter {letter_id!r}.")
        letter = _told(row)
        head = Text(f"{letter['command']} to {letter['to']}", style="bold")
        terminal.show(letter, Group(head, Text(as_text(letter))))

    terminal.run(run())


@app.command()
def replay(
    letter_ids: IdArguments = None,
    all_: AllOption = False,
    kind: KindOption = "",
    reason: ReasonOption = "",
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, under their own ids: a receiver that had one after all drops it."""
    _settle(Terminal(as_json=as_json), "replay", letter_ids or [], (kind, reason) if all_ else None)


@app.command()
def discard(
    because: Annotated[str, typer.Option("--because", help="why; kept in the audit log with all that it carried")],
    letter_ids: IdArguments = None,
    all_: AllOption = False,
    kind: KindOption = "",
    reason: ReasonOption = "",
    as_json: AsJson = False,
) -> None:
    """Give dead letters up. What they carried is lost to the game; the audit log keeps it."""
    _settle(Terminal(as_json=as_json), "discard", letter_ids or [], (kind, reason) if all_ else None, because)


def _settle(
    terminal: Terminal, action: str, letter_ids: list[str], matching: tuple[str, str] | None, because: str = ""
) -> None:
    async def run() -> None:
        if bool(letter_ids) == (matching is not None):
            raise Failed("Give either ids or --all.", 2)
        async with open_database(read_settings()) as database:
            wanted = letter_ids
            if matching is not None:
                wanted = [row["id"] for row in await database.fetch(_LIST, *matching, 10_000)]
            for letter_id in wanted:
                await _settle_one(database, action, letter_id, because)
        done = "put back into the outbox; see `list` for those that die again" if action == "replay" else "discarded"
        terminal.done(f"{len(wanted)} {done}.", action=action, ids=wanted)

    terminal.run(run())


async def _settle_one(database: Database, action: str, letter_id: str, because: str) -> None:
    async with database.transaction() as connection:
        row = await connection.fetch_row(_TAKE, letter_id)
        if row is None:
            raise Failed(f"There is no dead letter {letter_id!r} (any more).")
        if action == "replay":
            await _send(connection, letter_id, row)
        details = {"tell": from_json(row["tell"]), "reason": row["reason"], "because": because}
        subject = f"{row['kind']}:{row['key']}"
        await store.add_audit(connection, operator(), "operator", f"dead_letter.{action}", subject, details, "")


async def _send(connection: Connection, letter_id: str, row: Row) -> None:
    address = Address(row["kind"], row["key"])
    tells = to_json([from_json(row["tell"])])
    await connection.execute(_SEND, letter_id, Placement.bucket(address), *address, tells)


def _told(row: Row) -> dict[str, Any]:
    op, command, data = from_json(row["tell"])
    return {
        "id": row["id"],
        "diedAt": rfc3339(row["died_at"]),
        "to": f"{row['kind']}:{row['key']}",
        "from": op.partition("/")[0],
        "command": command,
        "data": masked(data),
        "reason": row["reason"],
        "attempts": row["attempts"],
    }

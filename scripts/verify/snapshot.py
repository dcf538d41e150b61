"""One consistent view of a database in use: a read-only transaction, read in pages that any memory can hold."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from actors.runtime.database import Connection, Database, Row
from actors.runtime.migrations import migrations
from scripts.terminal import Failed

_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# The transaction is as long as the verification, and a page of a large journal may wait for the disk.
_PATIENCE = """
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL statement_timeout = 0;
SET LOCAL enable_sort = off;
"""
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_THERE = "SELECT to_regclass('migration') IS NOT NULL AND to_regclass('journal') IS NOT NULL"
_RAN = "SELECT number FROM migration"
_ESTIMATE = "SELECT coalesce(sum(reltuples) FILTER (WHERE reltuples > 0), 0)::bigint FROM pg_class WHERE relname ~ $1"
_COUNT = "SELECT count(*) FROM journal"
_COUNTED_MAX = 2_000_000
"""Longer journals are estimated, which is good enough for a progress bar."""


class Pages(NamedTuple):
    """A query that is read page by page."""

    declare: str
    fetch: str
    close: str


TURNS = Pages(
    "DECLARE verify_turns NO SCROLL CURSOR FOR "
    "SELECT kind, key, version, length, op, at, run, turn, events FROM journal ORDER BY kind, key, version",
    "FETCH 2000 FROM verify_turns",
    "CLOSE verify_turns",
)
CHECKPOINTS = Pages(
    "DECLARE verify_checkpoints NO SCROLL CURSOR FOR "
    "SELECT kind, key, version, state_version, checksum, state FROM checkpoint ORDER BY kind, key",
    "FETCH 100 FROM verify_checkpoints",
    "CLOSE verify_checkpoints",
)
ACCOUNTS = Pages(
    "DECLARE verify_accounts NO SCROLL CURSOR FOR SELECT id FROM account WHERE player_made ORDER BY id",
    "FETCH 2000 FROM verify_accounts",
    "CLOSE verify_accounts",
)
REMINDERS = Pages(
    "DECLARE verify_reminders NO SCROLL CURSOR FOR SELECT kind, key, name, id FROM reminder ORDER BY kind, key, name",
    "FETCH 1000 FROM verify_reminders",
    "CLOSE verify_reminders",
)
OUTBOX = Pages(
    "DECLARE verify_outbox NO SCROLL CURSOR FOR SELECT id, kind, key, tells FROM outbox",
    "FETCH 200 FROM verify_outbox",
    "CLOSE verify_outbox",
)
DEAD_LETTERS = Pages(
    "DECLARE verify_dead NO SCROLL CURSOR FOR SELECT id, kind, key, tell FROM dead_letter",
    "FETCH 500 FROM verify_dead",
    "CLOSE verify_dead",
)
DISCARDED = Pages(
    "DECLARE verify_discarded NO SCROLL CURSOR FOR "
    "SELECT subject, details -> 'tell' AS tell FROM audit WHERE action = 'dead_letter.discard'",
    "FETCH 500 FROM verify_discarded",
    "CLOSE verify_discarded",
)


class Snapshot(Database):
    """The database as it was at one moment, through one connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__("")
        self._connection = connection
        self.now_ms = 0

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        return await self._connection.fetch(sql, *values)

    async def execute(self, sql: str, *values: Any) -> str:
        return await self._connection.execute(sql, *values)

    async def pages(self, pages: Pages) -> AsyncIterator[list[Row]]:
        """The rows of the query, some at a time."""
        await self.execute(pages.declare)
        while rows := await self.fetch(pages.fetch):
            yield rows
        await self.execute(pages.close)

    async def turns_about(self) -> int:
        """How many turns the journal has; an estimate when they are many."""
        estimate: int = await self.fetch_value(_ESTIMATE, "^journal_[0-9]+$")
        return estimate if estimate > _COUNTED_MAX else int(await self.fetch_value(_COUNT))


@asynccontextmanager
async def snapshot_of(database: Database) -> AsyncIterator[Snapshot]:
    """What is committed at this moment; raises Failed when it is no Greenroom of this release."""
    async with database.transaction() as connection:
        await connection.execute(_BEGIN)
        await connection.execute(_PATIENCE)
        snapshot = Snapshot(connection)
        await _check_schema(snapshot)
        snapshot.now_ms = int(await snapshot.fetch_value(_NOW))
        yield snapshot


async def _check_schema(snapshot: Snapshot) -> None:
    if not await snapshot.fetch_value(_THERE):
        raise Failed(
            "There is no journal in this database. `greenroom migrate` makes one; is DATABASE_URL the right one?"
        )
    ran = {row["number"] for row in await snapshot.fetch(_RAN)}
    ours = {one.number for one in migrations()}
    if ran - ours:
        raise Failed("The database is of a newer release. Verify it with the `greenroom` of that release.")
    if ours - ran:
        raise Failed("The database is of an older release. `greenroom migrate` brings it up to date.")


class Alongside:
    """Rows in the order of `key`, followed while something else is read in the same order."""

    def __init__(self, pages: AsyncIterator[list[Row]], key: Callable[[Row], Any]) -> None:
        self._pages = pages
        self._key = key
        self._rows: list[Row] = []
        self._at = 0
        self._over = False

    async def up_to(self, wanted: Any) -> list[Row]:
        """The rows not given yet whose keys are `wanted` or come before it; None: all that are left."""
        found: list[Row] = []
        while not self._over:
            while self._at < len(self._rows):
                row = self._rows[self._at]
                if wanted is not None and self._key(row) > wanted:
                    return found
                found.append(row)
                self._at += 1
            self._rows, self._at = await anext(self._pages, []), 0
            self._over = not self._rows
        return found

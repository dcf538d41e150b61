"""Taking a backup: pg_dump reads one snapshot of the database while commands go on."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from actors.runtime.database import Connection, Database
from actors.runtime.migrations import migrations
from schemas.problems import Refusal
from scripts.backup.archive import CHUNK_BYTES, FOOT, Manifest, Writer
from scripts.backup.programs import running_program
from scripts.terminal import Failed

_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
_THERE = "SELECT to_regclass('migration') IS NOT NULL AND to_regclass('journal') IS NOT NULL"
_SNAPSHOT = "SELECT pg_export_snapshot()"
_FACTS = """
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
       current_setting('server_version_num')::int / 10000 AS postgres,
       (SELECT count(*) FROM journal) AS turns,
       (SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace) AS table_bytes
"""
_RAN = "SELECT number, name, checksum FROM migration ORDER BY number"

_OPTIONS = ("--format=plain", "--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions")

# The hosts of the original are not the copy's: without this a copy would send its commands to them.
_AFTERWARDS = b"""
UPDATE public.slot SET run = NULL;
UPDATE public.host SET retired = true, endpoint = '';
"""


async def take(database_url: str, path: Path, progress: Callable[[int, int], None]) -> tuple[Manifest, int]:
    """Write the backup; its manifest and the file's size. `progress` is told bytes read and bytes expected."""
    database = Database(database_url, size=1, acquire_timeout_s=5.0, statement_timeout_s=60.0)
    async with AsyncExitStack() as stack:
        try:
            await database.open()
            stack.push_async_callback(database.close)
            connection = await stack.enter_async_context(database.transaction())
            await connection.execute(_BEGIN)
            await connection.execute(_PATIENCE)
            manifest = await _manifest(connection)
            snapshot = await connection.fetch_value(_SNAPSHOT)
        except Refusal as refusal:
            raise Failed(f"{refusal.message} Is it running? `greenroom doctor` looks.") from None
        with Writer(path) as writer:
            await asyncio.to_thread(writer.write, manifest.line())
            await _dump(database_url, snapshot, writer, lambda done: progress(done, manifest.table_bytes))
            await asyncio.to_thread(writer.write, _AFTERWARDS + FOOT)
            await asyncio.to_thread(writer.finish)
    return manifest, writer.bytes


async def _manifest(connection: Connection) -> Manifest:
    if not await connection.fetch_value(_THERE):
        raise Failed("There is no journal in this database, so nothing to back up. Is DATABASE_URL the right one?")
    ran = {f"{row['number']:04}_{row['name']}": row["checksum"] for row in await connection.fetch(_RAN)}
    known = {f"{one.number:04}_{one.name}" for one in migrations()}
    if ran.keys() - known:
        raise Failed("The database is of a newer release. Back it up with the `greenroom` of that release.")
    facts = await connection.fetch_row(_FACTS)
    assert facts is not None  # noqa: S101 - a SELECT without FROM has a row
    return Manifest(release=version("greenroom"), schema=ran, **dict(facts))


async def _dump(database_url: str, snapshot: str, writer: Writer, progress: Callable[[int], None]) -> None:
    async with running_program("pg_dump", database_url, *_OPTIONS, f"--snapshot={snapshot}") as program:
        read = 0
        assert program.process.stdout is not None  # noqa: S101 - it was opened with a pipe
        while data := await program.process.stdout.read(CHUNK_BYTES):
            await asyncio.to_thread(writer.write, data)
            read += len(data)
            progress(read)
        if await program.process.wait() != 0:
            raise Failed(f"pg_dump could not read the database: {program.complaint}")

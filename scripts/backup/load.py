"""Restoring a backup into an empty database: all of it in one transaction, or nothing."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from actors.runtime.database import Database
from actors.runtime.migrations import migrate
from schemas.problems import Refusal
from scripts.backup.archive import Manifest, unpacked
from scripts.backup.programs import running_program
from scripts.terminal import Failed

_THINGS = """
SELECT count(*) FROM pg_class
WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relnamespace NOT IN (
    SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema') OR nspname LIKE 'pg\\_toast%'
) AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""
_VERSION = "SELECT current_setting('server_version_num')::int / 10000"
_ANALYZE = "ANALYZE"

# What pg_dump of 17 and newer says at its beginning, and older servers do not know.
_NEWER_SETTING = b"SET transaction_timeout = 0;\n"


async def load(database_url: str, path: Path, manifest: Manifest, progress: Callable[[int], None]) -> list[str]:
    """Fill the database and bring its schema up to date; the migrations that were run. `progress` is told bytes."""
    database = Database(database_url, size=1, acquire_timeout_s=5.0, statement_timeout_s=3600.0)
    try:
        await database.open()
        postgres = await _empty(database)
        await _run(database_url, _for(postgres, unpacked(path)), progress, manifest, postgres)
        ran = await migrate(database)
        await database.execute(_ANALYZE)
    except Refusal as refusal:
        raise Failed(f"{refusal.message} Is it running? `greenroom doctor` looks.") from None
    finally:
        await database.close()
    return ran


async def _empty(database: Database) -> int:
    """Postgres' version; raises Failed when anything is in the database."""
    if await database.fetch_value(_THINGS):
        raise Failed(
            "The database is not empty, and a restore never writes over data. "
            "Make a new one (CREATE DATABASE), or set GREENROOM_DATA to a new folder."
        )
    return int(await database.fetch_value(_VERSION))


def _for(postgres: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    yield first.replace(_NEWER_SETTING, b"", 1) if postgres < 17 else first
    yield from pieces


async def _run(
    database_url: str, pieces: Iterator[bytes], progress: Callable[[int], None], manifest: Manifest, postgres: int
) -> None:
    options = (
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--file=-",
        "--output=/dev/null",
    )
    async with running_program("psql", database_url, *options) as program:
        assert program.process.stdin is not None  # noqa: S101 - it was opened with a pipe
        done = 0
        try:
            # What is wrong with the file is raised here, before the end of the input: psql is killed and nothing stays.
            while data := await asyncio.to_thread(next, pieces, b""):
                program.process.stdin.write(data)
                await program.process.stdin.drain()
                done += len(data)
                progress(done)
            program.process.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # It has said why.
        if await program.process.wait() != 0:
            await asyncio.sleep(0)
            older = f" The backup is of Postgres {manifest.postgres}, this one is {postgres}."
            raise Failed(
                f"Postgres refused the backup, and nothing was restored: {program.complaint}."
                + (older if postgres < manifest.postgres else "")
            )

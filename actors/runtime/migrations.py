"""Brings the database's schema up to date: numbered SQL files, each run once, in order, in a transaction of its own."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from actors.runtime.database import Connection, Database

FOLDER = Path(__file__).parent / "sql"

_LOCK = 0x67726D69  # "grmi": one process migrates at a time, the others wait for it
_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    number   integer PRIMARY KEY,
    name     text NOT NULL,
    checksum text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
)
"""


class SchemaUnknown(Exception):
    """The database holds a schema that this release does not know, or one whose file was changed afterwards."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The files `NNNN_name.sql` of the folder by number; two of one number are a ValueError."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = re.fullmatch(r"(\d{4})_([a-z0-9_]+)", path.stem)
        if parts is None:
            raise ValueError(f"{path.name} is not named like 0001_journal.sql")
        number = int(parts[1])
        if number in found:
            raise ValueError(f"{path.name} and {number:04}_{found[number].name}.sql have the same number")
        found[number] = Migration(number, parts[2], path.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


async def migrate(database: Database, folder: Path = FOLDER) -> list[str]:
    """Run what was not run yet, and name it. Any number of processes may call it at once.

    Raises SchemaUnknown, before anything is changed, when the database was written by a newer release.
    """
    known = migrations(folder)
    ran = []
    for migration in known:
        async with database.transaction() as connection:
            # A large installation's migration may take longer than a request may.
            await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_TABLE)
            if await _is_due(connection, migration, known):
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)",
                    *(migration.number, migration.name, migration.checksum),
                )
                ran.append(f"{migration.number:04}_{migration.name}")
    return ran


async def _is_due(connection: Connection, migration: Migration, known: list[Migration]) -> bool:
    rows = await connection.fetch("SELECT number, name, checksum FROM migration")
    names = {other.number: other.name for other in known}
    for row in rows:
        if row["number"] not in names:
            raise SchemaUnknown(
                f"The database has migration {row['number']:04}_{row['name']}, which this release does not know: "
                "it was used by a newer one. Run that release, or restore a backup."
            )
        if row["number"] == migration.number and row["checksum"] != migration.checksum:
            raise SchemaUnknown(
                f"Migration {migration.number:04}_{migration.name} differs from the one that made this database. "
                "Migrations are never changed once released; add a new one."
            )
    return migration.number not in {row["number"] for row in rows}

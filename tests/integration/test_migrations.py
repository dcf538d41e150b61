"""Migrations on a real Postgres: each once, all or nothing, and never a database of a newer release."""

import asyncio
from pathlib import Path

import pytest

from actors.runtime.database import Database, Refused
from actors.runtime.migrations import SchemaUnknown, migrate
from tests.integration.place import Place, own_place, servers

__all__ = ["own_place", "servers"]


async def test_migrations_run_once_however_many_start_at_once(own_place: Place) -> None:
    databases = [await own_place.database() for _ in range(3)]
    assert await asyncio.gather(*(migrate(database) for database in databases)) == [[], [], []]


async def test_a_database_of_a_newer_release_is_left_alone(own_place: Place) -> None:
    database = await own_place.database()
    await database.execute("INSERT INTO migration (number, name, checksum) VALUES (9999, 'future', '')")
    with pytest.raises(SchemaUnknown, match="9999_future"):
        await migrate(database)


async def test_a_changed_migration_is_refused(own_place: Place) -> None:
    database = await own_place.database()
    await database.execute("UPDATE migration SET checksum = 'other' WHERE number = 2")
    with pytest.raises(SchemaUnknown, match="0002_accounts"):
        await migrate(database)


async def test_a_migration_that_fails_leaves_nothing_behind(own_place: Place, tmp_path: Path) -> None:
    database = Database(own_place.database_url)
    await database.open()
    await database.execute("DELETE FROM migration")
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (id int);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE half (id int); SELECT nonsense;")
    with pytest.raises(Refused):
        await migrate(database, tmp_path)
    assert await database.fetch_value("SELECT to_regclass('half') IS NULL AND to_regclass('good') IS NOT NULL")
    await database.close()

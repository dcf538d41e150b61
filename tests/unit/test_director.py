"""What the director takes for a death, and what not; real hosts are in tests/integration."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from actors.runtime import director
from actors.runtime.database import Database
from actors.runtime.director import SHARED, Director
from actors.runtime.router import Router


class Tables:
    """A Postgres of one host, which answers when it is told to."""

    def __init__(self, endpoint: str) -> None:
        self.row: dict[str, Any] = {"run": 1, "name": "host-1", "endpoint": endpoint, "node": "here", "pid": 1}
        self.row |= {"pool": SHARED, "leaving": False, "active_hosts": 1, "expired": False}
        self.hangs_s = 0.0
        self.retired: list[int] = []

    async def fetch(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        if sql != director._HOSTS:
            return []
        await asyncio.sleep(self.hangs_s)
        return [{**self.row, "now_ms": int(time.monotonic() * 1000)}]

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        return 0

    async def execute(self, sql: str, *values: Any) -> str:
        if sql == director._RETIRE:
            self.retired.append(values[0])
        return ""


@pytest_asyncio.fixture
async def tables(tmp_path: Path) -> AsyncIterator[Tables]:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    path = tmp_path / "host"
    async with await asyncio.start_unix_server(hold, path):
        yield Tables(f"unix:{path}")


@contextlib.asynccontextmanager
async def directing(tables: Tables) -> AsyncIterator[Callable[[], Any]]:
    """One look at the tables, again and again; the watch on the host ends with the block."""

    async def no_more(slot: str) -> None:
        raise AssertionError(slot)

    one = Director(cast(Database, tables), cast(Router, None), node="here", token=b"t", start_dedicated=no_more)
    try:
        yield one._look
    finally:
        for task in one._watched.values():
            task.cancel()


async def test_a_host_whose_lease_has_ended_is_retired(tables: Tables) -> None:
    async with directing(tables) as look:
        await look()
        assert tables.retired == []
        tables.row["expired"] = True
        await look()
        assert tables.retired == [1]


async def test_a_lease_that_ended_while_postgres_stood_still_says_nothing(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(director, "QUIET_S", 0.1)
    monkeypatch.setattr(director, "LEASE_S", 0.3)
    async with directing(tables) as look:
        await look()
        tables.row["expired"], tables.hangs_s = True, 0.15
        await look()
        assert tables.retired == []
        # Who has not renewed within a lease of the time when all could is gone.
        tables.hangs_s = 0.0
        until = time.monotonic() + 10
        while not tables.retired:
            assert time.monotonic() < until
            await look()
            await asyncio.sleep(0.01)

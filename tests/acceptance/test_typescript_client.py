"""SPEC SDK-01: the TypeScript client, in Node.js, against the running server, over a way that breaks too."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest_asyncio

from scripts.typescript import TARGET, catalog_types
from tests.acceptance.server import Server
from tests.harness.cutter import Cutter
from tests.harness.node import NODE, built_client
from tests.unit.stage import catalog

DONE_WITHIN_S = 120.0


@pytest_asyncio.fixture
async def way(server: Server) -> AsyncIterator[Cutter]:
    async with Cutter("127.0.0.1", server.port) as cutter:
        yield cutter


def test_sdk_01_the_types_of_the_typescript_client_are_those_of_the_catalog() -> None:
    assert TARGET.read_text() == catalog_types(catalog()), "python -m scripts.typescript writes them anew"


async def test_sdk_01_the_typescript_client_does_what_it_says_without_a_server() -> None:
    await passes("unit.test.js", {})


async def test_sdk_01_the_typescript_client_plays_and_outlives_its_sockets(server: Server, way: Cutter) -> None:
    told = await passes("live.test.js", {"GREENROOM_URL": server.url, "GREENROOM_BREAKABLE_URL": way.url}, way)
    assert told.count("BREAK") == 3
    assert way.cuts >= 3


async def passes(module: str, environment: dict[str, str], way: Cutter | None = None) -> str:
    """Run the tests of one module; returns what they printed. When they say so, the way is cut."""
    built = await asyncio.to_thread(built_client)
    process = await asyncio.create_subprocess_exec(
        NODE,
        built / "test" / module,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    told = ""
    try:
        async with asyncio.timeout(DONE_WITHIN_S):
            async for line in process.stdout:
                told += line.decode()
                if way is not None and line.strip() == b"BREAK":
                    way.cut()
            assert await process.wait() == 0, told
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "skipped 0" in told, told
    return told

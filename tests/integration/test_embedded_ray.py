"""Embedded Ray: on loopback only, behind a token, beside other clusters, and gone with its supervisor."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil
import pytest

from schemas.settings import PROJECT, Settings
from scripts.embedded.folder import DataFolder
from scripts.embedded.raycluster import RayHead
from scripts.embedded.servers import Servers

POLL_S = 0.05

DRIVER = """
    import sys, ray
    ray.init(address=sys.argv[1], namespace="greenroom", log_to_driver=False, configure_logging=False)

    @ray.remote(num_cpus=0)
    class Probe:
        def niceness(self):
            import os
            return os.nice(0)

    print(ray.get(Probe.remote().niceness.remote(), timeout=30), len(ray.nodes()))
"""

SUPERVISOR = """
    import asyncio, sys
    from pathlib import Path
    from scripts.embedded.folder import DataFolder
    from scripts.embedded.raycluster import RayHead

    async def main():
        async with DataFolder(Path(sys.argv[1])) as folder:
            head = RayHead(folder, dashboard=False)
            await head.start()
            print("started", flush=True)
            await head.child.ended()

    asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="greenroom-test-", dir="/tmp") as path:
        yield Path(path)


async def drive(address: str, environment: dict[str, str]) -> tuple[int | None, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(DRIVER), address),
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (out + errors).decode()


def family(besides: Collection[psutil.Process] = ()) -> list[psutil.Process]:
    """The processes that the test has started; those of `besides`, and whatever they start meanwhile, are others'."""
    ours = [child for child in psutil.Process().children() if child not in besides]
    return [one for child in ours for one in (child, *child.children(recursive=True))]


def listeners(processes: list[psutil.Process]) -> set[str]:
    addresses = set()
    for process in processes:
        try:
            connections = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        addresses |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return addresses


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def dashboard_status(url: str, token: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with await asyncio.to_thread(urllib.request.urlopen, request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


async def until_listening(url: str, within_s: float = 30.0) -> None:
    host, port = url.removeprefix("http://").split(":")
    deadline = time.monotonic() + within_s
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        assert time.monotonic() < deadline, "the dashboard did not come up in time"
        await asyncio.sleep(POLL_S)


async def test_two_heads_run_side_by_side_on_loopback_behind_their_tokens(place: Path) -> None:
    """SE-24, SE-25"""
    before = family()
    async with DataFolder(place / "a") as one, DataFolder(place / "b") as two:
        first, second = RayHead(one), RayHead(two, dashboard=False)
        try:
            address, other = await asyncio.gather(first.start(), second.start())
            first.start_dashboard()
            assert address != other
            assert address.startswith("127.0.0.1:")
            assert not address.endswith(":6379")
            assert first.token_path.stat().st_mode & 0o077 == 0
            assert first.data.stat().st_mode & 0o077 == 0

            assert await drive(address, first.environment) == (0, "0 1\n")
            assert await drive(other, second.environment) == (0, "0 1\n")
            wrong_token = first.environment | {
                "RAY_AUTH_TOKEN_PATH": str(second.token_path),
                "RAY_NUM_REDIS_GET_RETRIES": "1",  # else the driver asks for 20 s
            }
            code, said = await drive(address, wrong_token)
            assert code != 0
            assert "auth" in said.lower(), said

            assert first.dashboard_url is not None
            await until_listening(first.dashboard_url)
            assert await dashboard_status(f"{first.dashboard_url}/api/v0/actors", first.token_path.read_text()) == 200
            assert await dashboard_status(f"{first.dashboard_url}/api/v0/actors", second.token_path.read_text()) in (
                401,
                403,
            )
            assert listeners(family(before)) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
            started = family(before)
        finally:
            await asyncio.gather(first.stop(), second.stop())
        assert not alive(started)


async def test_a_head_whose_tables_died_ends_at_once_and_starts_anew(place: Path) -> None:
    before = family()
    async with Servers(Settings(data=place / "data", dashboard=False, database_url="x", redis_url="x")) as servers:
        watching = asyncio.create_task(servers.watch())
        (tables,) = [one for one in family(before) if one.name() == "gcs_server"]
        started = family(before)
        tables.kill()
        assert "Ray's head ended" in await asyncio.wait_for(watching, 20)
        assert servers.ray is not None
        await servers.ray.stop()
        assert not alive(started)
        address = await servers.ray.start()
        assert await drive(address, servers.endpoints.environment) == (0, "0 1\n")


async def test_nothing_of_ray_outlives_a_killed_supervisor(place: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(place / "data")],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        started = psutil.Process(process.pid).children(recursive=True)
        assert {"gcs_server", "raylet"} <= {one.name() for one in started}
        process.kill()
    async with DataFolder(place / "data"):
        assert not alive(started)

"""SE-21, SE-23, SE-24 and SE-25: what a bug tells, what can be made to run, and which doors are open besides ours."""

import ast
import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import psutil
import pytest

from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.fixtures import secrets_in_logs
from tests.acceptance.ports import listening_elsewhere
from tests.acceptance.server import PROJECT, Server

PRODUCT = ("actors", "gateway", "schemas")
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}


def product_files() -> list[Path]:
    return [path for folder in PRODUCT for path in (PROJECT / folder).rglob("*.py")]


async def test_se_21_secrets_that_travelled_are_in_no_log(
    server: Server, door: Door, sockets: Sockets, alice: User
) -> None:
    """Tokens in every place where a client might put them by mistake; the whole run is looked at again at its end."""
    action = await door.start(alice)
    await door.ask("GET", f"{API}/players/me", params={"access_token": alice.token})
    await door.ask("GET", f"{API}/players/{action['actionToken']}", as_=alice)
    await door.post(f"{API}/actions", {"type": action["actionToken"]}, as_=alice)
    await door.post(f"{API}/auth/refresh", {"refreshToken": alice.refresh + "x"})
    wire = await sockets.open(alice)
    await wire.command("player", "me", "start_action", {"type": alice.token[:100]})
    await wire.subscribe(f"leaderboard:{action['actionToken'][:60]}")
    with pytest.raises(aiohttp.ClientError):
        await sockets.raw(f"{API}/ws/{alice.token}")
    assert secrets_in_logs(server) == []


async def test_se_21_no_server_error_was_met(server: Server) -> None:
    """After everything that was sent to it, the server has not logged one bug."""
    bugs = [
        line
        for path, text in server.logs().items()
        for line in text.splitlines()
        if '"event": "bug"' in line or ("Traceback" in line and path.name.startswith("worker"))
    ]
    assert bugs == []


def test_se_23_nothing_that_runs_bytes_is_reachable() -> None:
    found = []
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id] if node.func.id in ("eval", "exec", "compile", "__import__") else []
                found += [f"{path}:{node.lineno} calls {name}" for name in names]
                continue
            else:
                continue
            found += [f"{path}:{node.lineno} imports {name}" for name in names if name in FORBIDDEN_MODULES]
    assert found == []


def test_se_23_ruff_finds_nothing_of_its_security_rules() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "S301,S302,S307,S506,S102,S608,S602", *PRODUCT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


def test_se_23_yaml_is_read_safely() -> None:
    for path in [*product_files(), *(PROJECT / "scripts").rglob("*.py")]:
        text = path.read_text()
        assert "yaml.load(" not in text, path
        assert "UnsafeLoader" not in text, path
        assert "FullLoader" not in text, path


async def test_se_24_only_the_gateway_is_meant_for_the_outside(server: Server) -> None:
    assert server.process is not None
    assert listening_elsewhere(server.process.pid) == []


async def test_se_24_sockets_in_files_are_for_their_owner_only(server: Server) -> None:
    runtime = Path((server.data / "run" / "runtime").read_text())
    mode = stat.S_IMODE(runtime.stat().st_mode)
    assert mode & 0o066 == 0, oct(mode)
    for path in runtime.glob("h*"):
        if stat.S_ISSOCK(path.stat().st_mode):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or mode & 0o011 == 0, path


async def test_se_25_the_dashboard_and_job_submission_want_a_token(server: Server) -> None:
    url = server.run["dashboard_url"]
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for method, path in (("GET", "/api/v0/actors"), ("POST", "/api/jobs/"), ("GET", "/api/jobs/")):
                async with session.request(
                    method, url + path, headers=headers, json={"entrypoint": "id"} if method == "POST" else None
                ) as response:
                    assert response.status in (401, 403), (path, response.status)


async def test_se_25_a_driver_without_the_token_does_not_get_in(server: Server) -> None:
    code = f"import ray; ray.init(address={server.run['ray_address']!r}, log_to_driver=False); print('IN')"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "HOME": str(server.home)}
    assert "IN" not in await asyncio.to_thread(_python, code, {**environment, **wrong})


def _python(code: str, environment: dict[str, str]) -> str:
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return "it waits in vain"
    return ran.stdout


async def test_se_25_redis_and_postgres_do_not_let_strangers_in(server: Server) -> None:
    redis_url = urlsplit(server.run["redis_url"])
    assert redis_url.scheme == "unix"
    assert stat.S_IMODE(Path(redis_url.path).stat().st_mode) & 0o077 == 0
    database = server.run["database_url"]
    listening = [
        connection
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == (urlsplit(database).port or 0)
    ]
    for connection in listening:
        for password in ("", "postgres", "password"):
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await asyncpg.connect(
                    host=connection.laddr.ip, port=connection.laddr.port, user="postgres", password=password
                )

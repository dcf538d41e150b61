"""What every measurement stands on: a server under measurement, accounts that may load it, programs beside it."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from greenroom_client import Backoff, Client, RateLimited
from schemas.settings import PROJECT
from scripts.bench.processes import Usage, cpu_seconds, pss_bytes
from scripts.embedded.raycluster import free_port

READY_WITHIN_S = 120.0
_READY_SEEN_EVERY_S = 0.02
STOP_WITHIN_S = 60.0
SERVER_ACCOUNTS = 4
CONSULTED = "bench_consulted"
"""The action type of the full flow: of any rate, and assessed by a fraud detector."""
_PLAYERS_PER_REQUEST = 400
# The plain program's 64 clients need room beside the server's own connections.
_SERVE = """
import sys
from scripts.cli import main
from scripts.embedded.postgres import SETTINGS
SETTINGS["max_connections"] = "250"
sys.argv = ["greenroom", "serve"]
main()
"""


class BenchFailed(Exception):
    """A measurement cannot go on; says why."""


class Program:
    """A Python program of this package in a process of its own, spoken to in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def send(self, job: dict[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101  (for the type checker)
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        await self.process.stdin.drain()

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None  # noqa: S101  (for the type checker)
        line = await self.process.stdout.readline()
        if not line:
            raise BenchFailed(f"a program ended early, with code {await self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def program(module: str, job: dict[str, Any]) -> AsyncIterator[Program]:
    """Start `scripts.bench.<module>` with its job; end it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"scripts.bench.{module}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    running = Program(process)
    try:
        await running.send(job)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass(slots=True)
class Server:
    """A Greenroom that runs, and what its processes use."""

    url: str
    pid: int
    data: Path
    username: str
    password: str
    ready_s: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def run(self) -> dict[str, Any]:
        """What the server noted about itself: pid, url, database_url, redis_url, ray_address, dashboard_url."""
        noted: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return noted

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/api/v1/ws"

    def cpu_seconds(self) -> Usage:
        return cpu_seconds(self.pid)

    def pss_bytes(self) -> Usage:
        return pss_bytes(self.pid)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Client]:
        """Its administrator."""
        async with Client(self.url, backoff=Backoff(attempts_max=50), deadline_s=120.0) as client:
            await client.login(self.username, self.password)
            yield client


@asynccontextmanager
async def own_server(data: Path | None = None, **environment: str) -> AsyncIterator[Server]:
    """Start a Greenroom of our own on free ports, in a fresh folder unless one is given, and stop it at the end."""
    folder = data or Path(tempfile.mkdtemp(prefix="greenroom-bench-"))
    folder.chmod(0o755)
    port = free_port()
    username, password = "bench-admin", _password(folder)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GREENROOM_", "RAY_"))}
    for name in ("DATABASE_URL", "REDIS_URL"):
        inherited.pop(name, None)
    settings = {
        "GREENROOM_BIND": f"127.0.0.1:{port}",
        "GREENROOM_DATA": str(folder),
        "GREENROOM_CONTENT": str(_content(folder)),
        "GREENROOM_ADMIN_USERNAME": username,
        "GREENROOM_ADMIN_PASSWORD": password,
        **environment,
    }
    began = time.monotonic()
    log_path = folder / "serve.log"
    with log_path.open("ab") as log:
        said_before = log.tell()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVE), env=inherited | settings, stdout=log, stderr=log
        )
    try:
        await _ready(process, log_path, said_before)
        ready_s = time.monotonic() - began
        yield Server(f"http://127.0.0.1:{port}", process.pid, folder, username, password, ready_s, settings)
    finally:
        await _stop(process)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _content(folder: Path) -> Path:
    """The starter content, and an action of any rate that detectors assess by a rule that it never breaks."""
    content = folder / "content"
    if not content.exists():
        shutil.copytree(PROJECT / "content", content)
        actions = yaml.safe_load((content / "actions.yaml").read_text())
        actions[CONSULTED] = {**actions["practice"], "fraud": True}
        (content / "actions.yaml").write_text(yaml.safe_dump(actions))
        fraud = yaml.safe_load((content / "fraud.yaml").read_text())
        fraud["rules"] = {"too_fast": fraud["rules"]["too_fast"]}
        (content / "fraud.yaml").write_text(yaml.safe_dump(fraud))
    return content


def _password(folder: Path) -> str:
    """The administrator's; the same when the same folder is served again."""
    noted = folder / "bench_password"
    if not noted.exists():
        noted.touch(0o600)
        noted.write_text(secrets.token_urlsafe(18))
    return noted.read_text()


async def _ready(process: asyncio.subprocess.Process, log: Path, from_byte: int) -> None:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while b"Greenroom is ready at" not in (said := log.read_bytes()[from_byte:]):
                if process.returncode is not None:
                    words = said.decode(errors="replace")[-2_000:]
                    raise BenchFailed(f"the server ended before it was ready:\n{words}")
                await asyncio.sleep(_READY_SEEN_EVERY_S)
    except TimeoutError:
        words = log.read_text(errors="replace")[-2_000:]
        raise BenchFailed(f"the server was not ready within {READY_WITHIN_S:g} s:\n{words}") from None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def attached_server(data: Path, username: str, password: str) -> AsyncIterator[Server]:
    """A Greenroom that runs already, found by its data folder."""
    try:
        noted = json.loads((data / "run.json").read_text())
    except OSError as problem:
        raise BenchFailed(f"no server runs on {data}: {problem}") from problem
    yield Server(noted["url"], noted["pid"], data, username, password)


class Accounts:
    """Logged-in clients that share one administrator's blessing: server accounts, guests, provisioned players."""

    def __init__(self, server: Server, admin: Client) -> None:
        self.server = server
        self.admin = admin
        self.players: list[str] = []
        self.trusted: list[Client] = []
        self.guests: list[Client] = []

    async def tokens(self, count: int) -> list[str]:
        """Access tokens of the server accounts, in turn, one for each of so many sockets."""
        tokens = [await client.access_token() for client in self.trusted]
        return [tokens[index % len(tokens)] for index in range(count)]

    async def guest_tokens(self, count: int) -> list[str]:
        """Access tokens of guests, one player for each of so many sockets."""
        await self.more_guests(count - len(self.guests))
        return [await guest.access_token() for guest in self.guests[:count]]

    async def more_guests(self, count: int) -> list[Client]:
        """So many new guests, logged in."""
        gate = asyncio.Semaphore(16)

        async def one() -> Client:
            async with gate:
                guest = Client(self.server.url, session=self.admin.session, deadline_s=60.0)
                device = f"bench-{secrets.token_hex(12)}"
                while not guest.tokens:
                    try:
                        await guest.guest(device)
                    except RateLimited as limit:
                        await asyncio.sleep(self.admin.backoff.delay_s(3, limit.retry_after_s))
                return guest

        fresh = await asyncio.gather(*(one() for _ in range(max(0, count))))
        self.guests += fresh
        return fresh

    async def provision(self, count: int, prefix: str) -> list[str]:
        """So many players without a login; their user ids."""
        names = [(f"{prefix}:{number}", f"Bench {number}") for number in range(count)]
        batches = [names[at : at + _PLAYERS_PER_REQUEST] for at in range(0, count, _PLAYERS_PER_REQUEST)]
        gate = asyncio.Semaphore(4)

        async def one(batch: list[tuple[str, str]]) -> list[str]:
            async with gate:
                return [player.user_id for player in await self.trusted[0].provision(batch)]

        return [user_id for ids in await asyncio.gather(*map(one, batches)) for user_id in ids]


@asynccontextmanager
async def accounts(server: Server, *, players: int) -> AsyncIterator[Accounts]:
    """Accounts for a load of up to 64 sockets."""
    async with server.admin() as admin:
        made = Accounts(server, admin)
        for _ in range(SERVER_ACCOUNTS):
            client = Client(server.url, session=admin.session, backoff=admin.backoff, deadline_s=120.0)
            name, password = f"bench-{secrets.token_hex(6)}", secrets.token_urlsafe(18)
            await client.register(name, password)
            await admin.admin.grant(client.user_id, "server")
            await client.login(name, password)
            made.trusted.append(client)
        made.players = await made.provision(players, f"bench-{secrets.token_hex(4)}") if players else []
        yield made


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load measured, and what the server's processes used meanwhile."""

    result: dict[str, Any]
    cpu: Usage

    @property
    def per_second(self) -> float:
        return float(self.result["perSecond"])

    @property
    def count(self) -> int:
        return int(self.result["count"])


async def load(server_pid: int, job: dict[str, Any]) -> Loaded:
    """Run the load client against a process tree."""
    async with program("load", job) as running:
        await running.line()
        await running.send({"go": True})
        await running.line()
        before = cpu_seconds(server_pid)
        result = await running.line()
        after = cpu_seconds(server_pid)
    if not result["count"]:
        raise BenchFailed(f"the load got nothing done: {result['errors'] or 'no answers'}")
    return Loaded(result, after.since(before))


async def baseline(job: dict[str, Any]) -> dict[str, Any]:
    """Run a plain program that needs nothing but its job."""
    async with program("baseline", job) as running:
        measured = await running.line()
    if "error" in measured:
        raise BenchFailed(measured["error"])
    return measured


async def settled(server: Server, *, idle_share: float = 0.35, within_s: float = 20.0) -> None:
    """Wait until the server does little more than breathe, so that no measurement pays for the one before."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        before = server.cpu_seconds()
        await asyncio.sleep(0.5)
        if server.cpu_seconds().since(before).total / 0.5 < idle_share:
            return


__all__ = [
    "Accounts",
    "BenchFailed",
    "Loaded",
    "Program",
    "Server",
    "accounts",
    "attached_server",
    "baseline",
    "load",
    "own_server",
    "program",
    "settled",
]

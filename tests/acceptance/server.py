"""A real Greenroom in a process of its own, for tests that know it only by its port, its database and its logs."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from scripts.embedded.raycluster import free_port

PROJECT = Path(__file__).resolve().parents[2]
GREENROOM = Path(sys.executable).with_name("greenroom")

ADMIN, ADMIN_PASSWORD = "head-gardener", "a quiet place with many plants"
ALLOWED_ORIGIN = "https://play.example.com"
PROXY = "127.0.0.9"
"""A peer whose X-Forwarded-For is believed."""

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0

EXTRA_CONTENT: dict[str, dict[str, Any]] = {
    "actions": {"arena_win": {"points": 5, "board": "arena", "fraud": False, "starts_per_minute": "unlimited"}},
    "boards": {
        "arena": {"title": "Arena", "shards": 3},
        "spring": {"title": "Spring", "reset": "season", "seasons": ["2020-01-01"]},
        "golf": {"title": "Golf", "order": "low_first"},
        "empty": {"title": "Nobody plays here"},
    },
    # The starter content lets these live for a minute and for ten; no test waits so long.
    "limits": {"tokens": {"lives_s": 2}, "scoreboard": {"lives_s": 2}},
}


def wait_until(condition: Callable[[], Any], what: str, within_s: float = 10.0) -> Any:
    """What the condition answers once it is true; an AssertionError that says what did not come true."""
    end = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


WIDE = {
    "GREENROOM_HOSTS": "2",
    "GREENROOM_GATEWAYS": "2",
    "GREENROOM_PLACEMENT": '{"leaderboard": "dedicated", "fraud": "dedicated"}',
}
"""As on a larger machine, whatever this one is: all processes at work, boards and detectors in their own."""


class Server:
    """`greenroom serve` in a temporary folder; `start` returns when it says that it is ready."""

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="gr-acceptance-", dir="/tmp"))
        self.home.chmod(0o755)
        self.content = self.home / "content"
        self.data = self.home / "data"
        self.output = self.home / "output.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.secrets: set[str] = {ADMIN_PASSWORD}
        """Passwords and tokens that tests used; none of them may stand in a log."""
        shutil.copytree(PROJECT / "content", self.content)
        for name, added in EXTRA_CONTENT.items():
            self.edit_content(name, added)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")},
            "GREENROOM_BIND": f"127.0.0.1:{self.port}",
            "GREENROOM_DATA": str(self.data),
            "GREENROOM_CONTENT": str(self.content),
            "GREENROOM_ADMIN_USERNAME": ADMIN,
            "GREENROOM_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "GREENROOM_ALLOWED_ORIGINS": ALLOWED_ORIGIN,
            "GREENROOM_TRUSTED_PROXIES": f"{PROXY}/32",
            **(environment or {}),
        }

    def edit_content(self, name: str, changes: Mapping[str, Any]) -> None:
        """Change a content file of this server, members of maps one by one."""
        path = self.content / f"{name}.yaml"
        path.write_text(yaml.safe_dump(_merged(yaml.safe_load(path.read_text()), changes)))

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [GREENROOM, "serve"],
                cwd=self.home,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        began = self.output.stat().st_size if self.output.exists() else 0
        wait_until(lambda: self._is_ready(began), f"{self.home} is ready", READY_WITHIN_S)

    def _is_ready(self, after: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"serve ended:\n{self.output.read_text()[-4000:]}"
        said = self.output.read_bytes()[after:]
        return f"Greenroom is ready at {self.url}".encode() in said

    def stop(self) -> int:
        """Stop it gracefully; its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"serve did not stop:\n{self.output.read_text()[-4000:]}") from None
        finally:
            self.process = None

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def run(self) -> dict[str, Any]:
        """What the server wrote about itself when it was ready."""
        told: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return told

    async def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """Rows from the server's own Postgres, as an operator would read them."""
        connection = await asyncpg.connect(self.run["database_url"])
        try:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    def tool(self, *arguments: str, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `greenroom` with these arguments, in the server's own environment."""
        return subprocess.run(
            [GREENROOM, *arguments],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def logs(self) -> dict[Path, str]:
        """Everything that any of its processes wrote."""
        folders = [self.data / "logs", *(self.data / "ray").glob("session_2*/logs")]
        paths = [self.output, *(path for folder in folders for path in folder.rglob("*") if path.is_file())]
        return {path: path.read_text(errors="replace") for path in paths}


async def until_sql(server: Server, statement: str, *arguments: Any, within_s: float = 10.0) -> None:
    """Ask again until the statement's one row `holds`."""
    end = time.monotonic() + within_s
    while not (await server.sql(statement, *arguments))[0]["holds"]:
        assert time.monotonic() < end, f"not within {within_s:g} s: {statement}"
        await asyncio.sleep(0.05)


def _merged(base: Any, changes: Any) -> Any:
    if isinstance(base, dict) and isinstance(changes, Mapping):
        return {**base, **{name: _merged(base.get(name), value) for name, value in changes.items()}}
    return changes

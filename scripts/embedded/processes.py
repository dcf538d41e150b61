"""A supervised server process: started under our fate, written down, stopped by its own pid and never by a name."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_BYTES_MAX = 16 << 20
POLL_S = 0.02
KILLED_TIMEOUT_S = 5.0


class ServerFailed(Exception):
    """A server did not come up, or cannot be run here; the message says what to do."""


def launcher_command(command: Sequence[str], *, user: str | None, death_signal: signal.Signals) -> list[str]:
    """The command line that runs `command` as `user` ("uid:gid"), with a signal to it when this process dies."""
    return [
        *(sys.executable, "-I", "-S", str(LAUNCHER)),
        *(str(os.getpid()), str(int(death_signal)), user or "-"),
        *command,
    ]


@dataclass(slots=True)
class Child:
    """One server process. Spawn it from a thread that lives as long as it should: the kernel ties it to that thread."""

    name: str
    command: Sequence[str]
    record: Path  # where its pid is written down, for whoever has to clean up after us
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    death_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Starts the process in a session of its own and records it."""
        _rotate(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                launcher_command(self.command, user=self.user, death_signal=self.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=dict(self.environment),
                start_new_session=True,
            )
        started = psutil.Process(self.process.pid).create_time()
        self.record.write_text(json.dumps({"name": self.name, "pid": self.process.pid, "started": started}))

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.running else None

    async def until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Waits until `ready()`; false when the process ended first. Raises ServerFailed at the deadline."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                return False
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready after {timeout_s:.0f} s; see {self.log}")
            await asyncio.sleep(POLL_S)
        return True

    async def ended(self) -> int:
        """Waits for the end of the process and returns its exit code."""
        assert self.process is not None  # noqa: S101
        while (code := self.process.poll()) is None:
            await asyncio.sleep(POLL_S * 5)
        return code

    async def stop(self, how: signal.Signals, timeout_s: float) -> None:
        """Sends the signal, waits, then ends whatever is left of its session."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(how)
            try:
                await asyncio.wait_for(self.ended(), timeout_s)
            except TimeoutError:
                self.process.kill()
                await self.ended()
        await _kill_session(self.process.pid)
        self.record.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The last lines of the log, for a message."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-8:])


async def end_recorded(record: Path, how: signal.Signals, timeout_s: float) -> None:
    """Ends the process that a crashed supervisor wrote down, and its session; a pid that was reused is left alone."""
    try:
        written = json.loads(record.read_text())
        leader, started = int(written["pid"]), float(written["started"])
    except (ValueError, KeyError):
        record.unlink(missing_ok=True)
        return
    process = _process(leader)
    # The clock behind create_time can be stepped a little; a pid comes round again much later.
    if process is not None and abs(process.create_time() - started) > 1.0:
        record.unlink(missing_ok=True)
        return
    if process is not None:
        _signal(process, how)
        await _gone([process], timeout_s)
    # Where the leader is gone, the kernel keeps its number back as long as a session bears it: all in there are ours.
    await _kill_session(leader)
    record.unlink(missing_ok=True)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _session_of(leader: int) -> list[psutil.Process]:
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader and pid != os.getpid():
                members.append(psutil.Process(pid))
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


async def _gone(processes: Sequence[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def _kill_session(leader: int) -> None:
    rest = _session_of(leader)
    for process in rest:
        _signal(process, signal.SIGKILL)
    await _gone(rest, KILLED_TIMEOUT_S)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".1.log"))

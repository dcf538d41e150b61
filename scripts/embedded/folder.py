"""The data folder: one Greenroom at a time serves it, and it remembers which processes it started."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import IO, Self

import psutil

from scripts.embedded.processes import ServerFailed, end_recorded

# A socket's path may have 107 bytes on Linux and 103 on macOS, and Ray adds 60 to the folder's name.
RUNTIME_PARENT = "/tmp"  # noqa: S108  (a fresh folder of mode 0700 is made in it)
MEMORY_FILESYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}


class DataFolder:
    """`async with DataFolder(path)` claims the folder for this process and clears up after a crashed one.

    `runtime` is a short folder for sockets that only we can enter; it is new each time and removed at the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self._lock: IO[str] | None = None
        self._runtime: Path | None = None

    @property
    def runtime(self) -> Path:
        if self._runtime is None:
            raise RuntimeError("the data folder is not claimed")
        return self._runtime

    @property
    def in_memory(self) -> bool:
        """Whether the folder lies on a file system that a power failure empties."""
        mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
        here = self.path.resolve()
        return next((mounts[at] in MEMORY_FILESYSTEMS for at in (here, *here.parents) if at in mounts), False)

    async def __aenter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        for folder in (self.logs, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)
        await self._clear_up()
        self._runtime = Path(tempfile.mkdtemp(prefix="greenroom-", dir=RUNTIME_PARENT))
        # Passable for the user that Postgres runs as, listable only for us; each server's own folder in it is closed.
        self._runtime.chmod(0o711)
        (self.run / "runtime").write_text(str(self._runtime))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._remove_runtime()
        if self._lock is not None:
            self._lock.close()
        self._lock = None
        self._runtime = None

    async def _clear_up(self) -> None:
        records = [(path, _ending(path)) for path in self.run.glob("*.json")]
        await asyncio.gather(*(end_recorded(path, how, timeout_s=10.0) for path, how in records))
        self._remove_runtime()

    def _remove_runtime(self) -> None:
        noted = self.run / "runtime"
        if noted.exists():
            old = Path(noted.read_text())
            if old.parent == Path(RUNTIME_PARENT) and old.name.startswith("greenroom-"):
                shutil.rmtree(old, ignore_errors=True)
            noted.unlink()


def _ending(record: Path) -> signal.Signals:
    # To Postgres SIGINT is a quick and clean end, while SIGTERM waits for its clients.
    return signal.SIGINT if record.stem == "postgres" else signal.SIGTERM


def _locked(path: Path) -> IO[str]:
    lock = (path / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise ServerFailed(
            f"another Greenroom (process {holder}) serves the data folder {path}; "
            "stop it, or set GREENROOM_DATA to another folder"
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock

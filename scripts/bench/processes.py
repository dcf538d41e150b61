"""What the processes of a server use: CPU seconds and memory, by the part they play."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_PARTS = (
    ("postgres", "postgres"),
    ("valkey", "redis"),
    ("redis-server", "redis"),
    ("ray::gateway", "gateway"),
    ("ray::host", "host"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds or bytes by part: `gateway`, `host`, `postgres`, `redis`, `ray`, `serve`."""

    by_part: Counter[str]

    @property
    def total(self) -> float:
        return sum(self.by_part.values())

    def since(self, before: "Usage") -> "Usage":
        return Usage(Counter({part: used - before.by_part[part] for part, used in self.by_part.items()}))

    def __getitem__(self, part: str) -> float:
        return self.by_part[part]


def cpu_seconds(root: int) -> Usage:
    """CPU of a process and all it started, those that have ended included."""
    used: Counter[str] = Counter()
    for process in _tree(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        ended = times.children_user + times.children_system
        used[_part(process, root)] += max(times.user + times.system, _scheduled_s(process.pid)) + ended
    return Usage(used)


def _scheduled_s(pid: int) -> float:
    """What the scheduler gave to the threads that live, to the nanosecond; ticks are too coarse for light loads."""
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total_ns += int(thread.read_text().split()[0])
    return total_ns / 1e9


def pss_bytes(root: int) -> Usage:
    """Memory of a process and all it started; what several share is divided among them."""
    used: Counter[str] = Counter()
    for process in _tree(root):
        try:
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        used[_part(process, root)] += kilobytes * 1024
    return Usage(used)


def _tree(root: int) -> Iterator[psutil.Process]:
    process = psutil.Process(root)
    yield process
    yield from process.children(recursive=True)


def _part(process: psutil.Process, root: int) -> str:
    if process.pid == root:
        return "serve"
    try:
        words = f"{process.name()} {' '.join(process.cmdline())}".lower()
    except psutil.Error:
        return "ray"
    return next((part for mark, part in _PARTS if mark in words), "ray")

"""What a world replaces in the runtime's modules while it runs: the clock, the log, and constants that make it slow."""

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import structlog

from actors import runtime
from actors.catalog import Catalog
from actors.runtime import lease, router, sweeper, topics
from schemas import limits
from scripts.verify import tells, walk
from tests.simulation.loop import PROCESS, VirtualLoop

_HOMES_OF_DRIVERS = ("bus", "cluster", "director")

CONSTANTS: list[tuple[ModuleType, str, Any]] = [
    # Idle ticks are most of what a quiet world does.
    (router, "TICK_S", 0.5),
    (topics, "VIEW_EVERY_S", 0.5),
    (sweeper, "REMINDERS_EVERY_S", 0.5),
    (tells, "BUCKETS", 1 << 8),
    # So few that old ones are asked for, too.
    (limits, "OPS_REMEMBERED_MAX", 4),
    (lease, "os", SimpleNamespace(getpid=lambda: 1)),
]


class VirtualTime:
    """The module `time` as the runtime uses it: each process has its own monotonic clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        process = PROCESS.get()
        return self._loop.now_s + (process.clock_s if process is not None else 0.0)

    def perf_counter(self) -> float:
        return self.monotonic()

    def monotonic_ns(self) -> int:
        return int(self.monotonic() * 1e9)

    def time_ns(self) -> int:
        return int((1_795_000_000 + self._loop.now_s) * 1e9)

    def time(self) -> float:
        return self.time_ns() / 1e9


class Log:
    """What the runtime logs. Bugs, as it calls them itself, are told to the world."""

    def __init__(self, on_log: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._on_log = on_log

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self._on_log(level, event, fields)


def _modules() -> list[ModuleType]:
    names = [found.name for found in pkgutil.iter_modules(runtime.__path__) if found.name not in _HOMES_OF_DRIVERS]
    return [importlib.import_module(f"actors.runtime.{name}") for name in names]


@contextmanager
def replaced(loop: VirtualLoop, catalog: Catalog, on_log: Callable[[str, str, dict[str, Any]], None]) -> Iterator[None]:
    """Within the block the runtime lives in the world of this loop."""
    changes = [*CONSTANTS, (walk, "Catalog", lambda: catalog)]
    log = Log(on_log)
    virtual = VirtualTime(loop)
    for module in _modules():
        if vars(module).get("time") is time:
            changes.append((module, "time", virtual))
        if isinstance(vars(module).get("_log"), structlog._config.BoundLoggerLazyProxy):
            changes.append((module, "_log", log))
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)

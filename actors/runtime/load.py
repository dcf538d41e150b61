"""How busy hosts and slots are, as the director measures it: each host tells, once a second, what its turns took."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.runtime.directory import Route
from actors.runtime.router import Router
from schemas.messages import pack

MEASURE_EVERY_S = 1.0
SETTLES_IN_S = 10.0
"""Time constant of the running means: a burst of a second is no reason to move anything."""
FORGOTTEN_BELOW = 1e-6


class Load:
    """Running means. `by_slot` and `by_host`: seconds of turns a second; `cpu`: CPU seconds of the process a second."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.by_slot: dict[str, float] = {}
        self.cpu: dict[int, float] = {}
        self._told: dict[int, tuple[float, float, Mapping[str, float]]] = {}

    async def run_forever(self, routes: Callable[[], Iterable[Route]]) -> None:
        """Ask the hosts until cancelled; one that does not answer in time is left out."""
        while True:
            await asyncio.sleep(MEASURE_EVERY_S)
            with contextlib.suppress(ConnectionError):
                await self.measure(list(routes()))

    async def measure(self, routes: list[Route]) -> None:
        """One round of questions."""
        asked = [self.router.tell_host(route, "load", pack([]), MEASURE_EVERY_S) for route in routes]
        replies = await asyncio.gather(*asked)
        now = time.monotonic()
        took: dict[str, float] = {}
        seconds = MEASURE_EVERY_S
        for route, reply in zip(routes, replies, strict=True):
            if reply.status != 200:
                continue
            before = self._told.get(route.run)
            self._told[route.run] = (now, reply.data["cpu_s"], reply.data["spent_s"])
            if before is None:
                continue
            seconds = max(now - before[0], 1e-3)
            self._follow(self.cpu, route.run, (reply.data["cpu_s"] - before[1]) / seconds, seconds)
            for slot, spent_s in reply.data["spent_s"].items():
                # A slot that moved was served by two hosts of late.
                took[slot] = took.get(slot, 0.0) + (spent_s - before[2].get(slot, 0.0)) / seconds
        for slot in self.by_slot.keys() | took.keys():
            self._follow(self.by_slot, slot, took.get(slot, 0.0), seconds)
        gone = self._told.keys() - {route.run for route in routes}
        for run in gone:
            del self._told[run]
            self.cpu.pop(run, None)

    @staticmethod
    def _follow(means: dict[Any, float], key: Any, value: float, seconds: float) -> None:
        share = 1.0 - math.exp(-seconds / SETTLES_IN_S)
        mean = means.get(key, 0.0)
        mean += share * (value - mean)
        if mean < FORGOTTEN_BELOW:
            means.pop(key, None)
        else:
            means[key] = mean

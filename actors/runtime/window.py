"""The router's end of a link: what waits to be sent, and what is under way."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from actors.runtime.router import Router, Waiting
from actors.runtime.sessions import NEWS
from schemas import limits
from schemas.address import Address
from schemas.messages import Reply, Request

BATCHES_UNDER_WAY_MAX = 2
BATCH_MAX = 100
"""A larger one keeps the host from noticing that a commit has ended, and Postgres idle meanwhile."""


class Window:
    """What the router's end of any link keeps: the queue, what is under way, and at most two batches in flight."""

    def __init__(self, router: Router, write: Callable[[list[Any]], None]) -> None:
        self.router = router
        self._write = write
        self.ready = False
        self._queue: deque[tuple[int, Waiting]] = deque()
        self._under_way: dict[int, Waiting] = {}
        self._batches = 0
        self._number = 0
        self._scheduled = False
        self._heard_at = 0.0

    def send(self, waiting: Waiting) -> bool:
        if len(self._under_way) + len(self._queue) >= limits.LINK_PENDING_MAX:
            return False
        if not self._under_way and not self._queue:
            self._heard_at = time.monotonic()
        self._number += 1
        self._queue.append((self._number, waiting))
        self.schedule()
        return True

    def schedule(self) -> None:
        if self.ready and not self._scheduled and self._batches < BATCHES_UNDER_WAY_MAX and self._queue:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self.ready or self._batches >= BATCHES_UNDER_WAY_MAX:
            return
        batch: list[Any] = []
        while self._queue and len(batch) < BATCH_MAX:
            number, waiting = self._queue.popleft()
            if not waiting.future.done():
                self._under_way[number] = waiting
                batch.append((number, waiting.request))
        if batch:
            self._batches += 1
            self._write(batch)

    def take(self, items: list[Any]) -> None:
        if items:
            self._heard_at = time.monotonic()
        for item in items:
            number = item[0]
            if number >= 0:
                waiting = self._under_way.pop(number, None)
                if waiting is not None:
                    self.router.answered(waiting, Reply(item[1], item[2], item[3]))
            elif number == NEWS:
                self.router.news(Address(item[1], item[2]), item[3], item[4])
            else:
                self._batches -= 1
        self.schedule()

    def expire(self, now: float) -> list[Waiting]:
        late = [number for number, waiting in self._under_way.items() if waiting.deadline <= now]
        over = [self._under_way.pop(number) for number in late]
        queued = [waiting for _, waiting in self._queue if waiting.deadline <= now]
        if queued:
            # Else what nobody waits for any more would fill the link to a host that stands still.
            self._queue = deque(item for item in self._queue if item[1].deadline > now)
        return over + queued

    def silent_s(self, now: float) -> float:
        return now - self._heard_at if self._under_way or self._queue else 0.0

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        taken = [number for number, waiting in self._under_way.items() if gone(waiting.request)]
        out = [self._under_way.pop(number) for number in taken]
        queued = [waiting for _, waiting in self._queue if gone(waiting.request)]
        if queued:
            self._queue = deque(item for item in self._queue if not gone(item[1].request))
        return [waiting for waiting in (*out, *queued) if not waiting.future.done()]

    def unanswered(self) -> list[Waiting]:
        self.ready = False
        left = [*self._under_way.values(), *(waiting for _, waiting in self._queue)]
        self._under_way.clear()
        self._queue.clear()
        return [waiting for waiting in left if not waiting.future.done()]

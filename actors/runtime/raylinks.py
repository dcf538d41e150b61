"""Links of Ray actor calls, for networks that allow nothing else.

A call that fails may have been carried out or not. Batches and what a host says back are numbered, so that a call is
repeated and counts once; the link breaks only when the host is gone, or calls fail again and again.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from actors.runtime.directory import Route
from actors.runtime.router import Router, Waiting
from actors.runtime.sessions import HostSession, Receiver, pack_items, unpack_batch
from actors.runtime.window import Window
from schemas.messages import Request, pack, unpack

_log = structlog.get_logger("links")

CALLS_MAX = 6
"""How often a call is tried before the link is given up."""
PAUSE_S = 0.02
"""Before the first repetition; each further one waits twice as long."""
BATCHES_REMEMBERED = 64
"""By number; a link has two under way at most."""


class HostGone(ConnectionError):
    """The host is dead or does not answer: to call again is of no use."""


class RayLink:
    """A link of actor calls, for networks that allow nothing else. `exchange` carries frames to the host's process and
    brings back what it has to say, waiting a moment if that is nothing."""

    def __init__(self, route: Route, router: Router, exchange: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        self.route = route
        self._router = router
        self._exchange = exchange
        self._window = Window(router, self._write)
        self._name = f"{os.getpid()}:{id(self)}:{time.monotonic_ns()}"
        self._tasks = {asyncio.ensure_future(self._collect())}
        self._broken = False
        self._batches = 0
        self._had = 0
        """The number of what the host said last, that is here."""
        self._window.ready = True

    def send(self, waiting: Waiting) -> bool:
        return self._window.send(waiting)

    def expire(self, now: float) -> list[Waiting]:
        return self._window.expire(now)

    def silent_s(self, now: float) -> float:
        return self._window.silent_s(now)

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        return self._window.withdraw(gone)

    def _write(self, batch: list[Any]) -> None:
        self._batches += 1
        task = asyncio.ensure_future(self._call(pack((self._batches, 0, pack(batch)))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, frame: bytes) -> None:
        """Until it is answered; an answer that was lost comes again, one that came is not taken twice."""
        for calls in range(1, CALLS_MAX + 1):
            try:
                number, items = unpack(await self._exchange(self._name, frame))
            except ConnectionError as error:
                told = {"host": self.route.name, "reason": str(error)[:200]}
                if self._broken:
                    return
                if calls == CALLS_MAX or isinstance(error, HostGone):
                    _log.warning("link_broken", **told)
                    self._break()
                    return
                _log.warning("link_call_failed", **told)
                await asyncio.sleep(PAUSE_S * 2 ** (calls - 1))
            else:
                if number > self._had:
                    self._had = number
                    self._window.take(unpack(items))
                return

    async def _collect(self) -> None:
        while not self._broken:
            await self._call(pack((0, self._had, b"")))

    def _break(self) -> None:
        if not self._broken:
            self._broken = True
            self._router.broken(self.route.run, self, self._window.unanswered())

    async def close(self) -> None:
        self._broken = True
        for task in list(self._tasks):
            task.cancel()


class _Caller:
    """One caller's session: which batches came, what waits for it, and what it was told last."""

    def __init__(self) -> None:
        self.session = HostSession(self._write)
        self.heard_at = 0.0
        self._batches: deque[int] = deque(maxlen=BATCHES_REMEMBERED)
        self._items: list[Any] = []
        self._some = asyncio.Event()
        self._told = 0
        self._answer = pack((0, pack([])))

    def is_new(self, number: int) -> bool:
        """Whether the batch of this number comes for the first time."""
        if number in self._batches:
            return False
        self._batches.append(number)
        return True

    async def answer(self, had: int, within_s: float) -> bytes:
        """What the caller has not had yet, after a while if that is nothing."""
        if self._told > had:
            return self._answer
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._some.wait()
        # Another call of the same caller, which it takes for lost, may have been waiting as well.
        if self._items and self._told <= had:
            items, self._items = self._items, []
            self._some.clear()
            self._told = max(self._told, had) + 1
            self._answer = pack((self._told, pack_items(items)))
        return self._answer

    def _write(self, more: list[Any]) -> None:
        self._items.extend(more)
        self._some.set()


class RaySessions:
    """The host's end of Ray links: one session for each caller, forgotten when it has been silent for a minute."""

    POLL_S = 1.0
    SILENT_S = 60.0

    def __init__(self, host: Receiver) -> None:
        self.host = host
        self._callers: dict[str, _Caller] = {}

    async def exchange(self, name: str, frame: bytes) -> bytes:
        """Take in a batch; or, without one, wait a moment for items for the caller and give them back."""
        caller = self._caller(name)
        number, had, batch = unpack(frame)
        if not batch:
            return await caller.answer(had, self.POLL_S)
        if caller.is_new(number):
            caller.session.take(self.host, unpack_batch(batch))
        return pack((0, pack([])))

    def _caller(self, name: str) -> _Caller:
        now = time.monotonic()
        caller = self._callers.get(name)
        if caller is None:
            silent = [other for other, one in self._callers.items() if now - one.heard_at > self.SILENT_S]
            for other in silent:
                del self._callers[other]
            caller = self._callers[name] = _Caller()
        caller.heard_at = now
        return caller

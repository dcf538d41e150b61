"""Links of Ray actor calls, for networks that allow nothing else."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from actors.runtime.directory import Route
from actors.runtime.router import Router, Waiting
from actors.runtime.sessions import HostSession, Receiver, pack_items, unpack_batch
from actors.runtime.window import Window
from schemas.messages import Request, pack, unpack

_log = structlog.get_logger("links")


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
        task = asyncio.ensure_future(self._call(pack(batch)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, frame: bytes) -> None:
        try:
            items = unpack(await self._exchange(self._name, frame))
        except ConnectionError as error:
            _log.warning("link_broken", host=self.route.name, reason=str(error)[:200])
            self._break()
        else:
            self._window.take(items)

    async def _collect(self) -> None:
        while not self._broken:
            await self._call(b"")

    def _break(self) -> None:
        if not self._broken:
            self._broken = True
            self._router.broken(self.route.run, self, self._window.unanswered())

    async def close(self) -> None:
        self._broken = True
        for task in list(self._tasks):
            task.cancel()


class RaySessions:
    """The host's end of Ray links: one session for each caller, forgotten when it has been silent for a minute."""

    POLL_S = 1.0
    SILENT_S = 60.0

    def __init__(self, host: Receiver) -> None:
        self.host = host
        self._sessions: dict[str, tuple[HostSession, list[Any], asyncio.Event]] = {}
        self._heard: dict[str, float] = {}

    async def exchange(self, name: str, frame: bytes) -> bytes:
        """Take in a frame; or, when it is empty, wait a moment for items for the caller and give them back."""
        session, items, some = self._session(name)
        if frame:
            session.take(self.host, unpack_batch(frame))
            return pack([])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.POLL_S):
                await some.wait()
        some.clear()
        taken = items[:]
        items.clear()
        return pack_items(taken)

    def _session(self, name: str) -> tuple[HostSession, list[Any], asyncio.Event]:
        now = time.monotonic()
        self._heard[name] = now
        if name not in self._sessions:
            for silent in [other for other, heard in self._heard.items() if now - heard > self.SILENT_S]:
                del self._heard[silent]
                self._sessions.pop(silent, None)
            items: list[Any] = []
            some = asyncio.Event()

            def write(more: list[Any]) -> None:
                items.extend(more)
                some.set()

            self._sessions[name] = (HostSession(write), items, some)
        return self._sessions[name]

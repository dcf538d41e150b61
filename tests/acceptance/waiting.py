"""Sockets in a thread of their own from the start of the session: some things are only seen by waiting."""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.acceptance.server import Server, wait_until


@dataclass
class Watched:
    """What one socket saw, with the seconds since it was opened; `user` is whose it is."""

    user: str = ""
    frames: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    closed: tuple[float, int] | None = None

    def pings(self) -> list[float]:
        return [at for at, frame in self.frames if frame["type"] == "ping"]


class Waiting:
    """`polite` answers pings, `silent` does not, `anonymous` never says who it is."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.polite, self.silent, self.anonymous = Watched(), Watched(), Watched()
        self._loop = asyncio.new_event_loop()
        self._life: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="waiting sockets", daemon=True)
        self._thread.start()
        wait_until(lambda: self.polite.frames and self.silent.frames, "two sockets are welcomed", 20)

    def stop(self) -> None:
        if self._life is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._life.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        self._life = self._loop.create_task(self._live())
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._life)
        finally:
            self._loop.close()

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for watched, greets, answers in (
                (self.polite, True, True),
                (self.silent, True, False),
                (self.anonymous, False, False),
            ):
                group.create_task(self._watch(session, watched, greets=greets, answers=answers))

    async def _watch(self, session: aiohttp.ClientSession, watched: Watched, *, greets: bool, answers: bool) -> None:
        async with session.ws_connect(
            self.server.url.replace("http", "ws", 1) + "/api/v1/ws", timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
        ) as socket:
            began = time.monotonic()
            if greets:
                device = {"deviceId": str(uuid.uuid4())}
                async with session.post(f"{self.server.url}/api/v1/auth/guest", json=device) as answer:
                    tokens = await answer.json()
                watched.user = tokens["userId"]
                await socket.send_json({"type": "auth", "auth": f"Bearer {tokens['accessToken']}"})
            async for message in socket:
                frame = json.loads(message.data)
                watched.frames.append((time.monotonic() - began, frame))
                if frame["type"] == "ping" and answers:
                    await socket.send_json({"type": "pong", "timestamp": frame["timestamp"]})
            watched.closed = (time.monotonic() - began, socket.close_code or 0)

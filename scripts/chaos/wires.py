"""The ways by which players reach a Greenroom, one attempt at a time: REST, and the WebSocket in both its forms."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp

from greenroom_client import Client, Form, GreenroomError
from greenroom_client.frames import Frame, pack, send, unpack
from greenroom_client.transport import API, part
from schemas.address import Address
from scripts.chaos.history import Attempt

ATTEMPT_S = 7.0
"""Longest wait for a connection and an answer; the server's own deadline is 5 s."""
CONNECT_PAUSE_S = (0.02, 0.2)
_TROUBLE = (aiohttp.ClientError, OSError, asyncio.TimeoutError, GreenroomError)

Pushed = Callable[[Address, int, str], None]


class Wire(Protocol):
    """A way to the server. `command` and `query` never raise: without an answer the attempt says so."""

    async def command(self, actor: Address, name: str, data: dict[str, Any], op: str) -> Attempt: ...

    async def query(self, actor: Address, name: str) -> Attempt: ...

    async def close(self) -> None: ...


class Rest:
    """One request over HTTP for each attempt."""

    def __init__(self, client: Client, session: aiohttp.ClientSession) -> None:
        self.client = client
        self.session = session

    async def command(self, actor: Address, name: str, data: dict[str, Any], op: str) -> Attempt:
        return await self._ask("POST", actor, name, json=data, headers={"Idempotency-Key": op})

    async def query(self, actor: Address, name: str) -> Attempt:
        return await self._ask("GET", actor, name)

    async def close(self) -> None:
        """Connections belong to the session."""

    async def _ask(self, method: str, actor: Address, name: str, **more: Any) -> Attempt:
        attempt = Attempt(time.monotonic())
        url = f"{self.client.url}{API}/actors/{part(actor.kind)}/{part(actor.key)}/{part(name)}"
        until = attempt.sent + ATTEMPT_S
        with contextlib.suppress(*_TROUBLE):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + ATTEMPT_S):
                token = await self.client.access_token()
                headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
                while True:
                    try:
                        async with self.session.request(method, url, headers=headers, **more) as response:
                            return self._answered(attempt, response, await response.json())
                    except aiohttp.ClientConnectorError:
                        # Nobody listens: nothing was sent, so this is no attempt yet.
                        if time.monotonic() > until:
                            break
                        await asyncio.sleep(random.uniform(*CONNECT_PAUSE_S))
        return attempt

    def _answered(self, attempt: Attempt, response: aiohttp.ClientResponse, body: Any) -> Attempt:
        attempt.answered = time.monotonic()
        attempt.status = response.status
        if response.status < 400:
            attempt.version, attempt.data = body.get("version"), body.get("data")
        else:
            attempt.code = str(body.get("code") or "")
            attempt.retry_after_s = float(body.get("retryAfter") or 0)
        return attempt


class Socket:
    """One WebSocket that comes back when it breaks, and listens to its own player if it has one."""

    def __init__(
        self, client: Client, session: aiohttp.ClientSession, form: Form, listens_to: Address | None, pushed: Pushed
    ) -> None:
        self.client = client
        self.session = session
        self.form = form
        self.listens_to = listens_to
        self.seq: int | None = None
        self.reconnects = -1
        self.behind_since: float | None = None
        """Since when the topic has not been heard of, while the socket is away."""
        self.catch_ups_s: list[float] = []
        self._pushed = pushed
        self._ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._welcome = asyncio.Event()
        self._life = asyncio.create_task(self._live())

    async def command(self, actor: Address, name: str, data: dict[str, Any], op: str) -> Attempt:
        frame = {"type": "command", "op": op, "kind": actor.kind, "key": actor.key, "name": name, "data": data}
        return await self._ask(frame)

    async def query(self, actor: Address, name: str) -> Attempt:
        return await self._ask({"type": "query", "kind": actor.kind, "key": actor.key, "name": name, "data": {}})

    async def close(self) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)

    def cut(self) -> None:
        """Break the connection without a word."""
        connection = self._socket._response.connection if self._socket is not None else None
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    async def _ask(self, frame: Frame) -> Attempt:
        attempt = Attempt(time.monotonic())
        with contextlib.suppress(*_TROUBLE):
            async with asyncio.timeout(ATTEMPT_S):
                answer = await self._answer_to(frame)
                self._answered(attempt, answer)
        return attempt

    async def _answer_to(self, frame: Frame) -> Frame:
        while True:
            await self._welcome.wait()
            socket = self._socket
            if socket is not None and not socket.closed:
                break
            self._welcome.clear()
        frame["id"] = str(next(self._ids))
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._answers[frame["id"]] = answer
        try:
            await send(socket, pack(self.form, frame))
            return await answer
        finally:
            self._answers.pop(frame["id"], None)

    def _answered(self, attempt: Attempt, frame: Frame) -> None:
        meta = frame.get("meta") or {}
        attempt.answered = time.monotonic()
        attempt.status = int(meta.get("code", 500))
        if frame.get("type") == "error":
            error = frame.get("error") or {}
            attempt.code = str(error.get("code") or "")
            attempt.retry_after_s = float(error.get("retryAfter") or 0)
        else:
            attempt.version, attempt.data = meta.get("version"), frame.get("data")

    # -- the socket -----------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(*_TROUBLE):
                await self._one_socket()
            self._welcome.clear()
            self._socket = None
            if self.behind_since is None:
                self.behind_since = time.monotonic()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError())
            await asyncio.sleep(random.uniform(*CONNECT_PAUSE_S))

    async def _one_socket(self) -> None:
        url = f"{self.client.url.replace('http', 'ws', 1)}{API}/ws"
        token = await self.client.access_token()
        async with asyncio.timeout(ATTEMPT_S):
            socket = await self.session.ws_connect(url, max_msg_size=1 << 20, compress=0)
        async with socket:
            await send(socket, pack(self.form, {"type": "auth", "id": "0", "auth": f"Bearer {token}"}))
            if self.listens_to is not None:
                after = {} if self.seq is None else {"after": self.seq}
                topic = str(self.listens_to)
                await send(socket, pack(self.form, {"type": "subscribe", "id": "topic", "topic": topic, **after}))
            async for message in socket:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    await self._arrived(socket, unpack(message))

    async def _arrived(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        meta = frame.get("meta") or {}
        number = str(meta.get("id", ""))
        if number == "0":
            if frame.get("type") == "error":
                await socket.close()
                return
            self._socket = socket
            self.reconnects += 1
            self._welcome.set()
        elif number in self._answers:
            if not self._answers[number].done():
                self._answers[number].set_result(frame)
        elif number == "topic" and frame.get("type") == "error":
            # Not now; another socket asks again.
            await socket.close()
        elif frame.get("type") == "ping":
            await send(socket, pack(self.form, {"type": "pong", "timestamp": frame.get("timestamp")}))
        elif "seq" in meta and self.listens_to is not None:
            self._told(self.listens_to, int(meta["seq"]), str(frame.get("type", "")), bool(meta.get("reset")))

    def _told(self, topic: Address, seq: int, form: str, reset: bool) -> None:
        told = "reset" if reset else form.rpartition(".")[2]
        if told not in ("initial", "reset", "resumed"):
            if self.seq is not None and seq <= self.seq:
                return  # A client that keeps the last number leaves out what it had.
            told = "update"
        if told != "resumed" or self.seq is None:
            self.seq = seq
        if self.behind_since is not None:
            self.catch_ups_s.append(time.monotonic() - self.behind_since)
            self.behind_since = None
        self._pushed(topic, seq, told)

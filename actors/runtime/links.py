"""Links between routers and hosts: batches of requests one way, replies and news the other. Three kinds, one contract.

A frame is a length (4 bytes, little-endian) and msgpack. From the router: the hello with the cluster's token, then
batches `[[number, request], ...]`. From the host: lists of items, in order: `[number, status, version, data]` for a
reply, `[NEWS, kind, key, version, last]`, and `[ACK]` for a batch that was taken in.
"""

import asyncio
import contextlib
import hmac
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import msgpack
import structlog

from actors.runtime.cell import Delivery
from actors.runtime.directory import Route
from actors.runtime.router import Router, Waiting
from schemas import limits
from schemas.address import Address
from schemas.messages import Caller, Reply, Request, pack, unpack
from schemas.problems import Refusal

_log = structlog.get_logger("links")

NEWS, ACK = -1, -2
BATCHES_UNDER_WAY_MAX = 2
BATCH_MAX = 1_000
FRAME_BYTES_MAX = 64 * 1024 * 1024
UNREAD_BYTES_MAX = 4 * FRAME_BYTES_MAX
"""What may wait for a peer that does not read; beyond it the link is cut."""
CONNECT_TIMEOUT_S = 1.0
_LENGTH = struct.Struct("<I")


class Receiver(Protocol):
    """What a link delivers to: a Host."""

    def receive(self, session: Any, requests: Any) -> None: ...

    def accept(self, delivery: Delivery) -> None: ...


def unpack_batch(frame: bytes) -> Any:
    """What a router's frame says. Tuples, because that is what requests and callers are made of."""
    return msgpack.unpackb(frame, use_list=False)


def unpack_request(packed: tuple[Any, ...]) -> Request:
    verb, kind, key, name, op, (user, roles, internal), data, attempt, trace, watch = packed
    return Request(verb, kind, key, name, op, Caller(user, roles, internal), data, attempt, trace, watch)


class Frames(asyncio.Protocol):
    """Cuts a stream into frames, and joins frames into writes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > FRAME_BYTES_MAX:
                self.abort()
                return
            if len(buffer) - start - 4 < length:
                break
            self.frame(bytes(memoryview(buffer)[start + 4 : start + 4 + length]))
            start += 4 + length
        if start:
            del buffer[:start]

    def frame(self, packed: bytes) -> None:
        raise TypeError("a subclass says what a frame means")

    def write(self, content: Any) -> None:
        self.write_packed(pack(content))

    def write_packed(self, packed: bytes) -> None:
        if self.transport is None:
            return
        self.transport.write(_LENGTH.pack(len(packed)) + packed)
        if self.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            _log.warning("link_not_read")
            self.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Outgoing:
    """The host's end of one link: collects replies and news of one pass of the event loop into one frame."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._write = write
        self._items: list[Any] = []
        self._scheduled = False

    def add(self, item: Any) -> None:
        self._items.append(item)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def flush(self) -> None:
        """Write what was collected, now."""
        items, self._items = self._items, []
        if items:
            self._write(items)

    def _flush(self) -> None:
        self._scheduled = False
        self.flush()


class HostSession:
    """A Session (see cell) over an Outgoing."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._out = Outgoing(write)

    def reply(self, number: int, reply: Reply) -> None:
        self._out.add((number, reply.status, reply.version, reply.data))

    def news(self, address: Address, version: int, *, last: bool = False) -> None:
        """Leaves at once: before the replies of the same commit, whose readers may ask this link's caches next."""
        self._out.add((NEWS, address.kind, address.key, version, last))
        self._out.flush()

    def ack(self) -> None:
        self._out.add((ACK,))

    def take(self, host: Receiver, batch: Iterable[Any]) -> None:
        """Hand a batch to the host and acknowledge it."""
        host.receive(self, [(number, unpack_request(packed)) for number, packed in batch])
        self.ack()


def _pack_items(items: list[Any]) -> bytes:
    """What a host says, packed. A reply that cannot be packed becomes a refusal: it must not take the others along, nor
    the acknowledgement without which the link would stand still."""
    try:
        return pack(items)
    except (TypeError, ValueError, OverflowError):
        return pack([item if _can_be_packed(item) else _unsaid(item[0]) for item in items])


def _can_be_packed(item: Any) -> bool:
    try:
        pack(item)
    except (TypeError, ValueError, OverflowError) as error:
        _log.error("reply_not_packed", reason=str(error)[:200])
        return False
    return True


def _unsaid(number: int) -> tuple[int, int, int, Any]:
    refusal = Refusal("INTERNAL")
    return number, refusal.status, 0, refusal.pack()


class _HostEnd(Frames):
    def __init__(self, host: Receiver, token: bytes, sessions: set["_HostEnd"]) -> None:
        super().__init__()
        self._host = host
        self._token = token
        self._sessions = sessions
        self._trusted = False
        self._session = HostSession(lambda items: self.write_packed(_pack_items(items)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)
        # Actors that its peer watched still have news for it.
        self.transport = None

    def frame(self, packed: bytes) -> None:
        content = unpack_batch(packed)
        if self._trusted:
            self._session.take(self._host, content)
        elif isinstance(content, bytes) and hmac.compare_digest(content, self._token):
            self._trusted = True
        else:
            _log.warning("link_refused")
            self.abort()


class LinkServer:
    """Listens for links of routers: on a unix socket, and on TCP when other nodes must reach it."""

    def __init__(self, host: Receiver, token: bytes) -> None:
        self.host = host
        self.token = token
        self._servers: list[asyncio.AbstractServer] = []
        self._sessions: set[_HostEnd] = set()

    async def open(self, path: str, tcp_host: str = "") -> str:
        """Listen; returns the endpoint for the directory: `unix:path` or `unix:path|tcp:host:port`."""
        loop = asyncio.get_running_loop()
        Path(path).unlink(missing_ok=True)
        self._servers.append(await loop.create_unix_server(self._end, path))
        Path(path).chmod(0o600)
        endpoint = f"unix:{path}"
        if tcp_host:
            server = await loop.create_server(self._end, tcp_host, 0)
            self._servers.append(server)
            endpoint += f"|tcp:{tcp_host}:{server.sockets[0].getsockname()[1]}"
        return endpoint

    def _end(self) -> _HostEnd:
        return _HostEnd(self.host, self.token, self._sessions)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for session in list(self._sessions):
            session.abort()


class _Window:
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


class DirectLink(Frames):
    """A socket to a host: a unix socket on the same node, TCP otherwise. Its end is the fastest news of a death."""

    def __init__(self, route: Route, router: Router, token: bytes, node: str) -> None:
        super().__init__()
        self.route = route
        self._router = router
        self._token = token
        self._node = node
        self._window = _Window(router, self.write)
        self._broken = False
        self._connecting = asyncio.ensure_future(self._connect())

    def send(self, waiting: Waiting) -> bool:
        return self._window.send(waiting)

    def expire(self, now: float) -> list[Waiting]:
        return self._window.expire(now)

    def silent_s(self, now: float) -> float:
        return self._window.silent_s(now)

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        return self._window.withdraw(gone)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        endpoints = dict(part.split(":", 1) for part in self.route.endpoint.split("|"))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if self.route.node == self._node and "unix" in endpoints:
                    await loop.create_unix_connection(lambda: self, endpoints["unix"])
                else:
                    host, _, port = endpoints["tcp"].rpartition(":")
                    await loop.create_connection(lambda: self, host, int(port))
        except (OSError, TimeoutError, KeyError) as error:
            _log.warning("link_not_connected", host=self.route.name, reason=type(error).__name__)
            self._break()
            return
        self.write(self._token)
        self._window.ready = True
        self._window.schedule()

    def frame(self, packed: bytes) -> None:
        self._window.take(unpack(packed))

    def connection_lost(self, exc: Exception | None) -> None:
        self._break()

    def _break(self) -> None:
        if not self._broken:
            self._broken = True
            self._router.broken(self.route.run, self, self._window.unanswered())

    async def close(self) -> None:
        self._connecting.cancel()
        self.abort()


class RayLink:
    """A link of actor calls, for networks that allow nothing else. `exchange` carries frames to the host's process and
    brings back what it has to say, waiting a moment if that is nothing."""

    def __init__(self, route: Route, router: Router, exchange: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        self.route = route
        self._router = router
        self._exchange = exchange
        self._window = _Window(router, self._write)
        self._name = f"{os.getpid()}:{id(self)}:{time.monotonic_ns()}"
        self._outgoing: deque[bytes] = deque()
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
        return _pack_items(taken)

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


class LocalLink:
    """A link within one process: from a host's router to the host itself, and in tests."""

    def __init__(self, route: Route, router: Router, host: Receiver) -> None:
        self.route = route
        self._router = router
        self._host = host
        self._window = _Window(router, self._write)
        self._session = HostSession(self._window.take)
        self._window.ready = True

    def _write(self, batch: list[Any]) -> None:
        self._host.receive(self._session, batch)
        self._session.ack()

    def send(self, waiting: Waiting) -> bool:
        return self._window.send(waiting)

    def expire(self, now: float) -> list[Waiting]:
        return self._window.expire(now)

    def silent_s(self, now: float) -> float:
        return self._window.silent_s(now)

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        return self._window.withdraw(gone)

    async def close(self) -> None:
        for waiting in self._window.unanswered():
            self._router.answered(waiting, Reply(503, 0, {"code": "UNAVAILABLE", "message": "Closed.", "details": {}}))

"""Links between routers and hosts: batches of requests one way, replies and news the other. Three kinds, one contract.

A frame is a length (4 bytes, little-endian) and msgpack. From the router: the hello with the cluster's token, then
batches `[[number, request], ...]`. From the host: lists of items, in order: `[number, status, version, data]` for a
reply, `[NEWS, kind, key, version, last]`, and `[ACK]` for a batch that was taken in.
"""

import asyncio
import contextlib
import hmac
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from actors.runtime.directory import Route
from actors.runtime.router import Router, Waiting
from actors.runtime.sessions import HostSession, Receiver, pack_items, unpack_batch
from actors.runtime.window import Window
from schemas.messages import Reply, Request, pack, unpack

_log = structlog.get_logger("links")

FRAME_BYTES_MAX = 64 * 1024 * 1024
UNREAD_BYTES_MAX = 4 * FRAME_BYTES_MAX
"""What may wait for a peer that does not read; beyond it the link is cut."""
CONNECT_TIMEOUT_S = 1.0
_LENGTH = struct.Struct("<I")


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


class _HostEnd(Frames):
    def __init__(self, host: Receiver, token: bytes, sessions: set["_HostEnd"]) -> None:
        super().__init__()
        self._host = host
        self._token = token
        self._sessions = sessions
        self._trusted = False
        self._session = HostSession(lambda items: self.write_packed(pack_items(items)))

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


class DirectLink(Frames):
    """A socket to a host: a unix socket on the same node, TCP otherwise. Its end is the fastest news of a death."""

    def __init__(self, route: Route, router: Router, token: bytes, node: str) -> None:
        super().__init__()
        self.route = route
        self._router = router
        self._token = token
        self._node = node
        self._window = Window(router, self.write)
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


class LocalLink:
    """A link within one process: from a host's router to the host itself, and in tests."""

    def __init__(self, route: Route, router: Router, host: Receiver) -> None:
        self.route = route
        self._router = router
        self._host = host
        self._window = Window(router, self._write)
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

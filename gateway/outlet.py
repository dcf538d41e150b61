"""The way out to one client: frames are gathered and written together; what a slow client does not read is bounded."""

import asyncio
import os
import time
from collections.abc import Callable

from gateway.limits import FRAME_BYTES_QUEUED_MAX, FRAMES_QUEUED_MAX, STALLED_S_MAX

TRANSPORT_BYTES_MAX = 64 * 1024
"""What may wait in the transport before frames wait here."""
LOOK_AGAIN_S = 0.02


class Outlet:
    """Writes frames to a transport, all that became ready in one round of the event loop with one call.

    While the client does not read, frames wait here: of a topic that conflates only the latest, and of all together
    a bounded number. When there are too many, or nothing moves for too long, `on_stalled` is called, once.
    """

    __slots__ = (
        "_conflating",
        "_file",
        "_frames",
        "_frames_bytes",
        "_loop",
        "_scheduled",
        "_stalled_since",
        "closed",
        "conflated",
        "on_stalled",
        "sent",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport, on_stalled: Callable[[], None]) -> None:
        self.on_stalled = on_stalled
        self.closed = False
        self.sent = 0
        self.conflated = 0
        self.transport = transport
        plain = transport.get_extra_info("sslcontext") is None
        socket = transport.get_extra_info("socket") if plain else None
        self._file = socket.fileno() if socket is not None else -1
        """The connection's descriptor while the transport is not closing; -1 when bytes must not go around it."""
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._frames_bytes = 0
        self._conflating: dict[str, int] = {}
        self._scheduled = False
        self._stalled_since: float | None = None

    def put(self, frame: bytes, conflate: str = "") -> None:
        """Have the frame written soon. A frame that names what it `conflate`s replaces an unwritten one of the name."""
        if self.closed:
            return
        if conflate:
            index = self._conflating.get(conflate)
            if index is not None:
                self._frames_bytes += len(frame) - len(self._frames[index])
                self._frames[index] = frame
                self.conflated += 1
                return
            self._conflating[conflate] = len(self._frames)
        self._frames.append(frame)
        self._frames_bytes += len(frame)
        if self._stalled_since is not None and (
            len(self._frames) > FRAMES_QUEUED_MAX or self._frames_bytes > FRAME_BYTES_QUEUED_MAX
        ):
            self._stalled()
        elif self._frames_bytes > TRANSPORT_BYTES_MAX and self._stalled_since is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def push(self, frame: bytes, conflate: str) -> None:
        """As `put`, but written at once where nothing waits: one frame to a thousand sockets needs no second round, and
        a system call each is all that it costs."""
        transport = self.transport
        if self._frames or self.closed or transport.is_closing() or transport.get_write_buffer_size():
            self.put(frame, conflate)
            return
        self.sent += 1
        self._write(frame)

    def _write(self, data: bytes) -> None:
        """Hand bytes to the connection, whose transport has nothing waiting and is not closing: by one system call."""
        written = 0
        if self._file >= 0:
            try:
                written = os.write(self._file, data)
            except OSError:
                # Full, or broken: the transport waits for room, or ends the connection.
                written = 0
        if written < len(data):
            self.transport.write(data[written:])

    def flush(self) -> None:
        """Write what waits, if the transport takes it."""
        self._scheduled = False
        if self.closed or not self._frames:
            return
        if self.transport.is_closing():
            self.close()
            return
        waiting = self.transport.get_write_buffer_size()
        if waiting > TRANSPORT_BYTES_MAX:
            now = time.monotonic()
            if self._stalled_since is None:
                self._stalled_since = now
            elif now - self._stalled_since > STALLED_S_MAX:
                self._stalled()
                return
            self._scheduled = True
            self._loop.call_later(LOOK_AGAIN_S, self.flush)
            return
        self._stalled_since = None
        self.sent += len(self._frames)
        (self.transport.write if waiting else self._write)(b"".join(self._frames))
        self._frames.clear()
        self._frames_bytes = 0
        self._conflating.clear()

    def close(self) -> None:
        """Write nothing any more."""
        self.closed = True
        self._frames.clear()
        self._conflating.clear()

    def _stalled(self) -> None:
        self.close()
        self.on_stalled()

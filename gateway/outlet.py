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
    a bounded number. When there are too many, or the client takes nothing for too long although something waits and
    more comes, `on_stalled` is called, once.
    """

    __slots__ = (
        "_conflating",
        "_file",
        "_frames",
        "_frames_bytes",
        "_given",
        "_loop",
        "_moved",
        "_moved_at",
        "_scheduled",
        "_waits",
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
        self._waits = False
        """Whether the transport has as much as it may, so that frames wait here."""
        self._given = 0
        """Bytes that the transport was handed because the connection did not take them."""
        self._moved: int | None = None
        """While something waits in the transport: how many of them had left it when some last did."""
        self._moved_at = 0.0

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
        if self._waits and (len(self._frames) > FRAMES_QUEUED_MAX or self._frames_bytes > FRAME_BYTES_QUEUED_MAX):
            self._stalled()
        elif self._frames_bytes > TRANSPORT_BYTES_MAX and not self._waits:
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
            self._hand_over(data[written:])

    def _hand_over(self, data: bytes) -> None:
        self._given += len(data)
        self.transport.write(data)

    def flush(self) -> None:
        """Write what waits, if the transport takes it."""
        self._scheduled = False
        if self.closed or not self._frames:
            return
        if self.transport.is_closing():
            self.close()
            return
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._moved = None
        elif self._stands_still(waiting):
            self._stalled()
            return
        self._waits = waiting > TRANSPORT_BYTES_MAX
        if self._waits:
            self._scheduled = True
            self._loop.call_later(LOOK_AGAIN_S, self.flush)
            return
        self.sent += len(self._frames)
        (self._hand_over if waiting else self._write)(b"".join(self._frames))
        self._frames.clear()
        self._frames_bytes = 0
        self._conflating.clear()

    def _stands_still(self, waiting: int) -> bool:
        """Whether the client has taken nothing for too long, of the bytes that wait in the transport."""
        moved, now = self._given - waiting, time.monotonic()
        if self._moved is None or moved > self._moved:
            self._moved, self._moved_at = moved, now
        return now - self._moved_at > STALLED_S_MAX

    def close(self) -> None:
        """Write nothing any more."""
        self.closed = True
        self._frames.clear()
        self._conflating.clear()

    def _stalled(self) -> None:
        self.close()
        self.on_stalled()

"""One client's WebSocket: who it is, what it asked, what it listens to, and how it ends."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway import errors, forms
from gateway.identity import Identity
from gateway.limits import FRAME_RATE, Bucket
from gateway.outlet import Outlet
from schemas import frames
from schemas.limits import OUTSTANDING_COMMANDS_MAX
from schemas.messages import Caller
from schemas.problems import Refusal

if TYPE_CHECKING:
    from gateway.topics import Listener

CLOSE_WITHIN_S = 2.0
FrameId = str | int | None


class Socket:
    """What the gateway knows of one connection."""

    __slots__ = (
        "active_at",
        "address",
        "auto_topic",
        "bucket",
        "caller",
        "closing",
        "ended_with",
        "expiry_warned",
        "form",
        "id",
        "identity",
        "listeners",
        "opened_at",
        "outlet",
        "outstanding",
        "ping_at",
        "reason",
        "seen_at",
        "undecodable",
        "ws",
    )

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport, id_: str, address: str) -> None:
        now = time.monotonic()
        self.ws = ws
        self.id = id_
        self.address = address
        self.outlet = Outlet(transport, self._stalled)
        self.form = forms.JSON
        self.identity: Identity | None = None
        self.caller = Caller()
        self.bucket = Bucket(FRAME_RATE, now)
        self.opened_at = now
        self.seen_at = now
        self.active_at = now
        """When the client last sent a frame that was more than a sign of life."""
        self.ping_at = 0.0
        self.outstanding = 0
        self.undecodable = 0
        self.expiry_warned = False
        self.auto_topic = ""
        self.listeners: dict[str, Listener] = {}
        self.closing: asyncio.Task[bool] | None = None
        self.ended_with = 0
        """The code with which the gateway ended it, if it did."""
        self.reason = ""
        """Why the gateway ended it, if it did."""

    def __repr__(self) -> str:
        return f"Socket({self.id}, {self.caller.user or 'nobody'})"

    def send(self, frame: dict[str, Any]) -> None:
        """Answer in the form that the client last used."""
        self.outlet.put(forms.encoded(self.form, frame))

    def refuse(self, id_: FrameId, refusal: Refusal, *, request_id: str = "", topic: str | None = None) -> None:
        """Answer the frame of this id with the refusal."""
        problem = errors.problem_of(refusal, request_id or errors.new_request_id())
        self.send(frames.error(id_, refusal.status, problem, topic))

    def over_limit(self) -> Refusal | None:
        """What the next command meets when too many are unanswered."""
        if self.outstanding < OUTSTANDING_COMMANDS_MAX:
            return None
        return Refusal("TOO_MANY_OUTSTANDING", f"At most {OUTSTANDING_COMMANDS_MAX} may be unanswered.")

    def end(self, code: int, reason: str = "") -> None:
        """Write what waits, then close with this code; the transport is cut when the client does not answer."""
        if self.closing is not None:
            return
        self.ended_with = code
        self.reason = f"{code} {reason}"
        self.outlet.flush()
        self.outlet.close()
        self.closing = asyncio.create_task(self._close(code, reason), name=f"close {self.id}")

    async def _close(self, code: int, reason: str) -> bool:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                return await self.ws.close(code=code, message=reason.encode()[:120])
        except (TimeoutError, ConnectionError, RuntimeError):
            return False
        finally:
            transport = self.outlet.transport
            # One that is closing, with bytes left for somebody who does not read, would stay until its kernel gives up.
            if not transport.is_closing() or transport.get_write_buffer_size():
                transport.abort()

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.outlet.transport if not self.outlet.transport.is_closing() else None

    def _stalled(self) -> None:
        self.end(frames.SLOW, "slow_consumer")

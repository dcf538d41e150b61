"""The WebSocket: sockets come and say who they are; a loop for each reads its frames, until it ends."""

import asyncio
import itertools
import os
import random
import time
from typing import cast

from aiohttp import WSMsgType, web

from actors.times import rfc3339
from gateway import decode, forms
from gateway.cache import Cache
from gateway.calls import Calls
from gateway.handshake import SUBPROTOCOLS, now_text, offered, tune, welcome_of
from gateway.hub import Hub
from gateway.identity import Access, address_of, allowed_origin, caller_of, identified, paced
from gateway.limits import (
    EXPIRY_WARNING_S,
    PING_EVERY_S,
    PONG_WITHIN_S,
    SOCKETS_MAX,
    UNDECODABLE_FRAME_COST,
    UNDECODABLE_FRAMES_MAX,
)
from gateway.logs import access_log
from gateway.metrics import GatewayMetrics
from gateway.presence import Presence
from gateway.presence_watch import PresenceWatch
from gateway.socket import FrameId, Socket
from gateway.table import API
from gateway.ws_answers import SocketAnswers
from schemas import frames, limits
from schemas.problems import Refusal

BOARD_PATH, BOARD_TOPIC = f"{API}/ws/leaderboard", "leaderboard:main"
RECONNECT_SPREAD_S = 5.0
VANISHED = 1006
"""Sent by nobody: what a connection counts as that ended without a close frame."""

_BY_TYPE = frames.CLIENT_FRAMES
_FIRST = (frames.AuthFrame, frames.SubscribeFrame, frames.PongFrame)
"""What somebody may send who has not said who it is."""


class Sockets:
    """All WebSockets of this gateway."""

    def __init__(
        self,
        access: Access,
        calls: Calls,
        cache: Cache,
        hub: Hub,
        presence: Presence,
        watch: PresenceWatch,
        metrics: GatewayMetrics,
    ) -> None:
        self._access = access
        self._answers = SocketAnswers(calls, cache, hub, watch, metrics)
        self._presence = presence
        self._metrics = metrics
        self.received = 0
        """Frames since the start."""
        self._open: set[Socket] = set()
        self._unauthenticated = 0
        self._draining = False
        self._ids = (f"{os.urandom(6).hex()}-{number}" for number in itertools.count(1))

    def __len__(self) -> int:
        return len(self._open)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"{API}/ws", self.serve), web.get(BOARD_PATH, self.serve)]

    # The life of a socket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/v1/ws`, upgraded"""
        if not allowed_origin(request):
            raise Refusal("FORBIDDEN", "Pages of this origin may not connect.")
        paced(request)
        if self._draining or len(self._open) >= SOCKETS_MAX:
            raise Refusal("OVERLOADED", "This gateway takes no more connections.", retry_after_s=1)
        if self._unauthenticated >= limits.UNAUTHENTICATED_SOCKETS_MAX:
            raise Refusal("OVERLOADED", "Too many connections are not authenticated yet.", retry_after_s=1)
        header, protocols = offered(request)
        ws = web.WebSocketResponse(
            protocols=protocols,
            max_msg_size=limits.FRAME_BYTES_MAX + 1,
            compress=False,
            autoping=False,
            timeout=2.0,
        )
        await ws.prepare(request)
        transport = cast(asyncio.Transport, request.transport)
        tune(transport)
        socket = Socket(ws, transport, next(self._ids), address_of(request))
        if ws.ws_protocol == SUBPROTOCOLS[1]:
            socket.form = forms.MSGPACK
        socket.auto_topic = BOARD_TOPIC if request.path == BOARD_PATH else ""
        self._open.add(socket)
        self._unauthenticated += 1
        try:
            if header is None or await self._authenticated(socket, None, header, welcome=True):
                await self._read(socket)
        finally:
            await self._ended(socket)
        return ws

    async def _ended(self, socket: Socket) -> None:
        self._open.discard(socket)
        if socket.identity is None:
            self._unauthenticated -= 1
        self._answers.leave(socket)
        self._presence.leave(socket)
        socket.outlet.flush()
        socket.outlet.close()
        self._metrics.frames_out.inc(socket.outlet.sent)
        self._metrics.conflated.inc(socket.outlet.conflated)
        if socket.closing is not None:
            await asyncio.gather(socket.closing, return_exceptions=True)
        # A client that does not read never answers a close, and would count as one that just vanished.
        code = socket.ended_with or socket.ws.close_code or VANISHED
        self._metrics.closes.labels(str(code)).inc()
        access_log.info(
            "socket_closed",
            user=socket.caller.user,
            address=socket.address,
            code=code,
            reason=socket.reason,
            seconds=round(time.monotonic() - socket.opened_at, 3),
        )

    async def _read(self, socket: Socket) -> None:
        receive = socket.ws.receive
        while True:
            message = await receive()
            kind = message.type
            socket.seen_at = now = time.monotonic()
            if kind is WSMsgType.TEXT:
                socket.form = forms.JSON
            elif kind is WSMsgType.BINARY:
                socket.form = forms.MSGPACK
            elif kind is WSMsgType.PING:
                if not socket.bucket.take(now):
                    socket.outlet.put(forms.framed(forms.PONG, bytes(message.data)), "pong")
                continue
            elif kind is WSMsgType.PONG:
                continue
            else:
                return
            self.received += 1
            if socket.closing is not None:
                continue
            wait_s = socket.bucket.take(now)
            if not wait_s:
                await self._frame(socket, message.data, now)
                continue
            await self._frame(socket, message.data, now, Refusal("RATE_LIMITED", "Too many frames.", retry_after_s=1))
            await asyncio.sleep(wait_s)

    # Frames

    async def _frame(self, socket: Socket, data: str | bytes, now: float, over: Refusal | None = None) -> None:
        """Understand one frame and begin what it asks for. One that is too many meets the refusal `over`, unless it
        meets one that comes before it."""
        id_: FrameId = None
        try:
            value = decode.json_value(data) if socket.form == forms.JSON else decode.msgpack_value(cast(bytes, data))
            if type(value) is not dict:
                raise Refusal("INVALID", "A frame should be an object with a `type`.")
            given = value.get("id")
            if type(given) in (str, int):
                id_ = given
            type_ = value.get("type")
            shape = _BY_TYPE.get(type_) if type(type_) is str else None
            if shape is None:
                raise Refusal("INVALID", f"type: should be one of {', '.join(_BY_TYPE)}.")
            if socket.identity is None and shape not in _FIRST:
                self._stranger(socket, id_)
                return
            frame = decode.shaped_frame(shape, value)
        except Refusal as refusal:
            if over is not None:
                self._answers.refuse(socket, id_, over)
            else:
                self._undecodable(socket, decode.id_of(data) if id_ is None else id_, refusal)
            return
        socket.undecodable = 0
        if type_ not in ("ping", "pong", "presence"):
            self._presence.active(socket, now)
        try:
            if socket.identity is None and type_ != "pong":
                await self._first(socket, frame)
            elif type_ == "command" or type_ == "query":
                self._answers.call(socket, cast(frames.CommandFrame | frames.QueryFrame, frame), now, over)
            else:
                await self._other(socket, frame, over)
        except Refusal as refusal:
            self._answers.refuse(socket, id_, self._told(socket, refusal))

    @staticmethod
    def _told(socket: Socket, refusal: Refusal) -> Refusal:
        """What is refused for want of a role that cannot be confirmed now, or just was, may be asked again, and says
        so."""
        identity = socket.identity
        if refusal.code != "FORBIDDEN" or identity is None:
            return refusal
        if tuple(identity.roles) != socket.caller.roles:
            socket.caller = caller_of(identity)
        elif not identity.in_doubt:
            return refusal
        return Refusal("UNAVAILABLE", "Privileges cannot be confirmed at the moment.", retry_after_s=1)

    def _undecodable(self, socket: Socket, id_: FrameId, refusal: Refusal) -> None:
        socket.bucket.take(time.monotonic(), UNDECODABLE_FRAME_COST)
        socket.undecodable += 1
        self._answers.refuse(socket, id_, refusal)
        if socket.identity is None:
            socket.end(frames.POLICY, "not authenticated")
        elif socket.undecodable >= UNDECODABLE_FRAMES_MAX:
            socket.end(frames.MISREAD, "frames that cannot be decoded")

    async def _other(self, socket: Socket, frame: frames.ClientFrame, over: Refusal | None) -> None:
        if isinstance(frame, frames.AuthFrame):
            await self._authenticated(socket, frame.id, frame.auth, welcome=over is None)
            if over is not None:
                raise over
        elif isinstance(frame, frames.SubscribeFrame):
            if frame.auth is None or await self._authenticated(socket, frame.id, frame.auth, welcome=False):
                self._answers.subscribe(socket, frame, over)
        elif over is not None:
            raise over
        elif isinstance(frame, frames.UnsubscribeFrame):
            self._answers.unsubscribe(socket, frame.topic)
            socket.send(frames.answer(frame.id, "unsubscribed", topic=frame.topic))
        elif isinstance(frame, frames.PingFrame):
            socket.send({**frames.answer(frame.id, "pong"), "timestamp": frame.timestamp or now_text()})
        elif isinstance(frame, frames.PresenceFrame):
            self._presence.say(socket, away=frame.status == "away")
            socket.send(frames.answer(frame.id, "presence", {"status": frame.status}))

    # Who it is

    async def _first(self, socket: Socket, frame: frames.ClientFrame) -> None:
        """The first frame says who the client is, or the socket ends."""
        if isinstance(frame, frames.AuthFrame):
            await self._authenticated(socket, frame.id, frame.auth, welcome=True)
        elif isinstance(frame, frames.SubscribeFrame) and frame.auth is not None:
            if await self._authenticated(socket, frame.id, frame.auth, welcome=False):
                self._answers.subscribe(socket, frame)
        else:
            self._stranger(socket, frame.id)

    def _stranger(self, socket: Socket, id_: FrameId) -> None:
        self._answers.refuse(socket, id_, Refusal("UNAUTHENTICATED", "The first frame should be `auth`."))
        socket.end(frames.POLICY, "not authenticated")

    async def _authenticated(self, socket: Socket, id_: FrameId, header: str, *, welcome: bool) -> bool:
        """Accept the token, or refuse it and end the socket."""
        try:
            identity = await identified(self._access, header)
            if socket.identity is not None and identity.user_id != socket.caller.user:
                raise Refusal("FORBIDDEN", "This connection belongs to another user.")
        except Refusal as refusal:
            self._answers.refuse(socket, id_, refusal)
            if refusal.status != 503:
                barred = refusal.code in ("BANNED", "SUSPENDED")
                socket.end(frames.BARRED if barred else frames.POLICY, refusal.code.lower())
            elif socket.identity is None:
                socket.end(frames.TRY_LATER, "authentication is not available")
            return False
        first = socket.identity is None
        if first:
            user = identity.user_id
            if not await self._presence.admit(socket, user):
                self._answers.refuse(socket, id_, Refusal("too_many_connections", status=429))
                socket.end(frames.CROWDED, "too_many_connections")
                return False
            if socket.closing is not None or socket not in self._open:
                return False
            self._unauthenticated -= 1
            socket.caller = caller_of(identity)
            socket.identity = identity
            socket.ping_at = time.monotonic() + random.uniform(0.5, 1.0) * PING_EVERY_S
            self._presence.enter(socket)
        socket.identity = identity
        socket.caller = caller_of(identity)
        socket.expiry_warned = False
        if welcome:
            socket.send(frames.answer(id_, "welcome", welcome_of(identity.user_id)))
            if first and socket.auto_topic:
                self._answers.subscribe(socket, frames.SubscribeFrame(type="subscribe", topic=socket.auto_topic))
        return True

    # Time

    async def run_forever(self) -> None:
        """Once a second: first frames, pings and pongs, tokens that expire."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            now_ms = time.time() * 1000
            self._metrics.sockets.set(len(self._open))
            for socket in tuple(self._open):
                if socket.closing is None:
                    self._look_at(socket, now, now_ms)

    def _look_at(self, socket: Socket, now: float, now_ms: float) -> None:
        identity = socket.identity
        if identity is None:
            if now - socket.opened_at > limits.FIRST_FRAME_WITHIN_S:
                self._answers.refuse(socket, None, Refusal("UNAUTHENTICATED", "No `auth` frame came in time."))
                socket.end(frames.POLICY, "not authenticated in time")
            return
        self._presence.look(socket, now)
        if now - socket.seen_at > PONG_WITHIN_S + PING_EVERY_S / 2:
            socket.end(frames.SILENT, "no pong")
        elif now >= socket.ping_at:
            socket.ping_at = now + PING_EVERY_S
            socket.send({"type": "ping", "timestamp": now_text()})
        if tuple(identity.roles) != socket.caller.roles:
            socket.caller = caller_of(identity)
        left_s = (identity.expires_at - now_ms) / 1000
        if left_s <= 0:
            self._answers.refuse(socket, None, Refusal("TOKEN_EXPIRED", "The access token expired."))
            socket.end(frames.EXPIRED, "token expired")
        elif left_s <= EXPIRY_WARNING_S and not socket.expiry_warned:
            socket.expiry_warned = True
            data = {"expiresAt": rfc3339(int(identity.expires_at)), "expiresInS": int(left_s)}
            socket.send(frames.answer(None, "auth.expiring", data))

    def revoked(self, user_id: str, session_id: str | None, code: int) -> None:
        """End the user's sockets, or those of one session."""
        for socket in self._presence.here(user_id):
            if session_id is None or (socket.identity is not None and socket.identity.session_id == session_id):
                barred = code == frames.BARRED
                refusal = Refusal("BANNED") if barred else Refusal("UNAUTHENTICATED", "The session was ended.")
                self._answers.refuse(socket, None, refusal)
                socket.end(code, "revoked")

    async def close(self, grace_s: float) -> None:
        """Tell clients when to come back, finish what is in flight, and close."""
        self._draining = True
        began = time.monotonic()
        for socket in self._open:
            data = {"reason": "restart", "reconnectAfterS": round(random.uniform(0.2, RECONNECT_SPREAD_S), 2)}
            socket.send(frames.answer(None, "disconnect", data))
        while time.monotonic() - began < grace_s and any(socket.outstanding for socket in self._open):
            await asyncio.sleep(0.02)
        closing = tuple(self._open)
        for socket in closing:
            socket.end(frames.RESTART, "restart")
        await asyncio.gather(*(socket.closing for socket in closing if socket.closing), return_exceptions=True)
        await self._answers.close()

"""What sockets ask of actors and topics, and the answers, which are written when they are ready."""

import asyncio
import functools
import time
from typing import cast

from prometheus_client import Histogram

from actors.core import Gather
from gateway import decode, errors, forms
from gateway.cache import Cache
from gateway.calls import Calls, Found, refusal_of
from gateway.hub import Hub
from gateway.logs import error_log
from gateway.metrics import GatewayMetrics
from gateway.presence_watch import PRESENCE_TOPIC, PresenceWatch
from gateway.socket import FrameId, Socket
from gateway.tasks import Tasks
from gateway.topics import Listener
from schemas import frames
from schemas.messages import COMMAND, QUERY, Reply
from schemas.problems import Refusal


class SocketAnswers:
    """Answers the sockets of this gateway. What a socket waits for is counted at it as outstanding."""

    def __init__(self, calls: Calls, cache: Cache, hub: Hub, watch: PresenceWatch, metrics: GatewayMetrics) -> None:
        self._calls = calls
        self._cache = cache
        self._hub = hub
        self._watch = watch
        self._metrics = metrics
        self._seconds: dict[Found, Histogram] = {}
        self._tasks = Tasks()

    def refuse(self, socket: Socket, id_: FrameId, refusal: Refusal, topic: str | None = None) -> None:
        """Answer the frame of this id with the refusal; counted, and logged when the server is to blame."""
        self._metrics.refusals.labels(refusal.code, "ws").inc()
        request_id = errors.new_request_id()
        if refusal.status >= 500:
            error_log.error("refused", code=refusal.code, request_id=request_id, user=socket.caller.user)
        socket.refuse(id_, refusal, request_id=request_id, topic=topic)

    # Commands and queries

    def call(
        self, socket: Socket, frame: frames.CommandFrame | frames.QueryFrame, now: float, over: Refusal | None
    ) -> None:
        """Begin what the frame asks for; raises Refusal, which is `over` where too much was asked."""
        over = over or socket.over_limit()
        calls = self._calls
        caller = socket.caller
        if type(frame) is frames.CommandFrame:
            found = calls.find(COMMAND, frame.kind, frame.name)
            address = calls.admit(found, frame.kind, frame.key, caller, came_from=socket.address, over=over)
            fields = decode.shaped(found.message, frame.data)
            op = calls.ops.of(caller, frame.op, address)
        else:
            found = calls.find(QUERY, frame.kind, frame.name)
            address = calls.admit(found, frame.kind, frame.key, caller, over=over)
            fields = decode.shaped(found.message, frame.data)
            op = ""
        socket.outstanding += 1
        if found.gathers:
            asyncio.get_running_loop().call_soon(
                self._gather, socket, frame.id, address.kind, address.key, cast(Gather, fields)
            )
            return
        replied = calls.ask(found, address, fields, caller, op, "")
        replied.add_done_callback(functools.partial(self._replied, socket, frame.id, frame.kind, found, now))

    def _replied(
        self, socket: Socket, id_: FrameId, kind: str, found: Found, began: float, replied: "asyncio.Future[Reply]"
    ) -> None:
        socket.outstanding -= 1
        reply = replied.result()
        if reply.status == 200:
            socket.send(frames.reply(id_, reply.version, reply.data))
        else:
            self.refuse(socket, id_, refusal_of(reply))
        seconds = self._seconds.get(found)
        if seconds is None:
            seconds = self._seconds[found] = self._metrics.frame_seconds.labels(kind, found.name)
        seconds.observe(time.monotonic() - began)

    def _gather(self, socket: Socket, id_: FrameId, kind: str, key: str, gather: Gather) -> None:
        """Answer from memory at once, or begin to ask."""
        kept = self._cache.kept(kind, key, gather)
        if kept is None:
            self._tasks.spawn(self._gathered(socket, id_, kind, key, gather), f"gather {gather.wire_name}")
            return
        socket.outstanding -= 1
        meta = frames.reply(id_, kept.version, None)["meta"]
        socket.outlet.put(forms.reply(socket.form, meta, kept.encoded(socket.form)))

    async def _gathered(self, socket: Socket, id_: FrameId, kind: str, key: str, gather: Gather) -> None:
        try:
            answer = await self._cache.answer(kind, key, gather, socket.caller)
            socket.send(frames.reply(id_, answer.version, answer.data))
        except Refusal as refusal:
            self.refuse(socket, id_, refusal)
        finally:
            socket.outstanding -= 1

    # Topics

    def subscribe(self, socket: Socket, frame: frames.SubscribeFrame, over: Refusal | None = None) -> None:
        """Begin to listen to a topic, or to who of its user's friends is there; may raise the Refusal `over`."""
        topic = frame.topic or socket.auto_topic
        over = over or socket.over_limit()
        if topic == PRESENCE_TOPIC:
            if over is not None:
                raise over
            socket.outstanding += 1
            self._tasks.spawn(self._watched(socket, frame.id), "watch")
            return
        try:
            listener = self._hub.listen(socket, topic, over)
        except Refusal as refusal:
            self.refuse(socket, frame.id, refusal, topic)
            return
        socket.outstanding += 1
        self._tasks.spawn(self._subscribed(listener, frame.id, frame.after), "subscribe")

    async def _watched(self, socket: Socket, id_: FrameId) -> None:
        try:
            await self._watch.subscribe(socket, id_)
        except Refusal as refusal:
            self.refuse(socket, id_, refusal, PRESENCE_TOPIC)
        finally:
            socket.outstanding -= 1

    async def _subscribed(self, listener: Listener, id_: FrameId, after: int | None) -> None:
        socket = listener.socket
        try:
            await self._hub.answer(listener, id_, after)
        except Refusal as refusal:
            self.refuse(socket, id_, refusal, listener.name)
        finally:
            socket.outstanding -= 1

    def unsubscribe(self, socket: Socket, topic: str) -> None:
        """Tell it no more of this topic."""
        if topic == PRESENCE_TOPIC:
            self._watch.leave(socket)
        else:
            self._hub.unsubscribe(socket, topic)

    def leave(self, socket: Socket) -> None:
        """The socket has ended."""
        self._hub.leave(socket)
        self._watch.leave(socket)

    async def close(self) -> None:
        await self._tasks.close()

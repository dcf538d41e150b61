"""A WebSocket that outlives its sockets: many questions outstanding, topics resumed, nothing asked twice."""

import asyncio
import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from greenroom_client.backoff import Backoff
from greenroom_client.errors import (
    ConnectionLost,
    DeadlinePassed,
    Forbidden,
    GreenroomError,
    Invalid,
    RateLimited,
    Unauthenticated,
    error_from,
)
from greenroom_client.frames import Form, Frame, pack, send, unpack
from greenroom_client.game import Game
from greenroom_client.game.presence import PresenceWatch
from greenroom_client.ids import new_op
from greenroom_client.models import Json, Reply
from greenroom_client.subscription import Subscription
from greenroom_client.transport import API, Transport

_REAUTH_BEFORE_EXPIRY_S = 25.0
_SETTLED_AFTER_S = 5.0
_FRAME_BYTES_MAX = 16 << 20
_FRAMES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

_TOO_MANY_CONNECTIONS = "too_many_connections"

# After these the same connection attempt would end the same way; after any other code a new socket may do better.
_FATAL_CLOSES: dict[int, tuple[type[GreenroomError], str]] = {
    1002: (Invalid, "protocol_violated"),
    1003: (Invalid, "frame_not_supported"),
    1007: (Invalid, "frame_not_decodable"),
    1008: (Unauthenticated, "token_not_accepted"),
    1009: (Invalid, "frame_too_large"),
    4403: (Forbidden, "banned"),
    4429: (RateLimited, _TOO_MANY_CONNECTIONS),
}


@dataclass(slots=True)
class _Question:
    packed: str | bytes
    answer: asyncio.Future[Frame]
    subscription: Subscription | None = None


class Connection(Game):
    """Commands, queries and topics of one user.

    When the socket breaks it comes back with full jitter, subscribes anew after the last push it saw, and sends what
    was not answered again under the same op ids, in the same order. Each call ends by its deadline at the latest.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        form: Form = Form.JSON,
        deadline_s: float = 10.0,
        outstanding_max: int = 64,
        backoff: Backoff | None = None,
    ) -> None:
        self.form = form
        self.deadline_s = deadline_s
        self.welcome: Json = {}
        self.reconnects = 0
        self._transport = transport
        self._backoff = backoff or Backoff()
        self._slots = asyncio.Semaphore(outstanding_max)
        self._ids = itertools.count(1)
        self._questions: dict[str, _Question] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._outgoing: deque[_Question | str | bytes] = deque()
        self._outgoing_filled = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._opened = asyncio.Event()
        self._ended: GreenroomError | None = None
        self._last_words: GreenroomError | None = None
        self._reconnect_hint_s: float | None = None
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect and authenticate; tries until the deadline, unless the server says no."""
        self._life = asyncio.create_task(self._live())
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._opened.wait()
        except TimeoutError as cause:
            await self.close()
            raise DeadlinePassed(f"no welcome from {self._transport.url} within {self.deadline_s:g} s") from cause
        if self._ended is not None:
            await self.close()
            raise self._ended

    async def close(self) -> None:
        """Close the socket; what is outstanding fails with `ConnectionLost`."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
        if self._ended is None:
            self._end(ConnectionLost("the connection was closed"), gracefully=True)

    async def command(
        self,
        kind: str,
        key: str,
        name: str,
        data: Json | None = None,
        *,
        op: str | None = None,
        deadline_s: float | None = None,
    ) -> Reply:
        """Ask an actor to do something, once for each op id; key `me` is the caller's own player."""
        frame = {"type": "command", "op": op or new_op(), "kind": kind, "key": key, "name": name, "data": data or {}}
        return _reply(await self._ask(frame, deadline_s))

    async def query(
        self, kind: str, key: str, name: str, data: Json | None = None, *, deadline_s: float | None = None
    ) -> Reply:
        """Ask an actor something."""
        frame = {"type": "query", "kind": kind, "key": key, "name": name, "data": data or {}}
        return _reply(await self._ask(frame, deadline_s))

    async def ask(self, frame: Frame) -> Frame:
        """Send a frame of any type, and wait for the one that answers it."""
        return await self._ask(frame, None)

    @property
    def presence(self) -> PresenceWatch:
        """Who is there, as it changes."""
        return PresenceWatch(self)

    async def subscribe(self, topic: str, *, after: int | None = None) -> Subscription:
        """Listen to a topic, from now on or from what came after push number `after`."""
        if topic in self._subscriptions:
            raise ValueError(f"already subscribed to {topic}")
        subscription = self._subscriptions[topic] = Subscription(topic, after)
        try:
            await self._ask(_subscribe_frame(subscription), None, subscription)
        except BaseException:
            self._subscriptions.pop(topic, None)
            raise
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening; readers get what has arrived, then the end."""
        if self._subscriptions.pop(subscription.topic, None) is not None:
            self._post({"type": "unsubscribe", "id": str(next(self._ids)), "topic": subscription.topic})
        subscription.end()

    async def _ask(self, frame: Frame, deadline_s: float | None, subscription: Subscription | None = None) -> Frame:
        op = frame.get("op")
        seconds = self.deadline_s if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(seconds), self._slots:
                return await self._ask_until_answered({**frame, "id": str(next(self._ids))}, subscription)
        except TimeoutError as cause:
            raise DeadlinePassed(f"no answer within {seconds:g} s", op=op) from cause

    async def _ask_until_answered(self, frame: Frame, subscription: Subscription | None) -> Frame:
        packed = pack(self.form, frame)
        for attempt in itertools.count():
            if self._ended is not None:
                raise self._ended
            question = _Question(packed, asyncio.get_running_loop().create_future(), subscription)
            self._questions[frame["id"]] = question
            self._put(question)
            try:
                return _answer(await question.answer, frame.get("op"))
            except GreenroomError as error:
                if not error.worth_repeating or self._ended is not None:
                    raise
                hint_s = error.retry_after_s
            finally:
                self._questions.pop(frame["id"], None)
            await asyncio.sleep(self._backoff.delay_s(attempt, hint_s))
        raise AssertionError("unreachable")

    def _post(self, frame: Frame) -> None:
        self._put(pack(self.form, frame))

    def _put(self, outgoing: _Question | str | bytes) -> None:
        self._outgoing.append(outgoing)
        self._outgoing_filled.set()

    # The life of the connection, socket after socket

    async def _live(self) -> None:
        attempt = 0
        while self._ended is None:
            began = time.monotonic()
            try:
                await self._live_through_one_socket()
            except GreenroomError as error:
                if not error.worth_repeating and (error.status != 429 or error.code == _TOO_MANY_CONNECTIONS):
                    self._end(error)
            if self._ended is None:
                attempt = 0 if time.monotonic() - began > _SETTLED_AFTER_S else attempt + 1
                await asyncio.sleep(self._backoff.delay_s(attempt, self._reconnect_hint_s))
                self._reconnect_hint_s = None

    async def _live_through_one_socket(self) -> None:
        token = await self._transport.access_token()
        try:
            socket = await self._transport.session.ws_connect(
                self._transport.url.replace("http", "ws", 1) + f"{API}/ws",
                heartbeat=20,
                compress=0,
                max_msg_size=_FRAME_BYTES_MAX,
            )
        except aiohttp.WSServerHandshakeError as refusal:
            raise error_from(refusal.status, {"message": refusal.message}) from refusal
        except (aiohttp.ClientError, OSError) as cause:
            raise ConnectionLost(f"no connection to {self._transport.url}: {cause}") from cause
        async with socket:
            await send(socket, pack(self.form, {"type": "auth", "id": "0", "auth": f"Bearer {token}"}))
            self.welcome = await self._welcomed(socket)
            self.reconnects += self._opened.is_set()
            await self._talk(socket)
        if socket.close_code in _FATAL_CLOSES:
            kind, code = _FATAL_CLOSES[socket.close_code]
            self._end(self._last_words or kind(f"the server closed the connection: {socket.close_code}", code=code))
        self._last_words = None

    async def _welcomed(self, socket: aiohttp.ClientWebSocketResponse) -> Json:
        async for message in socket:
            if message.type not in _FRAMES:
                continue
            frame = unpack(message)
            if (frame.get("meta") or {}).get("id") == "0" or frame.get("type") == "error":
                return _answer(frame, None).get("data") or {}
        raise ConnectionLost(f"closed with {socket.close_code} before the welcome")

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        # Whatever has no answer yet goes first, in the order in which it was asked.
        self._outgoing = deque(self._questions.values())
        self._outgoing_filled.set()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._write(socket)), group.create_task(self._stay_authenticated())]
            established = [each for each in self._subscriptions.values() if each.initial is not None]
            tasks += [group.create_task(self._resume(subscription, socket)) for subscription in established]
            self._opened.set()
            await self._read(socket)
            for task in tasks:
                task.cancel()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._outgoing_filled.wait()
            self._outgoing_filled.clear()
            while self._outgoing:
                outgoing = self._outgoing.popleft()
                if isinstance(outgoing, _Question):
                    if outgoing.answer.done():
                        continue
                    outgoing = outgoing.packed
                try:
                    await send(socket, outgoing)
                except (aiohttp.ClientError, ConnectionError):
                    return  # The reader sees the end too; what was not sent is still among the questions.

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type in _FRAMES:
                    self._route(unpack(message))
        except ValueError as cause:
            self._end(Invalid(f"the server sent what is no frame: {cause}", code="frame_not_decodable"))

    async def _stay_authenticated(self) -> None:
        while self._transport.tokens is not None and self._transport.tokens.expires_at_s is not None:
            await asyncio.sleep(max(1.0, self._transport.tokens.expires_at_s - time.time() - _REAUTH_BEFORE_EXPIRY_S))
            try:
                token = await self._transport.access_token()
                await self._ask({"type": "auth", "auth": f"Bearer {token}"}, None)
            except GreenroomError:
                return  # The server closes the socket at the expiry, and the next one tells what is wrong.

    async def _resume(self, subscription: Subscription, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await self._ask(_subscribe_frame(subscription), None, subscription)
        except ConnectionLost:
            await socket.close()
        except GreenroomError as error:
            self._subscriptions.pop(subscription.topic, None)
            subscription.end(error)

    def _route(self, frame: Frame) -> None:
        meta = frame.get("meta") or {}
        question = self._questions.get(str(meta["id"])) if "id" in meta else None
        if question is not None:
            if question.subscription is not None and frame.get("type") != "error":
                question.subscription.answered(frame)
            if not question.answer.done():
                question.answer.set_result(frame)
        elif frame.get("type") == "ping":
            self._post({"type": "pong", "timestamp": frame.get("timestamp")})
        elif frame.get("type") == "disconnect":
            self._reconnect_hint_s = _hint_s(frame)
        elif (subscription := self._subscriptions.get(meta.get("topic", ""))) is not None:
            if frame.get("type") == "error":
                del self._subscriptions[subscription.topic]
                subscription.end(_error(frame, None))
            else:
                subscription.pushed(frame)
        elif frame.get("type") == "error":
            self._last_words = _error(frame, None)

    def _end(self, error: GreenroomError, *, gracefully: bool = False) -> None:
        self._ended = error
        for question in self._questions.values():
            if not question.answer.done():
                question.answer.set_exception(error)
        for subscription in self._subscriptions.values():
            subscription.end(None if gracefully else error)
        self._subscriptions.clear()
        self._opened.set()


def _subscribe_frame(subscription: Subscription) -> Frame:
    after = {} if subscription.seq is None else {"after": subscription.seq}
    return {"type": "subscribe", "topic": subscription.topic, **after}


def _reply(frame: Frame) -> Reply:
    meta = frame.get("meta") or {}
    return Reply.model_construct(data=frame.get("data"), version=meta.get("version"), code=meta.get("code", 200))


def _answer(frame: Frame, op: str | None) -> Frame:
    if frame.get("type") == "error":
        raise _error(frame, op)
    return frame


def _error(frame: Frame, op: str | None) -> GreenroomError:
    return error_from(int((frame.get("meta") or {}).get("code", 500)), frame.get("error") or {}, op=op)


def _hint_s(frame: Frame) -> float | None:
    data: Any = frame.get("data") or frame
    hint = data.get("reconnectAfterS") if isinstance(data, dict) else None
    return float(hint) if isinstance(hint, int | float) else None

"""Redis: topics, shared cache and counters. Nothing here is the truth, and nothing here fails because Redis does."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio as driver
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_log = structlog.get_logger("bus")

QUEUE_MESSAGES_MAX = 10_000
QUEUE_BYTES_MAX = 16 * 1024 * 1024
PIPELINE_MESSAGES_MAX = 500
PIPELINE_BYTES_MAX = 1024 * 1024
ANSWER_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_S = 2.0
LISTENER_PING_S = 10.0
RECONNECT_S_MAX = 2.0
CANCEL_AGAIN_S = 0.2

_KEEP_ALIVE = "greenroom:nothing"
"""A channel that is always listened to, so that a connection without other channels can be watched too."""
_TROUBLE = (RedisError, OSError, asyncio.TimeoutError, EOFError)

Callback = Callable[[bytes], None]


class BusDown(Exception):
    """Redis did not answer in time; whoever asked goes on without it."""


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    """Errors of the driver become BusDown. It may turn a cancellation into an error of its own, or into nothing: the
    task that was cancelled ends all the same, and does not go on as if Redis were down."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    except _TROUBLE as trouble:
        if task is None or task.cancelling() <= before:
            raise BusDown(type(trouble).__name__) from None
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


@dataclass(slots=True)
class BusCounts:
    """What happened to messages since the start."""

    published: int = 0
    dropped: int = 0
    received: int = 0
    connects: int = 0


class Bus:
    """One process' connections to Redis: one that publishes and asks, one that listens."""

    def __init__(self, url: str) -> None:
        self.counts = BusCounts()
        self.on_resubscribed: list[Callable[[], None]] = []
        """Called when listening works again after it broke: whatever was published meanwhile was missed."""
        self.on_broken: list[Callable[[], None]] = []
        """Called when listening broke: from now until `on_resubscribed`, messages are missed."""
        self._client = driver.Redis.from_url(
            url,
            socket_timeout=ANSWER_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._listener = driver.Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=CONNECT_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queue_bytes = 0
        self._queued = asyncio.Event()
        self._callbacks: dict[str, list[Callback]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._wanted = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._connected = False
        self._closing = False
        self._life: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether the listening connection stands and Redis answered last time."""
        return self._connected

    async def open(self) -> None:
        """Begin to connect, and wait a moment for it; returns in any case."""
        if not self._life:
            self._life = [
                asyncio.create_task(self._keep_publishing(), name="bus publisher"),
                asyncio.create_task(self._keep_listening(), name="bus listener"),
            ]
        with contextlib.suppress(BusDown):
            await self.ask("PING")

    async def close(self) -> None:
        """Publish what is queued if Redis answers, and disconnect."""
        if self._life:
            if self._connected:
                with contextlib.suppress(*_TROUBLE):
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        while self._queue:
                            await self._publish_queued()
            # The driver may turn a cancellation into an error of its own, so it is repeated until it was heard.
            self._closing = True
            left = set(self._life)
            while left:
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
            self._life = []
        self._connected = False
        for client in (self._client, self._listener):
            with contextlib.suppress(*_TROUBLE):
                await client.aclose()

    def publish(self, channel: str, message: bytes) -> None:
        """Send to whoever listens, soon and at most once; dropped and counted when the queue is full or Redis down."""
        if len(self._queue) >= QUEUE_MESSAGES_MAX or self._queue_bytes + len(message) > QUEUE_BYTES_MAX:
            self.counts.dropped += 1
            return
        self._queue.append((channel, message))
        self._queue_bytes += len(message)
        self._queued.set()

    def subscribe(self, channel: str, callback: Callback) -> None:
        """Call back with each message from now on; `listening` tells when it has begun."""
        callbacks = self._callbacks.setdefault(channel, [])
        if callback not in callbacks:
            callbacks.append(callback)
        self._confirmed.setdefault(channel, asyncio.Event())
        self._wanted.set()

    def unsubscribe(self, channel: str, callback: Callback) -> None:
        """Take the callback back; the channel is left with its last one."""
        callbacks = self._callbacks.get(channel, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            self._callbacks.pop(channel, None)
            self._confirmed.pop(channel, None)
            self._wanted.set()

    async def listening(self, channel: str, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
        """Wait until messages of the channel arrive here; False when that takes too long."""
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            return False
        if confirmed.is_set():
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await confirmed.wait()
        return confirmed.is_set()

    async def ask(self, *command: str | bytes | int | float, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The answer to one Redis command; BusDown when there is none in time."""
        with _answered():
            async with asyncio.timeout(timeout_s):
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ask_all(self, commands: Sequence[Sequence[str | bytes | int | float]]) -> list[Any]:
        """The answers to many commands sent at once, not as a transaction; BusDown when there are none in time."""
        with _answered():
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                pipeline = self._client.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute())

    async def get(self, key: str, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes | None:
        """The cached value; None when there is none or Redis is down."""
        if not self._connected:
            return None
        try:
            value = await self.ask("GET", key, timeout_s=timeout_s)
        except BusDown:
            return None
        return value.encode() if isinstance(value, str) else value

    async def set(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Cache the value for a time; False when Redis is down."""
        if not self._connected:
            return False
        try:
            await self.ask("SET", key, value, "PX", max(1, int(ttl_s * 1000)))
        except BusDown:
            return False
        return True

    async def ping(self, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
        """Whether Redis answers now."""
        try:
            await self.ask("PING", timeout_s=timeout_s)
        except BusDown:
            return False
        return True

    # The life of the connections

    async def _keep_publishing(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await self._publish_queued()

    async def _publish_queued(self) -> None:
        batch: list[tuple[str, bytes]] = []
        batch_bytes = 0
        while self._queue and len(batch) < PIPELINE_MESSAGES_MAX and batch_bytes < PIPELINE_BYTES_MAX:
            channel, message = self._queue.popleft()
            batch_bytes += len(message)
            self._queue_bytes -= len(message)
            batch.append((channel, message))
        try:
            await self.ask_all([("PUBLISH", channel, message) for channel, message in batch])
            self.counts.published += len(batch)
        except BusDown:
            self.counts.dropped += len(batch)

    async def _keep_listening(self) -> None:
        attempt = 0
        while not self._closing:
            pubsub = self._listener.pubsub()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await pubsub.connect()  # type: ignore[no-untyped-call]
                    await self._client.ping()
                self._pubsub = pubsub
                self._connected = True
                self.counts.connects += 1
                attempt = 0
                await self._listen(pubsub)
            except _TROUBLE:
                attempt += 1
            except ExceptionGroup as group:
                attempt += 1
                if group.split(_TROUBLE)[1] is not None:
                    # Not Redis but somebody's callback: it must not pass unnoticed.
                    _log.exception("bus_callback_failed")
            finally:
                self._broken()
                with contextlib.suppress(*_TROUBLE):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(random.uniform(0, min(RECONNECT_S_MAX, 0.05 * 2**attempt)))

    def _broken(self) -> None:
        if self._connected:
            for broken in tuple(self.on_broken):
                broken()
        self._connected = False
        self._pubsub = None
        for confirmed in self._confirmed.values():
            confirmed.clear()

    async def _listen(self, pubsub: PubSub) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_wanted(pubsub), name="bus subscriptions")
            group.create_task(self._read(pubsub), name="bus reader")

    async def _keep_wanted(self, pubsub: PubSub) -> None:
        """Tell Redis which channels are wanted, whenever that changes."""
        told: set[str] = set()
        while True:
            self._wanted.clear()
            wanted = {_KEEP_ALIVE, *self._callbacks}
            if new := sorted(wanted - told):
                await pubsub.subscribe(*new)
            if gone := sorted(told - wanted):
                await pubsub.unsubscribe(*gone)
            told = wanted
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(LISTENER_PING_S):
                    await self._wanted.wait()
            except TimeoutError:
                await pubsub.ping()

    async def _read(self, pubsub: PubSub) -> None:
        heard_of: set[str] = set()
        missed = True
        while True:
            # Nothing at all for two pings: the connection is dead although nobody closed it.
            async with asyncio.timeout(2 * LISTENER_PING_S):
                response = await pubsub.parse_response(block=True)
            if not isinstance(response, list):
                continue
            kind, channel = _text(response[0]), _text(response[1]) if len(response) > 1 else ""
            if kind == "message":
                self.counts.received += 1
                for callback in tuple(self._callbacks.get(channel, ())):
                    callback(response[2])
            elif kind == "subscribe" and channel in self._confirmed:
                self._confirmed[channel].set()
                heard_of.add(channel)
                if missed and heard_of >= set(self._callbacks):
                    missed = False
                    for resubscribed in tuple(self.on_resubscribed):
                        resubscribed()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

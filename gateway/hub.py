"""The hub: brings what topics tell through Redis to the sockets that listen, and notices what was missed."""

import asyncio
import random
from collections.abc import Callable

from actors.catalog import Catalog
from actors.core import Actor
from actors.runtime.bus import Bus
from actors.runtime.content import ContentStore
from actors.runtime.router import Router
from gateway.calls import ME, refusal_of
from gateway.limits import TOPICS_PER_SOCKET_MAX
from gateway.logs import application_log
from gateway.metrics import GatewayMetrics
from gateway.socket import FrameId, Socket
from gateway.tasks import Tasks
from gateway.topics import Listener, State, Topic, topic_of
from schemas.address import Address
from schemas.messages import SUBSCRIBE, SYSTEM, Caller, pack, unpack
from schemas.problems import Refusal

INTEREST = "interest"
INTEREST_EVERY_S = 5.0
CATCH_UPS_AT_ONCE = 64
CATCH_UP_AGAIN_S = 1.0


class Hub:
    """All topics that sockets of this gateway listen to."""

    def __init__(
        self, router: Router, bus: Bus, catalog: Catalog, content: ContentStore, metrics: GatewayMetrics
    ) -> None:
        self._router = router
        self._bus = bus
        self._catalog = catalog
        self._content = content
        self._metrics = metrics
        self._topics: dict[Address, Topic] = {}
        self._by_part: dict[Address, Topic] = {}
        self._channels: dict[str, Callable[[bytes], None]] = {}
        self._catching_up: set[Topic] = set()
        self._catch_up_slots = asyncio.Semaphore(CATCH_UPS_AT_ONCE)
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._topics)

    def open(self) -> None:
        """Begin to notice when pushes may be missed."""
        self._bus.on_broken.append(self._broken)
        self._bus.on_resubscribed.append(self.catch_up_all)
        self._router.on_lost.append(self._lost)

    async def close(self) -> None:
        for channel, callback in self._channels.items():
            self._bus.unsubscribe(channel, callback)
        await self._tasks.close()

    async def run_forever(self) -> None:
        """Tell hosts which kinds are listened to, and leave the channels of those that are not any more."""
        while True:
            await asyncio.sleep(INTEREST_EVERY_S)
            kinds = {address.kind for address in self._topics}
            for kind in [kind for kind in self._channels if kind not in kinds]:
                self._bus.unsubscribe(f"push:{kind}", self._channels.pop(kind))
            if kinds:
                self._bus.publish(INTEREST, pack(sorted(kinds)))

    # Listening

    def listen(self, socket: Socket, name: str, over: Refusal | None = None) -> Listener:
        """Take the topic's pushes for this socket from now on, held until `answer`; raises Refusal: who may listen,
        but has asked too much, meets `over`."""
        topic = self._topic(name, socket.caller, over)
        if name not in socket.listeners and len(socket.listeners) >= TOPICS_PER_SOCKET_MAX:
            raise Refusal("RATE_LIMITED", f"A socket listens to at most {TOPICS_PER_SOCKET_MAX} topics.")
        self.unsubscribe(socket, name)
        listener = socket.listeners[name] = Listener(socket, topic, name)
        self._add(topic, listener)
        return listener

    async def answer(self, listener: Listener, id_: FrameId, after: int | None) -> None:
        """Answer with the topic's state, or what came after `after`, and push from then on; raises Refusal."""
        socket, topic, name = listener.socket, listener.topic, listener.name
        try:
            await self._bus.listening(f"push:{topic.address.kind}")
            states = await self._read(topic, after, socket.caller)
        except BaseException:
            if socket.listeners.get(name) is listener:
                self.unsubscribe(socket, name)
            raise
        if socket.listeners.get(name) is not listener:
            raise Refusal("superseded", "A later frame subscribed to this topic anew, or ended it.")
        if listener.overtaken:
            self.unsubscribe(socket, name)
            raise Refusal("OVERLOADED", "The topic moves faster than it can be read; subscribe again.", retry_after_s=1)
        topic.answer(listener, id_, after, states)

    def unsubscribe(self, socket: Socket, name: str) -> bool:
        """Push no more; False when the socket did not listen."""
        listener = socket.listeners.pop(name, None)
        if listener is None:
            return False
        topic = listener.topic
        topic.listeners.discard(listener)
        if not topic.listeners and self._topics.get(topic.address) is topic:
            del self._topics[topic.address]
            for part in topic.parts:
                self._by_part.pop(part, None)
        return True

    def leave(self, socket: Socket) -> None:
        """The socket has ended."""
        for name in tuple(socket.listeners):
            self.unsubscribe(socket, name)

    def _departed(self, listener: Listener) -> None:
        """The user may not listen any more: say so, and push no more."""
        socket = listener.socket
        if socket.listeners.get(listener.name) is listener:
            self.unsubscribe(socket, listener.name)
            socket.refuse(None, Refusal("FORBIDDEN", "This topic is no longer open to you."), topic=listener.name)

    async def _look_who_departed(self, topic: Topic) -> None:
        """The pushes that name who departed were missed: ask for each user that listens."""
        for user in {listener.socket.caller.user: listener.socket.caller for listener in topic.listeners}.values():
            try:
                await self._read(topic, None, user)
            except Refusal as refusal:
                for listener in tuple(topic.listeners):
                    if refusal.status == 403 and listener.socket.caller.user == user.user:
                        self._departed(listener)

    def _topic(self, name: str, caller: Caller, over: Refusal | None) -> Topic:
        try:
            address = Address.parse(name)
        except ValueError:
            raise over or Refusal("INVALID", "topic: should be kind:key, such as leaderboard:main.") from None
        if address.key == ME:
            address = Address(address.kind, caller.user)
        actor = self._catalog.kind(address.kind).actor
        if not actor.may_subscribe(address.key, caller):
            raise Refusal("FORBIDDEN", "This topic is not open to you.")
        if over is not None:
            raise over
        known = self._topics.get(address)
        return known or topic_of(address, actor, actor.parts(address.key, self._content.current))

    def _add(self, topic: Topic, listener: Listener) -> None:
        topic.listeners.add(listener)
        topic.on_departed = self._departed
        self._topics[topic.address] = topic
        for part in topic.parts:
            self._by_part[part] = topic
        kind = topic.address.kind
        if kind not in self._channels:
            callback = self._channels[kind] = self._receiver(kind)
            self._bus.subscribe(f"push:{kind}", callback)
            self._bus.publish(INTEREST, pack([kind]))

    async def _read(self, topic: Topic, after: int | None, caller: Caller) -> list[State]:
        data = pack({"after": after})
        replies = await asyncio.gather(
            *(self._router.ask(part, SUBSCRIBE, "", data, caller=caller) for part in topic.parts)
        )
        for reply in replies:
            if reply.status != 200:
                raise refusal_of(reply)
        return [State(reply.data["seq"], reply.data["view"], reply.data["pushes"]) for reply in replies]

    # Pushes

    def _receiver(self, kind: str) -> Callable[[bytes], None]:
        def receive(message: bytes) -> None:
            for push in unpack(message):
                topic = self._by_part.get(Address(kind, push[0]))
                if topic is not None:
                    topic.pushed(push[0], push[1], push[2], push[3] if len(push) > 3 else None)
                    if topic.stale:
                        self._catch_up_soon(topic)

        return receive

    # What was missed

    def _broken(self) -> None:
        for topic in self._topics.values():
            topic.missed()

    def _lost(self) -> None:
        """A host is gone, perhaps between a commit and its pushes."""
        asyncio.get_running_loop().call_later(random.uniform(0.1, 0.5), self.catch_up_all)

    def catch_up_all(self) -> None:
        """Compare every topic with its source."""
        for topic in tuple(self._topics.values()):
            topic.missed()
            self._catch_up_soon(topic)

    def _catch_up_soon(self, topic: Topic) -> None:
        if topic not in self._catching_up:
            self._catching_up.add(topic)
            self._tasks.spawn(self._catch_up(topic), f"catch up {topic.address.kind}")

    async def _catch_up(self, topic: Topic) -> None:
        try:
            while topic.stale and topic.listeners:
                async with self._catch_up_slots:
                    self._metrics.catch_ups.inc()
                    try:
                        states = await self._read(topic, topic.after(), SYSTEM)
                        topic.caught_up(states)
                        if topic.actor.may_listen is not Actor.may_listen and states[0].pushes is None:
                            await self._look_who_departed(topic)
                    except Refusal as refusal:
                        application_log.warning("topic_not_read", topic=str(topic.address), code=refusal.code)
                if topic.stale:
                    await asyncio.sleep(CATCH_UP_AGAIN_S * random.uniform(0.5, 1.0))
        finally:
            self._catching_up.discard(topic)

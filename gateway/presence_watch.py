"""Who of their friends is there: told to clients when they ask, and when it changes, on whatever gateway that is."""

import asyncio
import time
from collections.abc import Sequence

from actors.runtime.bus import Bus
from actors.runtime.router import Router
from gateway.calls import refusal_of
from gateway.logs import application_log
from gateway.presence import CHANNEL, OFFLINE, Presence
from gateway.socket import FrameId, Socket
from schemas import frames
from schemas.address import player
from schemas.messages import QUERY, SYSTEM, pack, unpack
from schemas.problems import Refusal

PRESENCE_TOPIC = "presence:me"
LOOK_EVERY_S = 15.0
"""Who vanished without a word, with its gateway, is found out by looking."""
INTEREST_EVERY_S = 5.0
CIRCLE_FIELD = "friends"
"""What a push of a player's topic holds when its circle changed."""


class PresenceWatch:
    """The sockets that want to know, and whom each of their users may know of."""

    def __init__(self, router: Router, bus: Bus, presence: Presence) -> None:
        self._router = router
        self._bus = bus
        self._presence = presence
        self._sockets: dict[str, set[Socket]] = {}
        self._circles: dict[str, frozenset[str]] = {}
        self._watchers: dict[str, set[str]] = {}
        self._known: dict[str, str] = {}
        """The status of everyone who is watched, as it was last told."""
        self._doubted: set[str] = set()
        self._moved: set[str] = set()
        self._filled = asyncio.Event()
        self._seq = 0
        self._listening = False

    async def subscribe(self, socket: Socket, id_: FrameId) -> None:
        """Answer with everyone's status, and push what changes from then on; raises Refusal."""
        user = socket.caller.user
        self._listen()
        circle = await self._circle_of(user)
        self._sockets.setdefault(user, set()).add(socket)
        self._enclose(user, circle)
        statuses = await self._presence.statuses(sorted(circle))
        for friend, status in statuses.items():
            # What others were told of before is not overwritten here: they are owed the change.
            self._known.setdefault(friend, status)
        told = [{"userId": friend, "status": status} for friend, status in statuses.items()]
        socket.send(frames.answer(id_, "presence.initial", told, topic=PRESENCE_TOPIC, seq=self._seq))
        self._doubted |= circle
        self._filled.set()

    async def seen_by(self, user: str, others: Sequence[str], *, friends_only: bool) -> dict[str, str]:
        """The status of each of these, as this user may see it; raises Refusal.

        With `friends_only`, all others seem to be offline: whoever opens a direct channel with somebody must not learn
        by it when that one is there.
        """
        shown = set(others)
        if friends_only:
            shown &= {user, *await self._circle_of(user)}
        statuses = await self._presence.statuses(sorted(shown))
        return {other: statuses.get(other, OFFLINE) for other in others}

    def leave(self, socket: Socket) -> None:
        """Tell this socket no more."""
        user = socket.caller.user
        sockets = self._sockets.get(user)
        if sockets is None:
            return
        sockets.discard(socket)
        if not sockets:
            del self._sockets[user]
            self._enclose(user, frozenset())
            self._circles.pop(user, None)

    async def run_forever(self) -> None:
        """Look at whoever is said to have changed, and from time to time at everyone."""
        look_at = interest_at = 0.0
        while True:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_EVERY_S
                self._doubted |= self._watchers.keys()
            if now >= interest_at:
                interest_at = now + INTEREST_EVERY_S
                if self._sockets:
                    self._bus.publish("interest", pack(["player"]))
            await self._look()
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(max(0.0, min(look_at, interest_at) - time.monotonic())):
                    await self._filled.wait()
            except TimeoutError:
                continue

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._bus.subscribe(CHANNEL, self._on_presence)
            self._bus.subscribe("push:player", self._on_player)
            self._bus.publish("interest", pack(["player"]))

    def _on_presence(self, message: bytes) -> None:
        user = unpack(message)[0]
        if user in self._watchers:
            self._doubted.add(user)
            self._filled.set()

    def _on_player(self, message: bytes) -> None:
        for push in unpack(message):
            if push[0] in self._circles and push[2] is not None and CIRCLE_FIELD in push[2]:
                self._moved.add(push[0])
                self._filled.set()

    async def _look(self) -> None:
        self._filled.clear()
        moved, self._moved = self._moved, set()
        for user in moved:
            try:
                await self._move(user)
            except Refusal as refusal:
                application_log.warning("circle_not_read", user=user, code=refusal.code)
        doubted, self._doubted = self._doubted & self._watchers.keys(), set()
        for friend, status in (await self._presence.statuses(sorted(doubted))).items():
            if self._known.get(friend) != status:
                self._known[friend] = status
                for user in self._watchers.get(friend, ()):
                    self._tell(user, friend, status)

    async def _move(self, user: str) -> None:
        """The user's circle changed: it is told who came in and who went out."""
        before = self._circles.get(user)
        circle = await self._circle_of(user)
        if before is None or user not in self._sockets:
            return
        self._enclose(user, circle)
        for friend, status in (await self._presence.statuses(sorted(circle - before))).items():
            self._known.setdefault(friend, status)
            self._tell(user, friend, status)
        for friend in before - circle:
            self._tell(user, friend, None)

    def _tell(self, user: str, friend: str, status: str | None) -> None:
        self._seq += 1
        frame = frames.push(PRESENCE_TOPIC, "presence.update", self._seq, {"userId": friend, "status": status})
        for socket in self._sockets.get(user, ()):
            socket.send(frame)

    def _enclose(self, user: str, circle: frozenset[str]) -> None:
        """The user watches these and nobody else."""
        for friend in self._circles.get(user, frozenset()) - circle:
            watchers = self._watchers[friend]
            watchers.discard(user)
            if not watchers:
                del self._watchers[friend]
                self._known.pop(friend, None)
        for friend in circle:
            self._watchers.setdefault(friend, set()).add(user)
        self._circles[user] = circle

    async def _circle_of(self, user: str) -> frozenset[str]:
        reply = await self._router.ask(player(user), QUERY, "friend_ids", pack({}), caller=SYSTEM)
        if reply.status != 200:
            raise refusal_of(reply)
        return frozenset(reply.data["friends"])

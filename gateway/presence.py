"""Presence: on how many connections a user is, across all gateways; kept in Redis, and forgotten when unrefreshed."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence

from actors.runtime.bus import Bus, BusDown
from gateway.socket import Socket
from schemas.limits import CONNECTIONS_PER_USER_MAX
from schemas.messages import pack

REFRESH_EVERY_S = 25.0
GONE_AFTER_S = 60.0
"""A gateway that died leaves its users behind for so long; with the 30 s of a silent socket that makes 90 s."""
BATCH = 500
CHANNEL = "presence"
ONLINE, AWAY, OFFLINE = "online", "away", "offline"
AWAY_AFTER_S = 300.0
"""A client that sends nothing but signs of life for so long is away."""
COMING_S = 15
"""A place that was taken for a socket which never entered is free again after so long."""
ADMIT_WITHIN_S = 1.0
"""How long a Redis that is busy is waited for; one that is away is known to be, and nobody waits."""

ALIVE_EVERY_S = 2.0
ALIVE_S = 10
"""A gateway that gave no sign of life for so long has no sockets that would keep a user from coming in elsewhere."""

_TAKE_A_PLACE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
    for _, place in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if redis.call('EXISTS', 'gateway:' .. string.match(place, '^[^/]*')) == 0 then
            redis.call('ZREM', KEYS[1], place)
        end
    end
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], 120)
return 1
"""


def _key(user: str) -> str:
    return f"presence:{user}"


def _away_key(user: str) -> str:
    """Those of the user's connections from which it is away."""
    return f"away:{user}"


class Presence:
    """Which users this gateway serves, told to Redis: a sorted set for each user, connection by expiry."""

    def __init__(self, bus: Bus, *, away_after_s: float = AWAY_AFTER_S) -> None:
        self._bus = bus
        self._name = secrets.token_hex(6)
        """Of this life of the gateway: what a former one left behind is nobody's."""
        self._away_after_s = away_after_s
        self._here: dict[str, set[Socket]] = {}
        self._away: dict[Socket, bool] = {}
        """Sockets whose users are away; True where the client said so, and not just silent."""
        self._changed: dict[tuple[str, str], tuple[bool, bool]] = {}
        """What Redis must be told: whether the connection is there, and whether its user is away from it."""
        self._filled = asyncio.Event()

    def here(self, user: str) -> frozenset[Socket]:
        """The user's sockets on this gateway."""
        return frozenset(self._here.get(user, ()))

    def users(self) -> int:
        return len(self._here)

    def enter(self, socket: Socket) -> None:
        """The socket speaks for its user from now on."""
        user = socket.caller.user
        self._here.setdefault(user, set()).add(socket)
        self._change(socket)

    def leave(self, socket: Socket) -> None:
        """The socket is gone, and perhaps with it the user."""
        user = socket.caller.user
        sockets = self._here.get(user)
        if sockets is None or socket not in sockets:
            return
        sockets.discard(socket)
        if not sockets:
            del self._here[user]
        self._away.pop(socket, None)
        self._changed[user, self._place(socket)] = (False, False)
        self._filled.set()

    def active(self, socket: Socket, now: float) -> None:
        """The client does something: a user who was away for being silent is back."""
        socket.active_at = now
        if self._away.get(socket) is False:
            self.say(socket, away=False)

    def say(self, socket: Socket, *, away: bool) -> None:
        """The client says that its user is away, or back."""
        before = socket in self._away
        if away:
            self._away[socket] = True
        else:
            self._away.pop(socket, None)
        if before != away:
            self._change(socket)

    def look(self, socket: Socket, now: float) -> None:
        """Whoever has been silent for long is away."""
        if now - socket.active_at > self._away_after_s and socket not in self._away:
            self._away[socket] = False
            self._change(socket)

    def is_full(self, user: str) -> bool:
        """Whether the user has as many sockets here as anywhere is allowed."""
        return len(self._here.get(user, ())) >= CONNECTIONS_PER_USER_MAX

    async def admit(self, socket: Socket, user: str) -> bool:
        """Take one of the user's places for this socket, on all gateways together; only on this one when Redis is down.

        Looking and taking are one step: of many that come at once, no more get in than there are places.
        """
        if self.is_full(user):
            return False
        now = int(time.time())
        place = (_key(user), now, now + COMING_S, self._place(socket), CONNECTIONS_PER_USER_MAX)
        try:
            return bool(await self._bus.ask("EVAL", _TAKE_A_PLACE, 1, *place, timeout_s=ADMIT_WITHIN_S))
        except BusDown:
            return not self.is_full(user)

    async def connections(self, user: str) -> int:
        """On how many connections the user is, on all gateways; only this one's when Redis is down."""
        here = len(self._here.get(user, ()))
        try:
            everywhere = await self._bus.ask("ZCOUNT", _key(user), int(time.time()), "+inf", timeout_s=0.2)
        except BusDown:
            return here
        return max(here, int(everywhere))

    async def statuses(self, users: Sequence[str]) -> dict[str, str]:
        """Whether each of these users is online, away or offline, on all gateways; only this one when Redis is down."""
        now = int(time.time())
        found: dict[str, str] = {}
        for start in range(0, len(users), BATCH):
            batch = users[start : start + BATCH]
            commands = [("ZCOUNT", key(user), now, "+inf") for user in batch for key in (_key, _away_key)]
            try:
                counts = await self._bus.ask_all(commands)
            except BusDown:
                counts = [count for user in batch for count in self._counts_here(user)]
            for user, there, away in zip(batch, counts[::2], counts[1::2], strict=True):
                found[user] = OFFLINE if not there else AWAY if away >= there else ONLINE
        return found

    def _counts_here(self, user: str) -> tuple[int, int]:
        sockets = self._here.get(user, ())
        return len(sockets), sum(socket in self._away for socket in sockets)

    async def alive(self) -> None:
        """Tell Redis that this gateway lives, and so its sockets do."""
        with contextlib.suppress(BusDown):
            await self._bus.ask("SET", f"gateway:{self._name}", 1, "EX", ALIVE_S, timeout_s=0.5)

    async def stay_alive(self) -> None:
        """Give signs of life, for ever."""
        while True:
            await self.alive()
            await asyncio.sleep(ALIVE_EVERY_S)

    async def run_forever(self) -> None:
        """Tell Redis what changed at once, and everything again before it is forgotten."""
        refresh_at = time.monotonic() + REFRESH_EVERY_S
        while True:
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(max(0.0, refresh_at - time.monotonic())):
                    await self._filled.wait()
            except TimeoutError:
                refresh_at = time.monotonic() + REFRESH_EVERY_S
                for user, sockets in self._here.items():
                    for socket in sockets:
                        self._changed.setdefault((user, self._place(socket)), (True, socket in self._away))
            self._filled.clear()
            await self.tell()

    async def tell(self) -> None:
        """Tell Redis what changed since."""
        changed, self._changed = list(self._changed.items()), {}
        expires_at = int(time.time() + GONE_AFTER_S)
        for start in range(0, len(changed), BATCH):
            commands: list[tuple[str | int, ...]] = []
            batch = changed[start : start + BATCH]
            for (user, connection), (present, away) in batch:
                key, away_key = _key(user), _away_key(user)
                commands.append(("ZREMRANGEBYSCORE", key, "-inf", int(time.time())))
                if away:
                    commands.append(("ZADD", away_key, expires_at, connection))
                    commands.append(("EXPIRE", away_key, int(2 * GONE_AFTER_S)))
                else:
                    commands.append(("ZREM", away_key, connection))
                if present:
                    commands.append(("ZADD", key, expires_at, connection))
                    commands.append(("EXPIRE", key, int(2 * GONE_AFTER_S)))
                else:
                    commands.append(("ZREM", key, connection))
            try:
                await self._bus.ask_all(commands)
            except BusDown:
                return
            # Not before: whoever hears of it looks into Redis.
            for (user, _), (present, _) in batch:
                self._bus.publish(CHANNEL, pack([user, present]))

    def _change(self, socket: Socket) -> None:
        self._changed[socket.caller.user, self._place(socket)] = (True, socket in self._away)
        self._filled.set()

    def _place(self, socket: Socket) -> str:
        return f"{self._name}/{socket.id}"

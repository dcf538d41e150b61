"""How much one client may ask for: token buckets in the gateway's memory, bounded in number."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from schemas.problems import Refusal


class Rate(NamedTuple):
    """Requests each second in the long run, and how many may come at once."""

    per_s: float
    burst: int


USER_RATE = Rate(100, 200)
TRUSTED_RATE = Rate(10_000, 20_000)
"""For the roles below: a studio's own servers speak for many players."""
TRUSTED_ROLES = frozenset({"server", "operator", "admin"})
ADDRESS_RATE = Rate(200, 400)
"""For requests without a token. Logging in has limits of its own."""

FRAME_RATE = Rate(10_000, 20_000)
"""Frames of one socket; the commands among them are bounded by how many may be outstanding."""
UNDECODABLE_FRAME_COST = 20
UNDECODABLE_FRAMES_MAX = 10
"""After so many in a row the socket is closed."""

BUCKETS_MAX = 50_000

FRAMES_QUEUED_MAX = 64
FRAME_BYTES_QUEUED_MAX = 256 * 1024
STALLED_S_MAX = 5.0
TOPICS_PER_SOCKET_MAX = 100
SOCKETS_MAX = 20_000
PING_EVERY_S = 30.0
PONG_WITHIN_S = 60.0
EXPIRY_WARNING_S = 60.0
PUSHES_HELD_MAX = 1_000
"""Pushes that wait for the answer to their socket's own subscription."""


class Bucket:
    """Tokens that come back with time."""

    __slots__ = ("filled_at", "rate", "tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.tokens = float(rate.burst)
        self.filled_at = now

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take the cost and return 0, or return the seconds after which it can be taken."""
        tokens = self.tokens + (now - self.filled_at) * self.rate.per_s
        self.filled_at = now
        self.tokens = min(tokens, self.rate.burst)
        if self.tokens >= cost:
            self.tokens -= cost
            return 0.0
        return (cost - self.tokens) / self.rate.per_s


class Limiter:
    """A bucket for each client, by any name; the longest idle one is forgotten when there are too many."""

    def __init__(self, buckets_max: int = BUCKETS_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._buckets_max = buckets_max
        self._clock = clock

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, rate: Rate, cost: float = 1.0) -> None:
        """Count one request of this client; refused as RATE_LIMITED when it has had too many."""
        over = self.over(name, rate, cost)
        if over is not None:
            raise over

    def over(self, name: str, rate: Rate, cost: float = 1.0) -> Refusal | None:
        """Count one request of this client; the refusal that it meets when it has had too many, told when its turn
        has come in the order of refusals."""
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate is not rate:
            bucket = self._buckets[name] = Bucket(rate, now)
            if len(self._buckets) > self._buckets_max:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        wait_s = bucket.take(now, cost)
        return Refusal("RATE_LIMITED", retry_after_s=math.ceil(wait_s)) if wait_s else None


def rate_of(roles: tuple[str, ...]) -> Rate:
    """What a user with these roles may ask for."""
    return USER_RATE if TRUSTED_ROLES.isdisjoint(roles) else TRUSTED_RATE

"""Failed logins and mails sent: how many each account and each address had lately, shared through Redis."""

import hashlib
import math
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from actors.runtime.bus import Bus, BusDown
from schemas.problems import Refusal

WINDOW_S = 600
ACCOUNT_FAILURES_MAX = 5
ADDRESS_FAILURES_MAX = 20
COUNTERS_MAX = 50_000
"""Counters kept in memory beside Redis; the longest untouched are forgotten first."""

_WINDOW_MS = WINDOW_S * 1000
_IPV6_PREFIX = 64  # one customer has at least so much of IPv6


class Counter:
    """One count, of failures for example: its name and how many are allowed in the window."""

    __slots__ = ("allowed", "name")

    def __init__(self, what: str, whose: str, allowed: int) -> None:
        digest = hashlib.blake2b(whose.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self.name = f"login:{what}:{digest}"
        self.allowed = allowed


def counters(account: str, address: str, *, known: bool) -> list[Counter]:
    """What a login counts against. From an address that the account has logged in from before it has a count of its
    own, so that failures elsewhere cannot lock the account's owner out there."""
    network = network_of(address)
    whose = Counter("known", f"{account} {network}", ACCOUNT_FAILURES_MAX)
    strange = Counter("account", account, ACCOUNT_FAILURES_MAX)
    return [whose if known else strange, Counter("address", network, ADDRESS_FAILURES_MAX)]


def network_of(address: str) -> str:
    """The address, or for IPv6 the network of one customer."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


class Failures:
    """Counts over a sliding window. Every failure is counted in memory too, which is what holds without Redis."""

    def __init__(self, bus: Bus, now_ms: Callable[[], int]) -> None:
        self._bus = bus
        self._now_ms = now_ms
        self._memory: OrderedDict[str, deque[int]] = OrderedDict()

    async def check(self, counted: list[Counter], told: str = "Too many failed logins; wait a while.") -> None:
        """Refused as RATE_LIMITED when one of the counters is full."""
        now = self._now_ms()
        shared = await self._read(counted, now)
        for counter, there in zip(counted, shared, strict=True):
            here = [at for at in self._memory.get(counter.name, ()) if at > now - _WINDOW_MS]
            # Redis knows the failures at other gateways, memory those that happened while Redis was down.
            times = max(here, there, sorted({*here, *there}), key=len)
            if len(times) >= counter.allowed:
                wait_s = math.ceil((times[-counter.allowed] + _WINDOW_MS - now) / 1000)
                raise Refusal("RATE_LIMITED", told, retry_after_s=max(1, wait_s))

    async def add(self, counted: list[Counter]) -> None:
        """Count one failure."""
        now = self._now_ms()
        for counter in counted:
            times = self._memory.setdefault(counter.name, deque())
            self._memory.move_to_end(counter.name)
            times.append(now)
            while len(times) > counter.allowed:
                times.popleft()
        while len(self._memory) > COUNTERS_MAX:
            self._memory.popitem(last=False)
        if not self._bus.connected:
            return
        member = uuid.uuid4().hex
        commands: list[list[str | bytes | int | float]] = []
        for counter in counted:
            commands.append(["ZADD", counter.name, now, member])
            commands.append(["ZREMRANGEBYRANK", counter.name, 0, -counter.allowed - 1])
            commands.append(["PEXPIRE", counter.name, _WINDOW_MS])
        try:
            await self._bus.ask_all(commands)
        except BusDown:
            return  # counted in memory

    async def _read(self, counted: list[Counter], now: int) -> list[list[int]]:
        if not self._bus.connected:
            return [[] for _ in counted]
        try:
            answers = await self._bus.ask_all(
                [["ZRANGEBYSCORE", counter.name, now - _WINDOW_MS + 1, "+inf", "WITHSCORES"] for counter in counted]
            )
        except BusDown:
            return [[] for _ in counted]
        return [_scores(answer) for answer in answers]


def _scores(answer: object) -> list[int]:
    """Scores of a ZRANGE, which RESP3 answers in pairs and RESP2 flat."""
    if not isinstance(answer, list):
        return []
    scores = [item[1] for item in answer] if answer and isinstance(answer[0], list | tuple) else answer[1::2]
    return sorted(int(float(score)) for score in scores)

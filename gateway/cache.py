"""Answers of several actors together, kept in memory (L1) and in Redis (L2) until one of the actors has news."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from actors.core import Gather, pack_fields
from actors.runtime.bus import Bus
from actors.runtime.router import Router
from gateway import forms
from schemas.address import Address
from schemas.messages import SYSTEM, Caller, pack, unpack
from schemas.problems import Refusal

ENTRIES_MAX = 2_000
FLOORS_MAX = 50_000
KEPT_S = 60.0
BORROWED_S = 2.0
"""How long an answer from Redis is kept: its actors may have been asked to send news to another gateway only."""
SHARED_TTL_S = 60.0
SHARED_WAIT_S = 0.05
TRIES = 3
INVALIDATE = "cache:invalidate"

Name = tuple[str, str, str, bytes]
"""Kind, gather, key and packed parameters."""

SharedKey = Callable[[str, str, Gather], str | None]
"""The key in Redis of a gather to an address (kind, key), if its answers are shared."""


class Answer:
    """An answer and the versions of the actors that it came from; `version` grows with each change of any of them."""

    __slots__ = ("_encoded", "data", "version", "versions")

    def __init__(self, data: Any, versions: dict[Address, int]) -> None:
        self.data = data
        self.versions = versions
        self.version = sum(versions.values())
        self._encoded: dict[int, bytes] = {}

    def encoded(self, form: int) -> bytes:
        """The data in this form, encoded once however many ask."""
        known = self._encoded.get(form)
        if known is None:
            known = self._encoded[form] = forms.payload(form, self.data)
        return known


class CacheCounts:
    """Where answers came from, since the start."""

    def __init__(self) -> None:
        self.hits_l1 = 0
        self.hits_l2 = 0
        self.misses = 0


class Cache:
    """Asks gathers, and keeps the answers of those that say they are `cached`.

    An actor that was asked with `watch` sends news when its visible part changes. News names the version from which
    on answers are current (its floor): neither an older answer on its way nor an older one in Redis is used after it.
    """

    def __init__(self, router: Router, bus: Bus, shared_key: SharedKey) -> None:
        self.counts = CacheCounts()
        self._router = router
        self._bus = bus
        self._shared_key = shared_key
        self._entries: OrderedDict[Name, Answer] = OrderedDict()
        self._kept_until: dict[Name, float] = {}
        self._by_address: dict[Address, set[Name]] = {}
        self._floors: OrderedDict[Address, int] = OrderedDict()
        """By actor that sends this gateway news."""
        self._ended = 0
        """How often actors have ceased to send news."""
        self._asking: dict[Name, asyncio.Future[Answer]] = {}

    def open(self) -> None:
        """Begin to listen to news."""
        self._router.on_news.append(self.news)
        self._router.on_lost.append(self.lost)
        self._bus.subscribe(INVALIDATE, self._invalidated)

    def close(self) -> None:
        self._bus.unsubscribe(INVALIDATE, self._invalidated)

    def __len__(self) -> int:
        return len(self._entries)

    async def answer(self, kind: str, key: str, gather: Gather, caller: Caller) -> Answer:
        """The answer, from where it is nearest; raises Refusal."""
        if not gather.cached:
            return await self._ask_actors(key, gather, caller)
        kept = self.kept(kind, key, gather)
        if kept is not None:
            return kept
        name = (kind, gather.wire_name, key, pack_fields(gather))
        for _ in range(TRIES):
            asking = self._asking.get(name)
            if asking is None:
                return await self._ask_once(name, gather)
            # Somebody's question is under way. Its answer may be older than what this caller already knows of, but
            # then there is news of that by the time it is here.
            found = await asyncio.shield(asking)
            if self._is_current(found):
                return found
        return await self._ask_actors(key, gather, SYSTEM)

    def kept(self, kind: str, key: str, gather: Gather) -> Answer | None:
        """The answer if it is in memory. To be asked a round of the event loop after the question came in: news that
        arrived before the question is taken in by then."""
        if not gather.cached:
            return None
        name = (kind, gather.wire_name, key, pack_fields(gather))
        kept = self._entries.get(name)
        if kept is None or self._kept_until[name] <= time.monotonic():
            return None
        self.counts.hits_l1 += 1
        self._entries.move_to_end(name)
        return kept

    async def refresh(self, kind: str, key: str, gather: Gather) -> None:
        """Have the answer in both caches before it is asked for."""
        name = (kind, gather.wire_name, key, pack_fields(gather))
        self._drop(name)
        await self.answer(kind, key, gather, SYSTEM)

    def news(self, address: Address, version: int, last: bool = False) -> None:
        """The visible part of this actor changed at this version. After its `last` news it has left its host, and where
        it wakes it sends none before it is asked: until then no answer, in Redis neither, is known to be current."""
        if last:
            self._ended += 1
            self._floors.pop(address, None)
        elif self._floors.get(address, -1) < version:
            self._set_floor(address, version)
        for name in tuple(self._by_address.get(address, ())):
            self._drop(name)

    def lost(self) -> None:
        """News may have been missed: nothing that is kept can be trusted, in Redis neither."""
        self._entries.clear()
        self._kept_until.clear()
        self._by_address.clear()
        self._floors.clear()
        self._ended += 1

    async def _ask_once(self, name: Name, gather: Gather) -> Answer:
        asking: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asking[name] = asking
        try:
            shared_key = self._shared_key(name[0], name[2], gather)
            kept_s = BORROWED_S
            found = await self._from_redis(shared_key) if shared_key else None
            if found is None:
                self.counts.misses += 1
                kept_s = KEPT_S
                found = await self._ask_actors(name[2], gather, SYSTEM)
                if shared_key:
                    await self._into_redis(shared_key, found)
            else:
                self.counts.hits_l2 += 1
            if self._is_current(found):
                self._keep(name, found, kept_s)
            asking.set_result(found)
            return found
        except BaseException as error:
            # Those who wait share the refusal; when this caller is gone, they ask for themselves.
            shared = error if isinstance(error, Refusal) else Refusal("UNAVAILABLE", retry_after_s=1)
            asking.set_exception(shared)
            asking.exception()
            raise
        finally:
            del self._asking[name]

    async def _ask_actors(self, key: str, gather: Gather, caller: Caller) -> Answer:
        ended = self._ended
        data, versions = await self._router.gathered(gather, key, caller)
        for address, version in versions.items():
            if address not in self._floors and ended == self._ended:
                self._set_floor(address, version)
        return Answer(data, versions)

    def _is_current(self, answer: Answer) -> bool:
        return bool(answer.versions) and all(
            address in self._floors and version >= self._floors[address] for address, version in answer.versions.items()
        )

    def _keep(self, name: Name, answer: Answer, kept_s: float) -> None:
        self._entries[name] = answer
        self._kept_until[name] = time.monotonic() + kept_s
        for address in answer.versions:
            self._by_address.setdefault(address, set()).add(name)
        if len(self._entries) > ENTRIES_MAX:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: Name) -> None:
        answer = self._entries.pop(name, None)
        self._kept_until.pop(name, None)
        if answer is None:
            return
        for address in answer.versions:
            names = self._by_address.get(address, set())
            names.discard(name)
            if not names:
                self._by_address.pop(address, None)

    def _set_floor(self, address: Address, version: int) -> None:
        self._floors[address] = version
        self._floors.move_to_end(address)
        if len(self._floors) > FLOORS_MAX:
            forgotten, _ = self._floors.popitem(last=False)
            for name in tuple(self._by_address.get(forgotten, ())):
                self._drop(name)

    # Redis

    async def _from_redis(self, shared_key: str) -> Answer | None:
        packed = await self._bus.get(shared_key, timeout_s=SHARED_WAIT_S)
        if packed is None:
            return None
        try:
            versions, data = unpack(packed)
            found = Answer(data, {Address(kind, key): version for kind, key, version in versions})
        except (ValueError, TypeError):
            return None
        return found if self._is_current(found) else None

    async def _into_redis(self, shared_key: str, answer: Answer) -> None:
        versions = [[address.kind, address.key, version] for address, version in answer.versions.items()]
        await self._bus.set(shared_key, pack([versions, answer.data]), SHARED_TTL_S)

    def _invalidated(self, message: bytes) -> None:
        kind, key, version = unpack(message)
        address = Address(kind, key)
        if address in self._floors:
            self.news(address, version)

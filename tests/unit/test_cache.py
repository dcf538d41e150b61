"""Answers that a gateway keeps: only as long as news of their actors would reach it."""

import asyncio
from typing import Any, cast

from actors.core import Gather
from actors.leaderboard.gathers import Top
from actors.runtime.bus import Bus
from actors.runtime.router import Router
from gateway.cache import Cache
from schemas.address import Address
from schemas.messages import SYSTEM, Caller

BOARD = Address("leaderboard", "global.0")
TOP = Top(limit=10)


class Actors:
    """Answers with what the board holds; a question can be held back on its way."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.version = 0
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def score(self, name: str) -> None:
        self.rows = [*self.rows, name]
        self.version += 1

    async def gathered(self, gather: Gather, key: str, caller: Caller) -> tuple[Any, dict[Address, int]]:
        answer = (list(self.rows), {BOARD: self.version})
        self.asked += 1
        await self.may_answer.wait()
        return answer


class SharedMemory:
    """What all gateways keep together."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str, *, timeout_s: float) -> bytes | None:
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        self.kept[key] = value


def gateway(actors: Actors, shared: SharedMemory) -> Cache:
    return Cache(cast(Router, actors), cast(Bus, shared), lambda kind, key, gather: f"{kind}:{key}")


async def rows(cache: Cache) -> Any:
    return (await cache.answer("leaderboard", "global", TOP, SYSTEM)).data


async def test_memory_answers_until_there_is_news() -> None:
    actors = Actors()
    cache = gateway(actors, SharedMemory())
    assert await rows(cache) == await rows(cache) == []
    assert actors.asked == 1
    actors.score("anna")
    cache.news(BOARD, actors.version)
    assert await rows(cache) == ["anna"]


async def test_after_an_actor_has_left_its_host_nothing_is_borrowed_from_other_gateways() -> None:
    actors, shared = Actors(), SharedMemory()
    here, there = gateway(actors, shared), gateway(actors, shared)
    await rows(here)
    here.news(BOARD, actors.version, True)
    await rows(there)
    actors.score("anna")  # the board lives elsewhere now, and tells those who asked it there
    assert await rows(here) == ["anna"]


async def test_an_actor_that_has_moved_and_not_changed_is_kept_again() -> None:
    actors = Actors()
    cache = gateway(actors, SharedMemory())
    await rows(cache)
    cache.news(BOARD, actors.version, True)
    await rows(cache)
    asked = actors.asked
    await rows(cache)
    assert actors.asked == asked


async def test_an_answer_on_its_way_while_its_actor_leaves_is_not_kept() -> None:
    actors = Actors()
    cache = gateway(actors, SharedMemory())
    actors.may_answer.clear()
    async with asyncio.timeout(5):
        on_its_way = asyncio.ensure_future(rows(cache))
        while not actors.asked:
            await asyncio.sleep(0)
        cache.news(BOARD, actors.version, True)
        actors.score("anna")
        actors.may_answer.set()
        assert await on_its_way == []
        assert await rows(cache) == ["anna"]

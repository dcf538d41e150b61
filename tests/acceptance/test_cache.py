"""SPEC LB-04: answers pass from gateway to gateway through Redis, and news of a change takes them away everywhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest_asyncio
import redis.asyncio

from tests.acceptance.clients import API, Door, User, fresh_name
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server

TOP = f"{API}/leaderboard/top"
SHARED = "leaderboard:top:10"


@pytest_asyncio.fixture
async def redis_client(server: Server) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        yield client


async def top_score(door: Door, as_: User) -> int:
    rows = (await door.get(TOP, as_=as_, limit="1")).body
    return rows[0]["score"] if rows else 0


async def test_lb_04_a_change_publishes_the_invalidation(
    door: Door, redis_client: "redis.asyncio.Redis", alice: User, studio: User
) -> None:
    await door.get(TOP, as_=alice)
    async with redis_client.pubsub() as listening:
        await listening.subscribe("cache:invalidate")
        await door.award(studio, alice.id, await top_score(door, studio) + 1)
        end = time.monotonic() + 5
        while True:
            assert time.monotonic() < end, "nothing was published on cache:invalidate"
            message = await listening.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None and msgpack.unpackb(message["data"])[0] == "leaderboard":
                return


async def test_lb_04_what_is_shared_lives_a_minute_at_most_and_is_the_top(
    door: Door, redis_client: "redis.asyncio.Redis", studio: User
) -> None:
    end = time.monotonic() + 5
    while True:
        rows = (await door.get(TOP, as_=studio)).body
        kept, ttl = await redis_client.get(SHARED), await redis_client.ttl(SHARED)
        if kept is not None and msgpack.unpackb(kept)[1] == rows:
            assert 0 < ttl <= 60
            return
        assert time.monotonic() < end, (kept, ttl)
        await asyncio.sleep(0.05)


async def test_lb_04_the_second_question_is_answered_from_memory_and_counted(
    gateways: list[Pinned], studio: User
) -> None:
    [here, _] = gateways
    end = time.monotonic() + 10
    while True:
        await here.get(TOP, as_=studio)
        before = await here.metrics()
        await here.get(TOP, as_=studio)
        after = await here.metrics()
        if after["greenroom_cache_hits_l1_total"] > before["greenroom_cache_hits_l1_total"]:
            break
        assert time.monotonic() < end, "memory never answers"
    assert 0 < after["greenroom_cache_hit_ratio"] <= 1


async def test_lb_04_a_gateway_takes_the_answer_that_another_has_put_into_redis(
    gateways: list[Pinned], alice: User, studio: User
) -> None:
    first, second = gateways
    end = time.monotonic() + 15
    while True:
        before = await second.metrics()
        await first.award(studio, alice.id, await top_score(first, studio) + 1)
        rows = (await first.get(TOP, as_=studio)).body
        assert (await second.get(TOP, as_=studio)).body == rows
        after = await second.metrics()
        if after["greenroom_cache_hits_l2_total"] > before["greenroom_cache_hits_l2_total"]:
            return
        assert time.monotonic() < end, "Redis never answers"


async def test_lb_04_no_gateway_answers_with_what_was_before_a_change(
    gateways: list[Pinned], door: Door, studio: User
) -> None:
    """Both memories and Redis hold the old top when the award comes; its giver sees the new one at either gateway."""
    items = [{"externalId": fresh_name("news"), "displayName": "News"}]
    made = await door.post(f"{API}/players/provision", {"items": items}, as_=studio)
    player = made.body["items"][0]["userId"]
    await door.award(studio, player, await top_score(door, studio) + 1)
    shown = 0
    for number in range(20):
        for gateway in gateways:
            await gateway.get(TOP, as_=studio)
        answer = await gateways[number % 2].award(studio, player, 1)
        if answer["rank"] is None:
            continue  # a board that did not answer in time says so; the score is safe
        shown += 1
        for gateway in (gateways[number % 2 - 1], gateways[number % 2]):
            assert (await gateway.get(TOP, as_=studio)).body[0]["score"] == answer["score"]["current"]
    assert shown >= 15


async def test_lb_04_rubbish_in_redis_is_not_an_answer(
    gateways: list[Pinned], redis_client: "redis.asyncio.Redis", alice: User, studio: User
) -> None:
    rubbish: list[Any] = [b"rubbish", msgpack.packb([[], [{"rank": 1}]]), msgpack.packb([1, 2]), b""]
    for kept in rubbish:
        await redis_client.set(SHARED, kept, ex=60)
        answer = await gateways[0].award(studio, alice.id, await top_score(gateways[0], studio) + 1)
        await redis_client.set(SHARED, kept, ex=60)
        for gateway in gateways:
            rows = (await gateway.get(TOP, as_=studio)).body
            assert rows[0] == {
                "rank": 1,
                "userId": alice.id,
                "username": rows[0]["username"],
                "score": rows[0]["score"],
            }
            assert rows[0]["score"] == answer["score"]["current"]

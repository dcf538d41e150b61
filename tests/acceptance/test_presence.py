"""SPEC WS-07: on how many connections a user is, whichever gateways they lead to; Redis holds the count."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest_asyncio
import redis.asyncio

from tests.acceptance.clients import API, Door, User, Wire
from tests.acceptance.pinned import Pinned, pinned_everywhere
from tests.acceptance.server import Server, wait_until
from tests.acceptance.waiting import Waiting

GONE_WITHIN_S = 90


class Counted:
    """What Redis knows of users' connections: a sorted set for each, connections by when they are forgotten."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self.client = client

    async def expiries(self, user_id: str) -> list[float]:
        """When each of the user's connections is forgotten unless it is told anew; those that are not yet."""
        found: Any = await self.client.zrangebyscore(f"presence:{user_id}", time.time(), "+inf", withscores=True)
        return [expiry for _, expiry in found]

    async def becomes(self, count: int, user_id: str, within_s: float) -> None:
        end = time.monotonic() + within_s
        while len(found := await self.expiries(user_id)) != count:
            assert time.monotonic() < end, f"{len(found)} connections instead of {count}"
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def counted(server: Server) -> AsyncIterator[Counted]:
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        yield Counted(client)


class Crowd:
    """Sockets of users on the gateway of one's choice."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.doors: list[Pinned] = []

    async def on_both(self, user: User, each: int) -> list[Wire]:
        """So many sockets of the user on each of the two gateways."""
        wires = []
        for _ in range(each):
            doors = await pinned_everywhere(self.server, 2)
            self.doors += doors
            wires += [await self.welcomed(door, user) for door in doors]
        return wires

    async def welcomed(self, door: Pinned, user: User) -> Wire:
        wire = await self.connected(door)
        assert (await wire.ask("auth", auth=user.bearer))["type"] == "welcome"
        return wire

    async def connected(self, door: Pinned) -> Wire:
        """A socket on the door's own connection."""
        return Wire(await door.session.ws_connect(self.server.url.replace("http", "ws", 1) + f"{API}/ws"))


@pytest_asyncio.fixture
async def crowd(server: Server) -> AsyncIterator[Crowd]:
    crowd = Crowd(server)
    yield crowd
    for door in crowd.doors:
        await door.session.close()


async def close(wires: Sequence[Wire]) -> None:
    await asyncio.gather(*(wire.socket.close() for wire in wires))


async def test_ws_07_connections_are_counted_across_gateways(counted: Counted, crowd: Crowd, alice: User) -> None:
    wires = await crowd.on_both(alice, 3)
    await counted.becomes(6, alice.id, 2)
    await close(wires[:4])
    await counted.becomes(2, alice.id, 2)
    await close(wires[4:])
    await counted.becomes(0, alice.id, 2)


async def test_ws_07_the_limit_of_connections_holds_across_gateways(
    server: Server, counted: Counted, crowd: Crowd, alice: User
) -> None:
    wires = await crowd.on_both(alice, 10)
    await counted.becomes(20, alice.id, 2)
    doors = await pinned_everywhere(server, 2)
    crowd.doors += doors
    for door in doors:
        further = await crowd.connected(door)
        await further.send({"type": "auth", "id": "late", "auth": alice.bearer})
        assert (await further.receive())["error"]["code"] == "too_many_connections"
        assert await further.closed() == 4429
    await close(wires[:1])
    await counted.becomes(19, alice.id, 2)
    await close([await crowd.welcomed(doors[1], alice), *wires[1:]])


async def test_ws_07_of_thirty_that_come_at_once_twenty_are_let_in(
    server: Server, counted: Counted, crowd: Crowd, alice: User
) -> None:
    doors = [door for _ in range(15) for door in await pinned_everywhere(server, 2)]
    crowd.doors += doors
    wires = [await crowd.connected(door) for door in doors]
    for wire in wires:
        await wire.send({"type": "auth", "id": "1", "auth": alice.bearer})
    answers = [await wire.receive() for wire in wires]
    assert [answer["type"] for answer in answers].count("welcome") == 20
    assert {answer["error"]["code"] for answer in answers if answer["type"] == "error"} == {"too_many_connections"}
    for wire, answer in zip(wires, answers, strict=True):
        if answer["type"] == "error":
            assert await wire.closed() == 4429
    await counted.becomes(20, alice.id, 2)


async def test_ws_07_a_cut_connection_is_gone_at_once(counted: Counted, crowd: Crowd, alice: User) -> None:
    """No close frame, as when a program is killed."""
    wires = await crowd.on_both(alice, 1)
    await counted.becomes(2, alice.id, 2)
    for wire in wires:
        connection = wire.socket.get_extra_info("socket")
        connection.shutdown(socket.SHUT_RDWR)
    await counted.becomes(0, alice.id, 2)


async def test_ws_07_who_has_another_connection_is_still_there(
    door: Door, counted: Counted, crowd: Crowd, alice: User
) -> None:
    [first, second] = await crowd.on_both(alice, 1)
    await second.subscribe("player:me")
    await close([first])
    await counted.becomes(1, alice.id, 2)
    await door.play(alice)
    assert (await second.push("player:me"))["type"] == "player.update"
    await close([second])


async def test_ws_07_who_dies_silently_is_gone_within_90_seconds(counted: Counted, waiting: Waiting) -> None:
    """Its socket was opened at the start of the session and says nothing since; by now most of the waiting is done."""
    closed = wait_until(lambda: waiting.silent.closed, "the silent socket is closed", 100)
    assert closed[0] <= GONE_WITHIN_S
    await counted.becomes(0, waiting.silent.user, 2)
    await counted.becomes(1, waiting.polite.user, 2)


async def test_ws_07_what_a_dead_gateway_left_behind_is_forgotten_within_90_seconds(
    server: Server, counted: Counted, crowd: Crowd, alice: User
) -> None:
    """Each connection is told with the time at which it is forgotten; a gateway that lives tells it anew before."""
    wires = await crowd.on_both(alice, 1)
    await counted.becomes(2, alice.id, 2)
    assert all(0 < expiry - time.time() <= GONE_WITHIN_S for expiry in await counted.expiries(alice.id))
    assert 0 < await counted.client.ttl(f"presence:{alice.id}") <= 2 * GONE_WITHIN_S
    await close(wires)


async def test_ws_07_a_connection_counts_again_after_redis_forgot_it(counted: Counted, waiting: Waiting) -> None:
    """A living connection is told again twice a minute: the polite socket's expiry moves."""
    await counted.client.delete(f"presence:{waiting.polite.user}")
    await counted.becomes(1, waiting.polite.user, 30)

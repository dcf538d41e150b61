"""Places for connections: twenty for a user on all gateways, and none for those that a dead gateway has left behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from actors.runtime.bus import Bus
from gateway.presence import Presence
from gateway.socket import Socket
from schemas.limits import CONNECTIONS_PER_USER_MAX
from schemas.messages import Caller
from tests.harness import Servers, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Connected:
    """What presence looks at of a socket."""

    def __init__(self, user: str, id_: str) -> None:
        self.caller = Caller(user)
        self.id = id_


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(servers: Servers) -> AsyncIterator[Bus]:
    bus = Bus(servers.redis.url)
    await bus.open()

    async def connected() -> bool:
        return bus.connected

    await eventually(connected)
    yield bus
    await bus.close()


async def entered(presence: Presence, user: str, number: int) -> bool:
    socket = cast(Socket, Connected(user, f"s{number}"))
    if not await presence.admit(socket, user):
        return False
    presence.enter(socket)
    await presence.tell()
    return True


async def test_the_places_of_all_gateways_together_are_bounded(bus: Bus) -> None:
    here, there = Presence(bus), Presence(bus)
    await asyncio.gather(here.alive(), there.alive())
    for number in range(CONNECTIONS_PER_USER_MAX):
        assert await entered((here, there)[number % 2], "anna", number)
    assert not await entered(here, "anna", 98)
    assert not await entered(there, "anna", 99)


async def test_a_gateway_that_died_keeps_nobody_out(bus: Bus) -> None:
    dead, alive = Presence(bus), Presence(bus)
    await asyncio.gather(dead.alive(), alive.alive())
    for number in range(CONNECTIONS_PER_USER_MAX):
        assert await entered(dead, "bea", number)
    assert not await entered(alive, "bea", 98)
    # Its signs of life end: the key expires, here at once.
    await bus.ask("DEL", f"gateway:{dead._name}", timeout_s=5.0)
    assert await entered(alive, "bea", 99)
    assert await alive.connections("bea") == 1

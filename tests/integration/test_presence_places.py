"""Places for connections: twenty for a user on all gateways, and none for those that a dead gateway has left behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from actors.runtime.bus import Bus
from gateway.presence import AWAY, AWAY_AFTER_S, ONLINE, Presence
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
        self.active_at = 0.0


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


async def test_whoever_is_silent_for_long_is_away_and_back_with_the_next_word(bus: Bus) -> None:
    """Time is told to presence: nobody waits for five minutes. Whoever said `away` stays so until it says otherwise."""
    presence, watcher = Presence(bus), Presence(bus)
    cleo, dora = Connected("cleo", "s1"), Connected("dora", "s1")
    for connected in (cleo, dora):
        assert await presence.admit(cast(Socket, connected), connected.caller.user)
        presence.enter(cast(Socket, connected))
        presence.active(cast(Socket, connected), now=0.0)
    presence.say(cast(Socket, dora), away=True)

    async def shown_after(now: float) -> dict[str, str]:
        for connected in (cleo, dora):
            presence.look(cast(Socket, connected), now)
        await presence.tell()
        return await watcher.statuses(["cleo", "dora"])

    assert await shown_after(AWAY_AFTER_S) == {"cleo": ONLINE, "dora": AWAY}
    assert await shown_after(AWAY_AFTER_S + 1) == {"cleo": AWAY, "dora": AWAY}
    for connected in (cleo, dora):
        presence.active(cast(Socket, connected), now=AWAY_AFTER_S + 2)
    assert await shown_after(AWAY_AFTER_S + 3) == {"cleo": ONLINE, "dora": AWAY}


async def test_whoever_is_silent_on_one_of_two_connections_is_there(bus: Bus) -> None:
    presence = Presence(bus)
    phone, desk = Connected("emma", "s1"), Connected("emma", "s2")
    for connected in (phone, desk):
        presence.enter(cast(Socket, connected))
        presence.active(cast(Socket, connected), now=0.0)
    presence.active(cast(Socket, desk), now=AWAY_AFTER_S)
    for now, expected in ((AWAY_AFTER_S + 1, ONLINE), (2 * AWAY_AFTER_S + 1, AWAY)):
        for connected in (phone, desk):
            presence.look(cast(Socket, connected), now)
        await presence.tell()
        assert await presence.statuses(["emma"]) == {"emma": expected}

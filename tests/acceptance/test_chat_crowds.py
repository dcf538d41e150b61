"""SPEC section 8 (GS-07): a room of a thousand, one publish a message, and the limits of whole addresses."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from schemas.limits import CHANNEL_MEMBERS_MAX
from tests.acceptance.chatter import channel, do, published, room, say, texts
from tests.acceptance.clients import API, Door, Sockets, User, Wire, fresh_name
from tests.acceptance.guildhall import AT_ONCE, crowd
from tests.acceptance.server import PROXY, Server

LISTENERS, SAID = 40, 5
ADDRESS, OTHER_ADDRESS = "198.51.100.77", "198.51.100.78"
TALKERS, EACH, BURST = 24, 28, 200
"""More than twice what one address may say at once, since each of two gateways counts for itself; within what each
player may."""


async def test_gs_07_a_room_of_a_thousand_members_costs_one_publish_a_message(
    server: Server, door: Door, sockets: Sockets, alice: User
) -> None:
    """All of them are members; forty of them, on both gateways and in both forms, listen and hear the same."""
    hall = fresh_name("hall").lower()
    await room(server, door, alice, hall)
    people = await crowd(door, CHANNEL_MEMBERS_MAX - 1)
    for first in range(0, len(people), AT_ONCE):
        await asyncio.gather(*(do(door, hall, user, "join") for user in people[first : first + AT_ONCE]))
    everyone = await door.get(f"{API}/channels/{hall}/members", as_=alice, limit="1000")
    assert everyone.body["count"] == len(everyone.body["members"]) == CHANNEL_MEMBERS_MAX
    late = await door.post(f"{channel(hall)}/join", {}, as_=await door.guest())
    assert (late.status, late.code) == (409, "channel_full")

    chosen = people[:: len(people) // LISTENERS][:LISTENERS]
    wires = [await sockets.open(user, binary=bool(number % 2)) for number, user in enumerate(chosen)]
    for wire in wires:
        initial = await wire.subscribe(f"channel:{hall}")
        assert initial["data"]["members"] == CHANNEL_MEMBERS_MAX
    mark = fresh_name("hear ye ")
    async with published(server) as seen:
        for number in range(SAID):
            assert (await say(door, hall, people[-1 - number], f"{mark} {number}")).status == 201

        async def all_of_it(wire: Wire) -> list[str]:
            pushes = [await wire.push(f"channel:{hall}", 30) for _ in range(SAID)]
            return [push["data"]["said"]["text"] for push in pushes]

        heard = await asyncio.gather(*(all_of_it(wire) for wire in wires))
    assert heard == [[f"{mark} {number}" for number in range(SAID)]] * LISTENERS
    assert len([push for push in seen if mark in str(push)]) == SAID
    assert (await texts(door, hall, chosen[0]))[:SAID] == [f"{mark} {number}" for number in reversed(range(SAID))]
    await do(door, hall, people[0], "leave")
    await do(door, hall, await door.guest(), "join")


@pytest_asyncio.fixture
async def behind_a_proxy(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections from a peer whose X-Forwarded-For is believed."""
    connector = aiohttp.TCPConnector(limit=0, local_addr=(PROXY, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def talk(wire: Wire, mark: str, times: int) -> Counter[str]:
    """Say so much at once, to a channel that is not there: nothing else but the address is too fast."""
    for number in range(times):
        data = {"text": f"{mark} {number}"}
        frame = {"type": "command", "id": f"{mark}-{number}", "kind": "channel", "key": "cellar", "name": "send"}
        await wire.send({**frame, "data": data})
    codes: Counter[str] = Counter()
    for number in range(times):
        told = await wire.until(lambda frame, id_=f"{mark}-{number}": frame.get("meta", {}).get("id") == id_, 30)
        codes[told["error"]["code"]] += 1
        if told["error"]["code"] == "RATE_LIMITED":
            assert told["meta"]["code"] == 429
            assert told["error"]["retryAfter"] >= 1
    return codes


async def test_gs_07_se_17_all_players_of_one_address_together_say_no_more_than_so_much(
    server: Server, door: Door, behind_a_proxy: aiohttp.ClientSession, alice: User
) -> None:
    """None of them is too fast for a player; others, from elsewhere, do not notice."""
    sockets = Sockets(server, behind_a_proxy)

    async def connected(user: User, address: str) -> Wire:
        wire = await sockets.raw(headers={"X-Forwarded-For": address})
        assert (await wire.ask("auth", auth=user.bearer))["type"] == "welcome"
        return wire

    *talkers, neighbour = await crowd(door, TALKERS + 1)
    wires = [await connected(user, ADDRESS) for user in talkers]
    elsewhere = await connected(neighbour, OTHER_ADDRESS)
    *told, calm = await asyncio.gather(
        *(talk(wire, f"w{number}", EACH) for number, wire in enumerate(wires)), talk(elsewhere, "calm", EACH)
    )
    together = sum(told, Counter())
    assert set(together) == {"channel_unknown", "RATE_LIMITED"}
    assert together["channel_unknown"] >= BURST
    assert calm == {"channel_unknown": EACH}
    at_home = await asyncio.gather(*(say(door, "cellar", alice, f"{number}") for number in range(EACH)))
    assert {answer.code for answer in at_home} == {"channel_unknown"}
    await sockets.close()

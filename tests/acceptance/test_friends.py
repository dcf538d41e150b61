"""SPEC section 13 (GS-19) and WS-07/08: friends over REST, WebSocket and Python client, and who of them is there."""

import time
from typing import Any

import pytest_asyncio
import redis.asyncio

from greenroom_client import Client
from tests.acceptance.clients import API, Answer, Door, Sockets, User, Wire
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server

ME = f"{API}/actors/player/me"
PRESENCE = "presence:me"


async def order(door: Door, who: User, command: str, other: User) -> Answer:
    return await door.post(f"{ME}/{command}", {"player": other.id}, as_=who)


async def circle(door: Door, who: User, shelf: str = "friends") -> list[str]:
    answer = await door.get(f"{API}/friends", as_=who)
    assert answer.status == 200, answer
    return [entry["userId"] for entry in answer.body[shelf]]


async def becomes(door: Door, who: User, shelf: str, expected: list[User]) -> None:
    await door.until(
        f"{shelf} are {len(expected)}",
        lambda: door.get(f"{API}/friends", as_=who),
        lambda answer: [entry["userId"] for entry in answer.body[shelf]] == [user.id for user in expected],
    )


async def befriend(door: Door, one: User, other: User) -> None:
    assert (await order(door, one, "request_friend", other)).status == 200
    await becomes(door, other, "asking", [one])
    assert (await order(door, other, "accept_friend", one)).status == 200
    await becomes(door, one, "friends", [other])


async def status_of(wire: Wire, user: User, status: str | None, within_s: float = 10.0) -> None:
    """Read pushes until the friend's status is this one."""
    await wire.until(
        lambda frame: frame["type"] == "presence.update" and frame["data"] == {"userId": user.id, "status": status},
        within_s,
    )


@pytest_asyncio.fixture
async def friends(door: Door, alice: User, bob: User) -> tuple[User, User]:
    await befriend(door, alice, bob)
    return alice, bob


async def test_gs_19_a_request_is_told_accepted_and_shown_on_both_sides(door: Door, alice: User, bob: User) -> None:
    assert (await order(door, alice, "request_friend", bob)).status == 200
    assert await circle(door, alice, "requested") == [bob.id]
    told = await door.until(
        "bob is told", lambda: door.get(f"{API}/notifications", as_=bob), lambda answer: answer.body["unread"]
    )
    assert [message["template"] for message in told.body["messages"]] == ["friend_request"]
    assert (await order(door, bob, "accept_friend", alice)).body["data"] == {"friends": True}
    await becomes(door, alice, "friends", [bob])
    assert await circle(door, bob) == [alice.id]


async def test_gs_19_declining_removing_and_blocking_end_it_on_both_sides(door: Door, alice: User, bob: User) -> None:
    await order(door, alice, "request_friend", bob)
    await becomes(door, bob, "asking", [alice])
    await order(door, bob, "decline_friend", alice)
    await becomes(door, alice, "requested", [])
    await befriend(door, alice, bob)
    await order(door, bob, "remove_friend", alice)
    await becomes(door, alice, "friends", [])
    await befriend(door, alice, bob)
    await order(door, bob, "block_player", alice)
    await becomes(door, alice, "friends", [])
    assert (await order(door, alice, "request_friend", bob)).status == 200
    assert await circle(door, bob, "asking") == []
    listed = (await door.get(f"{API}/friends", as_=bob)).body
    assert listed["blocked"] == [alice.id]
    assert (await order(door, bob, "request_friend", alice)).code == "blocked_by_you"
    assert (await order(door, bob, "request_friend", bob)).code == "that_is_you"


async def test_gs_19_both_sides_are_pushed_what_changed(door: Door, sockets: Sockets, alice: User, bob: User) -> None:
    wires = {user.id: await sockets.open(user) for user in (alice, bob)}
    for wire in wires.values():
        await wire.subscribe("player:me")
    reply = await wires[alice.id].command("player", "me", "request_friend", {"player": bob.id})
    assert reply["data"] == {"friends": False}

    def shows(other: User, status: str) -> Any:
        return lambda frame: (
            frame["type"] == "player.update"
            and (frame["data"].get("friends", {}).get(other.id) or {}).get("status") == status
        )

    await wires[alice.id].until(shows(bob, "requested"))
    await wires[bob.id].until(shows(alice, "asking"))
    await wires[bob.id].command("player", "me", "accept_friend", {"player": alice.id})
    await wires[alice.id].until(shows(bob, "friend"))


async def test_ws_07_08_friends_learn_who_is_there_when_they_ask_and_when_it_changes(
    door: Door, sockets: Sockets, gateways: list[Pinned], friends: tuple[User, User]
) -> None:
    alice, bob = friends
    wire = await sockets.open(alice)
    initial = await wire.subscribe(PRESENCE)
    assert (initial["type"], initial["data"]) == ("presence.initial", [{"userId": bob.id, "status": "offline"}])
    # On each of the two gateways, so that at least once it is not the one that alice is on.
    for gateway in gateways:
        theirs = await Sockets(gateway.server, gateway.session).open(bob)
        await status_of(wire, bob, "online")
        [shown] = (await door.get(f"{API}/friends", as_=alice)).body["friends"]
        assert (shown["userId"], shown["presence"]) == (bob.id, "online")
        began = time.monotonic()
        await theirs.socket.close()
        await status_of(wire, bob, "offline")
        assert time.monotonic() - began < 5


async def test_ws_07_08_whoever_has_another_connection_is_away_only_when_away_from_all(
    sockets: Sockets, friends: tuple[User, User]
) -> None:
    alice, bob = friends
    first, second = await sockets.open(bob), await sockets.open(bob)
    wire = await sockets.open(alice)
    assert (await wire.subscribe(PRESENCE))["data"] == [{"userId": bob.id, "status": "online"}]
    assert (await first.ask("presence", status="away"))["data"] == {"status": "away"}
    await second.ask("presence", status="away")
    await status_of(wire, bob, "away")
    await first.ask("presence", status="online")
    await status_of(wire, bob, "online")
    await first.socket.close()
    await status_of(wire, bob, "away")
    await second.socket.close()
    await status_of(wire, bob, "offline")


async def test_ws_07_08_presence_begins_and_ends_with_the_friendship(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    await sockets.open(bob)
    wire = await sockets.open(alice)
    assert (await wire.subscribe(PRESENCE))["type"] == "presence.initial"
    await befriend(door, alice, bob)
    await status_of(wire, bob, "online")
    await order(door, bob, "remove_friend", alice)
    await status_of(wire, bob, None)
    await wire.ask("unsubscribe", topic=PRESENCE)
    await befriend(door, alice, bob)
    assert (await wire.subscribe(PRESENCE))["data"] == [{"userId": bob.id, "status": "online"}]
    assert not [frame for frame in wire.frames if frame["type"] == "presence.update"]


async def test_ws_07_08_a_friend_whose_gateway_dies_is_gone_when_its_connection_expires(
    server: Server, sockets: Sockets, friends: tuple[User, User]
) -> None:
    """A dead gateway says nothing: what it left behind expires (after 60 s; here it is taken away at once), and whoever
    watches finds out by looking, within 15 s more."""
    alice, bob = friends
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        await client.zadd(f"presence:{bob.id}", {"left-behind": time.time() + 60})
        wire = await sockets.open(alice)
        assert (await wire.subscribe(PRESENCE))["data"] == [{"userId": bob.id, "status": "online"}]
        await client.delete(f"presence:{bob.id}")
        await status_of(wire, bob, "offline", 30)


async def test_gs_19_with_the_python_client(server: Server, door: Door, bob: User) -> None:
    async with Client(server.url) as client:
        await client.guest(f"friends-{time.monotonic_ns()}-client")
        await client.command("player", "me", "request_friend", {"player": bob.id})
        alice = User(client.user_id, "")
        await becomes(door, bob, "asking", [alice])
        await order(door, bob, "accept_friend", alice)
        await door.until(
            "both are friends",
            lambda: door.get(f"{API}/friends", as_=bob),
            lambda answer: answer.body["friends"],
        )
        told = await client.query("player", "me", "friends")
        assert [entry["userId"] for entry in told.data["friends"]] == [bob.id]

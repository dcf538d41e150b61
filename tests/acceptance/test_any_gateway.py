"""SPEC WS-13: any client may be on any gateway: what is begun at one goes on at the other, and both tell the same."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.acceptance.clients import API, Door, User, Wire
from tests.acceptance.pinned import Pinned, pinned_everywhere
from tests.acceptance.server import Server


class Gateways:
    """A door to each of the two gateways, and sockets on either."""

    def __init__(self, server: Server, doors: list[Pinned]) -> None:
        self.server = server
        self.here, self.there = doors
        self._opened: list[aiohttp.ClientSession] = []

    async def socket(self, at: Pinned, user: User) -> Wire:
        """A socket of the user on the same gateway as this door."""
        doors = await pinned_everywhere(self.server, 2)
        self._opened += [door.session for door in doors]
        [door] = [door for door in doors if door.process == at.process]
        wire = Wire(await door.session.ws_connect(self.server.url.replace("http", "ws", 1) + f"{API}/ws"))
        assert (await wire.ask("auth", auth=user.bearer))["type"] == "welcome"
        return wire

    async def close(self) -> None:
        for session in (*self._opened, self.here.session, self.there.session):
            await session.close()


@pytest_asyncio.fixture
async def gateways(server: Server) -> AsyncIterator[Gateways]:
    gateways = Gateways(server, await pinned_everywhere(server, 2))
    yield gateways
    await gateways.close()


async def test_ws_13_a_session_of_one_gateway_plays_and_ends_on_the_other(gateways: Gateways) -> None:
    here, there = gateways.here, gateways.there
    user = await here.guest()
    assert (await there.get(f"{API}/players/me", as_=user)).body["userId"] == user.id
    action = await here.start(user, "quick_win")
    done = await there.complete(user, action, op="complete it once")
    again = await here.complete(user, action, op="complete it once")
    assert (again.status, again.body) == (done.status, done.body) == (200, done.body)
    assert (await here.score(user.id, user))["score"] == 1
    assert (await here.post(f"{API}/auth/logout", as_=user)).status == 200
    refused = await there.until(
        "the other gateway knows", lambda: there.get(f"{API}/players/me", as_=user), lambda a: a.status == 401, 1
    )
    assert refused.code == "UNAUTHENTICATED"


async def test_ws_13_a_limit_counts_what_was_done_at_either_gateway(gateways: Gateways, alice: User) -> None:
    doors: list[Door] = [gateways.here, gateways.there]
    asked = [await doors[number % 2].post(f"{API}/actions/token", as_=alice) for number in range(12)]
    assert [answer.status for answer in asked] == [200] * 10 + [429] * 2


async def test_ws_13_subscribers_of_both_gateways_are_told_the_same(gateways: Gateways, alice: User) -> None:
    wires = [await gateways.socket(at, alice) for at in (gateways.here, gateways.there)]
    for wire in wires:
        await wire.subscribe("player:me")
    for door in (gateways.here, gateways.there):
        await door.play(alice)
        updates = [await wire.until(lambda frame: "score" in (frame.get("data") or {}), 5) for wire in wires]
        assert updates[0] == updates[1]
        assert updates[0]["type"] == "player.update"


async def test_ws_13_an_op_of_one_gateway_is_known_at_the_other(gateways: Gateways, alice: User) -> None:
    wires = [await gateways.socket(at, alice) for at in (gateways.here, gateways.there)]
    replies = [
        await wire.command("player", "me", "start_action", {"type": "practice"}, op="just one") for wire in wires
    ]
    assert replies[0]["data"] == replies[1]["data"]
    assert replies[0]["meta"]["version"] == replies[1]["meta"]["version"]
    other = await wires[1].command("player", "me", "start_action", {"type": "quick_win"}, op="just one")
    assert (other["meta"]["code"], other["error"]["code"]) == (422, "OP_REUSED")


async def test_ws_13_an_op_that_one_actor_had_is_no_other_actors_at_any_gateway(
    gateways: Gateways, alice: User, studio: User
) -> None:
    bob = await gateways.here.guest()
    given = await gateways.here.award(studio, alice.id, 3, op="one award", board="practice")
    assert given["score"]["current"] == 3
    for door in (gateways.here, gateways.there):
        body = {"userId": bob.id, "points": 3, "board": "practice"}
        other = await door.post(f"{API}/scores/award", body, as_=studio, op="one award")
        assert (other.status, other.code) == (422, "OP_REUSED")
        again = await door.award(studio, alice.id, 3, op="one award", board="practice")
        assert again == given
    assert (await gateways.here.score(bob.id, studio, "practice"))["score"] == 0


async def test_ws_13_a_topic_resumes_at_the_other_gateway(gateways: Gateways, alice: User) -> None:
    wire = await gateways.socket(gateways.here, alice)
    seq = (await wire.subscribe("player:me"))["meta"]["seq"]
    await wire.socket.close()
    for _ in range(2):
        await gateways.here.play(alice)
    back = await gateways.socket(gateways.there, alice)
    answer = await back.subscribe("player:me", after=seq)
    missed = [await back.push("player:me", 5) for _ in range(4)]
    seqs = [frame["meta"]["seq"] for frame in missed]
    assert seq < seqs[0] < seqs[1] < seqs[2] < seqs[3] == answer["meta"]["seq"]
    assert [frame["data"]["score"]["practice"] for frame in missed if "score" in frame["data"]] == [1, 2]


async def test_ws_13_a_ban_at_one_gateway_closes_the_socket_on_the_other(
    gateways: Gateways, alice: User, moderator: User
) -> None:
    wire = await gateways.socket(gateways.there, alice)
    answer = await gateways.here.post(
        f"{API}/moderation/users/{alice.id}/ban", {"reason": "a test of both doors"}, as_=moderator
    )
    assert answer.status == 200
    assert await wire.closed(3) == 4403

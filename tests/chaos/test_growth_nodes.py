"""Gateways of different nodes are one: a player and a board are the same at all of them, by either kind of link."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.clients import API, Wire
from tests.acceptance.pinned import Pinned, pinned_everywhere
from tests.chaos.growth import Cluster
from tests.chaos.tiers import runs_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.restarts, pytest.mark.slow]

if runs_in("F"):

    @pytest_asyncio.fixture(scope="module", loop_scope="module", params=["direct", "ray"])
    async def two(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
        """Two nodes with a host and a gateway each."""
        async with Cluster(link=request.param) as two:
            await two.nodes.join("second")
            await two.even(2)
            await two.whole()
            yield two

    @pytest_asyncio.fixture(loop_scope="module")
    async def doors(two: Cluster) -> AsyncIterator[list[Pinned]]:
        """A door of the gateway on each node."""
        doors = await pinned_everywhere(two.server, 2)
        yield doors
        for door in doors:
            await door.session.close()

    async def test_gateways_are_on_different_nodes(two: Cluster, doors: list[Pinned]) -> None:
        where = {gateway["name"]: gateway["node"] for gateway in (await two.report())["gateways"]}
        assert len({where[door.process] for door in doors}) == 2

    async def test_players_of_both_nodes_are_one_game(two: Cluster, doors: list[Pinned]) -> None:
        """WS-13: whatever is done at one gateway is so at the other, whichever node the actor lives on."""
        here, there = doors
        players = [await here.guest() for _ in range(8)]
        for number, player in enumerate(players, 1):
            for _ in range(number):
                await (here if number % 2 else there).play(player)
        homes = {
            row["node"]
            for row in await two.server.sql(
                "SELECT DISTINCT node FROM journal JOIN host USING (run) WHERE kind = 'player'"
            )
        }
        assert len(homes) == 2
        for number, player in enumerate(players, 1):
            told = [await door.score(player.id, player, "practice") for door in doors]
            assert told[0] == told[1]
            assert told[0]["score"] == number
            assert told[0]["rank"] == len(players) - number + 1

    async def test_a_board_of_both_nodes_is_one_board(doors: list[Pinned]) -> None:
        here, there = doors
        player = await here.guest()
        for door in (here, there, here):
            await door.play(player)
            tops = [(await one.get(f"{API}/leaderboard/top", board="practice", as_=player)).body for one in doors]
            assert tops[0] == tops[1]
            assert player.id in [row["userId"] for row in tops[0]]

    async def test_a_push_of_one_node_reaches_the_sockets_of_both(doors: list[Pinned]) -> None:
        player = await doors[0].guest()
        wires = []
        for door in doors:
            socket = await door.session.ws_connect(door.server.url.replace("http", "ws", 1) + f"{API}/ws")
            wires.append(Wire(socket))
            assert (await wires[-1].ask("auth", auth=player.bearer))["type"] == "welcome"
            await wires[-1].subscribe("player:me")
        others = await pinned_everywhere(doors[0].server, 2)
        for door in others:
            await door.play(player)
            told = [await wire.until(lambda frame: "score" in (frame.get("data") or {}), 10) for wire in wires]
            assert told[0] == told[1]
        for wire in wires:
            await wire.socket.close()
        for door in others:
            await door.session.close()

"""Nodes join and leave a running cluster under load: nothing acknowledged is lost, nothing is refused."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scripts.chaos.measure import LATEST_S
from tests.chaos.growth import Cluster, watchers
from tests.harness import eventually
from tests.harness.tiers import tier

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.restarts, pytest.mark.slow]

BUSY_MACHINE = 3.0
"""How much slower than the machine of the goals this one may be."""
STOPPED_WITHIN_S = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster() as cluster:
        yield cluster


async def test_a_node_joins_serves_and_dies_and_no_acknowledged_command_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with cluster.game(tmp_path) as game:
        await cluster.nodes.join("second")
        await cluster.even(2)
        await game.goes_on(300)
        assert game.refused == []
        second = await cluster.node("second")
        assert second is not None
        assert len(second["hosts"]) == len(second["gateways"]) == 1
        died = game.strikes("node", await cluster.slots_of("second"))
        await cluster.nodes.kill("second")
        await cluster.even(1)
        await game.goes_on(300)
    game.check()
    [cost] = game.seen.costs
    assert cost.struck is died
    assert (cost.all_s or 0.0) < LATEST_S * BUSY_MACHINE


if tier("F"):

    async def test_a_drained_node_is_left_by_everything_and_nothing_is_refused(
        cluster: Cluster, tmp_path: Path
    ) -> None:
        await cluster.nodes.join("third")
        await cluster.even(2)
        async with cluster.game(tmp_path) as game, watchers(cluster.server, 12) as watching:
            said = await cluster.tool("cluster", "drain", "third")
            assert "it can be taken down" in said
            third = await cluster.node("third")
            assert third is not None
            assert (third["state"], third["hosts"], third["gateways"]) == ("drained", [], [])
            assert await cluster.slots_of("third") == frozenset()
            await game.goes_on(300)
            # The gateway of the node has told its clients when to come back.
            gone = [one for one in watching if one.code is not None]
            assert {one.code for one in gone} <= {1012}
            assert all(one.frames[-1]["type"] == "disconnect" for one in gone)
            assert all(0 < one.frames[-1]["data"]["reconnectAfterS"] < 30 for one in gone)
            await cluster.tool("cluster", "undrain", "third")
            await cluster.even(2)
            await cluster.tool("cluster", "drain", "third")
            await cluster.nodes.kill("third")
            await game.goes_on(300)
        game.check()
        assert game.refused == []

    async def test_everything_is_restarted_under_load_without_a_failed_command(
        cluster: Cluster, tmp_path: Path
    ) -> None:
        """RT-22."""
        before = await cluster.report()
        async with cluster.game(tmp_path) as game, watchers(cluster.server, 8) as watching:
            began = time.monotonic()
            said = await cluster.tool("cluster", "restart")
            assert "processes were replaced" in said
            assert time.monotonic() - began < STOPPED_WITHIN_S * len(before["hosts"] + before["gateways"])
            await eventually(lambda: all(one.code is not None for one in watching))
            assert {one.code for one in watching} == {1012}
            assert all(one.frames[-1]["type"] == "disconnect" for one in watching)
            await game.goes_on(300)
            after = await cluster.report()
            assert {host["pid"] for host in before["hosts"]}.isdisjoint(host["pid"] for host in after["hosts"])
        game.check()
        assert game.refused == []

"""Nodes join and leave a running cluster under load: nothing acknowledged is lost, nothing is refused."""

import functools
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from scripts.chaos.measure import LATEST_S
from tests.chaos.growth import Cluster, watchers
from tests.chaos.played import right, struck
from tests.chaos.tiers import by_tier, runs_in
from tests.harness import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.restarts, pytest.mark.slow]

BUSY_MACHINE = 3.0
"""How much slower than the machine of the goals this one may be."""
STOPPED_WITHIN_S = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def growing() -> AsyncIterator[Cluster]:
    async with Cluster() as growing:
        yield growing


def has_ended(pid: int) -> bool:
    return not psutil.pid_exists(pid)


async def test_a_node_joins_serves_and_dies_and_no_acknowledged_command_is_lost(
    growing: Cluster, tmp_path: Path
) -> None:
    async with growing.game(tmp_path) as game:
        await growing.nodes.join("second")
        await growing.even(2)
        await game.goes_on(300)
        assert game.refused == []
        second = await growing.node("second")
        assert second is not None
        assert len(second["hosts"]) == len(second["gateways"]) == 1
        died = game.strikes("node", await growing.slots_of("second"))
        await growing.nodes.kill("second")
        await growing.even(1)
        await game.goes_on(300)
    game.check()
    [cost] = game.seen.costs
    assert cost.struck is died
    assert (cost.all_s or 0.0) < LATEST_S * BUSY_MACHINE


if runs_in("F"):

    async def test_a_drained_node_is_left_by_everything_and_nothing_is_refused(
        growing: Cluster, tmp_path: Path
    ) -> None:
        await growing.nodes.join("third")
        await growing.even(2)
        async with growing.game(tmp_path) as game, watchers(growing.server, 12) as watching:
            said = await growing.tool("cluster", "drain", "third")
            assert "it can be taken down" in said
            third = await growing.node("third")
            assert third is not None
            assert (third["state"], third["hosts"], third["gateways"]) == ("drained", [], [])
            assert await growing.slots_of("third") == frozenset()
            await game.goes_on(300)
            # The gateway of the node has told its clients when to come back.
            gone = [one for one in watching if one.code is not None]
            assert {one.code for one in gone} <= {1012}
            assert all(one.frames[-1]["type"] == "disconnect" for one in gone)
            assert all(0 < one.frames[-1]["data"]["reconnectAfterS"] < 30 for one in gone)
            await growing.tool("cluster", "undrain", "third")
            await growing.even(2)
            await growing.tool("cluster", "drain", "third")
            await growing.nodes.kill("third")
            await game.goes_on(300)
        game.check()
        assert game.refused == []

    async def test_everything_is_restarted_under_load_without_a_failed_command(
        growing: Cluster, tmp_path: Path
    ) -> None:
        """RT-22."""
        before = await growing.report()
        async with growing.game(tmp_path) as game, watchers(growing.server, 8) as watching:
            began = time.monotonic()
            said = await growing.tool("cluster", "restart")
            assert "processes were replaced" in said
            assert time.monotonic() - began < STOPPED_WITHIN_S * len(before["hosts"] + before["gateways"])
            await eventually(lambda: all(one.code is not None for one in watching))
            assert {one.code for one in watching} == {1012}
            assert all(one.frames[-1]["type"] == "disconnect" for one in watching)
            await game.goes_on(300)
            after = await growing.report()
            assert {host["pid"] for host in before["hosts"]}.isdisjoint(host["pid"] for host in after["hosts"])
        game.check()
        assert game.refused == []

    async def test_a_process_that_is_told_to_end_hands_its_actors_over_first(growing: Cluster, tmp_path: Path) -> None:
        """RT-22, with SIGTERM as nodes send it when they stop."""
        before = (await growing.report())["hosts"]
        async with growing.game(tmp_path) as game, watchers(growing.server, 6) as watching:
            pids = [host["pid"] for host in before if host["pool"] == "shared"] + growing.gateway_pids()
            assert len(pids) >= 2
            for pid in pids:
                await growing.whole()
                began = time.monotonic()
                os.kill(pid, signal.SIGTERM)
                await eventually(functools.partial(has_ended, pid), STOPPED_WITHIN_S)
                assert time.monotonic() - began < STOPPED_WITHIN_S
                await game.goes_on()
            await growing.whole()
            assert {one.code for one in watching} == {1012}
        game.check()
        assert game.refused == []

    async def test_a_director_that_dies_is_noticed_by_nobody(growing: Cluster, tmp_path: Path) -> None:
        before = await growing.report()
        async with growing.game(tmp_path) as game:
            driver = growing.server.run["driver"]
            os.kill(driver, signal.SIGKILL)
            await eventually(functools.partial(growing.has_other_driver, driver), 60)
            await growing.whole()
            after = await growing.report()
            assert {host["pid"] for host in after["hosts"]} == {host["pid"] for host in before["hosts"]}
        game.check()
        assert game.refused == []

    async def test_hosts_of_several_nodes_die_and_what_they_had_is_answered_soon(growing: Cluster) -> None:
        """RT-02, over links and watches between nodes."""
        await growing.nodes.join("fourth")
        await growing.even(2)
        outcome = await struck(growing.server, "growth-hosts", by_tier(20.0, 60.0, 300.0), "host")
        right(outcome)
        [hosts] = outcome.kinds
        assert hosts.affected
        assert hosts.in_time >= 0.9
        assert (hosts.worst("all_s") or 0.0) < LATEST_S * BUSY_MACHINE
        await growing.nodes.kill("fourth")
        await growing.even(1)

"""RT-06: hosts that stand still or are cut off while others take over, and come back unaware of that."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime.lease import LEASE_S
from tests.chaos.played import SEED
from tests.chaos.scene import Load
from tests.chaos.tiers import runs_in
from tests.harness import Greenroom, Proxy, Servers, eventually
from tests.harness.nursery import Nursery

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

STOPPED_S = 8.0
DEADLINE_S = 40.0
"""Of a request: so long that nobody can be saved by it."""
CLIENTS = 24


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=1, ask_timeout_s=DEADLINE_S) as greenroom:
        yield greenroom


async def test_a_host_that_stands_still_is_replaced_and_harms_nobody_when_it_wakes(greenroom: Greenroom) -> None:
    """RT-06 a. Whoever asks the sleeper's actors is turned to the new owner without waiting for a deadline."""
    sleeper = await greenroom.start_process()
    await eventually(lambda: _slots_of(greenroom, sleeper.pid), 30)
    load = Load(greenroom, CLIENTS, "sleeper")
    await load.join()
    playing = asyncio.ensure_future(load.play(0.01))
    await eventually(lambda: load.answered > 20 * CLIENTS)
    os.kill(sleeper.pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    try:
        await eventually(lambda: _taken_over(greenroom, sleeper.pid), 3 * LEASE_S)
        waiting = {client.address for client in load.clients}

        def served() -> bool:
            fresh = {one.actor for one in load.history.requests if one.done and one.sent > stopped_at + 0.1}
            return waiting <= fresh

        await eventually(served, DEADLINE_S / 2)
        await asyncio.sleep(max(0.0, stopped_at + STOPPED_S - time.monotonic()))
    finally:
        os.kill(sleeper.pid, signal.SIGCONT)
    await load.goes_on(20)
    load.stop.set()
    await playing
    report = await load.verdict()
    assert report.findings == []
    # Requests were taken from the sleeper and asked elsewhere: nobody was even told to repeat.
    assert [one for one in load.history.requests if one.status == 503] == []


async def _slots_of(greenroom: Greenroom, pid: int) -> int:
    sql = "SELECT count(*) FROM slot JOIN host USING (run) WHERE host.pid = $1 AND NOT retired"
    return int(await greenroom.database.fetch_value(sql, pid))


async def _taken_over(greenroom: Greenroom, pid: int) -> bool:
    return await _slots_of(greenroom, pid) == 0


if runs_in("F"):

    @pytest_asyncio.fixture(loop_scope="module")
    async def proxy(servers: Servers) -> AsyncIterator[Proxy]:
        async with Proxy(servers.postgres.socket_folder, servers.runtime / "away") as proxy:
            yield proxy

    async def test_a_host_that_is_cut_off_from_postgres_harms_nobody(greenroom: Greenroom, proxy: Proxy) -> None:
        """RT-06 b. It lives, and clients reach it; its lease ends all the same, and then it answers nothing."""
        async with Nursery(greenroom) as nursery:
            cut_off = await nursery.start(through=proxy.folder)
            await eventually(lambda: _slots_of(greenroom, cut_off), 30)
            load = Load(greenroom, CLIENTS, "cut-off")
            await load.join()
            playing = asyncio.ensure_future(load.play(0.01))
            await eventually(lambda: load.answered > 20 * CLIENTS)
            proxy.partition(True)
            await eventually(lambda: _taken_over(greenroom, cut_off), 3 * LEASE_S)
            await load.goes_on(20)
            proxy.partition(False)
            await load.goes_on(20)
            load.stop.set()
            await playing
            assert (await load.verdict()).findings == []

    async def test_two_directors_at_once_do_no_harm(servers: Servers) -> None:
        """RT-06 d. Each moves slots as it sees fit, while hosts come and die."""
        dice = random.Random(SEED)
        async with Greenroom(servers, hosts=2) as two, Nursery(two) as nursery:
            two.background(two.new_director().run_forever())
            load = Load(two, CLIENTS, "two-directors")
            await load.join()
            playing = asyncio.ensure_future(load.play(0.01))
            alive: list[int] = []
            for _ in range(12):
                if alive and dice.random() < 0.5:
                    os.kill(alive.pop(dice.randrange(len(alive))), signal.SIGKILL)
                else:
                    alive.append(await nursery.start())
                await load.goes_on(4)
            load.stop.set()
            await playing
            assert (await load.verdict()).findings == []

"""RT-04: the connection breaks around a commit, and nobody knows whether it was done: that is looked up."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.played import SEED
from tests.chaos.scene import Load
from tests.harness import Greenroom, Proxy, Servers, eventually
from tests.harness.proxy import When

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CUTS = 200
EACH_AT_LEAST = 20
CLIENTS = 16


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(servers: Servers) -> AsyncIterator[Proxy]:
    async with Proxy(servers.postgres.socket_folder, servers.runtime / "cuts") as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers, proxy: Proxy) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2, through=proxy.folder) as greenroom:
        yield greenroom


async def test_a_commit_of_unknown_outcome_is_looked_up_and_never_guessed(greenroom: Greenroom, proxy: Proxy) -> None:
    """Two hundred times: before it reached Postgres, on its way, or after it was done and before its answer."""
    dice = random.Random(SEED)
    load = Load(greenroom, CLIENTS, "unknown")
    await load.join()
    playing = asyncio.ensure_future(load.play())
    cuts: Counter[When] = Counter()
    outcomes: tuple[When, ...] = ("before", "during", "after")
    while proxy.done < CUTS:
        when = dice.choice(outcomes)
        proxy.cut_next(when)
        await eventually(lambda: not proxy.cuts or playing.done(), 30)
        cuts[when] += 1
    load.stop.set()
    await playing
    assert min(cuts[when] for when in outcomes) >= EACH_AT_LEAST
    assert greenroom.metric("greenroom_unknown_outcomes_total") > 0
    report = await load.verdict()
    assert report.findings == []
    ended = {request.op: request for request in load.history.requests}
    assert [op for op, request in ended.items() if request.status is None or request.status >= 500] == []

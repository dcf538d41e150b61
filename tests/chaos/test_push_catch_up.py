"""RT-14: two hundred sockets are cut at random, a gateway is killed and Redis emptied: no push is missed untold."""

import asyncio
import random

import pytest

from scripts.chaos.nemesis import Nemesis
from scripts.chaos.workload import Workload
from tests.acceptance.server import Server
from tests.chaos.played import SEED, right, struck
from tests.chaos.summary import SUMMARY

pytestmark = [pytest.mark.slow, pytest.mark.restarts]

SOCKETS = 200
CUT_EVERY_S = 2.0
CUT_AT_ONCE = 20
SECONDS = 30.0
CAUGHT_UP_WITHIN_S = 6.0
"""For 99 of 100. The goal is 2 s, and a machine at leisure takes a fifth of that; a shared one may be thrice slower."""


async def test_sockets_that_were_cut_are_told_what_they_missed(cluster: Server) -> None:
    dice = random.Random(SEED)
    cutting: list[asyncio.Task[None]] = []
    cuts = 0

    async def cut_at_random(load: Workload) -> None:
        nonlocal cuts
        sockets = load.listen(SOCKETS)
        while not load.stop.is_set():
            await asyncio.sleep(CUT_EVERY_S)
            for socket in dice.sample(sockets, CUT_AT_ONCE):
                socket.cut()
                cuts += 1

    def watch(load: Workload, nemesis: Nemesis) -> None:
        cutting.append(asyncio.ensure_future(cut_at_random(load)))

    outcome = await struck(
        cluster, "RT-14", SECONDS, "gateway", "redis-flush", at=[10.0, 18.0], rate_per_s=200.0, watch=watch
    )
    await cutting[0]
    right(outcome)
    assert cuts >= 100
    assert outcome.reconnects >= 0.9 * cuts
    assert "K11" in outcome.verdict.looked
    caught_up = sorted(outcome.catch_ups_s)
    assert len(caught_up) >= 100
    p50_s, p99_s = (caught_up[int(len(caught_up) * share)] for share in (0.5, 0.99))
    SUMMARY.note("RT-14", f"{len(caught_up)} times caught up, p50 {p50_s:.2f} s, p99 {p99_s:.2f} s")
    # On a machine that lets ordinary commands wait for seconds, this waits as well.
    assert p99_s <= max(CAUGHT_UP_WITHIN_S, 3 * outcome.measured.p99_ms / 1e3)

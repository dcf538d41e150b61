"""RT-01: a real process is killed at each fault point under load; another takes over, and nothing is lost."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import faults
from tests.chaos.scene import Load
from tests.chaos.tiers import SEEDS_OF_CRASHES
from tests.harness import Greenroom, Servers, eventually
from tests.harness.kinds import Add, SetAlarm
from tests.harness.nursery import Nursery

pytestmark = pytest.mark.slow
in_one_loop = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 16

PASSES = {
    "before_validate": 60,
    "after_decide": 60,
    "before_commit_send": 12,
    "after_commit_send": 12,
    "after_commit_before_reply": 12,
    "after_reply_before_tell": 12,
    "tell_delivered_before_mark": 2,
    "receiver_applied_before_ack": 12,
    "checkpoint_half": 3,
    "lease_renew_lost": 2,
    "takeover_before_load": 3,
    "publish_before_version_mark": 6,
}
"""At which pass the process is killed; the seed moves it a little."""
SELDOM = frozenset({"tell_delivered_before_mark", "checkpoint_half", "lease_renew_lost", "takeover_before_load"})
"""What a process passes a few times only, at its start or once a second."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=1) as greenroom:
        yield greenroom


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nursery(greenroom: Greenroom) -> AsyncIterator[Nursery]:
    async with Nursery(greenroom) as nursery:
        yield nursery


class Bells(Load):
    """As a Load; its players also set alarms, and have counters that are stored in checkpoints soon."""

    async def ring(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            client = self.clients[number % len(self.clients)]
            await client.ask_counter(Add(amount=1))
            if number % 5 == 0:
                await client.ask_counter(SetAlarm(name="bell", after_ms=0))


@in_one_loop
@pytest.mark.parametrize("seed", SEEDS_OF_CRASHES)
@pytest.mark.parametrize("point", sorted(PASSES))
async def test_nothing_is_lost_when_a_process_is_killed_at(
    greenroom: Greenroom, nursery: Nursery, point: str, seed: int
) -> None:
    load = Bells(greenroom, CLIENTS, f"{point}-{seed}")
    await load.join()
    running = asyncio.gather(load.play(0.01), *(load.ring() for _ in range(4)))
    killed = await nursery.start(f"{point}=crash@{PASSES[point] + seed * (1 if point in SELDOM else 3)}")
    try:
        await eventually(lambda: killed in nursery.ended or running.done(), 60)
        assert nursery.ended.get(killed) == -signal.SIGKILL
        await load.goes_on(5)
    finally:
        load.stop.set()
        await running
        if killed not in nursery.ended:
            os.kill(killed, signal.SIGKILL)
    report = await load.verdict()
    assert report.findings == []
    assert load.answered > 0


def test_every_fault_point_has_its_crash() -> None:
    assert set(PASSES) == faults.POINTS

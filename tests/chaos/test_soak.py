"""RT-20: hours at less than half the load, one kill a minute; nothing grows."""

import asyncio
import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass

import psutil
import pytest

from scripts.chaos.nemesis import Nemesis
from scripts.chaos.workload import Workload
from tests.acceptance.server import Server
from tests.chaos.played import right, struck
from tests.chaos.tiers import by_tier

pytestmark = [pytest.mark.slow, pytest.mark.restarts]

SECONDS = by_tier(180.0, 180.0, 3_600.0)
KILL_EVERY_S = 60.0
RATE_PER_S = 160.0
WARM_AFTER_S = 60.0
SAMPLE_EVERY_S = 5.0
SAMPLES_MIN = 10
RSS_PER_MINUTE_MAX = 1 << 20
RSS_SLACK = by_tier(12, 12, 1)
"""A slope over two minutes is mostly noise: caches fill and collectors wait. Over an hour it has to be the goal's."""
DESCRIPTORS_PER_MINUTE_MAX = 4.0


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    rss: int
    descriptors: int


async def test_nothing_grows_while_processes_die_and_come_back(cluster: Server) -> None:
    samples: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    sampling: list[asyncio.Task[None]] = []
    began = time.monotonic()

    async def sample(load: Workload) -> None:
        while not load.stop.is_set():
            await asyncio.sleep(SAMPLE_EVERY_S)
            if time.monotonic() - began > WARM_AFTER_S:
                _look(cluster, samples)

    def watch(load: Workload, nemesis: Nemesis) -> None:
        sampling.append(asyncio.ensure_future(sample(load)))

    kills = ["host", "gateway", "redis"] * 40
    at = [KILL_EVERY_S / 2 + KILL_EVERY_S * number for number in range(int(SECONDS / KILL_EVERY_S))]
    outcome = await struck(cluster, "RT-20", SECONDS, *kills[: len(at)], at=at, rate_per_s=RATE_PER_S, watch=watch)
    await sampling[0]
    right(outcome)
    lived = {who: seen for who, seen in samples.items() if len(seen) >= SAMPLES_MIN}
    assert any("Gateway" in name for _, name in lived)
    assert any("Host" in name for _, name in lived)
    growing = {
        name: (round(_slope([(one.at, one.rss) for one in seen]) / (1 << 20), 2), "MiB a minute")
        for (_, name), seen in lived.items()
        if _slope([(one.at, one.rss) for one in seen]) > RSS_PER_MINUTE_MAX * RSS_SLACK
    }
    assert growing == {}
    leaking = {
        name: _slope([(one.at, one.descriptors) for one in seen])
        for (_, name), seen in lived.items()
        if _slope([(one.at, one.descriptors) for one in seen]) > DESCRIPTORS_PER_MINUTE_MAX
    }
    assert leaking == {}


def _look(server: Server, samples: dict[tuple[int, str], list[Sample]]) -> None:
    assert server.process is not None
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if "ray::" in words or "scripts.driver" in words:
                sample = Sample(time.monotonic(), process.memory_info().rss, process.num_fds())
                samples[process.pid, words.split("(")[0][:60]].append(sample)


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line through the points, by least squares; in units a minute."""
    middle_at = sum(at for at, _ in points) / len(points)
    middle = sum(value for _, value in points) / len(points)
    spread = sum((at - middle_at) ** 2 for at, _ in points)
    return 60.0 * sum((at - middle_at) * (value - middle) for at, value in points) / spread if spread else 0.0

"""The runtime in simulated worlds: whatever fails in whatever order, every promise holds (RT-09).

A failure names its seed: `.venv/bin/python -m tests.simulation SEED` plays it again, to the last bit, and tells all.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from schemas.settings import PROJECT
from tests.chaos.tiers import by_tier
from tests.simulation.sabotage import SABOTAGES, Found
from tests.simulation.world import Outcome, simulate

SEEDS = by_tier(1_000, 5_000, 100_000)
WITHIN_S = by_tier(30, 600, 24 * 3_600)
"""On a slow machine as many seeds as this time allows; never fewer than some."""
SEEDS_MIN = 25
STEPS_FEW = 80
OFTEN = (
    "kill_host",
    "stop_host",
    "cancel_host",
    "pause_host",
    "steal_slots",
    "move_slots",
    "cut_links",
    "postgres_down",
    "postgres_loses",
    "postgres_silent",
    "postgres_slow",
    "clock_jumps",
    "commit_conflict",
    "commit_outcome_unknown",
    "tell_buried",
    "quest_rewarded",
)
"""What so many seeds have met at least once."""


def test_every_promise_holds_whatever_fails(record_property: Callable[[str, object], None]) -> None:
    until = time.monotonic() + WITHIN_S
    first = int(os.environ.get("GREENROOM_SEED", "0"))
    counts: Counter[str] = Counter()
    failed: list[Outcome] = []
    played = 0
    for seed in range(first, first + SEEDS):
        outcome = simulate(seed)
        played += 1
        counts += outcome.counts
        if outcome.failures:
            failed.append(outcome)
        if len(failed) == 3 or (played >= SEEDS_MIN and time.monotonic() > until):
            break
    record_property("seeds", played)
    assert not failed, "\n".join(map(str, failed))
    assert [what for what in OFTEN if not counts[what]] == [], f"{played} seeds never met it"
    assert counts["status 200"] > 50 * played, "hardly anything was done"


def test_a_seed_is_the_same_world_each_time() -> None:
    traces = [simulate(seed, STEPS_FEW).trace for seed in (8, 11, 8, 11)]
    assert traces[:2] == traces[2:]
    assert traces[0] != traces[1]


def test_a_seed_is_the_same_world_in_every_process() -> None:
    seeds = ["10", "11"]
    traces = [simulate(int(seed), STEPS_FEW).trace for seed in seeds]
    for hash_seed in ("1", "2"):
        program = [sys.executable, "-m", "tests.simulation", f"--steps={STEPS_FEW}", *seeds]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout
        assert [line.split()[-1] for line in told.splitlines()] == traces


@pytest.mark.parametrize("found", SABOTAGES, ids=lambda found: found.sabotage.__name__)
def test_a_bug_is_found(found: Found) -> None:
    assert any(
        simulate(seed, sabotage=found.sabotage, faults=found.faults, think_s=found.think_s).failures
        for seed in range(found.within)
    )

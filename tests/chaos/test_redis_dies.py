"""RT-05: Redis is killed, emptied, held and paused; commands go on, pushes come back, nothing is wrong."""

from collections.abc import Sequence

import pytest

from scripts.chaos.history import Operation
from tests.acceptance.server import Server
from tests.chaos.played import right, struck
from tests.chaos.tiers import by_tier, runs_in

pytestmark = [pytest.mark.slow, pytest.mark.restarts]


async def test_redis_may_be_killed_and_emptied(cluster: Server) -> None:
    """RT-05"""
    outcome = await struck(cluster, "RT-05", by_tier(8.0, 30.0), "redis", "redis-flush", at=[1.5, 4.0])
    right(outcome)
    assert [cost.struck.kind for cost in outcome.measured.costs] == ["redis", "redis-flush"]
    assert outcome.pushes


def _done_per_s(operations: Sequence[Operation], since: float, until: float) -> float:
    done = sum(since <= operation.ended < until and operation.outcome == "ok" for operation in operations)
    return done / (until - since)


if runs_in("F"):

    @pytest.mark.parametrize("fault", ["redis-hold", "redis-pause"])
    async def test_commands_go_on_while_redis_is_silent(cluster: Server, fault: str) -> None:
        """RT-05"""
        outcome = await struck(cluster, f"RT-05-{fault}", 24.0, fault, at=[8.0])
        right(outcome)
        [cost] = outcome.measured.costs
        began = min(operation.sent for operation in outcome.operations)
        before = _done_per_s(outcome.operations, began, cost.struck.at)
        during = _done_per_s(outcome.operations, cost.struck.at, cost.struck.at + 5.0)
        assert during >= 0.8 * before

"""RT-03: Postgres is killed, stopped at once, paused, and ends its sessions, under load."""

import pytest

from scripts.chaos.faults import PAUSE_S
from tests.acceptance.server import Server
from tests.chaos.played import right, struck
from tests.chaos.tiers import runs_in

BACK_WITHIN_S = 15.0
"""After Postgres is back. The goal is 5 s; a shared machine may be three times slower."""

pytestmark = [pytest.mark.slow, pytest.mark.restarts]


async def test_a_killed_postgres_and_ended_sessions_lose_nothing(cluster: Server) -> None:
    """RT-03"""
    outcome = await struck(cluster, "RT-03", 11.0, "postgres", "sessions", at=[1.5, 6.5])
    right(outcome)
    assert [cost.struck.kind for cost in outcome.measured.costs] == ["postgres", "sessions"]


if runs_in("F"):

    async def test_an_immediate_stop_loses_nothing(cluster: Server) -> None:
        """RT-03"""
        outcome = await struck(cluster, "RT-03-stop", 25.0, *["postgres-stop"] * 3, at=[2.0, 9.0, 16.0])
        right(outcome)
        assert outcome.kills == 3

    async def test_a_paused_postgres_answers_nobody_and_loses_nothing(cluster: Server) -> None:
        """RT-03. Whoever asks meanwhile is told 503 by the deadline; three repetitions may be too few for so long."""
        outcome = await struck(cluster, "RT-03-pause", 25.0, "postgres-pause", at=[2.0])
        assert outcome.verdict.findings == []
        [cost] = outcome.measured.costs
        assert cost.first_s is not None
        assert cost.first_s <= PAUSE_S + BACK_WITHIN_S
        told = [one for operation in outcome.operations for one in operation.attempts if one.status == 503]
        assert told
        assert all(one.answered is not None and one.answered - one.sent < 7.0 for one in told)

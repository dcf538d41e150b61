"""RT-02: hosts, gateways and the director are killed one after the other while players load the game."""

import pytest

from tests.acceptance.server import Server
from tests.chaos.played import right, struck
from tests.chaos.tiers import by_tier

pytestmark = [pytest.mark.slow, pytest.mark.restarts]

SECONDS = by_tier(20.0, 300.0, 1_500.0)
KILLS_AT_LEAST = by_tier(3, 60, 300)


async def test_kills_of_any_process_lose_nothing_and_nobody_sees_an_error(cluster: Server) -> None:
    """RT-02"""
    outcome = await struck(cluster, "RT-02", SECONDS, "host", "gateway")
    right(outcome)
    assert outcome.kills >= KILLS_AT_LEAST
    assert {kind.kind for kind in outcome.kinds} == {"host", "gateway"}
    hosts = next(kind for kind in outcome.kinds if kind.kind == "host")
    assert hosts.affected


async def test_the_death_of_the_director_loses_nothing_and_nobody_sees_an_error(cluster: Server) -> None:
    """RT-02"""
    outcome = await struck(cluster, "RT-02-director", by_tier(5.0, 12.0), "director", at=[1.5])
    right(outcome)
    assert outcome.kills == 1

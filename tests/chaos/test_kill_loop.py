"""RT-02: hosts, gateways and the director are killed one after the other while players load the game."""

import pytest

from scripts.chaos.session import Outcome
from scripts.verify.report import HOLDS
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
    the_whole_game_was_played_and_judged(outcome)


async def test_the_death_of_the_director_loses_nothing_and_nobody_sees_an_error(cluster: Server) -> None:
    """RT-02"""
    outcome = await struck(cluster, "RT-02-director", by_tier(5.0, 12.0), "director", at=[1.5])
    right(outcome)
    assert outcome.kills == 1


def the_whole_game_was_played_and_judged(outcome: Outcome) -> None:
    """Currencies, items, messages, guilds and rewards; and every turn is explained by the rules."""
    done = {(operation.actor.kind, operation.name) for operation in outcome.operations if operation.outcome == "ok"}
    assert {"player", "trade", "guild", "channel"} <= {kind for kind, _ in done}
    assert {"award_score", "grant_currency", "award_items", "give", "confirm", "craft", "deposit", "send"} <= {
        name for _, name in done
    }
    for invariant in ("K1", "K6", "K7", "K8", "K9", "K15", "K16"):
        assert outcome.verdict.verdict(invariant) == HOLDS, invariant
    assert not any("explain" in why for why in outcome.verdict.unjudged.values()), outcome.verdict.unjudged

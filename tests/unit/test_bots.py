"""The bots' manners: whatever their temper, they stay within what players may do."""

import pytest

from actors.content import Burst
from schemas.settings import PROJECT
from scripts.bots import TEMPERS, Temper, World
from scripts.content_files import load_content


def shortest_cycle_s(temper: Temper) -> float:
    return temper.takes_s[0] + temper.rests_s[0]


@pytest.mark.parametrize("temper", TEMPERS, ids=lambda temper: temper.name)
def test_no_bot_ever_meets_a_limit_or_a_fraud_rule(temper: Temper) -> None:
    content = load_content(PROJECT / "content")
    action = content.actions[temper.action]
    per_minute = action.starts_per_minute or content.limits.actions.starts_per_minute
    if per_minute != "unlimited":
        assert 60 / shortest_cycle_s(temper) <= per_minute
    if action.fraud:
        bursts = [rule for rule in content.fraud.rules.values() if isinstance(rule, Burst)]
        assert all(rule.within_s / shortest_cycle_s(temper) <= rule.more_than for rule in bursts)
    assert temper.takes_s[0] * 1_000 > action.minimum_ms


def test_a_world_in_which_nothing_happened_has_no_latency() -> None:
    assert World().percentile_ms(0.99) == 0.0


def test_percentiles_are_taken_from_the_latest_answers() -> None:
    world = World()
    world.latencies_ms.extend(float(n) for n in range(10_000))
    assert world.percentile_ms(0.5) == 9_000.0

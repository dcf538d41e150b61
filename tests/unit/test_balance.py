"""Which slots move between hosts: few when little happens, by load when much does, and never to and fro."""

import random

import pytest

from actors.runtime.balance import PATIENCE_S, SPREAD_SLOTS_MAX, UNEVEN_FROM, Balance

Owned = dict[int, list[str]]


def hosts(*counts: int) -> Owned:
    """So many slots for each host; the runs are 1, 2, 3 ..."""
    numbers = iter(range(1_000))
    return {run: [str(next(numbers)) for _ in range(count)] for run, count in enumerate(counts, 1)}


def settle(balance: Balance, owned: Owned, loads: dict[str, float]) -> int:
    """Carry out plans until there are none; how many slots moved."""
    moved = 0
    for step in range(100):
        plan = balance.plan(owned, loads, at_s=step * PATIENCE_S)
        if not plan and step:
            return moved
        for source, given in plan.items():
            assert len(given) <= SPREAD_SLOTS_MAX
            for slot, target in given.items():
                owned[source].remove(slot)
                owned[target].append(slot)
                moved += 1
    raise AssertionError("it moves slots for ever")


def weights(owned: Owned, loads: dict[str, float]) -> list[float]:
    return [sum(loads.get(slot, 0.0) for slot in slots) for slots in owned.values()]


def test_idle_hosts_own_equally_many_slots() -> None:
    owned = hosts(256, 0, 0)
    settle(Balance(), owned, {})
    assert sorted(len(slots) for slots in owned.values()) == [85, 85, 86]


def test_a_difference_of_one_slot_stays() -> None:
    assert Balance().plan(hosts(86, 85, 85), {}, at_s=0.0) == {}


def test_several_hosts_give_slots_in_one_step() -> None:
    assert set(Balance().plan(hosts(128, 128, 0), {}, at_s=0.0)) == {1, 2}


def test_a_host_that_is_busy_moving_is_asked_for_nothing_and_the_others_go_on() -> None:
    assert set(Balance().plan(hosts(128, 128, 0), {}, at_s=0.0, busy={1})) == {2}


def test_busy_slots_are_parted_though_the_counts_are_equal() -> None:
    owned = hosts(128, 128)
    loads = {str(slot): 0.04 for slot in range(20)}
    settle(Balance(), owned, loads)
    assert weights(owned, loads) == pytest.approx([0.4, 0.4], rel=0.12)


def test_a_host_with_one_hot_actor_loses_the_rest_and_keeps_that() -> None:
    owned = hosts(128, 128)
    loads = {str(slot): 0.001 for slot in range(256)} | {"7": 0.5}
    settle(Balance(), owned, loads)
    assert "7" in owned[1]
    assert len(owned[1]) < 10


def test_little_load_moves_nothing_however_uneven() -> None:
    assert Balance().plan(hosts(128, 128), {"3": 0.09}, at_s=0.0) == {}


def test_hosts_that_differ_less_than_the_bound_are_left_alone() -> None:
    owned = hosts(128, 128)
    loads = {slot: 0.002 * (1.0 + UNEVEN_FROM * 0.4 * (run == 1)) for run, slots in owned.items() for slot in slots}
    balance = Balance()
    assert all(balance.plan(owned, loads, at_s=at * PATIENCE_S) == {} for at in range(9))
    assert balance.plan(owned, loads, at_s=9 * PATIENCE_S, now=True) != {}


def test_a_burst_that_is_soon_over_moves_nothing() -> None:
    owned, balance = hosts(128, 128), Balance()
    even = {str(slot): 0.002 for slot in range(256)}
    burst = even | {str(slot): 0.02 for slot in range(20)}
    for at in range(100):
        at_s = at * PATIENCE_S / 10
        assert balance.plan(owned, burst if at % 10 else even, at_s=at_s) == {}
    assert any(balance.plan(owned, burst, at_s=at * PATIENCE_S / 10) for at in range(100, 111))


def test_loads_that_waver_by_a_fifth_move_nothing_once_it_is_even() -> None:
    dice = random.Random(1)
    owned, balance = hosts(64, 64, 64, 64), Balance()
    usual = {str(slot): dice.uniform(0.0, 0.01) for slot in range(256)}
    settle(balance, owned, usual)
    for at in range(1_000):
        wavering = {slot: load * dice.uniform(0.8, 1.2) for slot, load in usual.items()}
        assert balance.plan(owned, wavering, at_s=1e6 + at) == {}


def test_a_newcomer_gets_its_share_of_the_load() -> None:
    owned = hosts(128, 128, 0)
    loads = {str(slot): 0.002 for slot in range(256)}
    assert Balance().plan(owned, loads, at_s=0.0)
    settle(Balance(), owned, loads)
    assert min(weights(owned, loads)) > 0.8 * max(weights(owned, loads))


def test_slots_without_an_owner_go_to_whoever_carries_least() -> None:
    given = Balance.share(["a", "b", "c"], {1: ["x"], 2: ["y"]}, {"x": 0.5, "a": 0.3, "b": 0.2})
    assert given["a"] == given["b"] == 2
    assert set(Balance.share(map(str, range(100)), {1: [], 2: []}, {}).values()) == {1, 2}

"""Conditions on states, as `inspect list --where` understands them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.inspect.where import NotACondition, Where

ALICE: dict[str, Any] = {
    "key": "u-1",
    "name": "Alice",
    "created_at": 1_795_270_113_804,
    "banned": False,
    "leader": None,
    "tallies": {"main": {"score": 12, "period": 0}, "daily": {"score": 3, "period": 9}},
    "wallet": {"gold": 100},
    "ledger": [{"reason": "start"}, {"reason": "a raid"}],
}


@pytest.mark.parametrize(
    "condition",
    [
        "wallet.gold = 100",
        "wallet.gold == 1_00",
        "gold >= 100",
        "score > 10",
        "tallies.main.score = 12",
        "tallies.*.score = 3",
        "main.score = 12",
        "name ~ ali",
        "name = Alice",
        "name = 'Alice'",
        'name != "Bob"',
        "banned = false",
        "leader = none",
        "created_at > 2026-01-01T00:00:00Z",
        "ledger.1.reason = 'a raid'",
        "reason ~ raid",
        "score > 10 and gold > 10",
        "score > 100 or gold > 10",
        "not score > 100",
        "score > 100 and gold > 1 or name = Alice",
        "score > 10 AND (gold < 1 OR name ~ LIC)",
        "key=u-1",
    ],
)
def test_a_condition_holds(condition: str) -> None:
    assert Where(condition)(ALICE)


@pytest.mark.parametrize(
    "condition",
    [
        "score > 12",
        "name > 5",
        "wallet.gold = '100'",
        "banned = 0",
        "nothing = 1",
        "nothing != 1",
        "name = alice",
        "score > 100 and (gold > 1 or name = Alice)",
    ],
)
def test_a_condition_does_not_hold(condition: str) -> None:
    assert not Where(condition)(ALICE)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "a field"),
        ("score", "a comparison"),
        ("score >", "a value"),
        ("score > 1 and", "a field"),
        ("score > 1 gold > 2", "`and`, `or`, or the end"),
        ("(score > 1", "`)`"),
        ("score ( 1", "a comparison"),
        ("name = 'Alice", "quotation mark"),
        ("banned > true", "numbers, times and texts"),
        ("(" * 50 + "a = 1" + ")" * 50, "nests"),
        ("a = 1 or " * 200 + "a = 1", "characters"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_expected(condition: str, said: str) -> None:
    with pytest.raises(NotACondition) as refused:
        Where(condition)
    assert said in str(refused.value)


def test_fields_that_no_state_has_are_known() -> None:
    where = Where("scroe > 1 or name = Bob")
    where(ALICE)
    assert set(where.fields) - where.seen == {"scroe"}


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        where = Where(text)
    except NotACondition:
        return
    where(ALICE)

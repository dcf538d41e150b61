"""Usernames: which are allowed, and which are the same name."""

import time

import pytest

from gateway.accounts import names


def are_one_name(one: str, other: str) -> bool:
    pairs = zip(names.skeletons(one), names.skeletons(other), strict=True)
    return any(left == right for left, right in pairs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("PayPaI", "paypal"),
        ("III", "lll"),
        ("аlice", "alice"),  # Cyrillic a  # noqa: RUF001
        ("ａｌｉｃｅ", "alice"),  # fullwidth  # noqa: RUF001
        ("0laf", "Olaf"),
        ("bob1", "bobl"),
        ("rnax", "max"),
        ("Straße", "STRASSE"),
        ("ﬁnn", "finn"),  # a ligature
        ("cafe\u0301", "café"),  # decomposed and composed
    ],
)
def test_names_that_look_alike_are_one_name(one: str, other: str) -> None:
    assert are_one_name(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "alicia"), ("nana", "vava"), ("bob1", "bob2"), ("иван", "ivan"), ("max", "mox")]
)
def test_names_that_differ_stay_two_names(one: str, other: str) -> None:
    assert not are_one_name(one, other)


@pytest.mark.parametrize(
    "name", ["alice", "Bob_99", "team.red-1", "Алёна", "山田たろう", "système", "김철수", "محمد", "abc", "a" * 32]
)
def test_names_of_any_script_are_allowed(name: str) -> None:
    assert names.checked(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ab", "3 to 32"),
        ("a" * 33, "3 to 32"),
        ("", "3 to 32"),
        ("ﷺ", "3 to 32"),  # one character that becomes eighteen
        ("a b c", "only letters"),
        ("ali\u200bce", "only letters"),  # zero width
        ("abc\u202edef", "only letters"),  # right-to-left override
        ("abc\x00", "only letters"),
        ("abc\ud800", "only letters"),
        ("abc😀", "only letters"),
        ("a\u034fbc", "can be seen"),  # a mark that is not shown
        ("abc\ufe0f", "can be seen"),  # a variation selector
        ("김\u3164철", "can be seen"),  # a filler, which counts as a letter
        ("_abc", "begin with"),
        ("abc.", "begin with"),
        ("\u0301abc", "begin with"),
        ("xa\u0323\u0324\u0325\u0326bc", "marks"),
        ("аlice", "one script"),  # noqa: RUF001
        ("ivanов", "one script"),  # noqa: RUF001
        ("admin", "reserved"),
        ("Admin", "reserved"),
        ("ADM1N", "reserved"),
        ("ad_min", "reserved"),
        ("admin2", "reserved"),
        ("r00t", "reserved"),
        ("support123", "reserved"),
        ("ａｄｍｉｎ", "reserved"),  # noqa: RUF001
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        names.checked(name)


def test_a_name_is_kept_as_it_was_given_but_composed() -> None:
    assert names.checked("Cafe\u0301") == "Café"


def test_ten_thousand_marks_are_refused_in_no_time() -> None:
    names.skeletons("warm")
    began = time.perf_counter()
    with pytest.raises(ValueError, match="3 to 32"):
        names.checked("a" + "\u0301" * 10_000)
    assert time.perf_counter() - began < 0.005


def test_the_operator_may_take_a_reserved_name() -> None:
    assert names.well_formed("admin") == "admin"

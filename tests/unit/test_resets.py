"""When a day or a week of the game begins, on clocks that are put forward and back."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.content.resets import ResetTime
from actors.times import DAY_MS

HOUR_MS = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="minutes").removesuffix("+00:00")


def of(**fields: Any) -> ResetTime:
    return ResetTime.model_validate(fields)


BERLIN = of(at="04:00", zone="Europe/Berlin")


def test_a_day_begins_at_its_time_and_not_a_moment_before() -> None:
    four = ms("2026-07-01T04:00:00+02:00")
    assert BERLIN.began(four) == four == BERLIN.ends(four - 1)
    assert BERLIN.began(four - 1) == four - DAY_MS
    assert BERLIN.ends(four) == four + DAY_MS


def test_a_week_begins_on_its_day() -> None:
    weekly = of(every="week", weekday="wednesday", at="09:00", zone="America/New_York")
    thursday = ms("2026-01-15T12:00:00+00:00")
    assert utc(weekly.began(thursday)) == "2026-01-14T14:00"
    assert utc(weekly.ends(thursday)) == "2026-01-21T14:00"
    before = ms("2026-01-14T13:59:59+00:00")
    assert utc(weekly.began(before)) == "2026-01-07T14:00"


def test_days_on_which_clocks_are_changed_have_23_and_25_hours() -> None:
    spring, autumn = ms("2026-03-29T00:30:00+00:00"), ms("2026-10-25T00:30:00+00:00")
    midnight = of(zone="Europe/Berlin")
    assert midnight.ends(spring) - midnight.began(spring) == 23 * HOUR_MS
    assert midnight.ends(autumn) - midnight.began(autumn) == 25 * HOUR_MS


def test_a_time_that_the_clock_skips_counts_as_much_later() -> None:
    skipped = of(at="02:30", zone="Europe/Berlin")
    before = ms("2026-03-29T00:59:00+00:00")
    assert utc(skipped.ends(before)) == "2026-03-29T01:30"
    assert utc(skipped.ends(ms("2026-03-29T01:30:00+00:00"))) == "2026-03-30T00:30"


def test_a_time_that_the_clock_shows_twice_counts_once() -> None:
    twice = of(at="02:30", zone="Europe/Berlin")
    first = ms("2026-10-25T00:30:00+00:00")
    second = first + HOUR_MS
    assert twice.began(first - 1) < first
    assert twice.began(first) == first
    assert twice.began(second - 1) == twice.began(second) == first


def test_a_night_whose_midnight_comes_twice_has_one_boundary() -> None:
    """St. John's put its clocks back at one minute past midnight then."""
    newfoundland = of(zone="America/St_Johns")
    starts = [newfoundland.began(ms("2006-10-28T12:00:00+00:00") + hour * HOUR_MS // 4) for hour in range(4 * 48)]
    assert starts == sorted(starts)
    assert len(set(starts)) == 3


@given(
    at=st.integers(ms("1990-01-01T00:00:00+00:00"), ms("2040-01-01T00:00:00+00:00")),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Asia/Tehran"]),
    clock=st.sampled_from(["00:00", "00:01", "02:30", "03:00", "23:59"]),
    every=st.sampled_from(["day", "week"]),
)
def test_periods_follow_each_other_without_gaps_in_any_zone(at: int, zone: str, clock: str, every: str) -> None:
    reset = of(every=every, at=clock, zone=zone, weekday="friday")
    began, ends = reset.began(at), reset.ends(at)
    assert began <= at < ends
    length = (7 if every == "week" else 1) * DAY_MS
    # Samoa went to bed on a Thursday and rose on a Saturday.
    assert length - DAY_MS - 2 * HOUR_MS <= ends - began <= length + DAY_MS
    assert reset.began(began) == began
    assert reset.ends(ends - 1) == ends
    assert reset.began(ends) == ends
    assert reset.ends(began - 1) == began
    moments = [began + (ends - began) * part // 7 for part in range(7)]
    assert all(reset.began(one) == reset.began(other) for one, other in pairwise(moments))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"zone": "Europe/Atlantis"}, "must be a time zone"),
        ({"zone": "../etc/passwd"}, "must be a time zone"),
        ({"at": "24:00"}, "should match"),
        ({"at": 240}, "in quotes"),
        ({"weekday": "someday"}, "monday"),
    ],
)
def test_a_reset_that_no_clock_can_show_is_a_fault(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        of(**fields)

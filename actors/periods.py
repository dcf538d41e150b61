"""Calendar periods between the resets of a board, in UTC and whole numbers."""

from bisect import bisect_right
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator

from actors.times import DAY_MS

_EPOCH = date(1970, 1, 1)

Reset = Literal["never", "daily", "weekly", "monthly", "season"]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("must be a day, for example 2026-01-31") from None


Season = Annotated[str, AfterValidator(_day)]
"""The day on which a season starts, such as 2026-01-31."""


def _ordinal(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days


def period_of(reset: Reset, seasons: list[str], at: int) -> int:
    """The number of the period in which the time lies (milliseconds since 1970 UTC); later periods have higher ones."""
    if reset == "never":
        return 0
    day = at // DAY_MS
    if reset == "daily":
        return day
    if reset == "weekly":
        return (day + 3) // 7
    if reset == "monthly":
        moment = _EPOCH + timedelta(days=day)
        return moment.year * 12 + moment.month - 1
    return bisect_right([_ordinal(season) for season in seasons], day)


def end_of(reset: Reset, seasons: list[str], period: int) -> int | None:
    """When the period ends (milliseconds since 1970 UTC); None when it does not."""
    if reset == "never":
        return None
    if reset == "daily":
        return (period + 1) * DAY_MS
    if reset == "weekly":
        return ((period + 1) * 7 - 3) * DAY_MS
    if reset == "monthly":
        year, month = divmod(period + 1, 12)
        return (date(year, month + 1, 1) - _EPOCH).days * DAY_MS
    return _ordinal(seasons[period]) * DAY_MS if period < len(seasons) else None

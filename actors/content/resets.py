"""Content of resets: when a day or a week of the game begins, by a clock on some wall of the world."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from actors.content.part import Part
from schemas import limits

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def _quoted(value: Any) -> Any:
    if isinstance(value, int):
        raise ValueError('must stand in quotes, for example "04:00"')
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone, for example Europe/Berlin or UTC") from None
    return name


class ResetTime(Part):
    """When what is done once a day or once a week can be done again.

    A time that the clock shows twice in a night counts when it is shown first; one that it skips counts as much later
    as the clock was put forward.
    """

    every: Literal["day", "week"] = "day"
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), BeforeValidator(_quoted)] = "00:00"
    zone: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS_MAX), AfterValidator(_zone)] = "UTC"
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    """With `every: week`: the day."""

    def began(self, at: int) -> int:
        """When the period began in which the time lies; both in milliseconds since 1970 UTC."""
        return self._opens(self._first_day(at))

    def ends(self, at: int) -> int:
        """When the period ends in which the time lies."""
        return self._opens(self._first_day(at) + (7 if self.every == "week" else 1))

    @cached_property
    def _clock(self) -> tuple[ZoneInfo, time]:
        return ZoneInfo(self.zone), time.fromisoformat(self.at)

    def _first_day(self, at: int) -> int:
        zone, _ = self._clock
        # Clocks that are put back over midnight show a day's first moments before the last ones of the day before.
        day = (_EPOCH + timedelta(milliseconds=at)).astimezone(zone).toordinal() + 1
        while self._opens(day) > at:
            day -= 1
        if self.every == "week":
            day -= (date.fromordinal(day).weekday() - WEEKDAYS.index(self.weekday)) % 7
        return day

    def _opens(self, day: int) -> int:
        zone, clock = self._clock
        return (datetime.combine(date.fromordinal(day), clock, tzinfo=zone) - _EPOCH) // _MS

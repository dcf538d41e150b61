"""Times as clients write and read them: RFC 3339 in UTC outside, milliseconds since 1970 inside."""

from datetime import UTC, datetime, timedelta

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
HOUR_S, DAY_S = HOUR_MS // SECOND_MS, DAY_MS // SECOND_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def rfc3339(at: int) -> str:
    """The time in UTC with milliseconds, such as 2026-01-31T12:00:00.000Z."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    """The time in milliseconds since 1970; ValueError when it is not RFC 3339 with an offset."""
    if len(text) < len("2026-01-31T12:00:00Z") or text[10] not in "Tt ":
        raise ValueError("must be a time with an offset, for example 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("must be a time with an offset, for example 2026-01-31T12:00:00Z")
    return (moment - _EPOCH) // _MS


def whole_seconds(wait_ms: int) -> int:
    """The wait in seconds, rounded up: who comes back after them does not come too early."""
    return -(-wait_ms // SECOND_MS)

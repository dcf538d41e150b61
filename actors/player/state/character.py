"""What a player's state keeps of its character."""

from dataclasses import dataclass


@dataclass(slots=True)
class Gauge:
    """How much of a resource there was at a time (milliseconds since 1970 UTC); it has come back since."""

    value: int
    at: int

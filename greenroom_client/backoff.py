"""How long to wait before trying again: exponential, with full jitter."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: anything between nothing and a ceiling that doubles with each attempt."""

    base_s: float = 0.1
    cap_s: float = 5.0
    attempts_max: int = 8

    def delay_s(self, attempt: int, at_least_s: float | None = None) -> float:
        """The wait before attempt number `attempt` + 1; a server's hint is a floor with the jitter on top."""
        jitter = random.uniform(0, min(self.cap_s, self.base_s * 2 ** min(attempt, 30)))
        return jitter + (at_least_s or 0.0)

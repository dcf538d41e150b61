"""How long the chaos tests of this session may be: GREENROOM_TIER is Q (every change), F (a release) or N (a night)."""

import os
from typing import TypeVar

T = TypeVar("T")

TIERS = ("Q", "F", "N")
TIER = os.environ.get("GREENROOM_TIER", "Q").upper()
if TIER not in TIERS:
    raise ValueError(f"GREENROOM_TIER is {TIER!r}; there are {', '.join(TIERS)}")


def by_tier(quick: T, full: T, night: T | None = None) -> T:
    """What holds in this session's tier; the night's is the full one's unless given."""
    if TIER == "Q":
        return quick
    return full if TIER == "F" or night is None else night


def runs_in(tier: str) -> bool:
    """Whether tests of this tier are collected: each tier has those of the ones before it."""
    return TIERS.index(tier) <= TIERS.index(TIER)


SEEDS_OF_CRASHES = range(by_tier(1, 5))

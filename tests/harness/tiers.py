"""Tiers of tests: Q at every change, F before a release, N at night, as `GREENROOM_TIER` says; Q is the default."""

import os

TIERS = "QFN"


def tier(letter: str) -> bool:
    """Whether this run has the tests of that tier: `if tier("F"):` around them. Others are not collected."""
    chosen = os.environ.get("GREENROOM_TIER", "Q")
    if chosen not in TIERS:
        raise ValueError(f"GREENROOM_TIER should be one of {', '.join(TIERS)}, and is {chosen!r}")
    return TIERS.index(letter) <= TIERS.index(chosen)

"""What every piece of content has in common."""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A piece of content: strict, unchangeable, and nothing unknown in it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


NAMED_MAX = 20
"""How many known names a fault lists."""

Faults = list[tuple[str, str]]
"""References to what is not there and the like, as (place, what would be right)."""


def missing(place: str, what: str, name: str, known: Collection[str]) -> Faults:
    """A fault unless the name is known."""
    if name in known:
        return []
    listed = ", ".join(sorted(known)[:NAMED_MAX]) + (", ..." if len(known) > NAMED_MAX else "")
    return [(place, f"there is no {what} {name!r}; there are {listed or 'none'}")]

"""What a player's state keeps of its achievements."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Feat:
    """How far an achievement is, and when each of its tiers was unlocked, the lowest first."""

    progress: int = 0
    unlocked: list[int] = field(default_factory=list)

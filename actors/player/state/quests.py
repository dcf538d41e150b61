"""What a player's state keeps of its quests."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Errand:
    """A quest that the player is on. `ends_at` is 0 when there is no hurry."""

    started_at: int
    ends_at: int = 0
    progress: dict[str, int] = field(default_factory=dict)
    """By objective."""

    def over(self, at: int) -> bool:
        """Whether its time is up, even if nobody has noticed yet."""
        return 0 < self.ends_at <= at


@dataclass(slots=True)
class Fulfilled:
    """A quest that was completed: how often, and when last."""

    times: int
    at: int

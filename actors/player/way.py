"""How an action can be done, and how often: its type, through one family of the score API."""

from dataclasses import dataclass

from actors.content import ActionType, Family, PerMinute
from actors.core import Rejected, Turn


@dataclass(frozen=True, slots=True)
class Way:
    """An action type done through a family of the API, with the limits that hold for it."""

    name: str
    family_name: str
    type: ActionType
    family: Family

    @classmethod
    def find(cls, turn: Turn, family_name: str, name: str | None = None) -> "Way":
        """The way of this family, for its own action type when none is named."""
        family: Family = getattr(turn.content.limits, family_name)
        name = name or family.action or ""
        found = turn.content.actions.get(name)
        if found is None:
            raise Rejected("action_type_unknown", f"There is no action type {name!r}.")
        return cls(name, family_name, found, family)

    @property
    def starts(self) -> tuple[str, PerMinute]:
        """What starts are counted under, and how many there may be."""
        return self._limit("start", self.family.starts_per_minute, self.type.starts_per_minute)

    @property
    def completions(self) -> tuple[str, PerMinute]:
        """What completions are counted under, and how many there may be."""
        return self._limit("complete", self.family.completions_per_minute, self.type.completions_per_minute)

    def _limit(self, step: str, of_family: PerMinute, of_type: PerMinute | None) -> tuple[str, PerMinute]:
        if of_type is None:
            return f"{self.family_name}.{step}", of_family
        return f"{self.family_name}.{step}:{self.name}", of_type

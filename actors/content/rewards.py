"""Content of rewards: what a quest, an achievement or an event gives."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from actors.content.part import Faults, Part, missing
from schemas import limits
from schemas.shape import Amount, Count, Key

if TYPE_CHECKING:
    from actors.content import Content


class Rewards(Part):
    """What a player gets at once."""

    currencies: Annotated[dict[Key, Amount], Field(max_length=limits.CURRENCIES_MAX)] = {}
    experience: Count = 0
    items: Annotated[dict[Key, Amount], Field(max_length=limits.REWARD_ITEMS_MAX)] = {}

    @property
    def nothing(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.currencies or self.experience or self.items)


def faults_of_rewards(place: str, rewards: Rewards, content: "Content") -> Faults:
    """What the rewards at this place name and is not there."""
    faults: Faults = []
    for name in rewards.currencies:
        faults += missing(f"{place}.currencies.{name}", "currency", name, content.currencies)
    for name in rewards.items:
        faults += missing(f"{place}.items.{name}", "item", name, content.items)
    uniques = sum(
        count for name, count in rewards.items.items() if name in content.items and content.items[name].unique
    )
    if uniques > limits.UNIQUES_AT_ONCE_MAX:
        faults.append((f"{place}.items", f"must hold {limits.UNIQUES_AT_ONCE_MAX} unique items at most, not {uniques}"))
    return faults

"""Content of achievements: what a player can become known for, in tiers."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.part import Faults, Part
from actors.content.rewards import Rewards, faults_of_rewards
from actors.content.triggers import Triggers, faults_of_triggers
from schemas import limits
from schemas.shape import Amount, Line, Text

if TYPE_CHECKING:
    from actors.content import Content


class Tier(Part):
    """One step of an achievement: the progress that unlocks it, and what it brings."""

    target: Amount
    title: Line | None = None
    rewards: Rewards = Rewards()


class Achievement(Part):
    """Something that a player can become known for."""

    title: Line
    text: Text | None = None
    hidden: bool = False
    """Whether it is shown only to those who have its first tier."""
    counts: Triggers
    """Any of these brings it forward."""
    tiers: Annotated[list[Tier], Field(min_length=1, max_length=limits.TIERS_MAX)]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        targets = [tier.target for tier in self.tiers]
        if targets != sorted(set(targets)):
            raise PydanticCustomError("tiers", "the target of each tier must be higher than that of the one before")
        return self

    @property
    def target(self) -> int:
        """The progress after which there is nothing more to reach."""
        return self.tiers[-1].target


def faults_of_achievements(content: "Content") -> Faults:
    """What achievements name and is not there."""
    faults: Faults = []
    for name, achievement in content.achievements.items():
        faults += faults_of_triggers(f"achievements.{name}.counts", achievement.counts, content)
        for index, tier in enumerate(achievement.tiers):
            faults += faults_of_rewards(f"achievements.{name}.tiers.{index}.rewards", tier.rewards, content)
    return faults

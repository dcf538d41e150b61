"""Content of characters: levels, stats, resources, equipment slots, effects and skills."""

from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.items import Stats
from actors.content.part import Faults, Part, missing
from actors.times import DAY_MS, DAY_S
from schemas import limits
from schemas.shape import Amount, Count, Integer, Key, Line, Text

if TYPE_CHECKING:
    from actors.content import Content


class Stat(Part):
    """A number that says how good a player is at something."""

    title: Line
    base: Integer = 0
    """At level 1, without equipment and effects."""
    per_level: Integer = 0
    """What each further level adds."""


class Resource(Part):
    """Something that is spent and comes back by itself, such as health."""

    title: Line
    base: Count
    """The maximum at level 1."""
    per_level: Count = 0
    stat: Key | None = None
    """The stat that raises the maximum."""
    per_stat: Count = 0
    """By how much each point of that stat does."""
    regains: Count = 0
    """What comes back each time."""
    every_s: Annotated[int, Field(ge=1, le=DAY_S)] = 1
    """How often it does."""


class Character(Part):
    """What every player is made of."""

    levels: Annotated[list[Amount], Field(max_length=limits.LEVELS_MAX - 1)] = []
    """The experience in all that reaches level 2, 3, and so on."""
    stats: Annotated[dict[Key, Stat], Field(max_length=limits.STATS_MAX)] = {}
    resources: Annotated[dict[Key, Resource], Field(max_length=limits.RESOURCES_MAX)] = {}
    slots: Annotated[dict[Key, Line], Field(max_length=limits.EQUIPMENT_SLOTS_MAX)] = {}
    """Where equipment is worn: names and titles."""
    bag_slots: Annotated[int, Field(ge=0, le=limits.BAG_SLOTS_MAX)] = 40
    slots_for_strangers: Annotated[int, Field(ge=0, le=limits.BAG_SLOTS_MAX)] = 30
    """How full a bag may get by gifts of players who are no friends."""
    skills: Annotated[list[Key], Field(max_length=limits.SKILLS_MAX)] = []
    """What a player can do from the first day."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.levels != sorted(set(self.levels)):
            raise PydanticCustomError("levels", "each level must take more experience than the one before")
        return self

    def level_at(self, experience: int) -> int:
        """The level that so much experience reaches."""
        return bisect_right(self.levels, experience) + 1

    def next_level_at(self, level: int) -> int | None:
        """The experience that reaches the level after this one; None when there is none."""
        return self.levels[level - 1] if level <= len(self.levels) else None


class Effect(Part):
    """Something that changes a player's stats for a while."""

    title: Line
    text: Text | None = None
    lasts_s: Annotated[int, Field(ge=1, le=30 * DAY_S)]
    stats: Stats = {}


class Skill(Part):
    """Something that a player can learn to do."""

    title: Line
    text: Text | None = None
    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] = 1
    """The least level of a player who learns it."""
    costs: Annotated[dict[Key, Amount], Field(max_length=limits.RESOURCES_MAX)] = {}
    """What using it takes of which resource."""
    cooldown_ms: Annotated[int, Field(ge=0, le=DAY_MS)] = 0
    """How long it rests after each use."""


def faults_of_character(content: "Content") -> Faults:
    """What resources, effects and skills name and is not there."""
    character = content.character
    faults: Faults = []
    for name, resource in character.resources.items():
        if resource.stat is not None:
            faults += missing(f"character.resources.{name}.stat", "stat", resource.stat, character.stats)
        elif resource.per_stat:
            faults.append((f"character.resources.{name}.per_stat", "needs a `stat` to go by"))
    for index, skill_name in enumerate(character.skills):
        faults += missing(f"character.skills.{index}", "skill", skill_name, content.skills)
    for name, effect in content.effects.items():
        for stat in effect.stats:
            faults += missing(f"effects.{name}.stats.{stat}", "stat", stat, character.stats)
    for name, skill in content.skills.items():
        for cost in skill.costs:
            faults += missing(f"skills.{name}.costs.{cost}", "resource", cost, character.resources)
    return faults

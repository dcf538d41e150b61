"""Content of items: what there is to find, carry, wear and use."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.part import Faults, Part, missing
from schemas import limits
from schemas.shape import Amount, Attributes, Count, Integer, Key, Line, Text

if TYPE_CHECKING:
    from actors.content import Content

Rarity = Literal["common", "uncommon", "rare", "epic", "legendary"]
Stats = Annotated[dict[Key, Integer], Field(max_length=limits.STATS_MAX)]
"""What is added to which stat; below zero, what is taken from it."""


class Use(Part):
    """What using an item does to its player."""

    restores: Annotated[dict[Key, Amount], Field(max_length=limits.RESOURCES_MAX)] = {}
    """How much of which resource comes back, up to its maximum."""
    effects: Annotated[list[Key], Field(max_length=limits.EFFECTS_MAX)] = []
    """Effects that begin."""
    experience: Count = 0
    teaches: Key | None = None
    """The skill that is learnt."""
    consumed: bool = True
    """Whether one of the item is gone afterwards."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.restores or self.effects or self.experience or self.teaches):
            raise PydanticCustomError("use", "a use must restore, begin an effect, give experience, or teach a skill")
        return self


class Item(Part):
    """Something that can be owned."""

    title: Line
    text: Text | None = None
    type: Literal["material", "consumable", "equipment", "tool", "quest"] = "material"
    rarity: Rarity = "common"
    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] = 1
    """The least level of a player who wears or uses it."""
    stack: Annotated[int, Field(ge=1, le=limits.STACK_MAX)] = 1
    """How many lie in one slot of a bag."""
    unique: bool = False
    """Whether each one has an id and a history of its own."""
    slots: Annotated[list[Key], Field(max_length=limits.EQUIPMENT_SLOTS_MAX)] = []
    """The equipment slots in which it can be worn, the preferred one first."""
    stats: Stats = {}
    """What it adds while it is worn."""
    use: Use | None = None
    properties: Attributes = {}
    """What else clients and rules may want to know of it, by name."""
    bound: bool = False
    """Whether it stays with its player: no gift, no trade."""
    price: Count = 0
    """What it is worth, in the smallest coin; for shops and for people who compare."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.unique and self.stack != 1:
            raise PydanticCustomError("stack", "unique items do not stack: `stack` must be 1")
        if self.slots and not self.unique:
            raise PydanticCustomError("slots", "what is worn must be unique: write `unique: true`")
        if self.stats and not self.slots:
            raise PydanticCustomError("stats", "`stats` need `slots` in which the item is worn")
        return self


def faults_of_items(content: "Content") -> Faults:
    """What items name and is not there."""
    faults: Faults = []
    for name, item in content.items.items():
        for index, slot in enumerate(item.slots):
            faults += missing(f"items.{name}.slots.{index}", "equipment slot", slot, content.character.slots)
        for stat in item.stats:
            faults += missing(f"items.{name}.stats.{stat}", "stat", stat, content.character.stats)
        if item.use is not None:
            faults += _faults_of_use(f"items.{name}.use", item.use, content)
    return faults


def _faults_of_use(place: str, use: Use, content: "Content") -> Faults:
    faults: Faults = []
    for resource in use.restores:
        faults += missing(f"{place}.restores.{resource}", "resource", resource, content.character.resources)
    for index, effect in enumerate(use.effects):
        faults += missing(f"{place}.effects.{index}", "effect", effect, content.effects)
    if use.teaches is not None:
        faults += missing(f"{place}.teaches", "skill", use.teaches, content.skills)
    return faults

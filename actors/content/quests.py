"""Content of quests: what a player is asked to do, when it may begin, and what it brings."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from actors.content.part import Faults, Part, missing
from actors.content.rewards import Rewards, faults_of_rewards
from actors.content.triggers import Triggers, faults_of_triggers
from actors.times import DAY_S
from schemas import limits
from schemas.shape import Amount, Key, Line, Text

if TYPE_CHECKING:
    from actors.content import Content


class Objective(Part):
    """One thing that must be done."""

    title: Line
    target: Amount = 1
    counts: Triggers
    """Any of these brings it forward."""


class Requires(Part):
    """What must be so before a quest can be started."""

    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] = 1
    quests: Annotated[list[Key], Field(max_length=limits.REQUIREMENTS_MAX)] = []
    """Quests that were completed, at least once each."""
    items: Annotated[dict[Key, Amount], Field(max_length=limits.REQUIREMENTS_MAX)] = {}
    """What is in the bag or worn; it stays there."""
    guild: bool = False
    """Whether the player must belong to a guild."""


class Quest(Part):
    """Something that a player is asked to do."""

    title: Line
    text: Text | None = None
    requires: Requires = Requires()
    objectives: Annotated[dict[Key, Objective], Field(min_length=1, max_length=limits.OBJECTIVES_MAX)]
    turn_in: bool = False
    """Whether it is completed only when the player says so."""
    repeats: Key | None = None
    """The reset after which it can be done again; at the reset an unfinished one ends. None: it is done once."""
    within_s: Annotated[int, Field(ge=1, le=365 * DAY_S)] | None = None
    """How long a player has for it."""
    rewards: Rewards = Rewards()


def faults_of_quests(content: "Content") -> Faults:
    """What quests name and is not there, and quests that nobody can ever do."""
    faults: Faults = []
    for name, quest in content.quests.items():
        place = f"quests.{name}"
        for index, other in enumerate(quest.requires.quests):
            faults += missing(f"{place}.requires.quests.{index}", "quest", other, content.quests)
        for item in quest.requires.items:
            faults += missing(f"{place}.requires.items.{item}", "item", item, content.items)
        highest = len(content.character.levels) + 1
        if quest.requires.level > highest:
            faults.append((f"{place}.requires.level", f"can never be reached; the highest level is {highest}"))
        for key, objective in quest.objectives.items():
            faults += faults_of_triggers(f"{place}.objectives.{key}.counts", objective.counts, content)
        if quest.repeats is not None:
            faults += missing(f"{place}.repeats", "reset", quest.repeats, content.resets)
        faults += faults_of_rewards(f"{place}.rewards", quest.rewards, content)
    return faults + _unreachable(content)


def _unreachable(content: "Content") -> Faults:
    """Quests that wait for each other in a circle, and those that wait for one of these."""
    waits = {
        name: [other for other in _awaited(quest) if other in content.quests] for name, quest in content.quests.items()
    }
    reached: set[str] = set()
    while found := {name for name, others in waits.items() if name not in reached and reached.issuperset(others)}:
        reached |= found
    return [
        (f"quests.{name}", f"can never be completed: {' waits for '.join(_circle(name, waits, reached))}")
        for name in waits
        if name not in reached
    ]


def _awaited(quest: Quest) -> list[str]:
    """The quests without whose completion it cannot be completed."""
    awaited = list(quest.requires.quests)
    for objective in quest.objectives.values():
        others = [trigger.where.get("quest") for trigger in objective.counts if trigger.event == "quest_completed"]
        if len(others) == len(objective.counts) == 1 and isinstance(others[0], str):
            awaited.append(others[0])
    return awaited


def _circle(name: str, waits: dict[str, list[str]], reached: set[str]) -> list[str]:
    """From the quest along what it waits for, to the first that comes again."""
    path: list[str] = []
    while name not in path:
        path.append(name)
        name = next(other for other in waits[name] if other not in reached)
    return [*path, name]

"""A game of a few quests and achievements, for tests of the rules that they have in common."""

from typing import Any

from actors.content import Content
from tests.unit.stage import Person, Stage, starter_content

WIN: dict[str, Any] = {"event": "action_completed", "where": {"type": "practice"}}


def objective(target: int = 1, *counts: dict[str, Any]) -> dict[str, Any]:
    return {"title": "Win", "target": target, "counts": list(counts or (WIN,))}


def quest(target: int = 1, **fields: Any) -> dict[str, Any]:
    """A quest for so many wins."""
    return {"title": "Quest", "objectives": {"win": objective(target)}, **fields}


def achievement(*targets: int, counts: dict[str, Any] = WIN, **fields: Any) -> dict[str, Any]:
    """An achievement for so many wins."""
    return {"title": "Feat", "counts": [counts], "tiers": [{"target": target} for target in targets], **fields}


def world(
    quests: dict[str, Any] | None = None,
    achievements: dict[str, Any] | None = None,
    resets: dict[str, Any] | None = None,
) -> Content:
    """The starter game with these instead of its own quests and achievements."""
    body = starter_content().model_dump()
    body |= {"quests": quests or {}, "achievements": achievements or {}, "resets": resets or {}}
    return Content.model_validate(body, strict=False)


def alone(content: Content) -> tuple[Stage, Person]:
    """A stage with one player on it."""
    stage = Stage(content)
    return stage, Person(stage, "alice")


def happened(person: Person, *names: str) -> list[dict[str, Any]]:
    """What the player's events of these names say, in order."""
    return [fields for name, fields in person.stage.journal[person.address] if name in names]


def active(person: Person) -> dict[str, Any]:
    """What the player is on, by name."""
    return {shown["quest"]: shown for shown in person.ask("quests")["active"]}


def available(person: Person) -> set[str]:
    return {shown["quest"] for shown in person.ask("quests")["available"]}


def completed(person: Person) -> dict[str, int]:
    """How often the player completed what, by name."""
    return {shown["quest"]: shown["times"] for shown in person.ask("quests")["completed"]}

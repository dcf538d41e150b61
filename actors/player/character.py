"""What a player is made of: level and experience, and the stats that they, equipment and effects add up to."""

from collections.abc import Iterator, Mapping
from typing import Any

from actors.core import Effect, Event, Turn
from actors.player.effects import Condition
from actors.player.state import Player
from actors.times import rfc3339
from schemas import limits


def gained(
    player: Player, turn: Turn, amount: int, reason: str, condition: Condition | None = None
) -> Iterator[Effect]:
    """Experience is earned; the level follows, and with each new level all resources are full.

    At most once in a turn. A command that changes the player's condition too gives it, and yields its changes itself.
    """
    total = min(player.experience + amount, limits.INTEGER_MAX)
    if total == player.experience:
        return
    yield ExperienceGained(amount=total - player.experience, total=total, reason=reason, at=turn.at)
    level = turn.content.character.level_at(total)
    if level <= player.level:
        return
    yield LevelReached(level=level, before=player.level, at=turn.at)
    after = condition or Condition(player, turn.content, turn.at)
    after.refill(level)
    if condition is None:
        yield from after.changes()


def character_of(player: Player, turn: Turn) -> dict[str, Any]:
    """The part of the player's sheet that depends on content and on the time."""
    character, content = turn.content.character, turn.content
    condition = Condition(player, content, turn.at)
    values, most, resources = condition.values(), condition.most(), character.resources
    return {
        "nextLevelAt": character.next_level_at(player.level),
        "stats": {
            name: {"value": base + worn + effects, "base": base, "equipment": worn, "effects": effects}
            for name, (base, worn, effects) in condition.stats().items()
        },
        "resources": {
            name: {
                "current": values[name],
                "max": most[name],
                "regeneration": {"amount": resources[name].regains, "everyS": resources[name].every_s},
                "fullAt": _time(condition.full_at(name)),
            }
            for name in most
        },
        "effects": [
            {"effect": name, "title": content.effects[name].title, "endsAt": rfc3339(until)}
            for name, until in sorted(condition.effects.items(), key=lambda pair: pair[1])
            if name in content.effects
        ],
        "skills": known_skills(player, turn),
        "bag": {"used": len(player.bag), "capacity": character.bag_slots, "waiting": len(player.waiting)},
    }


def known_skills(player: Player, turn: Turn) -> list[str]:
    """What the player can do: from the first day, and what was learnt since."""
    return list(dict.fromkeys([*turn.content.character.skills, *player.skills]))


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


class SkillLearnt(Event[Player]):
    """The player can do something more."""

    public = True

    skill: str
    at: int

    def apply(self, player: Player) -> None:
        player.skills.append(self.skill)

    def push(self) -> Mapping[str, Any]:
        return {"skills": [self.skill]}


class ExperienceGained(Event[Player]):
    """Experience was earned. `total` is what there is now."""

    public = True

    amount: int
    total: int
    reason: str
    at: int

    def apply(self, player: Player) -> None:
        player.experience = self.total

    def push(self) -> Mapping[str, Any]:
        return {"experience": self.total}


class LevelReached(Event[Player]):
    """A new level; several at once when much was earned."""

    public = True

    level: int
    before: int
    at: int

    def apply(self, player: Player) -> None:
        player.level = self.level

    def push(self) -> Mapping[str, Any]:
        return {"level": self.level}

"""Using an item: what it does to its player, in one commit with its being used up."""

from collections.abc import Mapping
from typing import Any

from actors.content.items import Use
from actors.core import Command, Effects, Event, Rejected, Turn
from actors.player.bag import part_taken
from actors.player.character import SkillLearnt, gained, known_skills
from actors.player.effects import Condition
from actors.player.packing import item_of, stack_of
from actors.player.state import Player
from schemas import limits
from schemas.shape import Key


class UseItem(Command[Player]):
    """One of a stack is used: it restores, begins effects, gives experience, or teaches."""

    public = True

    stack_id: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        stack = stack_of(player, self.stack_id)
        item = item_of(turn, stack.item)
        use = item.use
        if use is None:
            raise Rejected("item_not_usable", "This cannot be used.")
        if player.level < item.level:
            raise Rejected("level_too_low", f"It takes level {item.level}.")
        if use.teaches is not None:
            _learnable(player, turn, use.teaches)
        condition = Condition(player, turn.content, turn.at)
        for name in use.effects:
            condition.begin(name)
        restored = {name: condition.restore(name, amount) for name, amount in sorted(use.restores.items())}
        if _in_vain(use, restored):
            raise Rejected("resources_full", "Nothing of what it restores is missing.")
        if use.consumed:
            yield part_taken(player, turn, self.stack_id, 1, "used")
        yield ItemUsed(item=stack.item, restored=restored, effects=list(use.effects), at=turn.at)
        if use.teaches is not None:
            yield SkillLearnt(skill=use.teaches, at=turn.at)
        yield from gained(player, turn, use.experience, f"item:{stack.item}", condition)
        yield from condition.changes()
        return {
            "item": stack.item,
            "restored": dict(restored),
            "effects": list(use.effects),
            "learnt": use.teaches,
            "resources": condition.values(),
        }


def _learnable(player: Player, turn: Turn, name: str) -> None:
    skill = turn.content.skills.get(name)
    if skill is None:
        raise Rejected("skill_unknown", f"There is no skill {name!r}.")
    if name in known_skills(player, turn):
        raise Rejected("skill_known", "You know this already.")
    if player.level < skill.level:
        raise Rejected("level_too_low", f"It takes level {skill.level}.")
    if len(player.skills) >= limits.SKILLS_MAX:
        raise Rejected("skills_too_many", f"No more than {limits.SKILLS_MAX} skills can be learnt.")


def _in_vain(use: Use, restored: Mapping[str, int]) -> bool:
    return not (any(restored.values()) or use.effects or use.experience or use.teaches)


class ItemUsed(Event[Player]):
    """An item was used. `restored` is how much of which resource came back."""

    public = True

    item: str
    restored: dict[str, int]
    effects: list[str]
    at: int

    def apply(self, player: Player) -> None:
        """What it changed is said by the events beside it."""

    def push(self) -> Mapping[str, Any]:
        return {"used": self.item}

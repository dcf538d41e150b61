"""K16: what a quest or an achievement gives is given once for each time, whole, or it is under way."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from actors.content import Content
from actors.content.rewards import Rewards
from actors.core import Actor
from actors.player.achievements import AchievementUnlocked
from actors.player.quests import QuestCompleted
from actors.player.rewards import GrantRewards
from actors.player.state import Player
from schemas import limits
from schemas.address import Address
from scripts.verify.item_messages import granted
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

_KINDS = ("quest:", "achievement:")
_TWICE = "What it gave counts twice. Take it back by a trusted command; see the K9 findings for how it came about."
_LOST = "Give it by a trusted command; see the K9 findings for how it was lost."
_ROW = "`greenroom inspect history player {key} --events` shows the turn. A row was changed: restore it from a backup."


class Earned(Watcher):
    """The rewards of one player at a time: owed by what it completed, and given."""

    kinds = frozenset({"player"})

    def __init__(self, report: Report, contents: Mapping[int, Content]) -> None:
        super().__init__(report)
        self._contents = contents
        self._under_way: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        """Rewards in messages that wait, by player."""
        self._owed: dict[str, Rewards | None] = {}
        """By reason, of the player at hand; None where the content of that time is gone."""
        self._given: dict[str, list[Any]] = defaultdict(list)
        self._times: dict[str, int] = defaultdict(int)
        self._count = 0
        self._unknown = 0

    def waits(self, message: Waiting) -> None:
        if message.name == GrantRewards.wire_name and message.to.kind == "player":
            reason, rewards = str(message.fields.get("reason")), message.fields.get("rewards")
            self._under_way[message.to.key].append((reason, _plain(rewards)))

    def turn(self, past: Past) -> None:
        content = self._contents.get(past.told.get("content", 0))
        for event in past.events:
            if isinstance(event, QuestCompleted):
                quest = content.quests.get(event.quest) if content is not None else None
                self._owes(past, f"quest:{event.quest}", event.times, None if quest is None else quest.rewards)
            elif isinstance(event, AchievementUnlocked):
                found = content.achievements.get(event.achievement) if content is not None else None
                tier = found.tiers[event.tier - 1] if found is not None and event.tier <= len(found.tiers) else None
                name = f"achievement:{event.achievement}"
                self._owes(past, name, event.tier, None if tier is None else tier.rewards)
        for part in past.parts:
            if part.name == GrantRewards.wire_name and part.events:
                gave = granted(part.events)
                if gave is not None and gave[1].startswith(_KINDS):
                    self._given[gave[1]].append(_plain(gave[0].model_dump()))

    def _owes(self, past: Past, what: str, number: int, rewards: Rewards | None) -> None:
        due = self._times[what] + 1
        self._times[what] = number
        if number != due:
            told = f"{past}: {what} was earned for the {number}. time, which is the {due}."
            self.report.found("K16", past.address, told, _ROW.format(key=past.address.key))
        if rewards is None or not rewards.nothing:
            self._owed[f"{what}:{number}"] = rewards

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        full = isinstance(actor, Player) and actor.experience >= limits.INTEGER_MAX
        for reason, plain in self._under_way.pop(address.key, ()):
            self._given[reason].append(plain)
        for reason, rewards in self._owed.items():
            self._count += 1
            given = self._given.pop(reason, [])
            if len(given) > 1:
                told = f"what {reason} gives was given {len(given)} times"
                self.report.found("K16", address, told, _TWICE)
            elif not given and rewards is not None and not full:
                told = f"what {reason} gives was neither given, nor is it under way"
                self.report.found("K16", address, told, _LOST)
            elif given and rewards is not None and not full and given[0] != _plain(rewards.model_dump()):
                told = f"{reason} gives {_plain(rewards.model_dump())}; {given[0]} was given"
                self.report.found("K16", address, told, _ROW.format(key=address.key))
            self._unknown += rewards is None
        for reason in self._given:
            if reason.startswith(_KINDS):
                told = f"what {reason} gives was given, and never earned"
                self.report.found("K16", address, told, _TWICE)
        self._owed, self._given, self._times = {}, defaultdict(list), defaultdict(int)

    async def end(self, snapshot: Any) -> None:
        if self._unknown:
            self.report.not_judged("K16", f"{self._unknown:,} were earned under content that is gone")
        if self._count:
            self.report.judged("K16", self._count, "rewards of quests and achievements")


def _plain(rewards: Any) -> dict[str, Any]:
    """What there is of the rewards, in one way of writing it."""
    return {name: value for name, value in rewards.items() if value} if isinstance(rewards, dict) else {}

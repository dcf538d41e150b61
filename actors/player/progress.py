"""What a player's events mean for its quests and achievements: both listen by rules of the content."""

from collections.abc import Iterator
from typing import Any

from actors.content.triggers import Rule
from actors.core import Effect, Event, Turn
from actors.player import achievements, quests
from actors.player.achievements import AchievementsProgressed, AchievementUnlocked
from actors.player.quests import QuestCompleted, QuestsProgressed
from actors.player.state import Feat, Player, reaction
from schemas import limits

_NOTHING = Feat()


@reaction()
def advance(player: Player, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
    """Progress, completions and unlocked tiers that follow from the events, and from each other."""
    listeners = turn.content.listeners
    heard = [event for event in events if event.wire_name in listeners and not _own(event)]
    return Advance(player, turn).from_events(heard) if heard else iter(())


def _own(event: Event[Any]) -> bool:
    """Whether the event came from here, so that what follows from it did, too."""
    if isinstance(event, QuestCompleted):
        return not event.turned_in
    return isinstance(event, AchievementUnlocked)


class Advance:
    """How far quests and achievements get by some events, before any of that is applied.

    A completed quest may bring others forward, however long the chain: all of it belongs to the same turn. It comes to
    an end because a quest is completed once while a player is on it, and a tier is unlocked once.
    """

    __slots__ = ("completed", "feats", "ongoing", "player", "progress", "ready", "turn", "unlocked")

    def __init__(self, player: Player, turn: Turn) -> None:
        self.player = player
        self.turn = turn
        self.ongoing = {name for name, errand in player.quests.items() if not errand.over(turn.at)}
        self.progress: dict[str, dict[str, int]] = {}
        """Of quests, as far as it changed."""
        self.feats: dict[str, int] = {}
        """Of achievements, as far as it changed."""
        self.ready: list[str] = []
        self.completed: list[QuestCompleted] = []
        self.unlocked: list[AchievementUnlocked] = []

    def from_events(self, events: list[Event[Any]]) -> Iterator[Effect]:
        """The effects of these events."""
        listeners = self.turn.content.listeners
        heard = list(events)
        for event in heard:  # which grows by what follows
            listening = listeners.get(event.wire_name)
            if listening is None:
                continue
            counted = listening.counted(event)
            if not counted:
                continue
            reached: set[str] = set()
            for rule, worth in counted:
                if rule.quests:
                    self._count_for_quests(rule, worth, reached)
            due = self._count_for_achievements(counted)
            if reached:
                heard += self._completions(reached)
            if due:
                heard += self._unlocks(due)
        yield from self._effects()

    def _count_for_quests(self, rule: Rule, worth: int, reached: set[str]) -> None:
        listening, ongoing = rule.quests, self.ongoing
        for name in ongoing if len(ongoing) < len(listening) else listening:
            if name not in ongoing or name not in listening:
                continue
            before = self.player.quests[name].progress
            after = self.progress.get(name)
            for objective, target in listening[name]:
                known = before.get(objective, 0) if after is None else after.get(objective, before.get(objective, 0))
                now = min(target, max(known, worth) if rule.highest else known + worth)
                if now > known:
                    after = self.progress.setdefault(name, {})
                    after[objective] = now
                if now >= target:
                    reached.add(name)

    def _count_for_achievements(self, counted: list[tuple[Rule, int]]) -> set[str]:
        """Those of which a tier is due."""
        feats, held, due = self.feats, self.player.achievements, set()
        for rule, worth in counted:
            highest = rule.highest
            full = len(held) + len(feats) >= limits.ACHIEVEMENTS_MAX
            for name, targets in rule.achievements:
                feat = held.get(name, _NOTHING)
                have = len(feat.unlocked)
                if have >= len(targets) or (full and feat is _NOTHING):
                    continue
                known = feats.get(name, feat.progress)
                now = worth if highest else known + worth
                if now > known:
                    last = targets[-1]
                    if known < last:
                        feats[name] = now if now < last else last
                else:
                    now = known
                if now >= targets[have]:
                    due.add(name)
        return due

    def _completions(self, reached: set[str]) -> list[QuestCompleted]:
        found = []
        for name in sorted(reached):
            quest = self.turn.content.quests[name]
            if not quests.met(quest, {**self.player.quests[name].progress, **self.progress.get(name, {})}):
                continue
            if quest.turn_in:
                self.ready.append(name)
                continue
            self.ongoing.discard(name)
            found.append(quests.completion(self.player, name, self.turn, turned_in=False))
        self.completed += found
        return found

    def _unlocks(self, due: set[str]) -> list[AchievementUnlocked]:
        found = []
        for name in sorted(due):
            tiers = self.turn.content.achievements[name].tiers
            feat = self.player.achievements.get(name, _NOTHING)
            have = len(feat.unlocked) + sum(event.achievement == name for event in self.unlocked)
            reached = self.feats.get(name, feat.progress)
            for number, tier in enumerate(tiers[have:], have + 1):
                if reached >= tier.target:
                    found.append(AchievementUnlocked(achievement=name, tier=number, at=self.turn.at))
        self.unlocked += found
        return found

    def _effects(self) -> Iterator[Effect]:
        content = self.turn.content
        if self.progress:
            ready = sorted(set(self.ready) & self.progress.keys())
            yield QuestsProgressed(progress=self.progress, ready=ready)
        if self.feats:
            yield AchievementsProgressed(progress=self.feats)
        for done in self.completed:
            yield done
            yield from quests.consequences(self.player, done, content.quests[done.quest])
        for unlocked in self.unlocked:
            yield unlocked
            yield from achievements.consequences(self.player, unlocked, content.achievements[unlocked.achievement])

"""Quests and achievements against a plain model: whatever is done over many days, nothing is rewarded twice."""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.times import DAY_MS
from tests.unit.quest_world import achievement, active, available, happened, objective, quest, world
from tests.unit.stage import Person, Stage
from tests.unit.test_player_machine import code_of

HOUR_MS = 3_600_000
RESET_MS = 4 * HOUR_MS
GOLD: dict[str, Any] = {"rewards": {"currencies": {"gold": 1}}}
COUNTED = {"event": "quest_completed"}

QUESTS = {
    "once": quest(3, **GOLD),
    "chained": quest(2, requires={"quests": ["once"]}, turn_in=True, **GOLD),
    "daily": quest(2, repeats="daily", **GOLD),
    "weekly": {"title": "W", "objectives": {"o": objective(3, COUNTED)}, "repeats": "weekly", **GOLD},
    "hurried": quest(2, within_s=7_200, turn_in=True, repeats="daily", **GOLD),
}
ACHIEVEMENTS = {
    "wins": {**achievement(2, 5, 9), "tiers": [{"target": target, **GOLD} for target in (2, 5, 9)]},
    "best": achievement(3, 50, counts={"event": "score_awarded", "highest": "points"}),
    "medals": achievement(2, 4, counts={"event": "achievement_unlocked"}),
}
RESETS = {"daily": {"at": "04:00"}, "weekly": {"every": "week", "at": "04:00"}}
WORLD = world(QUESTS, ACHIEVEMENTS, RESETS)


def period(name: str, at: int) -> int:
    """The number of the day or week that begins at 04:00 UTC; 0 for what is done once."""
    day = (at - RESET_MS) // DAY_MS
    return {"daily": day, "hurried": day, "weekly": (day + 3) // 7}.get(name, 0)


class Seasons(RuleBasedStateMachine):
    """One player over many days; the model keeps when each quest was started, how far it is, and what it brought."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(WORLD)
        self.alice = Person(self.stage, "alice")
        self.on: dict[str, int] = {}
        self.wins: Counter[str] = Counter()
        self.done: dict[str, list[int]] = {}

    def _pass(self) -> None:
        """What is out of time is no longer on."""
        for name, started in list(self.on.items()):
            late = name == "hurried" and self.stage.at >= started + 7_200_000
            if late or period(name, started) != period(name, self.stage.at):
                del self.on[name]

    def _complete(self, name: str) -> None:
        del self.on[name]
        self.done.setdefault(name, []).append(self.stage.at)
        if "weekly" in self.on:
            self.wins["weekly"] += 1
            if self.wins["weekly"] >= 3:
                self._complete("weekly")

    @rule(hours=st.sampled_from([0.001, 1, 2, 5, 23, 24, 80]), reminded=st.booleans())
    def wait(self, hours: float, reminded: bool) -> None:
        late = {} if reminded else dict(self.stage.reminders)
        if not reminded:
            self.stage.reminders.clear()
        self.stage.wait(hours * 3_600)
        self.stage.reminders.update(late)
        self._pass()

    @rule(name=st.sampled_from(sorted(QUESTS)))
    def start(self, name: str) -> None:
        told = code_of(lambda: self.alice.say("start_quest", quest=name))
        if name in self.on:
            assert told == "done"
            return
        last = self.done.get(name, [None])[-1]
        if last is not None and period(name, last) == period(name, self.stage.at):
            assert told == ("quest_done" if name in ("once", "chained") else "quest_done_for_now")
        elif name == "chained" and "once" not in self.done:
            assert told == "quest_locked"
        else:
            assert told == "done"
            self.on[name] = self.stage.at
            self.wins[name] = 0

    @rule(times=st.integers(1, 3))
    def win(self, times: int) -> None:
        for _ in range(times):
            self.alice.do("practice")
            for name in sorted(set(self.on) - {"weekly"}):
                self.wins[name] = min(self.wins[name] + 1, 3 if name == "once" else 2)
                if name in ("once", "daily") and self.wins[name] == (3 if name == "once" else 2):
                    self._complete(name)

    @rule(points=st.integers(1, 60))
    def award(self, points: int) -> None:
        self.alice.award(points)

    @rule(name=st.sampled_from(sorted(QUESTS)))
    def turn_in(self, name: str) -> None:
        told = code_of(lambda: self.alice.say("complete_quest", quest=name))
        if name in self.on and name in ("chained", "hurried") and self.wins[name] >= 2:
            assert told == "done"
            self._complete(name)
            return
        assert told in ("quest_unfinished" if name in self.on else "quest_not_active", "quest_expired")

    @rule(name=st.sampled_from(sorted(QUESTS)))
    def abandon(self, name: str) -> None:
        told = code_of(lambda: self.alice.say("abandon_quest", quest=name))
        assert told == "done" or name not in self.on
        self.on.pop(name, None)

    @invariant()
    def both_agree(self) -> None:
        shown = active(self.alice)
        assert set(shown) == set(self.on)
        for name in self.on:
            [step] = shown[name]["objectives"].values()
            assert step["progress"] == self.wins[name] <= step["target"]
        done = {fields["quest"]: fields["times"] for fields in happened(self.alice, "quest_completed")}
        assert done == {name: len(times) for name, times in self.done.items()}

    @invariant()
    def nothing_is_rewarded_twice(self) -> None:
        unlocked = [(fields["achievement"], fields["tier"]) for fields in happened(self.alice, "achievement_unlocked")]
        assert len(set(unlocked)) == len(unlocked)
        due = [f"quest:{name}:{times}" for name, all_ in self.done.items() for times in range(1, len(all_) + 1)]
        due += [f"achievement:{name}:{tier}" for name, tier in unlocked if name == "wins"]
        assert sorted(fields["reason"] for fields in happened(self.alice, "wallet_changed")) == sorted(due)
        periods = [(name, period(name, at)) for name, all_ in self.done.items() for at in all_]
        assert len(set(periods)) == len(periods)

    @invariant()
    def what_can_be_started_is_shown(self) -> None:
        for name in available(self.alice):
            assert name not in self.on
            assert not [at for at in self.done.get(name, []) if period(name, at) == period(name, self.stage.at)]

    def teardown(self) -> None:
        self.stage.check()


TestSeasons = Seasons.TestCase
TestSeasons.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)

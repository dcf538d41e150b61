"""The quests of a player: begun, brought forward by its own events, completed, and begun anew after a reset."""

from collections.abc import Iterator, Mapping
from typing import Any

from actors.content import Quest
from actors.core import Command, Effect, Effects, Event, Forget, Query, Rejected, Remind, Tell, Turn
from actors.player.inbox import Notify
from actors.player.packing import has_room
from actors.player.rewards import GrantRewards
from actors.player.state import Errand, Fulfilled, Player
from actors.times import SECOND_MS, rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Count, Key


def quest_of(turn: Turn, name: str) -> Quest:
    """The quest of this name; refused when the content has none."""
    quest = turn.content.quests.get(name)
    if quest is None:
        raise Rejected("quest_unknown", f"There is no quest {name!r}.", status=404)
    return quest


def met(quest: Quest, progress: Mapping[str, int]) -> bool:
    """Whether every objective has reached its target."""
    return all(progress.get(name, 0) >= objective.target for name, objective in quest.objectives.items())


def done_until(player: Player, name: str, quest: Quest, turn: Turn) -> int | None:
    """Until when the quest cannot be done again, because it was: 0 stands for ever, None for not at all."""
    done = player.quests_done.get(name)
    if done is None:
        return None
    if quest.repeats is None:
        return 0
    reset = turn.content.resets[quest.repeats]
    return reset.ends(turn.at) if done.at >= reset.began(turn.at) else None


def owned(player: Player, item: str) -> int:
    """How many of the item are in the bag or worn."""
    stacked = sum(stack.quantity for stack in player.bag.values() if stack.item == item)
    return stacked + sum(worn.item == item for worn in player.worn.values())


def unmet(player: Player, quest: Quest) -> str | None:
    """What the player lacks, in words; None when the quest may be started."""
    requires = quest.requires
    if player.level < requires.level:
        return f"It takes level {requires.level}."
    waiting = [name for name in requires.quests if name not in player.quests_done]
    if waiting:
        return f"It takes the quest {waiting[0]!r} to be completed first."
    lacking = [(item, amount) for item, amount in requires.items.items() if owned(player, item) < amount]
    if lacking:
        return f"It takes {lacking[0][1]} of {lacking[0][0]!r}."
    if requires.guild and player.guild is None:
        return "It takes a guild to belong to."
    return None


class StartQuest(Command[Player]):
    """The player takes on a quest; who is on it already stays on it."""

    public = True

    quest: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        quest = quest_of(turn, self.quest)
        errand = player.quests.get(self.quest)
        if errand is not None and not errand.over(turn.at):
            return active(self.quest, quest, errand)
        self._guard(player, quest, turn)
        if errand is not None:
            yield QuestExpired(quest=self.quest)
        started = QuestStarted(quest=self.quest, at=turn.at, ends_at=_ends_at(quest, turn))
        yield started
        if started.ends_at:
            late = ExpireQuest(quest=self.quest, started_at=turn.at)
            yield Remind(_reminder(self.quest), started.ends_at, late)
        return active(self.quest, quest, Errand(started.at, started.ends_at))

    def _guard(self, player: Player, quest: Quest, turn: Turn) -> None:
        again = done_until(player, self.quest, quest, turn)
        if again == 0:
            raise Rejected("quest_done", "This quest can be done once only.")
        if again is not None:
            raise Rejected("quest_done_for_now", "This quest can be done again later.", availableAt=rfc3339(again))
        lacking = unmet(player, quest)
        if lacking is not None:
            raise Rejected("quest_locked", lacking)
        if quest.rewards.items and not has_room(player):
            raise Rejected("bag_full", "The bag is full, and too much waits for room in it already.")
        if sum(not errand.over(turn.at) for errand in player.quests.values()) >= limits.QUESTS_ACTIVE_MAX:
            raise Rejected("quests_too_many", f"A player can be on {limits.QUESTS_ACTIVE_MAX} quests at a time.")
        if self.quest not in player.quests_done and len(player.quests_done) >= limits.QUESTS_REMEMBERED_MAX:
            raise Rejected("quests_too_many", f"A player can complete {limits.QUESTS_REMEMBERED_MAX} quests.")


def _ends_at(quest: Quest, turn: Turn) -> int:
    """When the time for the quest is up: its own, or that of its day or week, whichever is sooner; 0 when never."""
    ends = [] if quest.within_s is None else [turn.at + quest.within_s * SECOND_MS]
    if quest.repeats is not None:
        ends.append(turn.content.resets[quest.repeats].ends(turn.at))
    return min(ends, default=0)


def _reminder(name: str) -> str:
    return f"quest:{name}"


class QuestStarted(Event[Player]):
    """A quest was taken on. `ends_at` is 0 when there is no hurry."""

    public = True

    quest: str
    at: int
    ends_at: int

    def apply(self, player: Player) -> None:
        player.quests[self.quest] = Errand(self.at, self.ends_at)

    def push(self) -> Mapping[str, Any]:
        return {"quests": {self.quest: {"state": "active", "progress": {}}}}


class QuestsProgressed(Event[Player]):
    """Objectives came closer. `progress` is how far they are now, by quest; `ready` can be turned in."""

    public = True

    progress: dict[str, dict[str, int]]
    ready: list[str]

    def apply(self, player: Player) -> None:
        for name, progress in self.progress.items():
            player.quests[name].progress.update(progress)

    def push(self) -> Mapping[str, Any]:
        return {
            "quests": {
                name: {"state": "ready" if name in self.ready else "active", "progress": dict(progress)}
                for name, progress in self.progress.items()
            }
        }


class CompleteQuest(Command[Player]):
    """The player turns in a quest whose objectives are met; what it brings follows."""

    public = True

    quest: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        quest = quest_of(turn, self.quest)
        errand = _errand(player, self.quest)
        if errand.over(turn.at):
            raise Rejected("quest_expired", "The time for this quest is up.")
        if not met(quest, errand.progress):
            raise Rejected("quest_unfinished", "Not all objectives are met.", progress=dict(errand.progress))
        done = completion(player, self.quest, turn, turned_in=True)
        yield done
        yield from consequences(player, done, quest)
        return {"quest": self.quest, "state": "completed", "times": done.times, "opens": done.opens}


def _errand(player: Player, name: str) -> Errand:
    errand = player.quests.get(name)
    if errand is None:
        raise Rejected("quest_not_active", "You are not on this quest.")
    return errand


class QuestCompleted(Event[Player]):
    """A quest was completed for the `times`th time. `opens` are the quests that waited for it."""

    public = True

    quest: str
    at: int
    times: int
    turned_in: bool
    opens: list[str]

    def apply(self, player: Player) -> None:
        del player.quests[self.quest]
        player.quests_done[self.quest] = Fulfilled(self.times, self.at)

    def push(self) -> Mapping[str, Any]:
        return {"quests": {self.quest: {"state": "completed", "times": self.times, "opens": list(self.opens)}}}


def completion(player: Player, name: str, turn: Turn, *, turned_in: bool) -> QuestCompleted:
    """The quest is completed."""
    done = player.quests_done.get(name)
    times = 1 if done is None else done.times + 1
    opens = [] if done else list(turn.content.opened_by(name))
    return QuestCompleted(quest=name, at=turn.at, times=times, turned_in=turned_in, opens=opens)


def consequences(player: Player, done: QuestCompleted, quest: Quest) -> Iterator[Effect]:
    """What follows a completion by commands of its own, after it is committed."""
    if player.quests[done.quest].ends_at:
        yield Forget(_reminder(done.quest))
    myself = player_address(player.id)
    if not quest.rewards.nothing:
        yield Tell(myself, GrantRewards(rewards=quest.rewards, reason=f"quest:{done.quest}:{done.times}"))
    yield Tell(myself, Notify(template="quest_completed", data={"quest": done.quest, "title": quest.title}))


class AbandonQuest(Command[Player]):
    """The player gives up a quest, and what was done for it."""

    public = True

    quest: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        errand = _errand(player, self.quest)
        yield QuestAbandoned(quest=self.quest)
        if errand.ends_at:
            yield Forget(_reminder(self.quest))
        return {"quest": self.quest, "state": "abandoned"}


class QuestAbandoned(Event[Player]):
    """A quest was given up."""

    public = True

    quest: str

    def apply(self, player: Player) -> None:
        del player.quests[self.quest]

    def push(self) -> Mapping[str, Any]:
        return {"quests": {self.quest: {"state": "abandoned"}}}


class ExpireQuest(Command[Player]):
    """The time for a quest is up, if the player is still on the one that was started then."""

    quest: Key
    started_at: Count

    def decide(self, player: Player, turn: Turn) -> Effects:
        errand = player.quests.get(self.quest)
        if errand is None or errand.started_at != self.started_at:
            return {}
        yield QuestExpired(quest=self.quest)
        quest = turn.content.quests.get(self.quest)
        if quest is not None and quest.within_s is not None:
            told = Notify(template="quest_expired", data={"quest": self.quest, "title": quest.title})
            yield Tell(player_address(player.id), told)
        return {}


class QuestExpired(Event[Player]):
    """A quest was not completed in time."""

    public = True

    quest: str

    def apply(self, player: Player) -> None:
        del player.quests[self.quest]

    def push(self) -> Mapping[str, Any]:
        return {"quests": {self.quest: {"state": "expired"}}}


class Quests(Query[Player]):
    """What the player can start, what it is on, and what it has completed."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        quests = turn.content.quests
        on = {name: errand for name, errand in player.quests.items() if not errand.over(turn.at)}
        return {
            "available": [
                described(name, quest)
                for name, quest in quests.items()
                if name not in on and done_until(player, name, quest, turn) is None and unmet(player, quest) is None
            ],
            "active": [active(name, quests[name], errand) for name, errand in on.items() if name in quests],
            "completed": [_completed(player, name, turn) for name in player.quests_done],
        }


def described(name: str, quest: Quest) -> dict[str, Any]:
    """The quest as somebody sees it who has not started it."""
    return {
        "quest": name,
        "title": quest.title,
        "text": quest.text,
        "objectives": {
            key: {"title": objective.title, "target": objective.target} for key, objective in quest.objectives.items()
        },
        "turnIn": quest.turn_in,
        "repeats": quest.repeats,
        "withinS": quest.within_s,
        "rewards": quest.rewards.model_dump(),
    }


def active(name: str, quest: Quest, errand: Errand) -> dict[str, Any]:
    """The quest as somebody sees it who is on it."""
    shown = described(name, quest)
    for key, objective in quest.objectives.items():
        shown["objectives"][key]["progress"] = min(errand.progress.get(key, 0), objective.target)
    return {
        **shown,
        "state": "ready" if met(quest, errand.progress) else "active",
        "startedAt": rfc3339(errand.started_at),
        "endsAt": rfc3339(errand.ends_at) if errand.ends_at else None,
    }


def _completed(player: Player, name: str, turn: Turn) -> dict[str, Any]:
    done = player.quests_done[name]
    quest = turn.content.quests.get(name)
    again = None if quest is None else done_until(player, name, quest, turn)
    return {
        "quest": name,
        "title": name if quest is None else quest.title,
        "times": done.times,
        "completedAt": rfc3339(done.at),
        "availableAt": rfc3339(again) if again else None,
    }

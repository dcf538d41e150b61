"""What an actor does about its own events, in the same turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.core import SYSTEM, Actor, Command, Effect, Effects, Event, Rejected, Remind, Turn, decide
from tests.unit.stage import START_MS, starter_content


class Hen(Actor):
    """Lays eggs; each third one hatches, and a chick is news of its own."""

    eggs: int = 0
    chicks: int = 0
    broken: bool = False
    endless: bool = False

    def reacts(self, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
        if self.endless:
            yield Laid()
            return
        if self.broken:
            raise Rejected("broken_egg")
        for event in events:
            if isinstance(event, Laid) and self.eggs % 3 == 0:
                yield Hatched()
            if isinstance(event, Hatched):
                yield Remind("grow", turn.at + 1_000, Lay())


class Lay(Command[Hen]):
    """One more egg."""

    def decide(self, hen: Hen, turn: Turn) -> Effects:
        yield Laid()
        return {"eggs": hen.eggs + 1}


class Laid(Event[Hen]):
    """There is one more."""

    def apply(self, hen: Hen) -> None:
        hen.eggs += 1


class Hatched(Event[Hen]):
    """A chick is there."""

    def apply(self, hen: Hen) -> None:
        hen.chicks += 1


def turn() -> Turn:
    return Turn(SYSTEM, START_MS, starter_content(), "op")


def test_an_event_that_calls_for_nothing_stays_alone() -> None:
    assert [type(event) for event in decide(Lay(), Hen(), turn()).events] == [Laid]


def test_reactions_are_events_of_the_same_turn_and_are_reacted_to_in_their_turn() -> None:
    hen = Hen(eggs=2)
    outcome = decide(Lay(), hen, turn())
    assert [type(event) for event in outcome.events] == [Laid, Hatched]
    assert [effect.name for effect in outcome.others if isinstance(effect, Remind)] == ["grow"]
    assert (hen.eggs, hen.chicks, outcome.reply) == (3, 1, {"eggs": 3})


def test_a_reaction_that_refuses_is_a_bug_and_no_refusal_of_the_command() -> None:
    with pytest.raises(RuntimeError, match="could not be applied"):
        decide(Lay(), Hen(broken=True), turn())


def test_reactions_without_end_are_a_bug() -> None:
    with pytest.raises(RuntimeError):
        decide(Lay(), Hen(endless=True), turn())

"""Bugs put into the runtime on purpose: the simulation is worth as much as what it finds of these."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from actors.core import Tell
from actors.player import quests
from actors.player.rewards import GrantRewards
from actors.runtime import commit
from actors.runtime.answers import Answers, refused
from actors.runtime.commit import GroupCommit
from actors.runtime.database import OutcomeUnknown, UniqueConflict
from actors.runtime.freshness import Freshness
from actors.runtime.host import Host
from actors.runtime.lease import Lease
from actors.runtime.ops import OpFinder
from actors.runtime.sweeper import Sweeper
from actors.runtime.turns import Turns
from schemas.problems import Refusal
from tests.simulation.store import Store
from tests.simulation.wires import SimulatedStatements

Sabotage = Callable[[], AbstractContextManager[None]]


@contextmanager
def _instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def replies_leave_before_the_commit() -> AbstractContextManager[None]:
    add = GroupCommit.add

    def hasty(commits: GroupCommit, turn: Any) -> None:
        add(commits, turn)
        turn.answer()

    return _instead(GroupCommit, "add", hasty)


def _commit_that_ignores(error: type[Exception]) -> AbstractContextManager[None]:
    commit = SimulatedStatements.commit

    async def careless(statements: SimulatedStatements, wanted: Any) -> None:
        try:
            await commit(statements, wanted)
        except error:
            return

    return _instead(SimulatedStatements, "commit", careless)


def conflicts_are_ignored() -> AbstractContextManager[None]:
    return _commit_that_ignores(UniqueConflict)


def an_unknown_outcome_is_taken_for_done() -> AbstractContextManager[None]:
    return _commit_that_ignores(OutcomeUnknown)


def an_unknown_outcome_is_taken_for_not_done() -> AbstractContextManager[None]:
    """Turns whose commit has an unknown end are told to have failed for good."""

    lose_everything = GroupCommit._lose_everything

    def give_up(commits: GroupCommit, group: Any) -> None:
        for turn in group.turns:
            if turn.origin is not None:
                turn.origin.reply(refused(Refusal("FORBIDDEN")))
                turn.origin = None
        lose_everything(commits, group)

    return _instead(GroupCommit, "_lose_everything", give_up)


def answers_do_not_wait_for_the_commit_of_what_they_saw() -> AbstractContextManager[None]:
    def at_once(answers: Answers, cell: Any, delivery: Any, reply: Any) -> None:
        delivery.reply(reply)

    return _instead(Answers, "when_committed", at_once)


@contextmanager
def op_ids_are_forgotten() -> Iterator[None]:
    command, insert_turn = Turns.command, Store.insert_turn

    def forgetful(turns: Turns, cell: Any, delivery: Any) -> None:
        cell.recent.clear()
        command(turns, cell, delivery)

    def anything(store: Store, row: Any) -> None:
        store.unique_ops = False
        insert_turn(store, row)

    async def nothing(finder: OpFinder, address: Any, op: str) -> None:
        return None

    remembering, unique, looking = (Turns, "command"), (Store, "insert_turn"), (OpFinder, "find")
    with _instead(*remembering, forgetful), _instead(*unique, anything), _instead(*looking, nothing):
        yield


def tells_are_not_stored_with_the_turn() -> AbstractContextManager[None]:
    return _instead(Store, "_send", lambda store, *parcel: None)


def what_was_told_is_kept_when_its_sender_is_lost() -> AbstractContextManager[None]:
    return _instead(commit, "bound_to", lambda cells, groups: set(cells))


def nobody_redelivers() -> AbstractContextManager[None]:
    async def idle(sweeper: Sweeper) -> None:
        return None

    return _instead(Sweeper, "sweep_outbox", idle)


def a_host_speaks_without_its_lease() -> AbstractContextManager[None]:
    return _instead(Lease, "valid", property(lambda lease: True))


def lost_turns_stay_in_memory() -> AbstractContextManager[None]:
    def keep(host: Host, lost: Any, again: Any, stale: bool) -> None:
        for cell in lost:
            cell.pending = 0
        host.redeliver(again)

    return _instead(Host, "_lost", keep)


@contextmanager
def nobody_looks_whether_memory_is_behind() -> Iterator[None]:
    async def idle(freshness: Freshness) -> None:
        return None

    with _instead(Freshness, "look", idle), _instead(Freshness, "_lost", lambda freshness, slots: None):
        yield


def rewards_are_told_twice() -> AbstractContextManager[None]:
    consequences = quests.consequences

    def doubled(*given: Any) -> Iterator[Any]:
        for effect in consequences(*given):
            yield effect
            if isinstance(effect, Tell) and isinstance(effect.command, GrantRewards):
                yield effect

    return _instead(quests, "consequences", doubled)


@dataclass(frozen=True)
class Found:
    """A sabotage, and the number of seeds within which it is found; some need faults of one kind and time."""

    sabotage: Sabotage
    within: int
    faults: tuple[str, ...] = ()
    think_s: float | None = None


SABOTAGES = [
    Found(replies_leave_before_the_commit, 1),
    Found(conflicts_are_ignored, 5),
    Found(an_unknown_outcome_is_taken_for_done, 10),
    Found(an_unknown_outcome_is_taken_for_not_done, 10),
    Found(answers_do_not_wait_for_the_commit_of_what_they_saw, 5),
    Found(op_ids_are_forgotten, 5),
    Found(tells_are_not_stored_with_the_turn, 10),
    Found(what_was_told_is_kept_when_its_sender_is_lost, 10),
    Found(nobody_redelivers, 10),
    Found(lost_turns_stay_in_memory, 5),
    Found(a_host_speaks_without_its_lease, 10, ("postgres_silent",), 1.5),
    Found(nobody_looks_whether_memory_is_behind, 10, ("steal_slots",), 0.4),
    Found(rewards_are_told_twice, 5),
]

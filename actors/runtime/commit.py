"""Group commit: the turns of all actors of a host that are ready go into Postgres in one statement."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from pydantic_core import to_json

from actors.core import Event, Forget, Record, Remind, Tell
from actors.runtime import faults, journal
from actors.runtime.cell import Await, Cell, Delivery, Played
from actors.runtime.checkpoints import checkpoint_columns, due_checkpoints, transposed
from actors.runtime.database import OutcomeUnknown, Refused, Statements, UniqueConflict
from actors.runtime.group import Group, Parcel, bound_to
from actors.runtime.metrics import HostMetrics
from schemas import limits
from schemas.address import Address
from schemas.messages import Reply
from schemas.problems import Refusal

_log = structlog.get_logger("commit")

GROUPS_WAITING_MAX = 20
"""Closed groups that wait for their commit before no more is taken in."""
WAIT_S_MAX = 1.0
"""How long what is taken in now may wait for its commit, by the pace of the latest ones: clients give up after a few
seconds, and what is committed for nobody leaves no room for those who still wait."""
ATTEMPTS_MAX = 3
"""How often a group is sent again without the actors of a conflict; then each actor is committed by itself."""
APART_MAX = 10_000
"""Actors that are kept apart; the first ones are forgotten for others."""
COMMITS_WEIGHED = 4
"""How many of the latest commits their pace is taken from, about."""

Statement = tuple[str, list[Any]]
"""SQL and its arguments."""


class GroupCommit:
    """Gathers turns while the previous group is being committed; one group is under way at a time.

    `may_write` is asked before each group is sent: a run without its lease writes no more, for its slots may be others'
    by then. `on_closing` is called before the gathering group closes, to add what its turns lead to. `on_committed` is
    called with each group that Postgres has acknowledged. `on_lost` is called with actors whose memory no longer
    equals the truth, and with the deliveries that must be taken anew once they are awake again.
    """

    def __init__(
        self,
        statements: Statements,
        *,
        run: int,
        bucket_of: Callable[[Address], int],
        may_write: Callable[[], bool],
        on_closing: Callable[[], None],
        on_committed: Callable[[Group], None],
        on_lost: Callable[[set[Cell], list[Delivery], bool], None],
        metrics: HostMetrics,
    ) -> None:
        self.statements = statements
        self.run = run
        self.bucket_of = bucket_of
        self.may_write = may_write
        self.on_closing = on_closing
        self.on_committed = on_committed
        self.on_lost = on_lost
        self.metrics = metrics
        self.gathering = Group()
        self.apart: dict[Address, None] = {}
        """Actors that Postgres refused together with others: from then on their tells travel."""
        self._closing = False
        self._sealed: list[Group] = []
        self._under_way = Group()
        self._forgotten: list[Cell] = []
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._parcels = 0
        self._commit_s = 0.0
        """How long a commit takes, of late."""

    @property
    def overloaded(self) -> bool:
        """Whether so much waits for Postgres already that more would only grow the delay."""
        waiting = len(self._sealed)
        return waiting >= GROUPS_WAITING_MAX or (waiting > 1 and waiting * self._commit_s > WAIT_S_MAX)

    def add(self, turn: Played) -> None:
        """Put a turn into the group that gathers."""
        group = self.gathering
        group.turns.append(turn)
        group.bytes += turn.bytes
        turn.cell.last_group = group
        self.wake()
        if group.full and not self._closing:
            self._sealed.append(self._close())

    def _close(self) -> Group:
        """The group that gathered, with all that belongs into it; another one begins."""
        if self.gathering.turns:
            self._closing = True
            try:
                self.on_closing()
            finally:
                self._closing = False
        group, self.gathering = self.gathering, Group()
        return group

    def sends_to(self, address: Address) -> bool:
        """Whether a group that is not committed yet has a parcel for this actor."""
        return address in self._under_way.far or any(address in sealed.far for sealed in self._sealed)

    def wake(self) -> None:
        """There is something to commit."""
        self._idle.clear()
        self._wanted.set()

    async def settled(self) -> None:
        """Wait until nothing waits for a commit."""
        await self._idle.wait()

    async def run_forever(self) -> None:
        """Commit group after group; returns never, ends by cancellation, which leaves a commit's outcome unknown.

        To be run as a task of its own: nothing that waits for a turn can cancel its commit.
        """
        while True:
            await self._wanted.wait()
            group = self._sealed.pop(0) if self._sealed else self._close()
            if not self._sealed and self.gathering.empty:
                self._wanted.clear()
            if not group.empty:
                await self._commit_safely(group)
            if not self._wanted.is_set():
                self._idle.set()

    async def _commit_safely(self, group: Group) -> None:
        self._under_way = group
        began = time.monotonic()
        try:
            await self._commit(group)
        except faults.FaultInjected:
            raise  # a death that was ordered
        except Exception:
            # A bug, in what a rule shows of its state perhaps. Whatever was stored counts; the rest is taken anew.
            _log.exception("commit_failed", actors=[str(cell.address) for cell in group.cells][:5])
            self._lose_everything(group)
        self._commit_s += (time.monotonic() - began - self._commit_s) / COMMITS_WEIGHED
        self._under_way = Group()
        if self._forgotten:
            forgotten, self._forgotten = set(self._forgotten), []
            self._lose(Group(), forgotten)

    async def _commit(self, group: Group) -> None:
        for attempt in range(ATTEMPTS_MAX + 1):
            if group.empty:
                return
            try:
                await self._write(group)
            except UniqueConflict as conflict:
                lost = self._losers(group, conflict)
                stale = "version" in conflict.columns
                _log.warning(
                    "commit_conflict", constraint=conflict.constraint, actors=[str(cell.address) for cell in lost][:5]
                )
                self.metrics.conflicts.inc()
                if not lost or attempt == ATTEMPTS_MAX:
                    if len(group.cells) > 1:
                        await self._part_by_part(group)
                    else:
                        self._lose(group, group.cells, stale=stale)
                    return
                if not stale:
                    for cell in lost:
                        cell.checks_ops = True
                group = self._lose(group, lost, stale=stale)
            except Refused as refused:
                _log.error("commit_refused", reason=str(refused)[:500])
                if len(group.turns) <= 1:
                    self._refuse(group)
                elif len(group.cells) > 1:
                    await self._part_by_part(group)
                else:
                    await self._turn_by_turn(group)
                return
            except OutcomeUnknown as unknown:
                _log.warning("commit_outcome_unknown", reason=unknown.message)
                self.metrics.unknown_outcomes.inc()
                # Else it might be carried out after it was looked for, when other answers had been given already.
                await self.statements.settle()
                self._lose_everything(group)
                return
            except (Refusal, faults.FaultInjected) as refusal:
                _log.warning("commit_unavailable", reason=str(refusal))
                self._lose_everything(group)
                return
            else:
                self.on_committed(group)
                return

    async def _part_by_part(self, group: Group) -> None:
        """Commit each actor by itself, so that the one that Postgres refuses harms nobody else. Those whose turns
        belong together stay together; refused, they are taken anew and kept apart."""
        parts = group.parts()
        if len(parts) == 1:
            self.apart.update(dict.fromkeys(cell.address for cell in group.cells))
            while len(self.apart) > APART_MAX:
                del self.apart[next(iter(self.apart))]
            self._lose(group, group.cells)
            return
        for part in parts:
            alone, _ = group.without(group.cells - part)
            for cell in part:
                if cell.last_group is group:
                    cell.last_group = alone
            if all(cell.awake for cell in part):
                await self._commit(alone)
            else:
                self._lose(alone, part)

    async def _turn_by_turn(self, group: Group) -> None:
        """One actor had several turns, one of which Postgres refuses: keep what was before, take the rest anew."""
        (cell,) = {turn.cell for turn in group.turns}
        while group.turns:
            turn = group.turns.pop(0)
            alone = Group()
            alone.turns = [turn]
            alone.finished = [item for item in group.finished if item[1] == turn.op]
            alone.late = [item for item in group.late if item[1].parcel == turn.op]
            if not group.turns:
                alone.waiting, alone.views = group.waiting, group.views
                if cell.last_group is group:
                    cell.last_group = alone
            await self._commit(alone)
            if not cell.awake:
                self._lose(group, {cell})
                return

    def _refuse(self, group: Group) -> None:
        """Tell those who asked for the turns of this group that Postgres does not take them."""
        reply = Refusal("INTERNAL", "The change could not be stored.")
        for turn in group.turns:
            for delivery in (turn.origin, *(turn.joined or ())):
                if delivery is not None:
                    delivery.reply(Reply(reply.status, 0, reply.pack()))
            turn.origin = turn.joined = None
        self._lose(group, group.cells)

    def _losers(self, group: Group, conflict: UniqueConflict) -> set[Cell]:
        if conflict.columns[:2] != ("kind", "key"):
            return set()
        cells = {turn.cell for turn in group.turns}
        return {cell for cell in cells if conflict.values.startswith(f"{cell.address.kind}, {cell.address.key}, ")}

    def forget(self, cell: Cell) -> None:
        """Take an actor whose state may be wrong out of every group that has not been sent yet."""
        lost = bound_to({cell}, [*self._sealed, self.gathering])
        if lost.isdisjoint(self._under_way.cells):
            self._lose(Group(), lost)
            return
        # Woken anew before this commit has ended, they might not know their own turns; until then they take no other.
        for bound in lost:
            bound.awake = False
        self._forgotten.extend(lost)

    def _lose(self, group: Group, lost: set[Cell], *, stale: bool = False) -> Group:
        """Take these actors out of this and every later group, with all that were told something by their turns or told
        them something, and have their deliveries taken anew. `stale` when another host wrote their history."""
        lost = bound_to(lost, [group, *self._sealed, self.gathering])
        rest, again = group.without(lost)
        for index, sealed in enumerate(self._sealed):
            self._sealed[index], more = sealed.without(lost)
            again.extend(more)
        self.gathering, more = self.gathering.without(lost)
        again.extend(more)
        for later in (*self._sealed, self.gathering):
            for turn in later.turns:
                turn.cell.last_group = later
        for turn in rest.turns:
            if turn.cell.last_group is group:
                turn.cell.last_group = rest
        self.on_lost(lost, again, stale)
        return rest

    def _lose_everything(self, group: Group) -> None:
        lost = group.cells.union(self.gathering.cells, *(sealed.cells for sealed in self._sealed))
        lost |= {cell for cell, _ in group.finished} | {cell for cell, _ in group.late}
        self._lose(group, lost)

    async def _write(self, group: Group) -> None:
        try:
            statements = self._statements(group)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            # Something that cannot be packed. Nothing was sent, and its neighbours must not share its lot.
            raise Refused(f"{type(error).__name__}: {error}") from error
        if faults.armed and await faults.pause("before_commit_send"):
            raise Refusal("UNAVAILABLE")
        if not statements:
            return
        if not self.may_write():
            raise Refusal("UNAVAILABLE", "This host has lost its lease.", retry_after_s=1)
        with self.metrics.commit_seconds.time():
            await self.statements.commit(statements)
        if faults.armed and await faults.pause("after_commit_send"):
            raise OutcomeUnknown("fault")
        self.metrics.commit_turns.observe(len(group.turns))

    def _statements(self, group: Group) -> list[Statement]:
        """All that the commit of the group writes, in an order in which groups cannot wait for each other."""
        statements: list[Statement] = []
        self._pack_parcels(group)
        turns = group.turns
        finished = [parcel for _, parcel in group.finished]
        # Sorted, so that groups of different hosts take their locks in one order and cannot deadlock.
        ordered = sorted(turns, key=lambda turn: (turn.cell.address, turn.version))
        written = [turn for turn in ordered if turn.length]
        if written or group.parcels or finished:
            run = self.run
            statements.append(
                (
                    journal.WRITE,
                    [
                        [turn.cell.address.kind for turn in written],
                        [turn.cell.address.key for turn in written],
                        [turn.version for turn in written],
                        [turn.length for turn in written],
                        [turn.op for turn in written],
                        [turn.at for turn in written],
                        [run] * len(written),
                        [journal.readable(to_json(turn.stored())) for turn in written],
                        [journal.readable(_events_json(turn.events)) for turn in written],
                        [parcel.id for parcel in group.parcels],
                        [self.bucket_of(parcel.to) for parcel in group.parcels],
                        [parcel.to.kind for parcel in group.parcels],
                        [parcel.to.key for parcel in group.parcels],
                        [parcel.packed for parcel in group.parcels],
                        sorted(finished),
                        *checkpoint_columns(due_checkpoints(group)),
                    ],
                )
            )
        statements += self._effects(group)
        statements += _late_tells(group)
        return statements

    def _pack_parcels(self, group: Group) -> None:
        """Put all tells of the group to one actor into one parcel, in the order of their turns."""
        group.parcels = []
        open_parcels: dict[Address, Parcel] = {}
        for turn in group.turns:
            if not turn.effects:
                continue
            turn.awaits = list(turn.near or ())
            for number, effect in enumerate(turn.effects):
                if not isinstance(effect, Tell):
                    continue
                parcel = open_parcels.get(effect.to)
                if parcel is None or len(parcel.tells) >= limits.PARCEL_TELLS_MAX:
                    self._parcels += 1
                    parcel = open_parcels[effect.to] = Parcel(f"parcel:{self.run}:{self._parcels}", effect.to)
                    group.parcels.append(parcel)
                # The op id of a tell comes from the turn, so a turn that is taken anew sends the same tell.
                tell_op = f"{turn.cell.address}/{turn.version}/{number}"
                awaited = (
                    Await(effect.into, effect.to, parcel.id, len(parcel.tells), effect.then) if effect.into else None
                )
                if awaited is not None:
                    turn.awaits.append(awaited)
                parcel.tells.append([tell_op, effect.command.wire_name, effect.command.model_dump(mode="python")])
                parcel.turns.append((turn, awaited) if awaited is not None else None)
        for parcel in group.parcels:
            parcel.packed = journal.readable(to_json(parcel.tells))

    def _effects(self, group: Group) -> list[Statement]:
        """Reminders that are forgotten or set, and rows of read models."""
        statements: list[Statement] = []
        reminders: dict[tuple[Address, str], tuple[Played, Remind]] = {}
        forgotten: list[tuple[Address, str]] = []
        records: dict[str, list[Any]] = {}
        for turn in group.turns:
            for effect in turn.effects or ():
                if isinstance(effect, Remind):
                    reminders[turn.cell.address, effect.name] = (turn, effect)
                elif isinstance(effect, Forget):
                    reminders.pop((turn.cell.address, effect.name), None)
                    forgotten.append((turn.cell.address, effect.name))
                elif isinstance(effect, Record):
                    records.setdefault(effect.table, []).append(dict(effect.row))
        if forgotten:
            statements.append((journal.FORGET, transposed([(to.kind, to.key, name) for to, name in forgotten])))
        if reminders:
            rows = [
                (
                    address.kind,
                    address.key,
                    name,
                    self.bucket_of(address),
                    f"remind:{address}/{turn.version}/{name}",
                    remind.at,
                    remind.command.wire_name,
                    to_json(remind.command.model_dump(mode="python")),
                )
                for (address, name), (turn, remind) in sorted(reminders.items())
            ]
            statements.append((journal.REMIND, transposed(rows)))
        for table, listed in sorted(records.items()):
            statements.append((journal.RECORDS[table], [to_json(listed)]))
        return statements


def _late_tells(group: Group) -> list[Statement]:
    """Tells that were refused: to be tried again, by themselves or with their parcel, or buried."""
    single, whole, buried = [], {}, []
    for _, late in group.late:
        tell_id, to, tell = late.tell[0], late.to, late.tell
        if late.buried:
            buried.append((tell_id, to.kind, to.key, to_json(tell), late.reason, late.attempts))
        elif late.whole:
            whole[late.parcel] = (late.parcel, late.attempts, late.delay_ms)
        else:
            single.append((tell_id, late.bucket, to.kind, to.key, late.attempts, late.delay_ms, to_json([tell])))
    rows = ((journal.RETRY, single), (journal.RETRY_PARCEL, list(whole.values())), (journal.BURY, buried))
    return [(statement, transposed(sorted(each))) for statement, each in rows if each]


def _events_json(events: list[Event[Any]]) -> bytes:
    """[[name, fields], ...]"""
    return to_json([(event.wire_name, event) for event in events], by_alias=False)

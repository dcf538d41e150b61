"""A host: the home of awake actors. Requests come in, find their actor, and are answered after the commit."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from actors.catalog import Catalog
from actors.core import Happened, Past, Query, Turn, admit, answer
from actors.runtime.answers import Answers, refused
from actors.runtime.cell import Cell, Delivery, Session
from actors.runtime.checkpoints import checkpoint_columns
from actors.runtime.commit import GroupCommit
from actors.runtime.content import ContentStore
from actors.runtime.database import Refused, Statements, UniqueConflict
from actors.runtime.freshness import Freshness
from actors.runtime.journal import CHECKPOINT, Journal
from actors.runtime.lease import Lease
from actors.runtime.metrics import HostMetrics
from actors.runtime.nearby import Nearby
from actors.runtime.ops import OpFinder
from actors.runtime.parcels import Parcels
from actors.runtime.placement import Placement
from actors.runtime.router import Router
from actors.runtime.topics import Topics
from actors.runtime.turns import Turns
from actors.runtime.waker import Waker
from schemas import limits
from schemas.address import Address
from schemas.messages import COMMAND, CONTROL, MOVED_REPLY, PARCEL, QUERY, SUBSCRIBE, Reply, Request, unpack
from schemas.problems import Refusal
from schemas.settings import Settings

_log = structlog.get_logger("host")

TRIES_MAX = 4
CHECKPOINT_BATCH = 100
RELEASE_WITHIN_S = 8.0
OLD_OPS_ACTORS_MAX = 10_000


class Host:
    """One host run. `receive` is called by links; everything else follows from it.

    Guarantees: one turn at a time for each actor; nothing that was not committed is answered; an op id that had an
    effect is answered again with the same reply; a request for an actor of a slot that is not ours is sent back.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        catalog: Catalog,
        journal: Journal,
        content: ContentStore,
        lease: Lease,
        statements: Statements,
        router: Router,
        topics: Topics,
        secret: bytes,
        metrics: HostMetrics,
        mark_turn: Callable[[Address | None], None],
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.journal = journal
        self.lease = lease
        self.topics = topics
        self.metrics = metrics
        self.draining = False
        self.cells: dict[Address, Cell] = {}
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        """Seconds that turns and questions took, by slot: what the director evens hosts out by."""
        self._sent_old_ops: dict[Address, None] = {}
        """Actors that were sent op ids older than their memory, the latest last."""
        self._leaving: set[Cell] = set()
        """Actors whose slots are being given away: they finish what they have, and take no more turns."""
        self._tasks: set[asyncio.Task[None]] = set()
        ops = OpFinder(journal)
        self.answers = Answers(
            catalog=catalog,
            router=router,
            ops=ops,
            topics=topics,
            metrics=metrics,
            answer_within_s=settings.tell_answer_timeout_s,
            lives=self.lives,
            redeliver=self.redeliver,
            spawn=self.spawn,
        )
        self.statements = statements
        self.commits = GroupCommit(
            statements,
            run=lease.run,
            bucket_of=Placement.bucket,
            may_write=lambda: lease.valid,
            on_closing=lambda: self.nearby.play(),
            on_committed=self.answers.committed,
            on_lost=self._lost,
            metrics=metrics,
        )
        self.freshness = Freshness(self.cells, lease, journal, self.commits.forget)
        self.turns = Turns(
            self,
            settings=settings,
            catalog=catalog,
            content=content,
            lease=lease,
            commits=self.commits,
            answers=self.answers,
            ops=ops,
            router=router,
            secret=secret,
            metrics=metrics,
            mark_turn=mark_turn,
        )
        self.parcels = Parcels(
            self.turns,
            catalog=catalog,
            commits=self.commits,
            answers=self.answers,
            settings=settings,
            metrics=metrics,
            mark_turn=mark_turn,
        )
        self.nearby = Nearby(
            awake=self._ready,
            spent=self._spent,
            run=lease.run,
            commits=self.commits,
            parcels=self.parcels,
            answers=self.answers,
        )
        self.waker = Waker(journal, catalog, metrics, self._awake, self._not_awake)

    # -- what arrives ---------------------------------------------------------------------------------------------

    def receive(self, session: Session, requests: Iterable[tuple[int, Request]]) -> None:
        """Take in a batch of requests from one link, in order."""
        now = time.monotonic()
        for number, request in requests:
            self.accept(Delivery(request, session, number, now))

    def accept(self, delivery: Delivery) -> None:
        """Take in one request: answered at once, or put where its turn will come."""
        request = delivery.request
        if request.verb == CONTROL and not request.kind:
            self.spawn(self._control(delivery))
            return
        if not self.lease.valid:
            delivery.reply(MOVED_REPLY)
            return
        address = Address(request.kind, request.key)
        try:
            cell = self.cells.get(address) or self._open(address)
        except Refusal as refusal:
            delivery.reply(refused(refusal))
            return
        if cell is None or (cell in self._leaving and _asks_for_a_turn(request)):
            delivery.reply(MOVED_REPLY)
        elif cell.awake and not cell.busy and not cell.mailbox:
            self._take(cell, delivery)
        elif len(cell.mailbox) >= limits.MAILBOX_MAX:
            self.answers.overloaded(delivery)
        else:
            cell.mailbox.append(delivery)

    def _open(self, address: Address) -> Cell | None:
        slot, bucket = self.lease.slots.place(address)
        if not self.lease.owns(slot) or self.draining:
            return None
        self.catalog.kind(address.kind)
        cell = self.cells[address] = Cell(address, slot, bucket)
        cell.checks_ops = address in self._sent_old_ops
        self.freshness.opened(cell)
        self.waker.add(cell)
        return cell

    def _take(self, cell: Cell, delivery: Delivery) -> None:
        """Let an awake actor that is not busy deal with one request."""
        cell.used_at = delivery.born
        verb = delivery.request.verb
        began = time.perf_counter()
        try:
            if verb == COMMAND:
                self.turns.command(cell, delivery)
            elif verb == QUERY:
                self._query(cell, delivery)
            elif verb == PARCEL:
                self.parcels.take(cell, delivery)
            elif verb == SUBSCRIBE:
                self._subscribe(cell, delivery)
            else:
                self.answers.answer_of(cell, delivery)
        except Refusal as refusal:
            self.answers.refuse(cell, delivery, refusal)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "the request"
            self.answers.refuse(cell, delivery, Refusal("INVALID", f"{field}: {first['msg']}", field=field))
        except Exception:
            self.failed(cell, delivery)
        self._spent(cell, time.perf_counter() - began)

    def _spent(self, cell: Cell, seconds: float) -> None:
        self.spent_s[cell.slot] += seconds

    def _ready(self, address: Address) -> Cell | None:
        """The actor of this address, if it can take a turn at once."""
        cell = self.cells.get(address)
        free = cell is not None and cell.awake and not (cell.busy or cell.mailbox or cell in self._leaving)
        return cell if free else None

    def _query(self, cell: Cell, delivery: Delivery) -> None:
        request = delivery.request
        message = self.catalog.kind(cell.address.kind).queries.get(request.name)
        if message is None:
            raise Refusal("UNKNOWN_QUERY", f"{cell.address.kind} has no query {request.name!r}.")
        admit(message, cell.address.key, request.caller)
        query = message.model_validate(unpack(request.data))
        assert cell.actor is not None  # noqa: S101 - awake
        if request.watch:
            if cell.watchers is None:
                cell.watchers = WeakSet()
            cell.watchers.add(delivery.session)
        turn = self.turns.turn(cell, request)
        past = query.recalls(cell.actor, turn)
        if past is not None:
            self.spawn(self._recall(cell, delivery, query, turn, past))
            return
        self.answers.when_committed(cell, delivery, Reply(200, cell.version, answer(query, cell.actor, turn)))

    async def _recall(self, cell: Cell, delivery: Delivery, query: Query[Any], turn: Turn, past: Past) -> None:
        """Answer a query that needs more of the actor's history than its state holds."""
        kind = self.catalog.kind(cell.address.kind)
        try:
            for row in await self.journal.past(cell.address, past):
                for number, (name, fields) in enumerate(from_json(row["events"]), row["version"]):
                    turn.past.append(Happened(number, kind.events[name].model_validate(fields, strict=False)))
            if not self.lives(cell) or cell.actor is None:
                self.redeliver([delivery])
                return
            data = answer(query, cell.actor, turn)
        except Refusal as refusal:
            delivery.reply(refused(refusal))
        except Exception:
            self.failed(cell, delivery)
        else:
            self.answers.when_committed(cell, delivery, Reply(200, cell.version, data))

    def _subscribe(self, cell: Cell, delivery: Delivery) -> None:
        actor = cell.actor
        assert actor is not None  # noqa: S101 - awake
        if not actor.exists():
            raise Refusal(actor.unknown)
        caller = delivery.request.caller
        if not (caller.internal or actor.may_listen(cell.address.key, caller)):
            raise Refusal("FORBIDDEN", "This topic is not open to you.")
        self.topics.interested(cell.address.kind)
        after = unpack(delivery.request.data).get("after")
        if actor.pushes == "turn" and after is not None and 0 <= cell.version - after <= Topics.REPLAY_EVENTS_MAX:
            self.spawn(self._replay(cell, delivery, after))
            return
        data = {"seq": cell.version, "view": actor.shown_to(caller), "pushes": None}
        self.answers.when_committed(cell, delivery, Reply(200, cell.version, data))

    async def _replay(self, cell: Cell, delivery: Delivery, after: int) -> None:
        try:
            turns = await self.journal.turns(cell.address, after)
        except Refusal as refusal:
            delivery.reply(refused(refusal))
            return
        kind = self.catalog.kind(cell.address.kind)
        delivery.reply(Reply(200, cell.version, self.topics.replay(kind, after, turns)))

    # -- awake, lost, taken anew ----------------------------------------------------------------------------------

    def lives(self, cell: Cell) -> bool:
        """Whether this cell is still the place of its actor."""
        return self.cells.get(cell.address) is cell

    def _awake(self, cell: Cell) -> None:
        if self.lives(cell):
            cell.used_at = time.monotonic()
            self.drain(cell)

    def _not_awake(self, cell: Cell, refusal: Refusal) -> None:
        if self.lives(cell):
            del self.cells[cell.address]
        for delivery in cell.mailbox:
            delivery.reply(refused(refusal))
        cell.mailbox.clear()

    def drain(self, cell: Cell) -> None:
        """Take what waits in the mailbox, as long as nothing makes the actor busy again."""
        mailbox = cell.mailbox
        while mailbox and cell.awake and not cell.busy:
            self._take(cell, mailbox.popleft())

    def failed(self, cell: Cell, delivery: Delivery) -> None:
        """A bug in one actor's code fails that command alone. The state may be half changed: drop it, with all turns
        that are not committed yet, and wake it anew from the journal."""
        request = delivery.request
        _log.exception(
            "turn_failed", actor=str(cell.address), name=request.name, op=request.op, request_id=request.trace
        )
        self.metrics.turns.labels(cell.address.kind, "bug").inc()
        delivery.reply(refused(Refusal("INTERNAL")))
        self.commits.forget(cell)

    def _lost(self, lost: set[Cell], again: list[Delivery], stale: bool) -> None:
        """Memory of these actors no longer equals the truth: out with them; what they were asked is taken anew."""
        for cell in sorted(lost, key=lambda cell: cell.address):
            again = [*again, *self._drop(cell)]
            self.freshness.doubt(cell.address)
            if cell.checks_ops:
                self._sent_old_ops[cell.address] = None
        while len(self._sent_old_ops) > OLD_OPS_ACTORS_MAX:
            del self._sent_old_ops[next(iter(self._sent_old_ops))]
        if stale:
            # Another host wrote this history: ask who owns the slots before waking anyone again.
            self.spawn(self._look_and_redeliver(again))
        else:
            self.redeliver(again)

    async def _look_and_redeliver(self, deliveries: list[Delivery]) -> None:
        await self.lease.renew()
        self.redeliver(deliveries)

    def redeliver(self, deliveries: list[Delivery]) -> None:
        """Take these requests anew; their op ids make sure that nothing happens twice."""
        for delivery in deliveries:
            delivery.tries += 1
            if delivery.tries > TRIES_MAX:
                message = "The change could not be stored; repeat it under the same operation id."
                delivery.reply(refused(Refusal("UNAVAILABLE", message, retry_after_s=1)))
            else:
                # A resend joins its first attempt; what is taken anew here is one.
                delivery.request = delivery.request._replace(attempt=delivery.request.attempt + 1)
                self.accept(delivery)

    def _drop(self, cell: Cell) -> list[Delivery]:
        """Take an actor out of memory; returns what still waited for it."""
        if self.lives(cell):
            del self.cells[cell.address]
        cell.awake = False
        cell.pending = 0
        for session in cell.watchers or ():
            session.news(cell.address, cell.version, last=True)
        cell.watchers = None
        waiting = list(cell.mailbox)
        cell.mailbox.clear()
        return waiting

    # -- sleep and release ----------------------------------------------------------------------------------------

    async def passivate(self, cells: list[Cell]) -> int:
        """Let quiet actors leave memory, their tails saved in checkpoints first; returns how many left."""
        await self.checkpoint([cell for cell in cells if cell.quiet])
        gone = 0
        for cell in cells:
            if cell.quiet and self.lives(cell):
                self._drop(cell)
                self.metrics.passivations.labels(cell.address.kind).inc()
                gone += 1
        return gone

    async def checkpoint(self, cells: list[Cell]) -> None:
        """Store the state of quiet actors that have turns since their last checkpoint. Failing is no harm."""
        due = [cell for cell in cells if cell.version > cell.checkpointed and cell.quiet]
        for start in range(0, len(due), CHECKPOINT_BATCH):
            batch = [cell for cell in due[start : start + CHECKPOINT_BATCH] if cell.quiet and self.lives(cell)]
            if batch:
                columns = checkpoint_columns(batch)
                try:
                    await self.journal.database.execute(CHECKPOINT, *columns)
                except (Refusal, Refused, UniqueConflict) as error:
                    _log.warning("checkpoint_not_stored", reason=str(error)[:200])
                    return

    async def release(self, slots: set[str]) -> None:
        """Give slots away: nothing new is taken, what is under way is finished and stored, then the actors leave."""
        self.lease.give_up(slots)
        leaving = [cell for cell in self.cells.values() if cell.slot in slots]
        # Else an actor that is busy all the time would never be done, and leave with turns that are not committed.
        self._leaving.update(leaving)
        for cell in leaving:
            for delivery in cell.mailbox:
                delivery.reply(MOVED_REPLY)
            cell.mailbox.clear()
        # Bounded: what cannot be finished in time is taken anew elsewhere, under its op id.
        until = time.monotonic() + RELEASE_WITHIN_S
        while time.monotonic() < until and any(
            self.lives(cell) and (cell.busy or cell.pending > 0) for cell in leaving
        ):
            await asyncio.sleep(0.001)
        await self.checkpoint(leaving)
        for cell in leaving:
            for delivery in self._drop(cell):
                delivery.reply(MOVED_REPLY)
        self._leaving.difference_update(leaving)

    async def _control(self, delivery: Delivery) -> None:
        """Word of the director: give slots up, look again which are ours, or tell how busy we are."""
        request = delivery.request
        if request.name == "load":
            delivery.reply(Reply(200, 0, {"spent_s": dict(self.spent_s), "cpu_s": time.process_time()}))
            return
        if request.name == "release":
            await self.release(set(unpack(request.data)))
        elif request.name == "refresh":
            await self.lease.renew()
        delivery.reply(Reply(200, 0, {"actors": len(self.cells)}))

    async def drain_all(self) -> None:
        """Before the end: serve nothing new, finish what is under way, store what is worth storing."""
        self.draining = True
        await self.release(set(self.lease.owned))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_WITHIN_S):
                await self.commits.settled()

    def spawn(self, work: Any) -> None:
        """Run a coroutine that belongs to this host; its failure is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("task_failed", exc_info=task.exception())

    async def run_forever(self) -> None:
        """Commit, wake and publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.commits.run_forever())
            tasks.create_task(self.waker.run_forever())
            tasks.create_task(self.topics.run_forever())
            tasks.create_task(self.freshness.run_forever())


def _asks_for_a_turn(request: Request) -> bool:
    """Whether it comes from a client or a tell. Questions, and what another turn consults, are answered to the end."""
    return request.verb == PARCEL or (request.verb == COMMAND and not request.caller.internal)

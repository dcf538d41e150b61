"""Takes turns: a known op id is answered again; else consult, decide, apply, and into the next group commit."""

import asyncio
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, Protocol

from actors.catalog import Catalog
from actors.core import Command, Consult, Event, Query, Turn, admit, decide, pack_fields
from actors.runtime import faults
from actors.runtime.answers import Answers
from actors.runtime.cell import Cell, Delivery, Known, Played
from actors.runtime.commit import GroupCommit
from actors.runtime.content import ContentStore
from actors.runtime.lease import Lease
from actors.runtime.metrics import HostMetrics
from actors.runtime.ops import OpFinder, fingerprint
from actors.runtime.router import Router
from actors.runtime.topics import merged_push
from actors.runtime.waker import known
from schemas import limits
from schemas.address import Address
from schemas.messages import COMMAND, QUERY, SYSTEM, Reply, Request, unpack
from schemas.problems import Refusal
from schemas.settings import Settings

_SEEDS = Struct("256Q")


class Floor(Protocol):
    """What turns need of the host they are taken in."""

    def lives(self, cell: Cell) -> bool: ...

    def redeliver(self, deliveries: list[Delivery]) -> None: ...

    def drain(self, cell: Cell) -> None: ...

    def failed(self, cell: Cell, delivery: Delivery) -> None: ...

    def spawn(self, work: Any) -> None: ...


@dataclass(slots=True)
class Decision:
    """A command on its way to being decided."""

    cell: Cell
    delivery: Delivery
    command: Command[Any]
    fields: dict[str, Any]
    turn: Turn
    right: str
    fingerprint: int


class Turns:
    """The turns of all actors of one host."""

    def __init__(
        self,
        floor: Floor,
        *,
        settings: Settings,
        catalog: Catalog,
        content: ContentStore,
        lease: Lease,
        commits: GroupCommit,
        answers: Answers,
        ops: OpFinder,
        router: Router,
        secret: bytes,
        metrics: HostMetrics,
        mark_turn: Callable[[Address | None], None],
    ) -> None:
        self.floor = floor
        self.settings = settings
        self.catalog = catalog
        self.content = content
        self.lease = lease
        self.commits = commits
        self.answers = answers
        self.ops = ops
        self.router = router
        self.secret = secret
        self.metrics = metrics
        self.mark_turn = mark_turn
        self._seeds = _seeds()

    def turn(self, cell: Cell, request: Request) -> Turn:
        """What a decision or an answer of this actor may know now."""
        return Turn(
            caller=request.caller,
            at=self.lease.now_ms(),
            content=self.content.current,
            op=request.op,
            seed=next(self._seeds),
            secret=self.secret,
            key=cell.address.key,
            version=cell.version,
        )

    # -- commands -------------------------------------------------------------------------------------------------

    def command(self, cell: Cell, delivery: Delivery) -> None:
        """Take the turn of one command, or answer its op id again. Raises Refusal."""
        request = delivery.request
        asked = fingerprint(request)
        before = cell.recent.get(request.op)
        if before is not None:
            self.answers.again(cell, before, delivery, asked)
            return
        if faults.armed:
            faults.point("before_validate")
        message = self.catalog.kind(cell.address.kind).command(request.name)
        right = admit(message, cell.address.key, request.caller)
        fields = unpack(request.data)
        command = message.model_validate(fields)
        decision = Decision(cell, delivery, command, fields, self.turn(cell, request), right, asked)
        if may_be_old(cell, request):
            self.look_first(cell, delivery, asked, functools.partial(self._consult, decision))
        else:
            self._consult(decision)

    def look_first(self, cell: Cell, delivery: Delivery, asked: int, step: Callable[[], None]) -> None:
        """Take the step, if the journal does not know the op id."""
        cell.busy = True
        self.floor.spawn(self._look(cell, delivery, asked, step))

    async def _look(self, cell: Cell, delivery: Delivery, asked: int, step: Callable[[], None]) -> None:
        try:
            found = await self.ops.find(cell.address, delivery.request.op)
        except Refusal as refusal:
            step = functools.partial(self.answers.refuse, cell, delivery, refusal)
        else:
            if found is not None:
                step = functools.partial(self.answers.again, cell, known(*found), delivery, asked)
        self._go_on(cell, delivery, step)

    def _consult(self, decision: Decision) -> None:
        command, cell = decision.command, decision.cell
        if type(command).consults is Command.consults:
            self._decide(decision)
            return
        assert cell.actor is not None  # noqa: S101 - awake
        if not command.creates and not cell.actor.exists():
            raise Refusal(cell.actor.unknown)
        consult = command.consults(cell.actor, decision.turn)
        if consult is None:
            self._decide(decision)
            return
        cell.busy = True
        decision.turn.consulted = True
        self._ask(decision, consult)

    def _ask(self, decision: Decision, consult: Consult) -> None:
        asked = self.router.ask(
            consult.of,
            QUERY if isinstance(consult.command, Query) else COMMAND,
            consult.command.wire_name,
            pack_fields(consult.command),
            caller=SYSTEM,
            op=f"{decision.cell.address}/{decision.turn.op}",
            timeout_s=min(consult.within_s, self.settings.consult_timeout_s),
        )
        asked.add_done_callback(functools.partial(self._consulted, decision, consult))

    def _consulted(self, decision: Decision, consult: Consult, answered: "asyncio.Future[Reply]") -> None:
        reply = answered.result()
        decision.turn.answer = reply if reply.status == 200 else None
        if decision.turn.answer is None:
            self.metrics.unanswered_consults.labels(consult.of.kind).inc()
        if consult.then is not None:
            decision.turn.earlier += (decision.turn.answer,)
            self._ask(decision, consult.then)
            return
        # The time of the turn is when it is decided, not when the question went out.
        decision.turn.at = self.lease.now_ms()
        self._go_on(decision.cell, decision.delivery, functools.partial(self._decide, decision))

    def _go_on(self, cell: Cell, delivery: Delivery, step: Callable[[], None]) -> None:
        """Continue after waiting, if the actor is still awake here; then let its mailbox go on."""
        cell.busy = False
        if not self.floor.lives(cell):
            self.floor.redeliver([delivery])
            return
        try:
            step()
        except Refusal as refusal:
            self.answers.refuse(cell, delivery, refusal)
        except Exception:
            self.floor.failed(cell, delivery)
        self.floor.drain(cell)

    def _decide(self, decision: Decision) -> None:
        if self.commits.overloaded:
            self.answers.overloaded(decision.delivery)
            return
        cell, turn = decision.cell, decision.turn
        actor = cell.actor
        assert actor is not None  # noqa: S101 - awake
        self.mark_turn(cell.address)
        try:
            outcome = decide(decision.command, actor, turn)
        finally:
            # A refusal ends the turn as well: the actor is not to blame for how the process ends later.
            self.mark_turn(None)
        if faults.armed:
            faults.point("after_decide")
        if not outcome.events:
            # What consults ask leaves no event most of the time, and is never repeated.
            look_back = not decision.delivery.request.caller.internal
            self.answers.later(cell, decision.delivery, Reply(200, cell.version, outcome.reply), look_back=look_back)
            return
        played = Played(cell, decision.delivery, turn.op, decision.fingerprint)
        played.events = outcome.events
        played.effects = outcome.others
        played.push = self.push(cell, outcome.events)
        played.turn = self._told(decision, outcome.reply)
        played.at = turn.at
        played.reply = Reply(200, cell.version + len(outcome.events), outcome.reply)
        played.bytes = 512 + 2 * len(decision.delivery.request.data)
        self.enter(cell, played)

    def push(self, cell: Cell, events: list[Event[Any]]) -> dict[str, Any] | None:
        """What subscribers are told of the turn, if there may be any."""
        if cell.actor is None or cell.actor.pushes != "turn" or not self.answers.topics.wanted(cell.address.kind):
            return None
        return merged_push(events)

    def _told(self, decision: Decision, reply: dict[str, Any]) -> dict[str, Any]:
        """What the journal keeps of the turn: who asked what, under which content, and what was answered."""
        turn, request = decision.turn, decision.delivery.request
        told: dict[str, Any] = {
            "command": request.name,
            "caller": request.caller.user or "greenroom",
            "data": decision.fields,
            "content": turn.content.version,
            "reply": reply,
            "fingerprint": decision.fingerprint,
        }
        if turn.consulted:
            told["consulted"] = list(turn.answer) if turn.answer is not None else None
            if turn.earlier:
                told["earlier"] = [list(reply) if reply is not None else None for reply in turn.earlier]
        if decision.right not in ("internal", "owner", "anyone"):
            # What a role admits is an entry of the audit log, which is a view of such rows.
            told["role"] = decision.right
        if turn.seed_used:
            told["seed"] = turn.seed
        return told

    def enter(self, cell: Cell, played: Played) -> None:
        """The actor has had the turn's events: remember its op id, and hand it to the commit."""
        played.version = cell.version + 1
        played.length = len(played.events)
        cell.version += played.length
        cell.pending += 1
        if played.length:
            self._remember(cell, played)
        # Last: a group that is full now closes, and may have this actor take its next turn.
        self.commits.add(played)

    @staticmethod
    def _remember(cell: Cell, played: Played) -> None:
        recent = cell.recent
        recent[played.op] = played
        while len(recent) > limits.OPS_REMEMBERED_MAX:
            oldest = next(iter(recent))
            if not isinstance(recent[oldest], Known):
                break
            del recent[oldest]
            cell.complete = False


def may_be_old(cell: Cell, request: Request) -> bool:
    """Whether the op id may be one that the actor had before it remembers: it was sent again, or old ones are sent."""
    return cell.checks_ops or (request.attempt > 0 and not cell.complete)


def _seeds() -> Iterator[int]:
    """Random numbers of 63 bits. They are drawn many at a time: the system's source costs as much for one."""
    while True:
        for number in _SEEDS.unpack(os.urandom(_SEEDS.size)):
            yield number >> 1

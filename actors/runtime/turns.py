"""Takes turns: a known op id is answered again; else consult, decide, apply, and into the next group commit."""

import asyncio
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, Protocol

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from actors.catalog import Catalog
from actors.core import Command, Consult, Event, Query, Tell, Turn, admit, decide, pack_fields
from actors.runtime import faults
from actors.runtime.answers import Answers, refused
from actors.runtime.cell import Cell, Delivery, Known, Played
from actors.runtime.commit import GroupCommit
from actors.runtime.content import ContentStore
from actors.runtime.group import Late
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

_log = structlog.get_logger("turns")

_SEEDS = Struct("256Q")
RETRY_FIRST_MS = 1_000
RETRY_MAX_MS = 60_000


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
        if _may_be_old(cell, request):
            self._look_first(cell, delivery, asked, functools.partial(self._consult, decision))
        else:
            self._consult(decision)

    def _look_first(self, cell: Cell, delivery: Delivery, asked: int, step: Callable[[], None]) -> None:
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
        played.push = self._push(cell, outcome.events)
        played.turn = self._told(decision, outcome.reply)
        played.bytes = 512 + 2 * len(decision.delivery.request.data)
        self._enter(cell, played, turn, Reply(200, cell.version + len(played.events), outcome.reply))

    def _push(self, cell: Cell, events: list[Event[Any]]) -> dict[str, Any] | None:
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
        return told

    def _enter(self, cell: Cell, played: Played, turn: Turn, reply: Reply) -> None:
        """The actor has had the turn's events: remember its op id, and hand it to the commit."""
        played.version = cell.version + 1
        played.length = len(played.events)
        played.at = turn.at
        played.reply = reply
        if turn.seed_used:
            played.turn["seed"] = turn.seed
        cell.version += played.length
        cell.pending += 1
        self.commits.add(played)
        if not played.length:
            return
        recent = cell.recent
        recent[played.op] = played
        while len(recent) > limits.OPS_REMEMBERED_MAX:
            oldest = next(iter(recent))
            if not isinstance(recent[oldest], Known):
                break
            del recent[oldest]
            cell.complete = False

    # -- parcels --------------------------------------------------------------------------------------------------

    def parcel(self, cell: Cell, delivery: Delivery) -> None:
        """Play all tells of a parcel as one turn. A tell that is refused is tried again later, by itself."""
        request = delivery.request
        before = cell.recent.get(request.op)
        if before is not None:
            self.answers.again(cell, before, delivery, 0)
        elif self.commits.overloaded:
            # It is in the outbox still, and comes again.
            self.answers.overloaded(delivery)
        elif _may_be_old(cell, request):
            self._look_first(cell, delivery, 0, functools.partial(self._play, cell, delivery))
        else:
            self._play(cell, delivery)

    def _play(self, cell: Cell, delivery: Delivery) -> None:
        request = delivery.request
        kind = self.catalog.kind(cell.address.kind)
        actor = cell.actor
        assert actor is not None  # noqa: S101 - awake
        packed, attempts = unpack(request.data)
        tells = from_json(packed)
        turn = self.turn(cell, request)
        self.mark_turn(cell.address)
        played = Played(cell, delivery, request.op, 0)
        replies: list[list[Any]] = []
        told: list[list[str]] = []
        effects: list[Any] = []
        events: list[Any] = []
        late: list[Late] = []
        for tell in tells:
            turn.op, name, fields = tell
            turn.version = cell.version + len(events)
            try:
                command = kind.command(name).model_validate(fields, strict=False)
                outcome = decide(command, actor, turn)
            except (Refusal, ValidationError) as refusal:
                late.append(self._late(cell, request.op, tell, attempts, refusal))
                replies.append(list(_tell_refused(refusal)))
                continue
            events.extend(outcome.events)
            effects.extend(_awaited_in(outcome.others, len(replies)))
            replies.append([200, cell.version + len(events), outcome.reply])
            told.append([turn.op, name])
        self.mark_turn(None)
        if faults.armed:
            faults.point("after_decide")
        played.events = events
        played.effects = effects
        played.push = self._push(cell, events)
        played.turn = {
            "command": "parcel",
            "caller": "greenroom",
            "content": turn.content.version,
            "tells": told,
            "reply": replies,
            "fingerprint": 0,
        }
        played.bytes = 256 * (1 + len(tells))
        for again in late:
            again.whole = not events
            self.commits.gathering.late.append((cell, again))
        if events or all(again.buried for again in late):
            self.commits.gathering.finished.append((cell, request.op))
        self._enter(cell, played, turn, Reply(200, cell.version + len(events), replies))
        if faults.armed:
            faults.point("receiver_applied_before_ack")

    def _late(self, cell: Cell, parcel: str, tell: list[Any], attempts: int, refusal: Exception) -> Late:
        """Try a refused tell again later, or bury it: its sender's effect must not get lost in silence."""
        attempts += 1
        reason = refusal.code if isinstance(refusal, Refusal) else "INVALID"
        buried = attempts >= self.settings.tell_attempts_max
        if buried:
            _log.error("tell_buried", actor=str(cell.address), tell=tell[0], name=tell[1], reason=reason)
            self.metrics.dead_letters.labels(cell.address.kind).inc()
        delay_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (attempts - 1))
        return Late(
            parcel,
            cell.address,
            cell.bucket,
            tell,
            attempts=attempts,
            delay_ms=delay_ms,
            buried=buried,
            reason=reason,
        )


def _awaited_in(effects: list[Any], tell: int) -> Iterator[Any]:
    """What a tell of a parcel led to; what its reply waits for goes into the reply of this tell."""
    for effect in effects:
        if isinstance(effect, Tell) and effect.into:
            yield effect._replace(into=f"{tell}/{effect.into}")
        else:
            yield effect


def _may_be_old(cell: Cell, request: Request) -> bool:
    """Whether the op id may be one that the actor had before it remembers: it was sent again, or old ones are sent."""
    return cell.checks_ops or (request.attempt > 0 and not cell.complete)


def _seeds() -> Iterator[int]:
    """Random numbers of 63 bits. They are drawn many at a time: the system's source costs as much for one."""
    while True:
        for number in _SEEDS.unpack(os.urandom(_SEEDS.size)):
            yield number >> 1


def _tell_refused(refusal: Exception) -> Reply:
    return refused(refusal if isinstance(refusal, Refusal) else Refusal("INVALID", str(refusal)[:200]))

"""Answers leave only after the commit of everything they have seen; then tells go out, and their answers come back."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from actors.catalog import Catalog
from actors.runtime import faults
from actors.runtime.cell import Await, Cell, Delivery, Known, Played
from actors.runtime.group import Group, Parcel
from actors.runtime.metrics import HostMetrics
from actors.runtime.ops import OpFinder, fingerprint
from actors.runtime.router import Router
from actors.runtime.topics import Topics
from actors.runtime.waker import known
from schemas.address import Address
from schemas.messages import COMMAND, CONTROL, PARCEL, SYSTEM, Reply, pack, unpack
from schemas.problems import Refusal

DELIVER_WITHIN_S = 5.0
"""How long the first delivery of a parcel is tried; afterwards the sweeper redelivers it."""


def refused(refusal: Refusal, version: int = 0) -> Reply:
    """The refusal as a value."""
    return Reply(refusal.status, version, refusal.pack())


class Answers:
    """What a host says, and when."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        router: Router,
        ops: OpFinder,
        topics: Topics,
        metrics: HostMetrics,
        answer_within_s: float,
        lives: Callable[[Cell], bool],
        redeliver: Callable[[list[Delivery]], None],
        spawn: Callable[[Any], None],
    ) -> None:
        self.catalog = catalog
        self.router = router
        self.ops = ops
        self.topics = topics
        self.metrics = metrics
        self.answer_within_s = answer_within_s
        self.lives = lives
        self.redeliver = redeliver
        self.spawn = spawn
        self.delivering: Counter[Address] = Counter()
        """Parcels of this host that are on their way, by receiver."""

    # -- before anything is committed ------------------------------------------------------------------------------

    def overloaded(self, delivery: Delivery) -> None:
        self.metrics.overloads.inc()
        delivery.reply(refused(Refusal("OVERLOADED", "Too much is waiting here; try again shortly.", retry_after_s=1)))

    def refuse(self, cell: Cell, delivery: Delivery, refusal: Refusal) -> None:
        """Answer with a refusal, once the state that it rests on is committed."""
        self.metrics.turns.labels(cell.address.kind, "refused").inc()
        self.later(cell, delivery, refused(refusal, cell.version), look_back=delivery.request.verb == COMMAND)

    def later(self, cell: Cell, delivery: Delivery, reply: Reply, *, look_back: bool) -> None:
        """Answer once everything that the answer has seen is committed. With `look_back`, an op id that is older than
        the actor's memory is looked up first: if it had an effect, that turn's reply counts."""
        if look_back and not cell.complete:
            self.spawn(self._look_back(cell, delivery, reply))
        else:
            self.when_committed(cell, delivery, reply)

    def when_committed(self, cell: Cell, delivery: Delivery, reply: Reply) -> None:
        if cell.pending:
            cell.last_group.waiting.append((cell, delivery, reply))
        else:
            delivery.reply(reply)

    async def _look_back(self, cell: Cell, delivery: Delivery, reply: Reply) -> None:
        try:
            found = await self.ops.find(cell.address, delivery.request.op)
        except Refusal as refusal:
            delivery.reply(refused(refusal))
            return
        if found is not None:
            self.again(cell, known(*found), delivery, fingerprint(delivery.request))
        elif self.lives(cell):
            self.when_committed(cell, delivery, reply)
        else:
            self.redeliver([delivery])

    def again(self, cell: Cell, before: Played | Known, delivery: Delivery, fingerprint: int) -> None:
        """The op id is known: the same reply, or word that it is still running or means another request."""
        # A consult repeats its op id with fresher evidence; the verdict it was given then is the one that counts.
        if before.fingerprint != fingerprint and not delivery.request.caller.internal:
            delivery.reply(refused(Refusal("OP_REUSED", "This operation id was used for another request.")))
        elif isinstance(before, Known):
            if before.awaits:
                self.spawn(self._complete(before, delivery))
            else:
                delivery.reply(before.reply)
        elif before.reply_ready:
            delivery.reply(before.reply)
        elif delivery.request.attempt or delivery.request.caller.internal:
            before.joined = [*(before.joined or ()), delivery]
        else:
            delivery.reply(refused(Refusal("OP_IN_PROGRESS", "The first request with this operation id is running.")))

    async def _complete(self, before: Known, delivery: Delivery) -> None:
        try:
            delivery.reply(await self._completed(before))
        except Refusal as refusal:
            delivery.reply(refused(refusal))

    async def _completed(self, before: Known) -> Reply:
        """The reply with what tells had answered, from their receivers' journals, so that it is the same again. While a
        receiver cannot be asked it is refused as UNAVAILABLE: a part that is missing would make it another reply."""
        reply = before.reply
        parts = []
        for packed in before.awaits:
            awaited = Await.unpack(packed, self.catalog)
            question = pack([awaited.parcel, awaited.index])
            told = await self.router.ask(awaited.target, CONTROL, "answer_of", question, caller=SYSTEM, timeout_s=2.0)
            part = await self._gathered(awaited, told.data) if told.status == 200 else None
            if told.status == 503 or (told.status == 200 and part is None):
                raise Refusal("UNAVAILABLE", "A part of the reply cannot be read now.", retry_after_s=1)
            awaited.fill(reply.data, part)
            parts.append(part)
        if None not in parts:
            before.complete(reply.data)
        return reply

    def answer_of(self, cell: Cell, delivery: Delivery) -> None:
        """The stored answer to one tell of a parcel that this actor has played."""
        parcel, index = unpack(delivery.request.data)
        before = cell.recent.get(parcel)
        if before is not None and not before.awaits:
            self.when_committed(cell, delivery, _part(before.reply, index))
        elif isinstance(before, Played):
            delivery.reply(refused(Refusal("UNAVAILABLE", "The answer is on its way still.", retry_after_s=1)))
        else:
            self.spawn(self._find_answer(cell, delivery, before, parcel, index))

    async def _find_answer(self, cell: Cell, delivery: Delivery, before: Known | None, parcel: str, index: int) -> None:
        try:
            if before is None:
                found = await self.ops.find(cell.address, parcel)
                before = known(*found) if found else None
            if before is None:
                raise Refusal("NOT_FOUND")
            delivery.reply(_part(await self._completed(before), index))
        except Refusal as refusal:
            delivery.reply(refused(refusal))

    # -- after the commit ------------------------------------------------------------------------------------------

    def committed(self, group: Group) -> None:
        """Everything that had to wait for the commit leaves now: news first, then replies, parcels and pushes."""
        if faults.armed:
            faults.point("after_commit_before_reply")
        taken: Counter[str] = Counter()
        for played in group.turns:
            played.cell.pending -= 1
            taken[played.cell.address.kind] += 1
            self._tell_watchers(played.cell)
        for kind, turns in taken.items():
            self.metrics.turns.labels(kind, "ok").inc(turns)
        for played in group.turns:
            if not played.awaits:
                self._leave(played)
        for _, delivery, reply in group.waiting:
            delivery.reply(reply)
        for cell, version, view in group.views:
            self.topics.publish_view(cell, version, view)
        if faults.armed:
            faults.point("after_reply_before_tell")
        for near in group.near:
            if any(near.asked):
                asyncio.get_running_loop().call_later(self.answer_within_s, self._parcel_late, near.asked)
        for parcel in group.parcels:
            self.delivering[parcel.to] += 1
            asked = self.router.ask(
                parcel.to,
                PARCEL,
                "",
                pack([parcel.packed, 0]),
                caller=SYSTEM,
                op=parcel.id,
                timeout_s=DELIVER_WITHIN_S,
            )
            asked.add_done_callback(functools.partial(self._delivered, parcel))
            if any(parcel.turns):
                asyncio.get_running_loop().call_later(self.answer_within_s, self._parcel_late, parcel.turns)
        self.topics.committed(group.turns)

    def _tell_watchers(self, cell: Cell) -> None:
        if cell.watchers and cell.actor is not None:
            visible = cell.actor.visible()
            if visible != cell.visible:
                cell.visible = visible
                for session in cell.watchers:
                    session.news(cell.address, cell.version)

    def _leave(self, played: Played) -> None:
        """Let the reply go, and keep only what answers the op id again."""
        played.answer()
        if played.cell.recent.get(played.op) is played:
            reply = played.reply
            played.cell.recent[played.op] = Known(played.fingerprint, reply.version, reply.data)

    def _delivered(self, parcel: Parcel, answered: "asyncio.Future[Reply]") -> None:
        self.delivering[parcel.to] -= 1
        if not self.delivering[parcel.to]:
            del self.delivering[parcel.to]
        self.tells_answered(parcel.turns, answered.result())

    def tells_answered(self, turns: list[tuple[Played, Await] | None], reply: Reply) -> None:
        """The receiver's reply to tells: put its parts where they are waited for."""
        parts = reply.data if reply.status == 200 else []
        for index, waiting in enumerate(turns):
            if waiting is None:
                continue
            played, awaited = waiting
            part = parts[index] if index < len(parts) else None
            data = part[2] if part is not None and part[0] == 200 else None
            if data is not None and awaited.then is not None:
                self.spawn(self._gather_answer(played, awaited, data))
            else:
                self._fill(played, awaited, data)

    def _parcel_late(self, turns: list[tuple[Played, Await] | None]) -> None:
        """The receiver did not answer in time: reply without its part. The tell itself is safe."""
        for waiting in turns:
            if waiting is not None:
                self._fill(*waiting, None)

    async def _gather_answer(self, played: Played, awaited: Await, data: Any) -> None:
        self._fill(played, awaited, await self._gathered(awaited, data))

    async def _gathered(self, awaited: Await, data: Any) -> Any:
        """The tell's answer as the reply has it; None when those that complete it do not answer."""
        if awaited.then is None:
            return data
        try:
            return await self.router.gather(awaited.then, awaited.target.key, SYSTEM, first=data)
        except Refusal:
            return None

    def _fill(self, played: Played, awaited: Await, data: Any) -> None:
        if awaited not in played.awaits:
            return
        awaited.fill(played.reply.data, data)
        played.awaits.remove(awaited)
        if not played.awaits:
            self._leave(played)


def _part(reply: Reply, index: int) -> Reply:
    """The reply to one tell, out of the reply to its parcel."""
    parts = reply.data or []
    if index >= len(parts):
        return refused(Refusal("NOT_FOUND"))
    status, version, data = parts[index]
    return Reply(status, version, data)

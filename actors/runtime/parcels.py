"""Plays tells: all that one actor is told together is one turn. A tell that is refused is tried again later."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from actors.catalog import Catalog
from actors.core import Command, Tell, decide
from actors.runtime import faults
from actors.runtime.answers import Answers, refused
from actors.runtime.cell import Cell, Delivery, Played
from actors.runtime.commit import GroupCommit
from actors.runtime.group import Late
from actors.runtime.metrics import HostMetrics
from actors.runtime.turns import Turns, may_be_old
from schemas.address import Address
from schemas.messages import Reply, Request, unpack
from schemas.problems import Refusal
from schemas.settings import Settings

_log = structlog.get_logger("parcels")

RETRY_FIRST_MS = 1_000
RETRY_MAX_MS = 60_000
TELL_BYTES = 256
"""About what a tell adds to a group, besides what it carries."""


class Told(NamedTuple):
    """One tell as it reaches its receiver: the command itself, or its fields when it has been on the way."""

    op: str
    name: str
    command: Command[Any] | dict[str, Any]

    def stored(self) -> list[Any]:
        """As the outbox keeps it."""
        fields = self.command.model_dump(mode="python") if isinstance(self.command, Command) else self.command
        return [self.op, self.name, fields]


class Parcels:
    """The turns that tells lead to, of all actors of one host."""

    def __init__(
        self,
        turns: Turns,
        *,
        catalog: Catalog,
        commits: GroupCommit,
        answers: Answers,
        settings: Settings,
        metrics: HostMetrics,
        mark_turn: Callable[[Address | None], None],
    ) -> None:
        self.turns = turns
        self.catalog = catalog
        self.commits = commits
        self.answers = answers
        self.settings = settings
        self.metrics = metrics
        self.mark_turn = mark_turn

    def take(self, cell: Cell, delivery: Delivery) -> None:
        """Play all tells of a parcel that arrived, unless it was played before. Raises Refusal."""
        request = delivery.request
        before = cell.recent.get(request.op)
        if before is not None:
            self.answers.again(cell, before, delivery, 0)
        elif self.commits.overloaded:
            # It is in the outbox still, and comes again.
            self.answers.overloaded(delivery)
        elif may_be_old(cell, request):
            self.turns.look_first(cell, delivery, 0, functools.partial(self._play_arrived, cell, delivery))
        else:
            self._play_arrived(cell, delivery)

    def _play_arrived(self, cell: Cell, delivery: Delivery) -> None:
        request = delivery.request
        packed, attempts = unpack(request.data)
        played, late = self._play(cell, request, delivery, [Told(*tell) for tell in from_json(packed)], attempts)
        for again in late:
            again.whole = not played.events
        if played.events or all(again.buried for again in late):
            self.commits.gathering.finished.append((cell, request.op))
        self._enter(cell, played, late)

    def play(self, cell: Cell, request: Request, tells: Iterable[Told]) -> Played:
        """Play tells that were never on the way; what of them is refused enters the outbox. A bug raises anything."""
        played, late = self._play(cell, request, None, tells, 0)
        self._enter(cell, played, late)
        return played

    def _play(
        self, cell: Cell, request: Request, delivery: Delivery | None, tells: Iterable[Told], attempts: int
    ) -> tuple[Played, list[Late]]:
        kind = self.catalog.kind(cell.address.kind)
        actor = cell.actor
        assert actor is not None  # noqa: S101 - awake
        turn = self.turns.turn(cell, request)
        played = Played(cell, delivery, request.op, 0)
        played.effects = []
        replies: list[list[Any]] = []
        names: list[list[str]] = []
        late: list[Late] = []
        self.mark_turn(cell.address)
        try:
            for told in tells:
                turn.op = told.op
                turn.version = cell.version + len(played.events)
                try:
                    command = told.command
                    if not isinstance(command, Command):
                        command = kind.command(told.name).model_validate(command, strict=False)
                    outcome = decide(command, actor, turn)
                except (Refusal, ValidationError) as refusal:
                    late.append(self._late(cell, request.op, told, attempts, refusal))
                    replies.append(list(_tell_refused(refusal)))
                    continue
                played.events.extend(outcome.events)
                played.effects.extend(_awaited_in(outcome.others, len(replies)))
                replies.append([200, cell.version + len(played.events), outcome.reply])
                names.append([told.op, told.name])
        finally:
            # A bug ends the turn as well: the actor is not to blame for how the process ends later.
            self.mark_turn(None)
        if faults.armed:
            faults.point("after_decide")
        played.push = self.turns.push(cell, played.events)
        played.turn = {
            "command": "parcel",
            "caller": "greenroom",
            "content": turn.content.version,
            "tells": names,
            "reply": replies,
            "fingerprint": 0,
        }
        if turn.seed_used:
            played.turn["seed"] = turn.seed
        played.at = turn.at
        played.bytes = TELL_BYTES * (1 + len(replies)) + 2 * len(request.data)
        played.reply = Reply(200, cell.version + len(played.events), replies)
        return played, late

    def _enter(self, cell: Cell, played: Played, late: list[Late]) -> None:
        self.commits.gathering.late.extend((cell, again) for again in late)
        self.turns.enter(cell, played)
        if faults.armed:
            faults.point("receiver_applied_before_ack")

    def _late(self, cell: Cell, parcel: str, told: Told, attempts: int, refusal: Exception) -> Late:
        """Try a refused tell again later, or bury it: its sender's effect must not get lost in silence."""
        attempts += 1
        reason = refusal.code if isinstance(refusal, Refusal) else "INVALID"
        buried = attempts >= self.settings.tell_attempts_max
        if buried:
            _log.error("tell_buried", actor=str(cell.address), tell=told.op, name=told.name, reason=reason)
            self.metrics.dead_letters.labels(cell.address.kind).inc()
        delay_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (attempts - 1))
        return Late(
            parcel,
            cell.address,
            cell.bucket,
            told.stored(),
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


def _tell_refused(refusal: Exception) -> Reply:
    return refused(refusal if isinstance(refusal, Refusal) else Refusal("INVALID", str(refusal)[:200]))

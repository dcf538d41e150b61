"""One actor played from its first turn on: is its history whole (K4), and is its checkpoint what comes of it (K5)?"""

from dataclasses import dataclass, field
from hashlib import blake2b
from types import GeneratorType
from typing import Any

from pydantic_core import from_json, to_json

from actors.catalog import Kind
from actors.content import Content
from actors.core import SYSTEM, Actor, Caller, Command, Effect, Event, Rejected, Reply, Turn
from actors.runtime.database import Row
from actors.runtime.journal import Checkpoint
from actors.runtime.waker import HistoryBroken, restore
from schemas.address import Address
from schemas.messages import pack
from scripts.verify.guess import guessed
from scripts.verify.past import Part, Past, read
from scripts.verify.report import Report

LEASE_SLACK_MS = 60_000
"""How long after its lease a host may still have had a commit under way, generously."""

_RESTORE = "Nobody but an operator's hand does this: restore the database from a backup, or undo that by the audit log."
_QUARANTINED = "Hosts refuse to wake this actor. Restore its rows from a backup."
_DROP_CHECKPOINT = (
    "Delete the actor's row of `checkpoint`: it is replayed from the journal, which is the truth, and stored anew."
)


@dataclass(slots=True)
class HostRun:
    """A run of a host process; `until` is when its lease ended, in milliseconds, None while it has one."""

    until: int | None
    zombie: bool = False
    """Whether it was found to have written after that."""


@dataclass(slots=True)
class Rules:
    """What turns were decided under: contents by version, the key that signs tokens, the runs of hosts."""

    contents: dict[int, Content]
    secret: bytes
    runs: dict[int, HostRun]
    redecided: int = 0
    otherwise: list[str] = field(default_factory=list)
    """Turns that today's rules decide otherwise, the first of each actor."""


class Replay:
    """The state of one actor as its journal goes on."""

    def __init__(
        self, address: Address, kind: Kind, checkpoint: Checkpoint | None, rules: Rules, report: Report
    ) -> None:
        self.address = address
        self.kind = kind
        self.version = 0
        self.actor: Actor | None = kind.actor()
        """None once an event could not be applied."""
        self.whole = True
        """Whether everything so far followed from what was before."""
        self._otherwise = False
        self._checkpoint = checkpoint
        self._rules = rules
        self._report = report
        self._before: Past | None = None

    def take(self, row: Row) -> Past | None:
        """Check the turn of this row against those before it, and play it; None when it cannot be read."""
        self._follows(row)
        self._written_by(row)
        past: Past | None = None
        try:
            past = read(row, self.kind, self.address)
        except HistoryBroken as broken:
            self._broken("K4", f"version {row['version']}: {broken}", _QUARANTINED)
            self.actor = None
        else:
            self._play(past)
        self.version = max(self.version, row["version"] + row["length"] - 1)
        self._before = past
        if self._checkpoint is not None and self._checkpoint.version <= self.version:
            self._compare(self._checkpoint)
            self._checkpoint = None
        return past

    def end(self) -> None:
        """The journal has no more of this actor."""
        if self._checkpoint is not None:
            self._report.found(
                "K5",
                self.address,
                f"its checkpoint is at version {self._checkpoint.version}, ahead of its journal, which ends at "
                f"{self.version}",
                "Turns are missing, or the checkpoint is another's. Restore the journal's rows from a backup.",
            )

    # -- K4 -------------------------------------------------------------------------------------------------------

    def _follows(self, row: Row) -> None:
        due, version = self.version + 1, row["version"]
        if version > due:
            missing = f"version {due} is" if version == due + 1 else f"versions {due} to {version - 1} are"
            self._broken("K4", f"{missing} missing", _QUARANTINED)
        elif version < due:
            writers = f" (run {self._before.run})" if self._before is not None else ""
            what = f"version {version} of run {row['run']} lies within a turn that is there already{writers}"
            self._broken("K4", f"two writers in one turn: {what}", _QUARANTINED)

    def _written_by(self, row: Row) -> None:
        run = self._rules.runs.get(row["run"])
        if run is None:
            what = f"version {row['version']} names run {row['run']}, which no host ever had"
            self._report.found("K4", self.address, what, _RESTORE)
        elif run.until is not None and row["at"] > run.until + LEASE_SLACK_MS and not run.zombie:
            run.zombie = True
            late_s = (row["at"] - run.until) // 1000
            what = f"version {row['version']} was written {late_s} s after run {row['run']} had lost its lease"
            todo = "A host that was given up went on writing: end that process, and look at its log and clock."
            self._report.found("K4", self.address, f"{what}; perhaps further turns too", todo)

    def _broken(self, invariant: str, what: str, todo: str) -> None:
        self.whole = False
        self._report.found(invariant, self.address, what, todo)

    # -- K5 -------------------------------------------------------------------------------------------------------

    def _play(self, past: Past) -> None:
        turn = self._turn(past) if self.whole and self.actor is not None else None
        past.certain = turn is not None
        others: list[Effect] = []
        for part in past.parts:
            self._play_part(part, turn if past.certain else None, past, others)
            if self.actor is None:
                return
            if turn is not None:
                turn.version += len(part.events)
        if past.certain and others:
            past.send(others)

    def _play_part(self, part: Part, turn: Turn | None, past: Past, others: list[Effect]) -> None:
        """Apply the events, and (with a turn) see whether the rules decide them again, reactions included."""
        decided = self._decided(part, turn, past) if turn is not None else None
        rest = part.events
        while turn is not None and decided is not None:
            events = [effect for effect in decided if isinstance(effect, Event)]
            if not _equal(events, rest[: len(events)]) or (rest and not events):
                self._differs(past, part, "gives other events")
                decided = None
                break
            others += [effect for effect in decided if not isinstance(effect, Event)]
            self._apply(past, part, rest[: len(events)])
            rest = rest[len(events) :]
            if self.actor is None:
                return
            if not events or type(self.actor).reacts is Actor.reacts:
                break
            decided = self._reactions(self.actor, events, turn, past, part)
        if decided is not None and rest:
            self._differs(past, part, "gives fewer events")
            decided = None
        past.certain = past.certain and decided is not None
        self._rules.redecided += decided is not None
        self._apply(past, part, rest)

    def _apply(self, past: Past, part: Part, events: list[Event[Any]]) -> None:
        try:
            for event in events:
                event.apply(self.actor)
        except Exception as error:  # whatever the bug or the corruption is
            what = f"{past}: the events of {part.name} cannot be applied ({type(error).__name__}: {error})"
            self._broken("K5", what, _QUARANTINED)
            self.actor = None

    def _turn(self, past: Past) -> Turn | None:
        content = self._rules.contents.get(past.told.get("content", 0))
        told, earlier = past.told.get("consulted"), past.told.get("earlier") or []
        if content is None or not (isinstance(earlier, list) and all(map(_is_reply, [told, *earlier]))):
            return None
        who = past.told.get("caller", "")
        return Turn(
            caller=SYSTEM if who == "greenroom" else Caller(who),
            at=past.at,
            content=content,
            op=past.op,
            seed=past.told.get("seed", 0),
            secret=self._rules.secret,
            key=self.address.key,
            version=past.version - 1,
            answer=Reply(*told) if told is not None else None,
            earlier=tuple(None if reply is None else Reply(*reply) for reply in earlier),
            consulted="consulted" in past.told,
        )

    def _decided(self, part: Part, turn: Turn, past: Past) -> list[Effect] | None:
        """What the rules decide for the command, None when they refuse it now."""
        if self.actor is None:
            return None
        command = part.command or guessed(self.address.kind, part.name, part.events, self.actor, turn)
        if command is None:
            return None if part.events else []
        turn.op = part.op
        try:
            return _effects(command, self.actor, turn)
        except Exception as refusal:  # a refusal, or what rules of today do with yesterday's requests
            self._differs(past, part, f"refuses it ({type(refusal).__name__}: {str(refusal)[:100]})")
            return None

    def _reactions(
        self, actor: Actor, events: list[Event[Any]], turn: Turn, past: Past, part: Part
    ) -> list[Effect] | None:
        try:
            return list(actor.reacts(events, turn))
        except Exception as error:
            self._differs(past, part, f"fails to react ({type(error).__name__}: {str(error)[:100]})")
            return None

    def _differs(self, past: Past, part: Part, how: str) -> None:
        # Of a guess nobody can say that it was to come to the same.
        if part.command is not None and not self._otherwise:
            self._otherwise = True
            self._rules.otherwise.append(f"{self.address} {past}: {part.name}, decided anew, {how}")

    def _compare(self, stored: Checkpoint) -> None:
        if stored.version < self.version:
            what = f"its checkpoint is at version {stored.version}, within the turn that ends at {self.version}"
            self._report.found("K5", self.address, what, _DROP_CHECKPOINT)
        elif blake2b(stored.state, digest_size=16).digest() != stored.checksum:
            what = f"its checkpoint at version {stored.version} is corrupt: its checksum is another"
            self._report.found("K5", self.address, what, f"The storage may be failing. {_DROP_CHECKPOINT}")
        elif stored.state_version == self.kind.actor.state_version and self.actor is not None:
            self._equals(stored, self.actor)

    def _equals(self, stored: Checkpoint, actor: Actor) -> None:
        if pack(actor.pack_state()) == stored.state:
            return
        try:
            kept, version = restore(self.kind, stored, self.address)
        except Exception:  # whatever stands there is not this kind's state
            kept, version = actor, 0
        if version == 0:
            what = f"its checkpoint at version {stored.version} cannot be read"
            self._report.found("K5", self.address, what, _DROP_CHECKPOINT)
        elif kept.fingerprint() != actor.fingerprint():
            fields = sorted(_differences(kept, actor))
            what = f"its checkpoint at version {stored.version} differs from its history in {', '.join(fields)}"
            self._report.found("K5", self.address, what, _DROP_CHECKPOINT)


def _differences(one: Actor, other: Actor) -> set[str]:
    first, second = one.pack_state(), other.pack_state()
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


def _effects(command: Command[Any], actor: Actor, turn: Turn) -> list[Any]:
    """All that the command decides; the actor is not changed."""
    if not command.creates and not actor.exists():
        raise Rejected(actor.unknown)
    decided = command.decide(actor, turn)
    return list(decided) if isinstance(decided, GeneratorType) else []


def _is_reply(told: Any) -> bool:
    return told is None or (isinstance(told, list) and len(told) == len(Reply._fields))


def _equal(decided: list[Event[Any]], stored: list[Event[Any]]) -> bool:
    if len(decided) != len(stored):
        return False
    return all(
        type(one) is type(other) and (one.__dict__ == other.__dict__ or _json(one) == _json(other))
        for one, other in zip(decided, stored, strict=True)
    )


def _json(event: Event[Any]) -> Any:
    """The event as the journal would hold it."""
    return from_json(to_json(event, by_alias=False))

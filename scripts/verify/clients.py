"""What clients were told, held against the journal: K1 to K3, K10 to K13."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic_core import from_json

from actors.catalog import Catalog
from schemas.address import Address
from scripts.verify.history import History, Push, Request
from scripts.verify.report import Report
from scripts.verify.snapshot import Snapshot

Key = tuple[Address, str]
Item = TypeVar("Item")

_ASKED_AT_ONCE = 1_000

_TURNS_OF = """
SELECT wanted.kind, wanted.key, wanted.op, j.version + j.length - 1 AS last, j.turn
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (kind, key, op)
JOIN journal j ON j.kind = wanted.kind AND j.key = wanted.key AND j.op = wanted.op
"""
_NO_SUCH_VERSION = """
SELECT wanted.kind, wanted.key, wanted.version, before.last
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (kind, key, version)
LEFT JOIN LATERAL (
    SELECT version + length - 1 AS last FROM journal j
    WHERE j.kind = wanted.kind AND j.key = wanted.key AND j.version <= wanted.version
    ORDER BY j.version DESC LIMIT 1
) before ON true
WHERE coalesce(before.last, 0) <> wanted.version
"""
_TURNS_BETWEEN = """
SELECT wanted.number, (
    SELECT count(*) FROM journal j
    WHERE j.kind = wanted.kind AND j.key = wanted.key AND j.version > wanted.after AND j.version <= wanted.until
) AS turns
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
     AS wanted (number, kind, key, after, until)
"""

_LOST = "An acknowledged request is lost: restore the database from a backup that has it, and report how it came about."
_NO_USER = f"Does the history name the account that sent it, under `user`? If `op` is as in the journal: {_LOST}"
_DOUBLED = "It counts twice. Take one effect back by a trusted command, and report how it came about."
_STALE = "A host answered that should not have: look at the leases in `greenroom doctor`, and report how it came about."
_REPORT = "Clients may act on what is not so. Report it with the history and this output."


class Turn(NamedTuple):
    """The turn of an op id: the number of its last event, and the parts of its reply that other actors fill in."""

    last: int
    awaited: frozenset[str]


@dataclass(slots=True)
class Operation:
    """A request with all its attempts."""

    attempts: list[Request] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    @property
    def done(self) -> list[Request]:
        return [attempt for attempt in self.attempts if attempt.done]

    @property
    def refused(self) -> bool:
        """Whether every attempt was refused."""
        return all(attempt.refused for attempt in self.attempts)


class Span(NamedTuple):
    """From when to when an answer was under way, and the version that it showed."""

    sent: float
    answered: float
    version: int
    name: str
    moved: bool
    """Whether it is a turn of its own, so that its version must be higher than what was seen before."""


class Clients:
    """One history against one snapshot that is younger than all of it."""

    def __init__(self, history: History, snapshot: Snapshot, catalog: Catalog, report: Report) -> None:
        self._history = history
        self._snapshot = snapshot
        self._catalog = catalog
        self._report = report
        self._operations: dict[Key, Operation] = defaultdict(Operation)
        self._partly = 0
        """Requests whose repeated answers differ only in that a part of another actor came too late for one."""

    async def judge(self) -> None:
        for request in self._history.requests:
            self._operations[request.key].attempts.append(request)
        await self._find_turns()
        for (actor, op), operation in self._operations.items():
            self._effects(actor, op, operation)
            self._replies(actor, op, operation)
        self._order()
        await self._versions()
        await self._pushes()
        count = len(self._operations)
        done = sum(1 for operation in self._operations.values() if operation.done)
        refused = sum(1 for operation in self._operations.values() if operation.refused)
        self._report.judged("K1", done, "acknowledged requests" + self._beside("K1"))
        self._report.judged("K2", count - done - refused, "requests of unknown outcome")
        self._report.judged("K3", refused, "refused requests")
        self._report.judged("K10", count + len(self._history.queries), "requests and queries")
        self._report.judged("K12", len(self._history.requests) + len(self._history.queries), "answers")
        late = f", {self._partly:,} once without what another actor adds" if self._partly else ""
        self._report.judged("K13", len(self._history.requests) - count, f"repeated requests{late}")
        if self._history.pushes:
            self._report.judged("K11", len(self._history.pushes), "pushes")

    def _beside(self, invariant: str) -> str:
        known = self._report.looked.get(invariant)
        return f", {known}" if known else ""

    async def _find_turns(self) -> None:
        for some in _some(self._operations):
            columns = [[actor.kind for actor, _ in some], [actor.key for actor, _ in some], [op for _, op in some]]
            for row in await self._snapshot.fetch(_TURNS_OF, *columns):
                told = from_json(row["turn"])
                awaited = frozenset(str(part[0]) for part in told.get("awaits") or ())
                key = (Address(row["kind"], row["key"]), row["op"])
                self._operations[key].turns.append(Turn(row["last"], awaited))

    # -- K1, K2, K3, K12 ------------------------------------------------------------------------------------------

    def _effects(self, actor: Address, op: str, operation: Operation) -> None:
        count, name = len(operation.turns), operation.attempts[0].command
        done = operation.done
        if done and count == 0 and done[0].effect:
            what = f"{name} under op {op} was acknowledged, and has no turn"
            self._report.found("K1", actor, what, _LOST if done[0].user else _NO_USER)
        elif done and count > 1:
            self._report.found("K1", actor, f"{name} under op {op} has {count} turns", _DOUBLED)
        elif not done and count > 1:
            what = f"{name} under op {op}, of unknown outcome, has {count} turns"
            self._report.found("K2", actor, what, _DOUBLED)
        elif operation.refused and count:
            what = f"{name} under op {op} was refused ({operation.attempts[0].code or operation.attempts[0].status})"
            self._report.found("K3", actor, f"{what}, and has a turn that ends at {operation.turns[0].last}", _REPORT)
        for attempt in done:
            if count == 1 and attempt.version is not None and attempt.version != operation.turns[0].last:
                what = f"the reply to op {op} showed version {attempt.version}"
                self._report.found("K12", actor, f"{what}, its turn ends at {operation.turns[0].last}", _REPORT)

    async def _versions(self) -> None:
        """Each version that was shown is the end of a turn."""
        shown = {(one.actor, one.version) for one in self._history.queries}
        shown |= {(one.actor, one.version) for one in self._history.requests if one.version is not None}
        shown |= {(one.actor, one.seq) for one in self._history.pushes if self._tells_turns(one.actor)}
        for some in _some(shown):
            columns = [[actor.kind for actor, _ in some], [actor.key for actor, _ in some], [at for _, at in some]]
            for row in await self._snapshot.fetch(_NO_SUCH_VERSION, *columns):
                ends = f"; the turn there ends at {row['last']}" if row["last"] else ""
                what = f"a client was shown version {row['version']}, which the journal does not have{ends}"
                self._report.found("K12", f"{row['kind']}:{row['key']}", what, _REPORT)

    # -- K13 ------------------------------------------------------------------------------------------------------

    def _replies(self, actor: Address, op: str, operation: Operation) -> None:
        done = [attempt for attempt in operation.done if attempt.reply is not None]
        awaited = operation.turns[0].awaited if operation.turns else frozenset()
        for attempt in done[1:]:
            if attempt.version != done[0].version or _other(done[0].reply, attempt.reply, awaited):
                what = f"{attempt.command} under op {op} was answered differently when it was repeated"
                self._report.found("K13", actor, what, _REPORT)
                return
        self._partly += any(attempt.reply != done[0].reply for attempt in done[1:])

    # -- K10 ------------------------------------------------------------------------------------------------------

    def _order(self) -> None:
        spans: dict[Address, list[Span]] = defaultdict(list)
        for (actor, _), operation in self._operations.items():
            done = operation.done
            if done and operation.turns:
                sent = min(attempt.sent for attempt in operation.attempts)
                answered = min(_answered(attempt) for attempt in done)
                spans[actor].append(Span(sent, answered, operation.turns[0].last, done[0].command, moved=True))
        for query in self._history.queries:
            spans[query.actor].append(Span(query.sent, query.answered, query.version, query.query, moved=False))
        for actor, listed in spans.items():
            self._in_order(actor, listed)

    def _in_order(self, actor: Address, spans: list[Span]) -> None:
        """Of what was answered before something was sent, the highest version is the lowest that this may show."""
        by_answer = sorted(spans, key=lambda span: span.answered)
        seen: Span | None = None
        at = 0
        for span in sorted(spans, key=lambda span: span.sent):
            while at < len(by_answer) and by_answer[at].answered < span.sent:
                if seen is None or by_answer[at].version > seen.version:
                    seen = by_answer[at]
                at += 1
            if seen is not None and (span.version < seen.version or (span.moved and span.version == seen.version)):
                what = f"{span.name}, sent at {span.sent}, shows version {span.version}, though {seen.name} had shown"
                self._report.found("K10", actor, f"{what} {seen.version} at {seen.answered}", _STALE)

    # -- K11 ------------------------------------------------------------------------------------------------------

    def _tells_turns(self, actor: Address) -> bool:
        kind = self._catalog.kinds.get(actor.kind)
        return kind is not None and kind.actor.pushes == "turn"

    async def _pushes(self) -> None:
        last: dict[tuple[str, Address], int] = {}
        steps: list[tuple[int, Push]] = []
        for push in self._history.pushes:
            stream = (push.subscriber, push.actor)
            before = last.get(stream)
            if before is None or push.told in ("initial", "reset"):
                last[stream] = push.seq
            elif push.told == "update" and push.seq <= before:
                what = f"subscriber {push.subscriber} got {push.seq} after {before}"
                self._report.found("K11", push.actor, what, _REPORT)
            elif push.told == "update":
                last[stream] = push.seq
                if self._tells_turns(push.actor):
                    steps.append((before, push))
        for some in _some(enumerate(steps)):
            columns: list[list[Any]] = [[number for number, _ in some]]
            columns += [[push.actor.kind for _, (_, push) in some], [push.actor.key for _, (_, push) in some]]
            columns += [[before for _, (before, _) in some], [push.seq for _, (_, push) in some]]
            for row in await self._snapshot.fetch(_TURNS_BETWEEN, *columns):
                before, push = steps[row["number"]]
                if row["turns"] > 1:
                    what = f"subscriber {push.subscriber} got {push.seq} after {before}"
                    missed = f"{row['turns'] - 1} turns between were never told"
                    self._report.found("K11", push.actor, f"{what}: {missed}", _REPORT)


def _answered(request: Request) -> float:
    return request.sent if request.answered is None else request.answered


def _other(first: Any, second: Any, awaited: frozenset[str]) -> bool:
    """Whether two replies differ; a part that another actor fills in may be missing where that was late."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return bool(first != second)
    names = {*first, *second}
    return any(
        first.get(name) != second.get(name)
        for name in names
        if not (name in awaited and (first.get(name) is None or second.get(name) is None))
    )


def _some(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    """Some items at a time, so many as one query may ask for."""
    rest = iter(items)
    while some := list(islice(rest, _ASKED_AT_ONCE)):
        yield some

"""K9: every message between actors was played once and as it was sent, or waits in the outbox or the dead letters."""

from array import array
from collections import defaultdict
from typing import Any, NamedTuple

from actors.catalog import Catalog
from actors.content import Content
from actors.core import SYSTEM, Command, Event, Turn
from schemas.address import Address
from schemas.messages import pack, unpack
from schemas.problems import Refusal
from scripts.inspect.reading import Reader, Seen
from scripts.terminal import Failed
from scripts.verify.past import Past
from scripts.verify.recall import RECALLED
from scripts.verify.report import Report
from scripts.verify.snapshot import Snapshot
from scripts.verify.watcher import DEAD, GIVEN_UP, OUT, Waiting, Watcher

BUCKETS = 1 << 16
LOOKED_INTO_MAX = 2_000
"""Buckets that a second reading looks into; more are wrong only when much is."""
_OFTEN_SILENT = frozenset({("fraud", "assess")})
"""Messages that mostly have no effect, and of which it is not known afterwards whether they should have had one."""
_ALL_BITS = (1 << 64) - 1
CLOCKS_APART_MS = 1_000
"""So much earlier by its own clock may a receiver have been in the state in which a message reached it."""
STATES_LOOKED_AT_MAX = 2_000
"""Of a receiver, after a message was sent; beside them its state now."""

PLAYED = "played"

_TWICE = "What it carried counts twice. Take one effect back by a trusted command; report how it came about."
_LOST = "What it carried is in nobody's hands. Send it again by a trusted command; report how it came about."
_STILL = {
    OUT: "Its receiver drops it when it comes again; if the row stays, look at the log of the receiver's host.",
    DEAD: "Do not replay it: `greenroom dead-letters discard ID --because 'was played'`.",
    GIVEN_UP: "An operator gave it up though it had been played; nothing is lost.",
}
_FORGED = "A row was added or changed by hand, or the sender's turn is gone. Compare with a backup."


class Found(NamedTuple):
    """Where a message was found."""

    where: str
    to: Address
    name: str
    fields: bytes | None
    """None when they are not known any more."""
    version: int


class Tells(Watcher):
    """Sums over hashes of what was sent and of what was found say, in memory that does not grow, whether all is well.

    Buckets whose sums differ are told to a second watcher of this class, which keeps their messages and compares them
    one by one: `narrow` is the set of those buckets.
    """

    def __init__(
        self, report: Report, catalog: Catalog, content: Content, narrow: frozenset[int] | None = None
    ) -> None:
        super().__init__(report)
        self._catalog = catalog
        self._content = content
        self._narrow = narrow
        self._sums = array("Q", bytes(8 * BUCKETS))
        self._sent: dict[str, tuple[Address, str, bytes]] = {}
        self._found: dict[str, list[Found]] = defaultdict(list)
        self._unsure: set[tuple[Address, int]] = set()
        self._count = 0
        self._waiting: dict[str, int] = defaultdict(int)

    @property
    def wrong(self) -> frozenset[int]:
        """The buckets whose messages must be looked at one by one."""
        wrong = [bucket for bucket, rest in enumerate(self._sums) if rest]
        return frozenset(wrong[:LOOKED_INTO_MAX])

    @property
    def wrong_count(self) -> int:
        return sum(1 for rest in self._sums if rest)

    # -- what is seen ---------------------------------------------------------------------------------------------

    def waits(self, message: Waiting) -> None:
        self._waiting[message.where] += 1
        command = self._command(message)
        packed = None if command is None else packed_fields(command)
        self._find(message.op, Found(message.where, message.to, message.name, packed, 0))

    def _command(self, message: Waiting) -> Command[Any] | None:
        kind = self._catalog.kinds.get(message.to.kind)
        found = kind.commands.get(message.name) if kind else None
        if found is None or (message.to.kind, message.name) not in RECALLED:
            return None
        try:
            return found.model_validate(message.fields, strict=False)
        except ValueError:
            return None

    def turn(self, past: Past) -> None:
        address = past.address
        if past.is_parcel:
            for part in past.parts:
                packed = None if part.command is None else packed_fields(part.command)
                self._find(part.op, Found(PLAYED, address, part.name, packed, past.version))
        if not past.certain:
            if self._narrow is not None:
                self._unsure.add((address, past.version))
            return
        for op, tell in past.tells:
            name = tell.command.wire_name
            packed = packed_fields(tell.command)
            self._count += 1
            bucket = self._bucket(op)
            if self._narrow is None:
                known = packed if (tell.to.kind, name) in RECALLED else None
                self._sums[bucket] = (self._sums[bucket] + hash((op, tell.to, name, known))) & _ALL_BITS
            elif bucket in self._narrow:
                self._sent[op] = (tell.to, name, packed)

    def _find(self, op: str, found: Found) -> None:
        bucket = self._bucket(op)
        if self._narrow is None:
            known = hash((op, found.to, found.name, found.fields))
            self._sums[bucket] = (self._sums[bucket] - known) & _ALL_BITS
        elif bucket in self._narrow:
            self._found[op].append(found)

    @staticmethod
    def _bucket(op: str) -> int:
        return hash(op) % BUCKETS

    async def end(self, snapshot: Snapshot) -> None:
        if self._narrow is None:
            waiting = ", ".join(f"{count:,} in {where}" for where, count in sorted(self._waiting.items()))
            self.report.judged("K9", self._count, "messages" + (f"; {waiting}" if waiting else ""))
            return
        silent = 0
        for op, (to, name, packed) in self._sent.items():
            places = self._found.pop(op, [])
            if not places:
                silent += not await self._lost(snapshot, op, to, name, packed)
            for found in places:
                if (found.to, found.name) != (to, name) or not _same(found.fields, packed):
                    what = f"message {op} to {to} ({name}) is {_somewhere(found)} as another than was sent"
                    self.report.found("K9", found.to, what, _FORGED)
            self._once(op, places)
        await self._nobodys(snapshot)
        if silent:
            why = f"{silent:,} assessments that came late leave no trace when they find nothing"
            self.report.not_judged("K9", why)

    # -- message by message ---------------------------------------------------------------------------------------

    def _once(self, op: str, places: list[Found]) -> None:
        played = [found for found in places if found.where == PLAYED]
        if len(played) > 1:
            versions = " and ".join(str(found.version) for found in played)
            what = f"message {op} ({played[0].name}) was played {len(played)} times, in the turns at {versions}"
            self.report.found("K9", played[0].to, what, _TWICE)
        waiting = [found for found in places if found.where != PLAYED]
        if played and waiting:
            where = waiting[0].where
            what = f"message {op} ({played[0].name}) was played at version {played[0].version}, and is in {where}"
            self.report.found("K9", played[0].to, what, _STILL[where])
        elif len(waiting) > 1:
            where = " and in ".join(sorted(found.where for found in waiting))
            what = f"message {op} ({waiting[0].name}) is in {where} at once"
            self.report.found("K9", waiting[0].to, what, _TWICE)

    async def _lost(self, snapshot: Snapshot, op: str, to: Address, name: str, packed: bytes) -> bool:
        """Whether it can be judged at all where a message went that nobody knows of. One without effect leaves no
        trace: that is right when it came to nothing in a state that its receiver was in since."""
        if (to.kind, name) in _OFTEN_SILENT:
            return False
        command = self._catalog.kind(to.kind).command(name).model_validate(unpack(packed))
        if await self._came_to_nothing(snapshot, op, to, command):
            return True
        sender = op.rsplit("/", 2)[0]
        what = f"message {op} ({name}) to {to} was sent, and is neither played, nor in the outbox or the dead letters"
        self.report.found("K9", sender, what, _LOST)
        return True

    async def _came_to_nothing(self, snapshot: Snapshot, op: str, to: Address, command: Command[Any]) -> bool:
        """Whether the message would have had no effect in one of the states of its receiver since it was sent."""
        reader = Reader(snapshot)
        try:
            sender, version, _ = op.rsplit("/", 2)
            [sent] = await reader.turns(Address.parse(sender), int(version) - 1, 1)
            seen = await reader.at(to, await reader.version_at(to, sent["at"] - CLOCKS_APART_MS))
            at = sent["at"]
            further = await reader.turns(to, seen.version, STATES_LOOKED_AT_MAX)
            for row in further:
                if self._is_silent(seen, at, op, to, command):
                    return True
                seen, at = reader.play(to, seen, row), max(at, row["at"])
            if len(further) == STATES_LOOKED_AT_MAX:
                seen = (await reader.now([to]))[to]
            return self._is_silent(seen, snapshot.now_ms, op, to, command)
        except (Failed, ValueError):
            return False

    def _is_silent(self, seen: Seen, at: int, op: str, to: Address, command: Command[Any]) -> bool:
        if not (command.creates or seen.actor.exists()):
            return False
        try:
            effects = list(command.decide(seen.actor, Turn(SYSTEM, at, self._content, op, key=to.key)))
        except Refusal:
            return False  # that would not be in silence
        return not any(isinstance(effect, Event) for effect in effects)

    async def _nobodys(self, snapshot: Snapshot) -> None:
        """What was found, and no turn is known to have sent."""
        unsure = 0
        for op, places in self._found.items():
            self._once(op, places)
            sender, _, rest = op.rpartition("/")[0].rpartition("/")
            try:
                address, version = Address.parse(sender), int(rest)
            except ValueError:
                what = f"message {op} is {_somewhere(places[0])}, which is no message of an actor"
                self.report.found("K9", places[0].to, what, _FORGED)
                continue
            if (address, version) in self._unsure:
                unsure += 1
            elif address.kind in self._catalog.kinds:
                turn = await Reader(snapshot).turns(address, version - 1, 1)
                there = bool(turn) and turn[0]["version"] == version
                why = "whose turn does not send it" if there else "which has no such turn"
                what = f"message {op} ({places[0].name}) is {_somewhere(places[0])}; its sender is {address}, {why}"
                self.report.found("K9", places[0].to, what, _FORGED)
        if unsure:
            self.report.not_judged("K9", f"{unsure:,} messages of turns that today's rules do not explain")


def packed_fields(command: Command[Any]) -> bytes:
    """The command's fields as bytes; in whichever order maps were written, equal ones give equal bytes."""
    return pack(_ordered(command.model_dump(mode="python")))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)} if value else value
    return [_ordered(part) for part in value] if isinstance(value, list) else value


def _somewhere(found: Found) -> str:
    return f"played at version {found.version}" if found.where == PLAYED else f"in {found.where}"


def _same(found: bytes | None, sent: bytes) -> bool:
    """Whether the fields are equal, if they are known."""
    return found is None or found == sent or bool(unpack(found) == unpack(sent))

"""An actor while it is awake: its state in memory, its mailbox, and the turns that wait for their commit."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

from pydantic_core import from_json, to_json

from actors.catalog import Catalog
from actors.core import Actor, Gather
from schemas.address import Address
from schemas.messages import Reply, Request


class Session(Protocol):
    """The host's end of a link: where replies and news leave."""

    def reply(self, number: int, reply: Reply) -> None: ...

    def news(self, address: Address, version: int, *, last: bool = False) -> None: ...


class Delivery:
    """One request that reached this host, and where its answer goes."""

    __slots__ = ("born", "number", "request", "session", "tries")

    def __init__(self, request: Request, session: Session, number: int, born: float) -> None:
        self.request = request
        self.session = session
        self.number = number
        self.born = born
        self.tries = 0

    def reply(self, reply: Reply) -> None:
        self.session.reply(self.number, reply)


class Await:
    """A part of a reply that a tell's answer, completed by `then`, fills in: tell `index` of the parcel to `target`.

    `into` is the name of the part; in the reply to a parcel, whose tells have a reply each, `3/name`.
    """

    __slots__ = ("index", "into", "parcel", "target", "then")

    def __init__(self, into: str, target: Address, parcel: str, index: int, then: Gather | None) -> None:
        self.into = into
        self.target = target
        self.parcel = parcel
        self.index = index
        self.then = then

    def fill(self, data: Any, part: Any) -> None:
        """Put the part into the reply's data."""
        tell, nested, name = self.into.rpartition("/")
        (data[int(tell)][2] if nested else data)[name] = part

    def pack(self) -> list[Any]:
        then = () if self.then is None else ([self.then.kind, self.then.wire_name, self.then.model_dump(mode="json")],)
        return [self.into, self.target.kind, self.target.key, self.parcel, self.index, *then]

    @classmethod
    def unpack(cls, packed: list[Any], catalog: Catalog) -> "Await":
        into, kind, key, parcel, index, *then = packed
        gathers = [catalog.kind(of).gathers[name].model_validate(fields) for of, name, fields in then]
        return cls(into, Address(kind, key), parcel, index, gathers[0] if gathers else None)


class Played:
    """One turn that was taken: what it replies, and whether that may leave already.

    `reply.data` of a parcel is the list of its tells' replies.
    """

    __slots__ = (
        "answered",
        "at",
        "awaits",
        "bytes",
        "cell",
        "effects",
        "events",
        "fingerprint",
        "joined",
        "length",
        "near",
        "op",
        "origin",
        "push",
        "reply",
        "reply_ready",
        "turn",
        "version",
    )

    def __init__(self, cell: "Cell", origin: Delivery | None, op: str, fingerprint: int) -> None:
        self.cell = cell
        self.origin = origin
        self.op = op
        self.fingerprint = fingerprint
        self.version = 0
        self.length = 0
        self.at = 0
        self.turn: dict[str, Any] = {}
        self.push: dict[str, Any] | None = None
        self.events: list[Any] = []
        self.effects: Any = None
        self.awaits: list[Await] = []
        self.near: list[Await] | None = None
        """Those of them that wait for tells which were played before the commit."""
        self.answered: Callable[[Reply], None] | None = None
        """Whom to tell when the reply is whole and committed, besides those who asked."""
        self.reply = Reply(200, 0, None)
        self.reply_ready = False
        self.bytes = 512
        """About how much the turn adds to its group."""
        self.joined: list[Delivery] | None = None

    def stored(self) -> dict[str, Any]:
        """What the journal keeps of the turn beside its events."""
        if self.awaits:
            return {**self.turn, "awaits": [awaited.pack() for awaited in self.awaits]}
        return self.turn

    def answer(self) -> None:
        """Let the reply leave, to all who asked."""
        self.reply_ready = True
        if self.origin is not None:
            self.origin.reply(self.reply)
            self.origin = None
        if self.joined:
            for delivery in self.joined:
                delivery.reply(self.reply)
            self.joined = None
        if self.answered is not None:
            self.answered(self.reply)
            self.answered = None


class Known:
    """What is kept of a turn that was committed and answered: enough to answer its op id again.

    The answer is kept as JSON, as the journal has it: a hundred thousand of them are a hundred thousand objects for the
    cycle collector then, and not a million. `awaits` names the parts of the reply that tells filled in: [[into, kind,
    key, parcel, index, then?], ...]; it is empty when the reply is whole.
    """

    __slots__ = ("_data", "awaits", "fingerprint", "version")

    def __init__(self, fingerprint: int, version: int, data: Any, awaits: Any = ()) -> None:
        self.fingerprint = fingerprint
        self.version = version
        self.awaits = awaits
        self._data = to_json(data)

    @property
    def reply(self) -> Reply:
        return Reply(200, self.version, from_json(self._data))

    def complete(self, data: Any) -> None:
        """The reply is whole."""
        self._data = to_json(data)
        self.awaits = ()


class Cell:
    """The place of one awake (or waking) actor in its host."""

    __slots__ = (
        "actor",
        "address",
        "awake",
        "bucket",
        "busy",
        "checkpointed",
        "checks_ops",
        "complete",
        "last_group",
        "mailbox",
        "pending",
        "published",
        "recent",
        "slot",
        "used_at",
        "version",
        "visible",
        "watchers",
    )

    def __init__(self, address: Address, slot: str, bucket: int) -> None:
        self.address = address
        self.slot = slot
        self.bucket = bucket
        self.actor: Actor | None = None
        self.version = 0
        self.checkpointed = 0
        self.awake = False
        self.busy = False
        self.complete = True
        """Whether `recent` knows every op id the actor ever had."""
        self.checks_ops = False
        """Set after a stale op id reached the commit: from then on the journal is asked before the turn."""
        self.recent: dict[str, Played | Known] = {}
        self.pending = 0
        self.last_group: Any = None
        self.mailbox: deque[Delivery] = deque()
        self.used_at = 0.0
        self.watchers: WeakSet[Session] | None = None
        """Links that are sent news; one that closes is forgotten with its session."""
        self.visible = 0
        self.published: Any = None

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, so that the actor may leave memory."""
        return self.awake and not (self.busy or self.pending or self.mailbox)

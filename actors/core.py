"""What an actor is made of: state, commands that decide, events that apply, queries that answer."""

import hashlib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from types import GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from actors.turn import Happened, Past, Turn
from schemas.address import Address
from schemas.messages import SYSTEM, Caller, Reply, pack
from schemas.problems import Refusal as Rejected
from schemas.shape import Shape

if TYPE_CHECKING:
    from actors.content import Content

OWNER, ANYONE = "owner", "anyone"
"""Who may call, beside the names of roles: the player whose actor it is, or any authenticated user."""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _name(cls: Any) -> None:
    """Name the message after its class, and find the actor in `Command[Guild]`."""
    if "[" in cls.__name__:
        return
    cls.wire_name = _snake(cls.__name__)
    for base in cls.__mro__:
        arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args") or ()
        if arguments and isinstance(arguments[0], type):
            cls.actor = arguments[0]
            return


class Actor(BaseModel):
    """One game entity and its state. Subclasses declare the state's fields, each with a default."""

    model_config = ConfigDict(extra="forbid")

    kind: ClassVar[str] = ""
    placement: ClassVar[str] = "shared"
    """`shared`: in a pool of hosts by slot. `dedicated`: each actor a Ray actor of its own. Settings may override."""
    unknown: ClassVar[str] = "NOT_FOUND"
    """The refusal of a command to an actor that was never created (see `exists`)."""
    state_version: ClassVar[int] = 1
    """Raised when checkpoints of the former shape must not be read; the journal is replayed instead."""
    checkpoint_every: ClassVar[int] = 200
    """Events after which a checkpoint is due (see `checkpoint_due`)."""
    pushes: ClassVar[str] = ""
    """What the topic of the actor carries: nothing, each `turn`, or the conflated `view`."""

    def exists(self) -> bool:
        """Whether the actor was created; commands that do not say `creates` are refused before."""
        return True

    def pack_state(self) -> Any:
        """The whole state as maps, lists, strings, integers and booleans."""
        return self.model_dump(mode="python")

    @classmethod
    def unpack_state(cls, packed: Any) -> "Actor":
        return cls.model_validate(packed)

    def fingerprint(self) -> str:
        """A hash over the canonical encoding of the state: equal states, equal hashes, in any process."""
        return hashlib.blake2b(pack(_canonical(self.pack_state())), digest_size=16).hexdigest()

    def checkpoint_due(self, events_since: int) -> bool:
        """Whether this many events since the last checkpoint are enough; large states may want more."""
        return events_since >= self.checkpoint_every

    def visible(self) -> int:
        """A number that changes with the part of the state that is shown and cached widely; watchers then get news."""
        return 0

    def view(self) -> Any:
        """What a subscriber of the actor's topic is shown at first, and after a `reset`."""
        return None

    def shown_to(self, caller: Caller) -> Any:
        """The view as this caller may see it."""
        return self.view()

    def reacts(self, events: "list[Event[Any]]", turn: "Turn") -> "Iterator[Effect]":
        """What follows in the same turn from events that the actor has just had, such as progress of a quest.

        May yield events and other effects, and refuses nothing. Called again with the events that it yields.
        """
        return iter(())

    @classmethod
    def parts(cls, key: str, content: "Content") -> list[Address]:
        """The actors behind one public address; a kind that is sharded names its shards here."""
        return [Address(cls.kind, key)]

    @classmethod
    def merge_views(cls, views: list[Any]) -> Any:
        """One view of all parts."""
        return views[0]

    @classmethod
    def changes(cls, before: Any, after: Any) -> list[Any]:
        """What a push lists under `changes` when the view became `after`."""
        return []

    @classmethod
    def may_subscribe(cls, key: str, caller: Caller) -> bool:
        """Whether the caller may listen to the topic of the actor with this key."""
        return True

    def may_listen(self, key: str, caller: Caller) -> bool:
        """The same, where it depends on the state. Who may no longer is named by a push (see Event.push)."""
        return True


A = TypeVar("A", bound=Actor)


class Event(Shape, Generic[A]):
    """A fact. Applying it changes the state, cannot fail, and is deterministic."""

    actor: ClassVar[type[Actor]]
    wire_name: ClassVar[str] = ""
    public: ClassVar[bool] = False
    """Whether the event is part of the public feed."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        _name(cls)

    def apply(self, actor: A) -> None:
        raise TypeError(f"{type(self).__name__} does not say how it is applied")

    def push(self) -> Mapping[str, Any]:
        """What changed, for subscribers of the actor's topic; an empty map keeps the event to itself.

        Two fields have a meaning for gateways. `departed`, a map by user, names who may not listen any more: they are
        told this last push. `onlyFor` names the one user who is told the push at all.
        """
        return {}


class Tell(NamedTuple):
    """A command to another actor, stored with the sender's events and delivered after the commit.

    When `into` is given, the reply to the client waits (for a while) for the answer, and holds it under that name;
    `then` may ask further actors before (see Gather).
    """

    to: Address
    command: "Command[Any]"
    into: str = ""
    then: "Gather | None" = None


class Remind(NamedTuple):
    """A command to the actor itself at a time (milliseconds since 1970 UTC), stored with the events.

    A reminder of the same actor under the same `name` is replaced.
    """

    name: str
    at: int
    command: "Command[Any]"


class Forget(NamedTuple):
    """Takes back the reminder of this name."""

    name: str


class Record(NamedTuple):
    """A row for a read model, written in the same commit as the events. `table` is one of journal.RECORDS."""

    table: str
    row: Mapping[str, Any]


Effect = Event[Any] | Tell | Remind | Forget | Record
Effects = Generator[Effect, None, dict[str, Any] | None]
"""What `decide` is: it yields effects and returns the data of the reply."""


@dataclass(frozen=True, slots=True)
class Consult:
    """A question to another actor that must be answered before the turn; `command` may be a Query."""

    of: Address
    command: "Command[Any] | Query[Any]"
    within_s: float = 0.5
    then: "Consult | None" = None
    """Asked next; its answer is the turn's `answer`, and the answers before it stand in `earlier`."""


class Command(Shape, Generic[A]):
    """A request to one actor. Deciding reads the state and yields events and other effects, or raises Rejected."""

    actor: ClassVar[type[Actor]]
    wire_name: ClassVar[str] = ""
    public: ClassVar[bool] = False
    """Whether clients can send it at all; Greenroom itself always can."""
    callers: ClassVar[frozenset[str]] = frozenset({OWNER})
    """Who may: OWNER, ANYONE, or roles. A call admitted by a role is marked for the audit log."""
    creates: ClassVar[bool] = False
    """Whether it may meet an actor that does not exist yet."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        _name(cls)

    def consults(self, actor: A, turn: Turn) -> Consult | None:
        """Whom to ask before the turn. May raise Rejected, so that nobody is asked in vain."""
        return None

    def decide(self, actor: A, turn: Turn) -> Effects:
        raise TypeError(f"{type(self).__name__} does not say what it decides")


class Query(Shape, Generic[A]):
    """A question to one actor; it changes nothing."""

    actor: ClassVar[type[Actor]]
    wire_name: ClassVar[str] = ""
    public: ClassVar[bool] = False
    callers: ClassVar[frozenset[str]] = frozenset({OWNER})
    creates: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        _name(cls)

    def recalls(self, actor: A, turn: Turn) -> Past | None:
        """What of the actor's own journal must be read before the answer; None when the state is enough."""
        return None

    def answer(self, actor: A, turn: Turn) -> dict[str, Any] | list[Any]:
        raise TypeError(f"{type(self).__name__} does not say what it answers")


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of a Gather. `watch` asks the host to send news when the visible part of the actor changes."""

    of: Address
    query: Query[Any]
    watch: bool = False


Rounds = Generator[list[Ask], list[Reply], Any]
"""What `gather` is: it yields rounds of questions, is sent their replies, and returns the answer."""


class Gather(Shape):
    """A question that several actors answer together, such as the top of a board with many shards."""

    kind: ClassVar[str] = ""
    wire_name: ClassVar[str] = ""
    public: ClassVar[bool] = False
    callers: ClassVar[frozenset[str]] = frozenset({ANYONE})
    cached: ClassVar[bool] = False
    """Whether gateways may keep the answer until one of the actors asked sends news."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls.wire_name = _snake(cls.__name__)

    def gather(self, key: str, caller: Caller, content: "Content", first: Any = None) -> Rounds:
        """`first` is the answer of the tell that this gather completes, if it completes one."""
        raise TypeError(f"{type(self).__name__} does not say whom it asks")


REACTIONS_DEPTH_MAX = 8
"""Reactions to reactions in one turn."""

_BESIDE_EVENTS = frozenset({Tell, Remind, Forget, Record})


@dataclass(slots=True)
class Outcome:
    """All that one decided command leads to."""

    events: list[Event[Any]]
    others: list[Tell | Remind | Forget | Record]
    reply: dict[str, Any]


def decide(command: Command[Any], actor: Actor, turn: Turn) -> Outcome:
    """Let the command decide and apply its events to the actor; raises Rejected when refused, the state unchanged.

    Raises RuntimeError when an event cannot be applied; the actor must not be used any more then.
    """
    if not command.creates and not actor.exists():
        raise Rejected(actor.unknown)
    effects = command.decide(actor, turn)
    events: list[Event[Any]] = []
    others: list[Tell | Remind | Forget | Record] = []
    reply: Any = effects
    if isinstance(effects, GeneratorType):
        reply = None
        while True:
            try:
                effect = next(effects)
            except StopIteration as stop:
                reply = stop.value
                break
            if type(effect) in _BESIDE_EVENTS:
                others.append(effect)
            else:
                events.append(effect)
    if others and not events:
        raise TypeError(f"{type(command).__name__} has effects but no event that remembers them")
    try:
        for event in events:
            event.apply(actor)
        if events and type(actor).reacts is not Actor.reacts:
            _react(actor, turn, events, others)
    except Exception as error:
        # Not the refusal that it may look like: by now the state is half changed.
        raise RuntimeError(f"an event of {type(command).__name__} could not be applied") from error
    return Outcome(events, others, reply or {})


def _react(actor: Actor, turn: Turn, events: list[Event[Any]], others: list[Tell | Remind | Forget | Record]) -> None:
    """Let the actor react to its events, and to what it reacted with; all of it goes into the same lists."""
    latest = list(events)
    for _ in range(REACTIONS_DEPTH_MAX):
        reactions: list[Event[Any]] = []
        for effect in list(actor.reacts(latest, turn)):
            if isinstance(effect, Event):
                effect.apply(actor)
                reactions.append(effect)
            else:
                others.append(effect)
        if not reactions:
            return
        events.extend(reactions)
        latest = reactions
    raise RuntimeError(f"{actor.kind} reacts to its own reactions without end")


def answer(query: Query[Any], actor: Actor, turn: Turn) -> Any:
    """The actor's answer; raises Rejected when there is none."""
    if not query.creates and not actor.exists():
        raise Rejected(actor.unknown)
    return query.answer(actor, turn)


def play(actor: A, events: Iterator[Event[Any]]) -> A:
    """The actor after these events."""
    for event in events:
        event.apply(actor)
    return actor


def admit(message: type[Command[Any]] | type[Query[Any]] | type[Gather], key: str, caller: Caller) -> str:
    """By which right the caller may send the message to the actor with this key: `internal`, `owner`, `anyone` or a
    role; raises Rejected FORBIDDEN when by none."""
    if caller.internal:
        return "internal"
    if message.public:
        if OWNER in message.callers and caller.user == key:
            return OWNER
        if ANYONE in message.callers:
            return ANYONE
        for role in caller.roles:
            if role in message.callers or role == "admin":
                return role
    raise Rejected("FORBIDDEN", "This call is not open to you.")


def pack_event(event: Event[Any]) -> list[Any]:
    """The event as it is stored: its name and its fields."""
    return [event.wire_name, event.model_dump(mode="python")]


def pack_fields(message: Shape) -> bytes:
    """The message's fields as bytes; equal messages give equal bytes."""
    return pack(message.model_dump(mode="python"))


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [[_canonical(key), _canonical(value[key])] for key in sorted(value, key=str)]
    if isinstance(value, set | frozenset):
        return sorted((_canonical(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float):
        raise TypeError("a state holds no floats")
    return value


__all__ = [
    "ANYONE",
    "OWNER",
    "SYSTEM",
    "Actor",
    "Address",
    "Ask",
    "Caller",
    "Command",
    "Consult",
    "Effect",
    "Effects",
    "Event",
    "Forget",
    "Gather",
    "Happened",
    "Outcome",
    "Past",
    "Query",
    "Record",
    "Rejected",
    "Remind",
    "Reply",
    "Rounds",
    "Tell",
    "Turn",
    "admit",
    "answer",
    "decide",
    "pack_event",
    "play",
]

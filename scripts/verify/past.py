"""A turn as the journal tells it: its row decoded once, its events, and which request led to which of them."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from actors.catalog import Kind
from actors.core import Command, Effect, Event, Tell
from actors.runtime.database import Row
from actors.runtime.waker import HistoryBroken
from schemas.address import Address
from scripts.verify.recall import recalled

PARCEL = "parcel"


@dataclass(slots=True)
class Part:
    """One request of a turn: its command, or one tell of a parcel. `command` is None when it cannot be known."""

    op: str
    name: str
    events: list[Event[Any]]
    command: Command[Any] | None = None


@dataclass(slots=True)
class Past:
    """One turn of one actor."""

    address: Address
    version: int
    length: int
    op: str
    at: int
    run: int
    told: dict[str, Any] = field(default_factory=dict)
    events: list[Event[Any]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    others: list[Effect] = field(default_factory=list)
    """What it sent, set and recorded beside its events, in order."""
    tells: list[tuple[str, Tell]] = field(default_factory=list)
    """What it sent, by the op ids of the messages."""
    certain: bool = False
    """Whether the rules, asked again, decide exactly these events; else `others` and `tells` are not known."""

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.version + self.length - 1

    @property
    def is_parcel(self) -> bool:
        return self.told.get("command") == PARCEL

    def send(self, effects: list[Effect]) -> None:
        """Take over what the turn sent, set and recorded beside its events."""
        self.others = effects
        self.tells = [
            (f"{self.address}/{self.version}/{number}", effect)
            for number, effect in enumerate(effects)
            if isinstance(effect, Tell)
        ]

    def __str__(self) -> str:
        return f"version {self.version}" if self.length == 1 else f"versions {self.version} to {self.last}"


def read(row: Row, kind: Kind, address: Address) -> Past:
    """The turn of a row; raises HistoryBroken when it cannot be read."""
    past = Past(address, row["version"], row["length"], row["op"], row["at"], row["run"])
    try:
        past.told = from_json(row["turn"])
        stored = from_json(row["events"])
        for name, fields in stored:
            event = kind.events.get(name)
            if event is None:
                raise HistoryBroken(f"no code knows its event {name!r}")
            past.events.append(event.model_validate(fields, strict=False))
        if len(past.events) != past.length:
            raise HistoryBroken(f"it holds {len(past.events)} events instead of {past.length}")
        past.parts = _parts(past, kind)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HistoryBroken(f"an event of it has a wrong field {where!r}: {first['msg']}") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise HistoryBroken(f"it is not what a turn looks like: {error}") from None
    return past


def _parts(past: Past, kind: Kind) -> list[Part]:
    if not past.is_parcel:
        return [Part(past.op, past.told.get("command", ""), past.events, _command(past, kind))]
    # Of each tell the reply says which version it led to; those that were refused are not among the tells.
    accepted = [reply for reply in past.told.get("reply") or [] if reply[0] == 200]
    tells = past.told.get("tells") or []
    if len(accepted) != len(tells):
        raise HistoryBroken(f"it has {len(tells)} messages but {len(accepted)} answers to them")
    parts, done = [], 0
    for (op, name), reply in zip(tells, accepted, strict=True):
        until = reply[1] - past.version + 1
        events = past.events[done:until]
        if until < done or until > past.length:
            raise HistoryBroken(f"the answer to message {op} shows version {reply[1]}")
        parts.append(Part(str(op), str(name), events, recalled(past.address.kind, name, events)))
        done = until
    if done != past.length:
        raise HistoryBroken(f"{past.length - done} of its events belong to no message")
    return parts


def _command(past: Past, kind: Kind) -> Command[Any] | None:
    message = kind.commands.get(past.told.get("command", ""))
    try:
        return None if message is None else message.model_validate(past.told.get("data"))
    except ValidationError:
        return None

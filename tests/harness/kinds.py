"""A tiny kind for tests of the runtime. It has no name, so no catalog finds it, except while `kinds_known`."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from actors.content import Content
from actors.core import (
    ANYONE,
    Actor,
    Ask,
    Command,
    Consult,
    Effects,
    Event,
    Forget,
    Gather,
    Query,
    Record,
    Rejected,
    Remind,
    Rounds,
    Tell,
    Turn,
)
from schemas.address import Address
from schemas.messages import Caller
from schemas.shape import Amount, Key

KIND = "counter"


def counter(key: str) -> Address:
    return Address(KIND, key)


class Counter(Actor):
    """A number that goes up and down, and can be sent to other counters."""

    kind: ClassVar[str] = ""
    checkpoint_every: ClassVar[int] = 20
    pushes: ClassVar[str] = "turn"

    total: int = 0
    rings: dict[str, int] = {}
    closed: bool = False

    def view(self) -> Any:
        return {"total": self.total}


@contextmanager
def kinds_known() -> Iterator[None]:
    """Every catalog made meanwhile knows the kind `counter`."""
    before, Counter.kind = Counter.kind, KIND
    try:
        yield
    finally:
        Counter.kind = before


class Add(Command[Counter]):
    public = True
    callers = frozenset({ANYONE})

    amount: Amount

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Added(amount=self.amount)
        return {"total": counter.total + self.amount}


class Added(Event[Counter]):
    amount: int

    def apply(self, counter: Counter) -> None:
        counter.total += self.amount

    def push(self) -> Mapping[str, Any]:
        return {"added": self.amount}


class Take(Command[Counter]):
    public = True
    callers = frozenset({ANYONE})

    amount: Amount

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        if self.amount > counter.total:
            raise Rejected("total_too_low", total=counter.total)
        yield Added(amount=-self.amount)
        return {"total": counter.total - self.amount}


class AddDice(Command[Counter]):
    """Adds what fair dice show."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        amount = turn.random.randint(1, 1_000_000)
        yield Added(amount=amount)
        return {"added": amount}


class AddTotalOf(Command[Counter]):
    """Adds what another counter holds."""

    other: Key

    def consults(self, counter: Counter, turn: Turn) -> Consult:
        return Consult(Address(KIND, self.other), Total(), within_s=0.5)

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        if turn.answer is None:
            raise Rejected("other_silent")
        yield Added(amount=turn.answer.data["total"])
        return {"saw": turn.answer.version}


class Send(Command[Counter]):
    """Gives some of the number to another counter."""

    to: Key
    amount: Amount
    wait: bool = False
    plus: Key | None = None
    """Whose total the answer that is waited for has on top."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        if self.amount > counter.total:
            raise Rejected("total_too_low")
        yield Added(amount=-self.amount)
        then = None if self.plus is None else Plus(other=self.plus)
        yield Tell(Address(KIND, self.to), Receive(amount=self.amount), into="answer" if self.wait else "", then=then)
        return {"total": counter.total - self.amount}


class Borrow(Command[Counter]):
    """Asks another counter to send some of its number; the answer has that counter's, and in it what came of that."""

    of: Key
    amount: Amount

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield AlarmSet(name="borrowed")
        yield Tell(Address(KIND, self.of), Send(to=turn.key, amount=self.amount, wait=True), into="lender")
        return {}


class Receive(Command[Counter]):
    amount: Amount

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        if counter.closed:
            raise Rejected("closed")
        yield Added(amount=self.amount)
        return {"total": counter.total + self.amount}


class Turned(Event[Counter]):
    closed: bool

    def apply(self, counter: Counter) -> None:
        counter.closed = self.closed


class Close(Command[Counter]):
    closed: bool = True

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Turned(closed=self.closed)
        return {}


class SetAlarm(Command[Counter]):
    """Rings after a while; an alarm of the same name is replaced."""

    name: Key
    after_ms: int

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield AlarmSet(name=self.name)
        yield Remind(self.name, turn.at + self.after_ms, Ring(name=self.name))
        return {}


class StopAlarm(Command[Counter]):
    name: Key

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield AlarmSet(name=self.name)
        yield Forget(self.name)
        return {}


class AlarmSet(Event[Counter]):
    name: str

    def apply(self, counter: Counter) -> None:
        counter.rings.setdefault(self.name, 0)


class Ring(Command[Counter]):
    name: Key

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Rang(name=self.name)
        return {}


class Rang(Event[Counter]):
    name: str

    def apply(self, counter: Counter) -> None:
        counter.rings[self.name] = counter.rings.get(self.name, 0) + 1


class Stumble(Command[Counter]):
    """A bug: its event is applied by half."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Stumbled()
        return {}


class Stumbled(Event[Counter]):
    def apply(self, counter: Counter) -> None:
        counter.total += 1_000_000
        raise LookupError("a bug in an actor")


class Smear(Command[Counter]):
    """Takes any text whatever, as no command should."""

    text: str

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Smeared(text=self.text)
        return {}


class Smeared(Event[Counter]):
    text: str

    def apply(self, counter: Counter) -> None:
        counter.total += 1


class Misfile(Command[Counter]):
    """Records a row that breaks a constraint of its table."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Added(amount=1)
        yield Record("sanction", {"standing": "neither"})
        return {}


class Mumble(Command[Counter]):
    """Says something that cannot be packed."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Added(amount=1)
        return {"said": object()}


class Trip(Command[Counter]):
    """Has another counter do what goes wrong there."""

    to: Key
    how: Literal["misfile", "stumble"]

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        yield Added(amount=1)
        yield Tell(Address(KIND, self.to), Misfile() if self.how == "misfile" else Stumble())
        return {"total": counter.total + 1}


class Crash(Command[Counter]):
    """Takes its whole process along."""

    def decide(self, counter: Counter, turn: Turn) -> Effects:
        os.kill(os.getpid(), signal.SIGKILL)
        yield Added(amount=1)
        return {}


class Total(Query[Counter]):
    public = True
    callers = frozenset({ANYONE})

    def answer(self, counter: Counter, turn: Turn) -> dict[str, Any]:
        return {"total": counter.total, "rings": dict(counter.rings), "fingerprint": counter.fingerprint()}


class Plus(Gather):
    """Completes the answer to a tell: the receiver's total and another counter's."""

    kind: ClassVar[str] = KIND

    other: Key

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        [reply] = yield [Ask(counter(self.other), Total())]
        return {"total": first["total"] + reply.data["total"]}

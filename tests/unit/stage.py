"""A stage for rules: actors in memory that decide, tell and consult each other, under a clock that the test moves."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from actors.catalog import Catalog
from actors.content import Content
from actors.core import (
    SYSTEM,
    Actor,
    Address,
    Caller,
    Command,
    Consult,
    Event,
    Forget,
    Gather,
    Happened,
    Past,
    Query,
    Record,
    Rejected,
    Remind,
    Reply,
    Tell,
    Turn,
    answer,
    decide,
    pack_event,
    play,
)
from schemas.messages import pack, unpack
from scripts.content_files import load_content

START_MS = 1_790_000_000_000
CONTENT_FOLDER = Path(__file__).resolve().parents[2] / "content"


@cache
def catalog() -> Catalog:
    return Catalog()


@cache
def starter_content() -> Content:
    return load_content(CONTENT_FOLDER)


class Stage:
    """Everything happens at once and in order. Each event, and each state, goes through its packed form."""

    def __init__(self, content: Content | None = None) -> None:
        self.content = content or starter_content()
        self.at = START_MS
        self.actors: dict[Address, Actor] = {}
        self.journal: dict[Address, list[Any]] = {}
        self.records: list[Record] = []
        self.reminders: dict[tuple[Address, str], Remind] = {}
        self.silent: set[str] = set()
        """Kinds that do not answer what they are consulted for."""
        self._turns = 0

    def wait(self, seconds: float) -> None:
        """Time passes; reminders that fall due are played."""
        end = self.at + round(seconds * 1000)
        while due := [(remind.at, key) for key, remind in self.reminders.items() if remind.at <= end]:
            at, (address, name) = min(due)
            self.at = max(self.at, at)
            remind = self.reminders.pop((address, name))
            self.send(address, remind.command)
        self.at = end

    def actor(self, address: Address) -> Actor:
        if address not in self.actors:
            self.actors[address] = catalog().kind(address.kind).actor()
        return self.actors[address]

    def send(self, to: Address, command: Command[Any], caller: Caller = SYSTEM) -> dict[str, Any]:
        """The reply, with the answers to tells filled in; raises Rejected."""
        turn = self._turn(to, caller)
        actor = self.actor(to)
        if not command.creates and not actor.exists():
            raise Rejected(actor.unknown)
        consult = command.consults(actor, turn)
        if consult is not None:
            self._consult(turn, consult)
        outcome = decide(command, actor, turn)
        self.journal.setdefault(to, []).extend(from_json(to_json([pack_event(event) for event in outcome.events])))
        reply = dict(outcome.reply)
        for effect in outcome.others:
            if isinstance(effect, Tell):
                told = self.send(effect.to, effect.command)
                if effect.into:
                    reply[effect.into] = self.gather(effect.then, "", SYSTEM, told) if effect.then else told
            elif isinstance(effect, Remind):
                self.reminders[to, effect.name] = effect
            elif isinstance(effect, Forget):
                self.reminders.pop((to, effect.name), None)
            else:
                self.records.append(effect)
        return reply

    def _consult(self, turn: Turn, consult: Consult) -> None:
        """The answers, as the host brings them: a refusal and silence are none."""
        turn.consulted = True
        reply = None if consult.of.kind in self.silent else self.ask(consult.of, consult.command)
        turn.answer = reply if reply is not None and reply.status == 200 else None
        if consult.then is not None:
            turn.earlier += (turn.answer,)
            self._consult(turn, consult.then)

    def ask(self, of: Address, message: Command[Any] | Query[Any], caller: Caller = SYSTEM) -> Reply:
        """The answer as a value, refusals too."""
        try:
            if isinstance(message, Command):
                return Reply(200, 0, unpack(pack(self.send(of, message, caller))))
            return Reply(200, len(self.journal.get(of, ())), self.query(of, message, caller))
        except Rejected as refusal:
            return Reply(refusal.status, 0, refusal.pack())

    def query(self, of: Address, query: Query[Any], caller: Caller = SYSTEM) -> Any:
        turn = self._turn(of, caller)
        past = query.recalls(self.actor(of), turn)
        if past is not None:
            turn.past = list(self._recalled(of, past))
        return unpack(pack(answer(query, self.actor(of), turn)))

    def _recalled(self, of: Address, past: Past) -> Iterator[Happened]:
        """The events that the journal would bring. On the stage, each counts as a turn of its own."""
        kind = catalog().kind(of.kind)
        for number, (name, fields) in enumerate(self.journal.get(of, []), 1):
            if past.before - past.turns <= number < past.before or (number >= past.before and number in past.also):
                yield Happened(number, kind.events[name].model_validate(fields))

    def gather(self, gather: Gather, key: str, caller: Caller = SYSTEM, first: Any = None) -> Any:
        rounds = gather.gather(key, caller, self.content, first)
        try:
            asks = next(rounds)
            while True:
                asks = rounds.send([self.ask(ask.of, ask.query) for ask in asks])
        except StopIteration as stop:
            return stop.value

    def _turn(self, of: Address, caller: Caller) -> Turn:
        self._turns += 1
        version = len(self.journal.get(of, ()))
        return Turn(caller, self.at, self.content, f"op{self._turns}", self._turns, b"secret", of.key, version)

    def replayed(self, address: Address) -> Actor:
        """A fresh actor that had the same events, out of their packed form."""
        kind = catalog().kind(address.kind)
        events: list[Event[Any]] = [
            kind.events[name].model_validate(fields) for name, fields in self.journal.get(address, [])
        ]
        return play(kind.actor(), iter(events))

    def check(self) -> None:
        """Each state equals the fold of its events, and survives its checkpoint."""
        for address, actor in self.actors.items():
            assert self.replayed(address).fingerprint() == actor.fingerprint(), address
            restored = type(actor).unpack_state(unpack(pack(actor.pack_state())))
            assert restored.fingerprint() == actor.fingerprint(), address


class Person:
    """A player on the stage."""

    def __init__(self, stage: Stage, user: str, name: str | None = None) -> None:
        self.stage = stage
        self.user = user
        self.address = Address("player", user)
        self.say("create", caller=SYSTEM, name=name or user.title())

    def say(self, command: str, *, caller: Caller | None = None, **fields: Any) -> dict[str, Any]:
        message = catalog().kind("player").command(command).model_validate(fields)
        return self.stage.send(self.address, message, caller or Caller(self.user))

    def ask(self, query: str, **fields: Any) -> Any:
        message = catalog().kind("player").queries[query].model_validate(fields)
        return self.stage.query(self.address, message, Caller(self.user))

    def do(self, action: str, took_s: float = 0, **fields: Any) -> dict[str, Any]:
        """Start an action and complete it."""
        started = self.say("start_action", type=action, **fields)
        self.stage.wait(took_s)
        return self.finish(started)

    def finish(self, started: dict[str, Any]) -> dict[str, Any]:
        return self.say("complete_action", actionId=started["id"], actionToken=started["actionToken"])

    def award(self, points: int, **fields: Any) -> dict[str, Any]:
        return self.say("award_score", caller=Caller("server-1", ("server",)), points=points, **fields)

"""What looks at actors while the journal is read: one class for each group of invariants."""

from actors.core import Actor
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.snapshot import Snapshot

OUT, DEAD, GIVEN_UP = "the outbox", "the dead letters", "what operators gave up"


class Waiting:
    """A message that is not played yet: in the outbox, dead, or given up by an operator."""

    __slots__ = ("fields", "name", "op", "to", "where")

    def __init__(self, op: str, to: Address, name: str, fields: dict[str, object], where: str) -> None:
        self.op = op
        self.to = to
        self.name = name
        self.fields = fields
        self.where = where


class Watcher:
    """Sees every message that waits, then every turn of every actor in order, then each actor as it is at the end."""

    kinds: frozenset[str] = frozenset()
    """Whose turns it looks at; empty: all."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def waits(self, message: Waiting) -> None:
        """A message is not played yet."""

    def turn(self, past: Past) -> None:
        """The next turn of an actor, before or after it the others of its history."""

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        """The history of the actor is over; None when it could not be played to its end."""

    async def paused(self, snapshot: Snapshot) -> None:
        """A page of the journal was read: time to ask the database."""

    async def end(self, snapshot: Snapshot) -> None:
        """The journal was read."""

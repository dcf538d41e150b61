"""What a player's state keeps of its items."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.player.state.facet import Facet
from actors.times import rfc3339
from schemas.shape import Amount, Count


class Mark(Facet):
    """How a unique item came to somebody: made, given, or traded; by whom, when, and under which content."""

    how: str
    by: str
    at: Count
    content: Count

    def shown(self) -> dict[str, Any]:
        """The mark as players see it."""
        return {**self.model_dump(mode="python"), "at": rfc3339(self.at)}


def copies(history: list[Mark]) -> list[Mark]:
    """The same history, for somebody else to keep."""
    return [mark.model_copy() for mark in history]


class Lot(Facet):
    """Some of an item, or one unique item, which has a history: who made it, and its newest hands."""

    id: str
    item: str
    quantity: Amount
    history: list[Mark] = []

    def shown(self) -> dict[str, Any]:
        """The lot as its player sees it."""
        told = {"id": self.id, "item": self.item, "quantity": self.quantity}
        return {**told, "history": [mark.shown() for mark in self.history]} if self.history else told

    def copied(self, quantity: int | None = None) -> "Lot":
        """The same lot, or so much of it, sharing nothing that changes."""
        quantity = self.quantity if quantity is None else quantity
        return Lot(id=self.id, item=self.item, quantity=quantity, history=copies(self.history))


class Placed(Lot):
    """A lot that comes into this slot of the bag, or onto the stack with its id that lies there."""

    slot: int

    def stack(self) -> "Stack":
        """What lies in the slot then, if nothing did before."""
        return Stack(self.item, self.quantity, self.slot, history=copies(self.history))


@dataclass(slots=True)
class Stack:
    """What lies in one slot of the bag, or is worn."""

    item: str
    quantity: int
    slot: int
    locked: bool = False
    history: list[Mark] = field(default_factory=list)

    @property
    def unique(self) -> bool:
        """Only what is unique has a history."""
        return bool(self.history)

    def lot(self, lot_id: str, quantity: int | None = None) -> Lot:
        """So much of it, on its own."""
        quantity = self.quantity if quantity is None else quantity
        return Lot(id=lot_id, item=self.item, quantity=quantity, history=copies(self.history))

    def shown(self, stack_id: str) -> dict[str, Any]:
        """The stack as its player sees it."""
        return {**self.lot(stack_id).shown(), "slot": self.slot, "locked": self.locked}


def counted(things: "Iterable[Lot | Stack]") -> dict[str, int]:
    """How many these are of each item."""
    counts: dict[str, int] = {}
    for thing in things:
        counts[thing.item] = counts.get(thing.item, 0) + thing.quantity
    return counts


def parted(lots: Iterable[Lot]) -> tuple[dict[str, int], list[Lot]]:
    """How many of what has no id of its own, and all that has: what GrantItems takes."""
    lots = list(lots)
    return counted(lot for lot in lots if not lot.history), [lot for lot in lots if lot.history]


@dataclass(slots=True)
class Worn:
    """A unique item in an equipment slot."""

    id: str
    item: str
    locked: bool = False
    history: list[Mark] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """The item as its player sees it."""
        lot = Lot(id=self.id, item=self.item, quantity=1, history=self.history)
        return {**lot.shown(), "locked": self.locked}

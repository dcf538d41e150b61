"""What lies where in the bag, and where what comes will lie."""

from collections.abc import Iterator
from itertools import islice

from actors.content import Item
from actors.core import Rejected, Turn
from actors.player.state import Lot, Placed, Player, Stack
from schemas import limits

NO_ROOM = "The bag is full, and too much waits for room in it."


def item_of(turn: Turn, name: str) -> Item:
    """The item of this name; refused as `item_unknown` when there is none."""
    item = turn.content.items.get(name)
    if item is None:
        raise Rejected("item_unknown", f"There is no item {name!r}.")
    return item


def stack_of(player: Player, stack_id: str) -> Stack:
    """What lies in the bag under this id; refused as `stack_unknown` when nothing does."""
    stack = player.bag.get(stack_id)
    if stack is None:
        raise Rejected("stack_unknown", "There is no such thing in the bag.")
    return stack


def stacks_of(player: Player, name: str) -> list[tuple[str, Stack]]:
    """All that lies in the bag of an item, by slot."""
    found = [(stack_id, stack) for stack_id, stack in player.bag.items() if stack.item == name]
    return sorted(found, key=lambda pair: pair[1].slot)


def free_slots(player: Player, turn: Turn) -> Iterator[int]:
    """The slots of the bag in which nothing lies, the first one first."""
    taken = {stack.slot for stack in player.bag.values()}
    yield from (slot for slot in range(turn.content.character.bag_slots) if slot not in taken)


def free_slot(player: Player, turn: Turn) -> int:
    """The first slot of the bag in which nothing lies; refused as `bag_full` when there is none."""
    slot = next(free_slots(player, turn), None)
    if slot is None:
        raise Rejected("bag_full", "There is no room in the bag.")
    return slot


def has_room(player: Player) -> bool:
    """Whether more may come: what a full bag does not take waits, until too much does."""
    return len(player.waiting) < limits.ITEMS_WAITING_MAX


class Packing:
    """Where what comes will lie: on stacks that have room, then in free slots; the rest waits."""

    def __init__(self, player: Player, turn: Turn, slots: int | None = None) -> None:
        """`slots` is how many free ones may be taken at most."""
        self._player = player
        self._turn = turn
        self._free = islice(free_slots(player, turn), slots)
        self.placed: list[Placed] = []
        self.waiting: list[Lot] = []

    def put(self, name: str, quantity: int) -> None:
        """So many of what stacks. Of what is no longer part of the game, all waits."""
        item = self._turn.content.items.get(name)
        if item is None:
            self._wait(name, quantity)
            return
        size = item.stack
        for stack_id, stack in stacks_of(self._player, name):
            room = min(quantity, size - stack.quantity)
            if room > 0 and not stack.unique:
                self.placed.append(Placed(id=stack_id, item=name, quantity=room, slot=stack.slot))
                quantity -= room
        while quantity and (slot := next(self._free, None)) is not None:
            room = min(quantity, size)
            self.placed.append(Placed(id=self._turn.new_id(), item=name, quantity=room, slot=slot))
            quantity -= room
        if quantity:
            self._wait(name, quantity)

    def _wait(self, name: str, quantity: int) -> None:
        for lot in self._player.waiting.values():
            more = min(quantity, limits.INTEGER_MAX - lot.quantity)
            if lot.item == name and not lot.history and more:
                self.waiting.append(lot.copied(more))
                quantity -= more
        if quantity:
            self.waiting.append(Lot(id=self._turn.new_id(), item=name, quantity=quantity))

    def put_unique(self, lot: Lot) -> None:
        """One that has an id and a history."""
        slot = next(self._free, None)
        if slot is None:
            self.waiting.append(lot)
            return
        self.placed.append(Placed(id=lot.id, item=lot.item, quantity=1, history=list(lot.history), slot=slot))

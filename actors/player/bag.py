"""How a player keeps its bag: move, split, merge, lock, discard."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Rejected, Turn
from actors.player.inventory import ItemsTaken
from actors.player.packing import free_slot, item_of, stack_of
from actors.player.state import Player, Stack
from schemas import limits
from schemas.shape import Amount, Key

Slot = Annotated[int, Field(ge=0, lt=limits.BAG_SLOTS_MAX)]


def unlocked(player: Player, stack_id: str) -> Stack:
    """What lies in the bag under this id; refused as `item_locked` when it is."""
    stack = stack_of(player, stack_id)
    if stack.locked:
        raise Rejected("item_locked", "It is locked.")
    return stack


def part_taken(player: Player, turn: Turn, stack_id: str, quantity: int, reason: str) -> ItemsTaken:
    """So many of one stack leave the bag; refused as `items_missing` when there are not as many."""
    stack = unlocked(player, stack_id)
    if quantity > stack.quantity:
        raise Rejected("items_missing", f"There are only {stack.quantity}.")
    lot = stack.lot(stack_id, quantity)
    return ItemsTaken(items={stack.item: quantity}, lots=[lot], reason=reason, by="", at=turn.at)


class MoveStack(Command[Player]):
    """A stack goes to another slot; what lies there comes to the slot it leaves."""

    public = True

    stack_id: Key
    slot: Slot

    def decide(self, player: Player, turn: Turn) -> Effects:
        stack = stack_of(player, self.stack_id)
        if self.slot >= turn.content.character.bag_slots:
            raise Rejected("slot_unknown", f"The bag has {turn.content.character.bag_slots} slots.")
        if stack.slot != self.slot:
            yield StackMoved(id=self.stack_id, slot=self.slot)
        return {"slot": self.slot}


class StackMoved(Event[Player]):
    """A stack lies in this slot, and what lay there where the stack was."""

    id: str
    slot: int

    def apply(self, player: Player) -> None:
        stack = player.bag[self.id]
        for other in player.bag.values():
            if other.slot == self.slot:
                other.slot = stack.slot
        stack.slot = self.slot

    def push(self) -> Mapping[str, Any]:
        return {"moved": {self.id: self.slot}}


class SplitStack(Command[Player]):
    """Some of a stack goes to a free slot, and is a stack of its own."""

    public = True

    stack_id: Key
    quantity: Amount

    def decide(self, player: Player, turn: Turn) -> Effects:
        stack = unlocked(player, self.stack_id)
        if self.quantity >= stack.quantity:
            raise Rejected("items_missing", f"There are only {stack.quantity}, and one must stay.")
        slot = free_slot(player, turn)
        new = turn.new_id()
        yield StackSplit(id=self.stack_id, new=new, quantity=self.quantity, slot=slot)
        return {"stackId": new, "slot": slot}


class StackSplit(Event[Player]):
    """So many of a stack are a new one."""

    id: str
    new: str
    quantity: int
    slot: int

    def apply(self, player: Player) -> None:
        stack = player.bag[self.id]
        stack.quantity -= self.quantity
        player.bag[self.new] = Stack(stack.item, self.quantity, self.slot)

    def push(self) -> Mapping[str, Any]:
        return {"moved": {self.new: self.slot}}


class MergeStacks(Command[Player]):
    """A stack goes onto another of the same item, as much of it as there is room for."""

    public = True

    stack_id: Key
    onto: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        stack, onto = unlocked(player, self.stack_id), stack_of(player, self.onto)
        if stack.item != onto.item or stack.unique or onto.unique or self.stack_id == self.onto:
            raise Rejected("stacks_unlike", "Only two stacks of the same item can be one.")
        quantity = min(stack.quantity, item_of(turn, stack.item).stack - onto.quantity)
        if quantity <= 0:
            raise Rejected("stack_full", "There is no room on that stack.")
        yield StacksMerged(id=self.stack_id, onto=self.onto, quantity=quantity)
        return {"moved": quantity, "left": stack.quantity - quantity}


class StacksMerged(Event[Player]):
    """So many of a stack lie on another."""

    id: str
    onto: str
    quantity: int

    def apply(self, player: Player) -> None:
        stack = player.bag[self.id]
        player.bag[self.onto].quantity += self.quantity
        stack.quantity -= self.quantity
        if stack.quantity <= 0:
            del player.bag[self.id]

    def push(self) -> Mapping[str, Any]:
        return {"moved": {self.onto: None}}


class LockStack(Command[Player]):
    """What is locked cannot be used up, discarded, crafted with or given away, until it is unlocked."""

    public = True

    stack_id: Key
    locked: bool = True

    def decide(self, player: Player, turn: Turn) -> Effects:
        if stack_of(player, self.stack_id).locked != self.locked:
            yield StackLocked(id=self.stack_id, locked=self.locked)
        return {"locked": self.locked}


class StackLocked(Event[Player]):
    """A stack was locked or unlocked."""

    id: str
    locked: bool

    def apply(self, player: Player) -> None:
        player.bag[self.id].locked = self.locked

    def push(self) -> Mapping[str, Any]:
        return {"locked": {self.id: self.locked}}


class DiscardItems(Command[Player]):
    """Items are thrown away for good; the whole stack when no number is said."""

    public = True

    stack_id: Key
    quantity: Amount | None = None

    def decide(self, player: Player, turn: Turn) -> Effects:
        quantity = self.quantity or stack_of(player, self.stack_id).quantity
        yield part_taken(player, turn, self.stack_id, quantity, "discarded")
        return {"discarded": quantity}

"""Items: what lies in the bag, what is worn, and what there is in the game at all."""

from datetime import datetime

from greenroom_client.game.noun import Done, Noun
from greenroom_client.models import Model


class Mark(Model):
    """How a unique item came to somebody: by whom, when, and under which version of the content."""

    how: str
    by: str
    at: datetime
    content: int


class Lot(Model):
    """So many of an item; a unique one has a history."""

    id: str
    item: str
    quantity: int
    history: list[Mark] = []


class Stack(Lot):
    """What lies in one slot of the bag."""

    slot: int
    locked: bool


class Worn(Lot):
    """What is worn."""

    locked: bool


class Inventory(Model):
    """The bag, what is worn by equipment slot, and what waits for room in the bag."""

    capacity: int
    stacks: list[Stack]
    equipment: dict[str, Worn]
    waiting: list[Lot]

    def first(self, item: str) -> Stack:
        """The first stack of an item; a LookupError when there is none."""
        for stack in self.stacks:
            if stack.item == item:
                return stack
        raise LookupError(f"there is no {item} in the bag")

    def count(self, item: str) -> int:
        """How many of an item lie in the bag."""
        return sum(stack.quantity for stack in self.stacks if stack.item == item)


class Use(Model):
    """What using an item does."""

    restores: dict[str, int]
    effects: list[str]
    experience: int
    teaches: str | None
    consumed: bool


class Item(Model):
    """An item as the content defines it."""

    item: str
    title: str
    text: str | None
    type: str
    rarity: str
    level: int
    stack: int
    unique: bool
    slots: list[str]
    stats: dict[str, int]
    properties: dict[str, str | int | bool] = {}
    use: Use | None
    bound: bool
    price: int


class ItemPage(Model):
    """Items by name; `next` continues after the page, None at the end."""

    items: list[Item]
    next: str | None


class Used(Model):
    """What an item did, and what the resources are now."""

    item: str
    restored: dict[str, int]
    effects: list[str]
    learnt: str | None
    resources: dict[str, int]


class Split(Model):
    """The new stack, and where it lies."""

    stack_id: str
    slot: int


class Merged(Model):
    """How many came onto the other stack, and how many are left."""

    moved: int
    left: int


class Claimed(Model):
    """What came into the bag, and how much waits still."""

    items: dict[str, int]
    waiting: int


class Put(Model):
    """Where an item is worn now, and what was taken off for it."""

    slot: str
    unequipped: str | None


class TakenOff(Model):
    """Where in the bag it lies now."""

    stack_id: str
    bag_slot: int


class Bag(Noun):
    """The bag of one's own player. Stacks are named by their ids."""

    async def inventory(self) -> Inventory:
        """All that the player has."""
        return await self._query(Inventory, "inventory")

    async def catalog(self, after: str | None = None, limit: int = 50) -> ItemPage:
        """What items there are in the game."""
        return await self._query(ItemPage, "items", after=after, limit=limit)

    async def use(self, stack_id: str, *, op: str | None = None) -> Used:
        """Use one of a stack."""
        return await self._command(Used, "use_item", op, stack_id=stack_id)

    async def move(self, stack_id: str, slot: int, *, op: str | None = None) -> None:
        """Move a stack to another slot; what lies there changes places with it."""
        await self._command(Done, "move_stack", op, stack_id=stack_id, slot=slot)

    async def split(self, stack_id: str, quantity: int, *, op: str | None = None) -> Split:
        """Put so many of a stack into a slot of their own."""
        return await self._command(Split, "split_stack", op, stack_id=stack_id, quantity=quantity)

    async def merge(self, stack_id: str, onto: str, *, op: str | None = None) -> Merged:
        """Put a stack onto another of the same item, as far as there is room."""
        return await self._command(Merged, "merge_stacks", op, stack_id=stack_id, onto=onto)

    async def lock(self, stack_id: str, *, locked: bool = True, op: str | None = None) -> None:
        """Keep a stack from being used up, thrown away or given away, or allow it again."""
        await self._command(Done, "lock_stack", op, stack_id=stack_id, locked=locked)

    async def discard(self, stack_id: str, quantity: int | None = None, *, op: str | None = None) -> None:
        """Throw so many away for good, or the whole stack."""
        await self._command(Done, "discard_items", op, stack_id=stack_id, quantity=quantity)

    async def claim(self, *, op: str | None = None) -> Claimed:
        """Take into the bag what waited for room."""
        return await self._command(Claimed, "claim_items", op)


class Equipment(Noun):
    """What one's own player wears."""

    async def equip(self, stack_id: str, slot: str | None = None, *, op: str | None = None) -> Put:
        """Put an item on."""
        return await self._command(Put, "equip", op, stack_id=stack_id, slot=slot)

    async def unequip(self, slot: str, *, op: str | None = None) -> TakenOff:
        """Take off what is worn there."""
        return await self._command(TakenOff, "unequip", op, slot=slot)

"""What a player wears: each item lies in the bag or in one equipment slot, never in both."""

from collections.abc import Mapping
from typing import Any

from actors.core import Command, Effects, Event, Rejected, Turn
from actors.player.effects import Condition
from actors.player.packing import free_slot, item_of, stack_of
from actors.player.state import Player, Stack, Worn
from schemas.shape import Key


class Equip(Command[Player]):
    """A unique item is put on; what was worn there lies in the bag in its place."""

    public = True

    stack_id: Key
    slot: Key | None = None
    """Where; left out: the first slot of the item that is free, or else the first."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        stack = stack_of(player, self.stack_id)
        item = item_of(turn, stack.item)
        if not item.slots or not stack.unique:
            raise Rejected("item_not_wearable", "This cannot be worn.")
        slot = self.slot or next((slot for slot in item.slots if slot not in player.worn), item.slots[0])
        if slot not in item.slots:
            raise Rejected("slot_unfit", f"It is worn as {', '.join(item.slots)}.")
        if player.level < item.level:
            raise Rejected("level_too_low", f"It takes level {item.level}.")
        worn = {name: other.item for name, other in player.worn.items()}
        condition = Condition(player, turn.content, turn.at)
        condition.wear({**worn, slot: stack.item}.values())
        yield ItemEquipped(id=self.stack_id, item=stack.item, slot=slot, at=turn.at)
        yield from condition.changes()
        return {"slot": slot, "unequipped": player.worn[slot].id if slot in player.worn else None}


class ItemEquipped(Event[Player]):
    """An item is worn, and what was worn there lies where it lay."""

    public = True

    id: str
    item: str
    slot: str
    at: int

    def apply(self, player: Player) -> None:
        stack, old = player.bag.pop(self.id), player.worn.get(self.slot)
        player.worn[self.slot] = Worn(self.id, stack.item, stack.locked, stack.history)
        if old is not None:
            player.bag[old.id] = Stack(old.item, 1, stack.slot, old.locked, old.history)

    def push(self) -> Mapping[str, Any]:
        return {"equipment": {self.slot: {"id": self.id, "item": self.item}}}


class Unequip(Command[Player]):
    """What is worn goes into the bag."""

    public = True

    slot: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        worn = player.worn.get(self.slot)
        if worn is None:
            raise Rejected("slot_empty", "Nothing is worn there.")
        bag_slot = free_slot(player, turn)
        condition = Condition(player, turn.content, turn.at)
        condition.wear(other.item for name, other in player.worn.items() if name != self.slot)
        yield ItemUnequipped(id=worn.id, item=worn.item, slot=self.slot, bag_slot=bag_slot, at=turn.at)
        yield from condition.changes()
        return {"stackId": worn.id, "bagSlot": bag_slot}


class ItemUnequipped(Event[Player]):
    """An item is no longer worn, and lies in the bag."""

    public = True

    id: str
    item: str
    slot: str
    bag_slot: int
    at: int

    def apply(self, player: Player) -> None:
        worn = player.worn.pop(self.slot)
        player.bag[worn.id] = Stack(worn.item, 1, self.bag_slot, worn.locked, worn.history)

    def push(self) -> Mapping[str, Any]:
        return {"equipment": {self.slot: None}}

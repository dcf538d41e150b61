"""How items come to a player and leave it: into the bag, out of it, and what waits when the bag is full."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Rejected, Turn
from actors.player.packing import NO_ROOM, Packing, has_room, stack_of, stacks_of
from actors.player.state import Lot, Mark, Placed, Player, counted
from schemas import limits
from schemas.shape import Amount, Key, Text

Items = Annotated[dict[Key, Amount], Field(max_length=limits.BAG_SLOTS_MAX)]
"""How many of which item."""
Lots = Annotated[list[Lot], Field(max_length=limits.UNIQUES_AT_ONCE_MAX)]
Ids = Annotated[list[Key], Field(max_length=limits.BAG_SLOTS_MAX)]


def received(
    player: Player,
    turn: Turn,
    reason: str,
    items: Mapping[str, int] | None = None,
    lots: Iterable[Lot] = (),
    by: str = "",
    *,
    owed: bool = False,
    slots: int | None = None,
) -> "ItemsReceived":
    """All of it comes, and waits where the bag is full; at most one such event in a turn, for it plans the slots.

    `items` are made anew, `lots` are unique items that come from somebody else. Refused when an item is unknown, and as
    `bag_full` when too much waits already; what is `owed` waits all the same. No more than `slots` free ones are taken.
    """
    mark = Mark(how=reason, by=by, at=turn.at, content=turn.content.version)
    packing = Packing(player, turn, slots)
    given = dict(sorted((items or {}).items()))
    moved = list(lots)
    known = turn.content.items
    strange = [name for name in (*given, *(lot.item for lot in moved)) if name not in known]
    if strange and not owed:
        raise Rejected("item_unknown", f"There is no item {strange[0]!r}.")
    uniques = sum(count for name, count in given.items() if name in known and known[name].unique)
    if uniques + len(moved) > limits.UNIQUES_AT_ONCE_MAX:
        raise Rejected("items_too_many", f"No more than {limits.UNIQUES_AT_ONCE_MAX} unique items come at once.")
    for name, count in given.items():
        if name not in known or not known[name].unique:
            packing.put(name, count)
            continue
        for _ in range(count):
            packing.put_unique(Lot(id=turn.new_id(), item=name, quantity=1, history=[mark]))
    for lot in _strangers(player, moved):
        # The first hand stays; of the others the newest do.
        history = [lot.history[0], *lot.history[1:][2 - limits.ITEM_MARKS_MAX :], mark]
        packing.put_unique(Lot(id=lot.id, item=lot.item, quantity=1, history=history))
        given[lot.item] = given.get(lot.item, 0) + 1
    more = sum(lot.id not in player.waiting for lot in packing.waiting)
    if more and not owed and len(player.waiting) + more > limits.ITEMS_WAITING_MAX:
        raise Rejected("bag_full", NO_ROOM)
    return ItemsReceived(items=given, placed=packing.placed, waiting=packing.waiting, reason=reason, by=by, at=turn.at)


def _strangers(player: Player, lots: list[Lot]) -> list[Lot]:
    """The lots, if each is one unique item that is not here yet."""
    if not lots:
        return lots
    here = {*player.bag, *player.waiting, *(worn.id for worn in player.worn.values())}
    for lot in lots:
        if not lot.history or lot.quantity != 1:
            raise Rejected("item_not_unique", "Only unique items move as lots.")
        if lot.id in here:
            raise Rejected("item_here_already", "This very item is here already.")
        here.add(lot.id)
    return lots


def refuse_too_many(lots: list[Lot]) -> None:
    """Refused as `items_too_many` when these are more unique items than go from one to another in a turn."""
    if len(lots) > limits.UNIQUES_AT_ONCE_MAX:
        raise Rejected("items_too_many", f"No more than {limits.UNIQUES_AT_ONCE_MAX} unique items move at once.")


def taken(
    player: Player,
    turn: Turn,
    reason: str,
    items: Mapping[str, int] | None = None,
    ids: Iterable[str] = (),
    by: str = "",
) -> "ItemsTaken":
    """Items leave the bag: so many of each, and those with these ids whole. Locked ones stay.

    Refused as `items_missing` when there are not as many, as `item_locked` when only locks are in the way. `loose` and
    `uniques` of the event are what GrantItems takes.
    """
    lots: list[Lot] = []
    for stack_id in dict.fromkeys(ids):
        stack = stack_of(player, stack_id)
        if stack.locked:
            raise Rejected("item_locked", "It is locked.")
        lots.append(stack.lot(stack_id))
    whole = {lot.id for lot in lots}
    for name, count in sorted((items or {}).items()):
        stacks = [(stack_id, stack) for stack_id, stack in stacks_of(player, name) if stack_id not in whole]
        wanted = count
        for stack_id, stack in sorted(stacks, key=lambda pair: (pair[1].quantity, pair[1].slot)):
            part = 0 if stack.locked else min(wanted, stack.quantity)
            if part:
                lots.append(stack.lot(stack_id, part))
                wanted -= part
        if wanted:
            locked = sum(stack.quantity for _, stack in stacks if stack.locked)
            raise Rejected(
                "item_locked" if locked >= wanted else "items_missing", f"There are not {count} {name} to take."
            )
    return ItemsTaken(items=counted(lots), lots=lots, reason=reason, by=by, at=turn.at)


class HasRoom(Query[Player]):
    """Whether more items may come to the player, for whoever would send some."""

    creates = True

    def answer(self, player: Player, turn: Turn) -> dict[str, bool]:
        return {"room": has_room(player)}


class GrantItems(Command[Player]):
    """Items come to the player; what does not fit waits. `lots` are unique items that somebody else gave up."""

    items: Items = {}
    lots: Lots = []
    reason: Text
    by: str = ""
    owed: bool = False
    """They have left where they were: all of them wait, however full it is. Who sends them asks for room before."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if not self.items and not self.lots:
            return {"items": {}, "waiting": 0}
        event = received(player, turn, self.reason, self.items, self.lots, self.by, owed=self.owed)
        yield event
        return {"items": dict(event.items), "waiting": sum(lot.quantity for lot in event.waiting)}


class ItemsReceived(Event[Player]):
    """Items came: so many of each. `placed` and `waiting` say how many more lie where in the bag, and wait."""

    public = True

    items: dict[str, int]
    placed: list[Placed]
    waiting: list[Lot]
    reason: str
    by: str
    at: int

    def apply(self, player: Player) -> None:
        _place(player, self.placed)
        for lot in self.waiting:
            present = player.waiting.get(lot.id)
            player.waiting[lot.id] = lot.copied(lot.quantity + (present.quantity if present else 0))

    def push(self) -> Mapping[str, Any]:
        return {"received": dict(self.items)}


def _place(player: Player, placed: list[Placed]) -> None:
    for lot in placed:
        present = player.bag.get(lot.id)
        if present is None:
            player.bag[lot.id] = lot.stack()
            continue
        present.quantity += lot.quantity


class TakeItems(Command[Player]):
    """Items leave the bag, all of them or none: so many of each, and those with these ids."""

    items: Items = {}
    ids: Ids = []
    reason: Text
    by: str = ""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if not self.items and not self.ids:
            return {"items": {}}
        event = taken(player, turn, self.reason, self.items, self.ids, self.by)
        yield event
        return {"items": dict(event.items)}


class ItemsTaken(Event[Player]):
    """Items left the bag: so many of each. `lots` are the parts of stacks, and the unique items, that went."""

    public = True

    items: dict[str, int]
    lots: list[Lot]
    reason: str
    by: str
    at: int

    @property
    def loose(self) -> dict[str, int]:
        """How many of what has no id of its own."""
        return counted(lot for lot in self.lots if not lot.history)

    @property
    def uniques(self) -> list[Lot]:
        """Copies of what has."""
        return [lot.copied() for lot in self.lots if lot.history]

    def apply(self, player: Player) -> None:
        for lot in self.lots:
            stack = player.bag[lot.id]
            stack.quantity -= lot.quantity
            if stack.quantity <= 0:
                del player.bag[lot.id]

    def push(self) -> Mapping[str, Any]:
        return {"taken": dict(self.items)}


class ClaimItems(Command[Player]):
    """What waited comes into the bag, the oldest first, as far as there is room now."""

    public = True

    def decide(self, player: Player, turn: Turn) -> Effects:
        if not player.waiting:
            return {"items": {}, "waiting": 0}
        packing = Packing(player, turn)
        for lot in player.waiting.values():
            if lot.history:
                packing.put_unique(lot.copied())
                continue
            if lot.item in turn.content.items:
                packing.put(lot.item, lot.quantity)
        if not packing.placed:
            raise Rejected("bag_full", "There is no room in the bag.")
        claimed = counted(packing.placed)
        yield ItemsClaimed(items=claimed, placed=packing.placed, at=turn.at)
        before = sum(lot.quantity for lot in player.waiting.values())
        return {"items": dict(claimed), "waiting": before - sum(claimed.values())}


class ItemsClaimed(Event[Player]):
    """Some of what waited lies in the bag now."""

    items: dict[str, int]
    placed: list[Placed]
    at: int

    def apply(self, player: Player) -> None:
        _place(player, self.placed)
        for placed in self.placed:
            if placed.history:
                del player.waiting[placed.id]
                continue
            left = placed.quantity
            for lot in [lot for lot in player.waiting.values() if lot.item == placed.item and not lot.history]:
                part = min(left, lot.quantity)
                left -= part
                lot.quantity -= part
                if lot.quantity <= 0:
                    del player.waiting[lot.id]

    def push(self) -> Mapping[str, Any]:
        return {"claimed": dict(self.items)}


class Inventory(Query[Player]):
    """All that the player has: in the bag by slot, worn, and waiting for room."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        stacks = sorted(player.bag.items(), key=lambda pair: pair[1].slot)
        return {
            "capacity": turn.content.character.bag_slots,
            "stacks": [stack.shown(stack_id) for stack_id, stack in stacks],
            "equipment": {slot: worn.shown() for slot, worn in player.worn.items()},
            "waiting": [lot.shown() for lot in player.waiting.values()],
        }

"""How items come to lie in a guild's storage: on stacks that have room, then in free slots."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Tell, Turn
from actors.guild.state import Guild, Move, Stored
from actors.player.inventory import GrantItems, Items, Lots
from actors.player.state import Lot, counted
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key


def placed(guild: Guild, turn: Turn, items: Mapping[str, int], lots: list[Lot]) -> list[Lot] | None:
    """Where all of it will lie: how many more under which id; None when there are not enough slots."""
    room: list[Lot] = []
    free = turn.content.guilds.storage_slots - len(guild.storage) - len(lots)
    for name, count in sorted(items.items()):
        item = turn.content.items.get(name)
        size = item.stack if item is not None else limits.STACK_MAX
        for slot, stored in guild.storage.items():
            more = min(count, size - stored.quantity)
            if stored.item == name and not stored.history and more > 0:
                room.append(Lot(id=slot, item=name, quantity=more))
                count -= more
        while count and free > 0:
            more = min(count, size)
            room.append(Lot(id=turn.new_id(), item=name, quantity=more))
            count -= more
            free -= 1
        if count:
            return None
    return [*room, *(lot.copied() for lot in lots)] if free >= 0 else None


class ReceiveItems(Command[Guild]):
    """A member has handed items in. What finds no room goes back."""

    creates = True

    move: Key
    player: Key
    items: Items
    lots: Lots

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        places = placed(guild, turn, self.items, self.lots) if guild.exists() else None
        fields: dict[str, Any] = {
            "move": self.move,
            "player": self.player,
            "items": self.items,
            "lots": [lot.copied() for lot in self.lots],
        }
        if places is None:
            yield ItemsReturned(**fields)
            back = GrantItems(items=self.items, lots=self.lots, reason="guild_return", by=turn.key, owed=True)
            yield Tell(player_address(self.player), back)
            return {"stored": False}
        yield ItemsStored(**fields, placed=places, at=turn.at)
        return {"stored": True}


class ItemsStored(Event[Guild]):
    """Items lie in the storage. `placed` says how many more under which id."""

    public = True

    move: str
    player: str
    items: dict[str, int]
    lots: list[Lot]
    placed: Annotated[list[Lot], Field(max_length=limits.COLLECTION_ITEMS_MAX)]
    at: int

    def apply(self, guild: Guild) -> None:
        for lot in self.placed:
            stored = guild.storage.get(lot.id)
            if stored is None:
                guild.storage[lot.id] = Stored(lot.item, lot.quantity, list(lot.history))
                continue
            stored.quantity += lot.quantity
        for item, count in counted(self.placed).items():
            guild.note(Move(self.at, self.player, item, count))

    def push(self) -> Mapping[str, Any]:
        return {"stored": dict(self.items)}


class ItemsReturned(Event[Guild]):
    """Items found no room and go back."""

    move: str
    player: str
    items: dict[str, int]
    lots: list[Lot]

    def apply(self, guild: Guild) -> None:
        """The storage is as before."""

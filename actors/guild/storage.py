"""The storage of a guild: what members hand in, what is taken out of it, and by whom."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import ANYONE, Command, Consult, Effects, Event, Query, Rejected, Tell, Turn
from actors.guild.asking import said
from actors.guild.members import for_members
from actors.guild.state import Guild, Move
from actors.player.guild_items import HandIn, HandInStanding
from actors.player.inventory import GrantItems, HasRoom, Ids, Items, refuse_too_many
from actors.player.packing import NO_ROOM
from actors.player.state import Lot, counted, parted
from schemas import limits
from schemas.address import player as player_address


class StoreItems(Command[Guild]):
    """A member hands items in: so many of each, and whole stacks by their ids. The reply waits for it."""

    public = True
    callers = frozenset({ANYONE})

    items: Items = {}
    ids: Ids = []

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        guild.member(turn.caller.user)
        return Consult(player_address(turn.caller.user), HandInStanding(items=self.items, ids=self.ids))

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.member(turn.caller.user)
        if not self.items and not self.ids:
            return {"move": None}
        standing = said(turn)
        if standing["because"]:
            raise Rejected(standing["because"], standing["message"])
        if len(guild.storage) >= turn.content.guilds.storage_slots and self.ids:
            raise Rejected("storage_full", "Every slot of the storage is taken.")
        move = turn.new_id()
        player = turn.caller.user
        yield StoreAsked(move=move, player=player, items=self.items, ids=self.ids)
        hand_in = HandIn(guild=turn.key, move=move, items=self.items, ids=self.ids)
        yield Tell(player_address(player), hand_in, into="handover")
        return {"move": move}


class StoreAsked(Event[Guild]):
    """A member is asked to hand in what it offered; the storage is as before until it did."""

    move: str
    player: str
    items: dict[str, int]
    ids: list[str]

    def apply(self, guild: Guild) -> None:
        """The items come by a message."""


class TakeOutItems(Command[Guild]):
    """Items go from the storage to the caller: so many of each, and whole slots by their ids."""

    public = True
    callers = frozenset({ANYONE})

    items: Items = {}
    ids: Ids = []

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        guild.allow("take_items", turn)
        return Consult(player_address(turn.caller.user), HasRoom()) if self._lots(guild) else None

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("take_items", turn)
        lots = self._lots(guild)
        if not lots:
            return {"items": {}}
        if turn.answer is not None and not turn.answer.data.get("room", True):
            raise Rejected("bag_full", NO_ROOM)
        loose, uniques = parted(lots)
        refuse_too_many(uniques)
        yield ItemsTakenOut(by=turn.caller.user, lots=lots, at=turn.at)
        grant = GrantItems(items=loose, lots=uniques, reason="guild_storage", by=turn.key, owed=True)
        yield Tell(player_address(turn.caller.user), grant, into="bag")
        return {"items": counted(lots)}

    def _lots(self, guild: Guild) -> list[Lot]:
        lots = []
        for slot in dict.fromkeys(self.ids):
            stored = guild.storage.get(slot)
            if stored is None:
                raise Rejected("stored_item_unknown", "There is no such thing in the storage.")
            lots.append(stored.lot(slot, stored.quantity))
        whole = {lot.id for lot in lots}
        for name, count in sorted(self.items.items()):
            wanted = count
            for slot, stored in guild.storage.items():
                part = min(wanted, stored.quantity)
                if stored.item == name and slot not in whole and part:
                    lots.append(stored.lot(slot, part))
                    wanted -= part
            if wanted:
                raise Rejected("items_missing", f"There are not {count} {name} in the storage.")
        return lots


class ItemsTakenOut(Event[Guild]):
    """Items left the storage. `lots` are the parts of slots, and the unique items, that went."""

    public = True

    by: str
    lots: Annotated[list[Lot], Field(max_length=limits.COLLECTION_ITEMS_MAX)]
    at: int

    def apply(self, guild: Guild) -> None:
        for lot in self.lots:
            stored = guild.storage[lot.id]
            stored.quantity -= lot.quantity
            if stored.quantity <= 0:
                del guild.storage[lot.id]
        for item, count in counted(self.lots).items():
            guild.note(Move(self.at, self.by, item, -count))

    def push(self) -> Mapping[str, Any]:
        return {"takenOut": counted(self.lots)}


class Storage(Query[Guild]):
    """What lies in the storage and the newest changes to it, newest first; for members."""

    public = True
    callers = frozenset({ANYONE})

    limit: Annotated[int, Field(ge=1, le=limits.GUILD_LOG_MAX)] = limits.PAGE_ITEMS

    def answer(self, guild: Guild, turn: Turn) -> dict[str, Any]:
        for_members(guild, turn)
        newest = guild.log[: -self.limit - 1 : -1]
        return {
            "slots": turn.content.guilds.storage_slots,
            "stored": [stored.lot(slot, stored.quantity).shown() for slot, stored in guild.storage.items()],
            "log": [move.shown() for move in newest],
        }

"""How a player hands items in to the storage of its guild."""

from typing import Any

from actors.core import Command, Effects, Event, Query, Rejected, Tell, Turn
from actors.guild.state import guild_address
from actors.guild.storing import ReceiveItems
from actors.player.inventory import Ids, Items, ItemsTaken, refuse_too_many, taken
from actors.player.state import Player
from schemas.shape import Key


def _handed_in(player: Player, turn: Turn, items: dict[str, int], ids: list[str], guild: str) -> ItemsTaken:
    """The items leave the bag; refused when they cannot, or must stay with their player."""
    gone = taken(player, turn, "guild_storage", items, ids, guild)
    for name in gone.items:
        item = turn.content.items.get(name)
        if item is not None and item.bound:
            raise Rejected("item_bound", f"{item.title} stays with its player.")
    refuse_too_many(gone.uniques)
    return gone


class HandIn(Command[Player]):
    """Items go from the bag into the storage of a guild, all of them or none."""

    guild: Key
    move: Key
    items: Items
    ids: Ids

    def decide(self, player: Player, turn: Turn) -> Effects:
        fields: dict[str, Any] = {"guild": self.guild, "move": self.move, "items": self.items, "ids": self.ids}
        try:
            gone = _handed_in(player, turn, self.items, self.ids, self.guild)
        except Rejected as refusal:
            yield HandInDeclined(**fields, because=refusal.code)
            return {"handedIn": False, "reason": refusal.code}
        yield HandedIn(**fields)
        yield gone
        receive = ReceiveItems(move=self.move, player=player.id, items=gone.loose, lots=gone.uniques)
        yield Tell(guild_address(self.guild), receive, into="storage")
        return {"handedIn": True}


class HandedIn(Event[Player]):
    """The player hands items in; what leaves the bag is an event of its own."""

    guild: str
    move: str
    items: dict[str, int]
    ids: list[str]

    def apply(self, player: Player) -> None:
        """The bag says what changed."""


class HandInDeclined(Event[Player]):
    """The items were not there any more, or must stay."""

    guild: str
    move: str
    items: dict[str, int]
    ids: list[str]
    because: str

    def apply(self, player: Player) -> None:
        """The bag is as before."""


class HandInStanding(Query[Player]):
    """Whether the player could hand these items in now: the code of what is in the way, or nothing."""

    creates = True

    items: Items = {}
    ids: Ids = []

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        try:
            _handed_in(player, turn, self.items, self.ids, "")
        except Rejected as refusal:
            return {"because": refusal.code, "message": refusal.message}
        return {"because": "", "message": ""}

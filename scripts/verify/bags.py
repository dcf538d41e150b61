"""K7 by numbers: what bags and storages hold is what came less what went, and nothing is lost between them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from actors.core import Actor
from actors.guild.state import Guild
from actors.guild.storage import ItemsTakenOut
from actors.guild.storing import ItemsReturned, ItemsStored, ReceiveItems
from actors.player.guild_items import HandIn
from actors.player.inventory import GrantItems, ItemsReceived, ItemsTaken
from actors.player.state import Lot, Player
from schemas.address import Address
from scripts.verify.past import Part, Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

_ROW = "`greenroom inspect history {kind} {key} --events` shows the turn. A row was changed: restore it from a backup."
_FLOW = "See the K9 findings: a message with items was lost, doubled or changed on its way."
_FROM_GUILDS = frozenset({"guild_storage", "guild_return"})


class Bags(Watcher):
    """Guilds come before players in the journal; what went between them is summed up over all of them."""

    kinds = frozenset({"guild", "player"})

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._held: Counter[str] = Counter()
        """What the events of the actor at hand add up to."""
        self._to_guilds: Counter[str] = Counter()
        self._at_guilds: Counter[str] = Counter()
        """Taken into storages, refused by them, or under way to them."""
        self._from_guilds: Counter[str] = Counter()
        self._at_players: Counter[str] = Counter()
        self._count = 0

    def waits(self, message: Waiting) -> None:
        fields = message.fields
        if message.name == ReceiveItems.wire_name:
            self._at_guilds.update(_sent(fields))
        elif message.name == GrantItems.wire_name and fields.get("reason") in _FROM_GUILDS:
            self._at_players.update(_sent(fields))

    def turn(self, past: Past) -> None:
        if past.address.kind == "guild":
            for event in past.events:
                self._guild_had(event)
            return
        for part in past.parts:
            for event in part.events:
                if isinstance(event, ItemsReceived):
                    self._held.update(event.items)
                    self._count += 1
                elif isinstance(event, ItemsTaken):
                    self._held.subtract(event.items)
                    self._count += 1
            self._moved(part)

    def _moved(self, part: Part) -> None:
        for event in part.events:
            if not isinstance(event, ItemsReceived | ItemsTaken):
                continue
            if part.name == HandIn.wire_name and isinstance(event, ItemsTaken):
                self._to_guilds.update(event.items)
            elif part.name == GrantItems.wire_name and event.reason in _FROM_GUILDS:
                self._at_players.update(event.items)

    def _guild_had(self, event: Any) -> None:
        if isinstance(event, ItemsStored | ItemsReturned):
            arrived = _counted(event.items, event.lots)
            self._at_guilds.update(arrived)
            into = self._held if isinstance(event, ItemsStored) else self._from_guilds
            into.update(arrived)
        elif isinstance(event, ItemsTakenOut):
            gone = _counted({}, event.lots)
            self._held.subtract(gone)
            self._from_guilds.update(gone)
        else:
            return
        self._count += 1

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        if isinstance(actor, Player | Guild):
            there = _in_bag(actor) if isinstance(actor, Player) else _in_storage(actor)
            for item in sorted({*there, *self._held}):
                if there[item] != self._held[item]:
                    what = f"it holds {there[item]:,} {item}, what came less what went is {self._held[item]:,}"
                    self.report.found("K7", address, what, _ROW.format(kind=address.kind, key=address.key))
        self._held = Counter()

    async def end(self, snapshot: Any) -> None:
        self._compare("handed in to guilds", self._to_guilds, self._at_guilds)
        self._compare("sent by guilds to players", self._from_guilds, self._at_players)
        if self._count:
            beside = self.report.looked.get("K7")
            moves = f"{self._count:,} times items came or went"
            self.report.looked["K7"] = f"{beside}, {moves}" if beside else moves

    def _compare(self, how: str, gone: Counter[str], arrived: Counter[str]) -> None:
        for item in sorted({*gone, *arrived}):
            if gone[item] != arrived[item]:
                told = f"{gone[item]:,} {item} were {how}; {arrived[item]:,} arrived or are under way"
                self.report.found("K7", f"items of {item}", told, _FLOW)


def _sent(fields: Mapping[str, Any]) -> Counter[str]:
    counts: Counter[str] = Counter(fields.get("items") or {})
    counts.update(lot["item"] for lot in fields.get("lots") or ())
    return counts


def _counted(items: Mapping[str, int], lots: Iterable[Lot]) -> Counter[str]:
    counts: Counter[str] = Counter(items)
    for lot in lots:
        counts[lot.item] += lot.quantity
    return counts


def _in_bag(player: Player) -> Counter[str]:
    counts: Counter[str] = Counter(worn.item for worn in player.worn.values())
    for stack in player.bag.values():
        counts[stack.item] += stack.quantity
    for lot in player.waiting.values():
        counts[lot.item] += lot.quantity
    return counts


def _in_storage(guild: Guild) -> Counter[str]:
    counts: Counter[str] = Counter()
    for stored in guild.storage.values():
        counts[stored.item] += stored.quantity
    return counts

"""K7: each unique item is in one place; what players put up for trades comes to players, is held, or is under way."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from actors.core import Actor
from actors.guild.state import Guild
from actors.player.handover import HandOver
from actors.player.inventory import ItemsReceived, ItemsTaken
from actors.player.state import Player
from actors.player.trading import PutUp
from actors.player.wallet import SurplusKept, WalletChanged
from actors.trade.delivery import Deliver
from actors.trade.goods import Held
from actors.trade.state import Trade
from schemas.address import Address
from scripts.verify.past import Part, Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

_TWICE = "See the K9 findings: a message with the item was doubled, or a row was added by hand. Restore from a backup."
_FLOW = "See the K9 findings: a delivery of a trade was lost, doubled or changed on its way."
_ON_THE_WAY = frozenset({Deliver.wire_name, HandOver.wire_name})


class Items(Watcher):
    """Where every unique item is, and the sums of what trades move."""

    kinds = frozenset({"guild", "player", "trade"})

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._places: dict[str, str] = {}
        """By the id of a unique item."""
        self._put_up: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()
        """Handed over, given back, held by a trade, or under way."""

    def waits(self, message: Waiting) -> None:
        for lot in _lots_in(message.fields):
            self._lies(lot, f"{message.where}, to {message.to}")
        held = message.fields.get("held")
        if message.name in _ON_THE_WAY and isinstance(held, dict):
            self._arrived.update(_counted(held.get("items"), held.get("lots"), held.get("currencies")))

    def turn(self, past: Past) -> None:
        if past.address.kind != "player":
            return
        for part in past.parts:
            if part.name == PutUp.wire_name:
                self._put_up.update(_moved(part))
            elif part.name == HandOver.wire_name:
                self._arrived.update(_moved(part))

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        for item in _uniques(actor):
            self._lies(item, str(address))
        if isinstance(actor, Trade):
            for held in actor.held.values():
                lots = [lot.model_dump() for lot in held.lots]
                self._arrived.update(_counted(held.items, lots, held.currencies))

    def _lies(self, item: str, place: str) -> None:
        other = self._places.setdefault(item, place)
        if other != place:
            self.report.found("K7", place, f"item {item} is here, and in {other}", _TWICE)

    async def end(self, snapshot: Any) -> None:
        for what in sorted({*self._put_up, *self._arrived}):
            gone, arrived = self._put_up[what], self._arrived[what]
            if gone != arrived:
                told = f"{gone:,} {what} were put up for trades; {arrived:,} arrived, are held, or under way"
                self.report.found("K7", f"trades of {what}", told, _FLOW)
        self.report.judged(
            "K7", len(self._places), f"unique items, and {self._put_up.total():,} things put up for trades"
        )


def _moved(part: Part) -> Counter[str]:
    """How much of what left the player, or came to it."""
    moved: Counter[str] = Counter()
    for event in part.events:
        if isinstance(event, WalletChanged):
            moved[event.currency] += abs(event.change)
        elif isinstance(event, SurplusKept):
            moved[event.currency] += event.amount
        elif isinstance(event, ItemsTaken | ItemsReceived):
            moved.update(event.items)
    return moved


def _counted(items: Any, lots: Any, currencies: Any) -> Counter[str]:
    counts: Counter[str] = Counter(items or {})
    counts.update(currencies or {})
    counts.update(lot["item"] for lot in lots or ())
    return counts


def _uniques(actor: Actor | None) -> Iterator[str]:
    """The ids of the unique items that the actor holds."""
    if isinstance(actor, Player):
        yield from (id_ for id_, stack in actor.bag.items() if stack.history)
        yield from (worn.id for worn in actor.worn.values())
        yield from (id_ for id_, lot in actor.waiting.items() if lot.history)
        for job in actor.jobs.values():
            yield from (lot.id for lot in job.lots if lot.history)
    elif isinstance(actor, Guild):
        yield from (id_ for id_, stored in actor.storage.items() if stored.history)
    elif isinstance(actor, Trade):
        yield from _of(actor.held.values())


def _of(held: Iterable[Held]) -> Iterator[str]:
    for goods in held:
        yield from (lot.id for lot in goods.lots)


def _lots_in(value: Any) -> Iterator[str]:
    """The ids of unique items anywhere in the fields of a message."""
    if isinstance(value, dict):
        if value.get("history") and isinstance(value.get("id"), str):
            yield value["id"]
            return
        for part in value.values():
            yield from _lots_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _lots_in(part)

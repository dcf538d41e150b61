"""Commands that do what was done, where the events do not say in which words it was asked for.

They are good enough to ask the rules again, so that what followed from them can be judged; what they say themselves is
not held against what was sent.
"""

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from actors.core import Actor, Command, Event, Turn
from actors.player.handover import HandOver
from actors.player.inbox import MessagesRead, Notify, ReadAbout
from actors.player.inventory import GrantItems, ItemsReceived, ItemsTaken
from actors.player.notices import Notified
from actors.player.state import Player
from actors.player.trading import PutUp, PutUpDeclined
from actors.player.wallet import SurplusKept, WalletChanged
from actors.times import DAY_MS
from actors.trade.goods import Goods, Held
from schemas import limits
from scripts.verify.item_messages import amount_of, lots_of

Events = list[Event[Any]]
Guess = Callable[[Events, Any, Turn], Command[Any]]


def _notify(events: Events, player: Player, turn: Turn) -> Command[Any]:
    told = _first(events, Notified)
    days = (told.expires_at - told.at) // DAY_MS
    latest = any(message.id == told.id for message in player.inbox)
    return Notify(template=told.template, data=told.data, lives_days=days, about=told.about or None, latest=latest)


def _read_about(events: Events, player: Player, turn: Turn) -> Command[Any]:
    read = _first(events, MessagesRead)
    return ReadAbout(about=next(message.about for message in player.inbox if message.id in read.ids))


def _grant_items(events: Events, player: Player, turn: Turn) -> Command[Any]:
    received = _first(events, ItemsReceived)
    items, lots = lots_of(received)
    return GrantItems(items=items, lots=lots, reason=received.reason, by=received.by)


def _put_up(events: Events, player: Player, turn: Turn) -> Command[Any]:
    if isinstance(events[0], PutUpDeclined) and events[0].because == "offer_changed":
        changed, stack = next(iter(player.bag.items()))
        return PutUp(trade=events[0].trade, goods=Goods(ids=[changed]), seen={changed: stack.quantity + 1})
    if isinstance(events[0], PutUpDeclined):
        return PutUp(trade=events[0].trade, goods=_not_to_be_had(events[0].because, player, turn))
    currencies: dict[str, int] = {}
    trade = "unknown"
    for event in events:
        if isinstance(event, WalletChanged):
            currencies[event.currency] = -event.change
            trade = event.reason.removeprefix("trade ")
        elif isinstance(event, ItemsTaken):
            # Things that were named come first, then what was asked for by number.
            ids = [lot.id for lot in takewhile(lambda lot: lot.history, event.lots)]
            items: Counter[str] = Counter()
            for lot in event.lots[len(ids) :]:
                items[lot.item] += lot.quantity
            return PutUp(trade=event.by, goods=Goods(currencies=currencies, items=items, ids=ids))
    return PutUp(trade=trade, goods=Goods(currencies=currencies))


def _not_to_be_had(because: str, player: Player, turn: Turn) -> Goods:
    """Goods that cannot be put up for this reason."""
    known = turn.content.items
    if because == "balance_too_low":
        return Goods(currencies={"gold": limits.INTEGER_MAX})
    if because == "items_missing":
        here = {stack.item for stack in player.bag.values()}
        return Goods(items={next(name for name in known if not known[name].bound and name not in here): 1})
    if because == "item_locked":
        return Goods(ids=[next(key for key, stack in player.bag.items() if stack.locked)])
    if because == "item_bound":
        return Goods(items={next(name for name in known if known[name].bound): 1})
    return Goods(ids=["-"] if because == "stack_unknown" else [], items={"-": 1} if because == "item_unknown" else {})


def _hand_over(events: Events, player: Player, turn: Turn) -> Command[Any]:
    currencies: dict[str, int] = {}
    trade, reason, by, held = "unknown", "", "unknown", Held()
    for event in events:
        if isinstance(event, WalletChanged | SurplusKept):
            currencies[event.currency] = currencies.get(event.currency, 0) + amount_of(event)
            reason, _, trade = event.reason.partition(" ")
        elif isinstance(event, ItemsReceived):
            items, lots = lots_of(event)
            reason, by, held = event.reason, event.by, Held(items=items, lots=lots)
            break
    return HandOver(trade=trade, held=held.model_copy(update={"currencies": currencies}), by=by, reason=reason)


GUESSED: dict[tuple[str, str], Guess] = {
    ("player", "notify"): _notify,
    ("player", "read_about"): _read_about,
    ("player", "grant_items"): _grant_items,
    ("player", "put_up"): _put_up,
    ("player", "hand_over"): _hand_over,
}


def guessed(kind: str, name: str, events: Events, actor: Actor, turn: Turn) -> Command[Any] | None:
    """A command that may have led to these events, from this state; None where there is no way to tell."""
    guess = GUESSED.get((kind, name))
    if guess is None or not events:
        return None
    try:
        return guess(events, actor, turn)
    except (LookupError, TypeError, ValueError, StopIteration):
        return None


def _first(events: Events, kind: type[Any]) -> Any:
    if type(events[0]) is not kind:
        raise TypeError(f"{type(events[0]).__name__} instead of {kind.__name__}")
    return events[0]

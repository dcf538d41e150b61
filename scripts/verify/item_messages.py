"""What players were given, recalled from the events it led to: items, rewards and what trades hand over."""

from collections.abc import Callable
from typing import Any

from actors.achievement import CountHolder, HolderCounted
from actors.channel.desk import FileReport, ReportFiled
from actors.channel.direct import Shut, WasShut
from actors.content.rewards import Rewards
from actors.core import Command, Event
from actors.player.character import ExperienceGained
from actors.player.inventory import GrantItems, ItemsReceived
from actors.player.rewards import GrantRewards
from actors.player.state import Lot
from actors.player.wallet import SurplusKept, WalletChanged
from actors.trade.delivery import Deliver, Delivered
from schemas import limits
from scripts.verify.guild_messages import same_fields

Events = list[Event[Any]]


def lots_of(received: ItemsReceived) -> tuple[dict[str, int], list[Lot]]:
    """What came by number, and the unique items that came from somebody else, as they were before."""
    loose = dict(received.items)
    lots = []
    for lot in (*received.placed, *received.waiting):
        if len(lot.history) > 1:
            before = Lot(id=lot.id, item=lot.item, quantity=1, history=[*lot.history[:-1]])
            lots.append(before)
            loose[lot.item] -= 1
    return {name: count for name, count in loose.items() if count}, lots


def whole(lots: list[Lot]) -> bool:
    """Whether the lots are known exactly: one that has had many hands has lost a mark with the last one."""
    return all(len(lot.history) < limits.ITEM_MARKS_MAX - 1 for lot in lots)


def _grant_items(events: Events) -> Command[Any]:
    received = events[0]
    if not isinstance(received, ItemsReceived):
        raise TypeError(type(received).__name__)
    items, lots = lots_of(received)
    if not whole(lots):
        raise ValueError("a lot has lost a mark")
    return GrantItems.model_construct(items=items, lots=lots, reason=received.reason, by=received.by, owed=True)


def amount_of(came: WalletChanged | SurplusKept) -> int:
    """How much of it came, into the wallet or beside it."""
    return came.change if isinstance(came, WalletChanged) else came.amount


def granted(events: Events) -> tuple[Rewards, str] | None:
    """What a grant of rewards gave, and for what; None when it gave nothing."""
    currencies: dict[str, int] = {}
    items: dict[str, int] = {}
    experience, reason = 0, ""
    for event in events:
        if isinstance(event, WalletChanged | SurplusKept):
            currencies[event.currency] = currencies.get(event.currency, 0) + amount_of(event)
        elif isinstance(event, ExperienceGained):
            experience = event.amount
        elif isinstance(event, ItemsReceived):
            items = dict(event.items)
        else:
            continue
        reason = event.reason
    given = Rewards.model_construct(currencies=currencies, experience=experience, items=items)
    return (given, reason) if reason else None


def _grant_rewards(events: Events) -> Command[Any]:
    found = granted(events)
    if found is None:
        raise LookupError("it gave nothing")
    return GrantRewards.model_construct(rewards=found[0], reason=found[1])


RECALLED: dict[tuple[str, str], Callable[[Events], Command[Any]]] = {
    ("player", "grant_items"): _grant_items,
    ("player", "grant_rewards"): _grant_rewards,
    ("trade", "deliver"): same_fields(Deliver, Delivered),
    ("achievement", "count_holder"): same_fields(CountHolder, HolderCounted),
    ("channel", "shut"): same_fields(Shut, WasShut),
    ("desk", "file_report"): same_fields(FileReport, ReportFiled),
}

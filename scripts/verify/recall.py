"""What an actor was told, recalled from the events it led to: a parcel's turn keeps only the names of its tells."""

from collections.abc import Callable
from typing import Any

from actors.core import Command, Event
from actors.fraud.assess import Report, Suspected
from actors.fraud.places import Sight, Sighted
from actors.leaderboard.place import Place, Placed
from actors.leaderboard.resets import ClosePart, Finish, OpenPart, PartClosed, PartOpened
from actors.player.wallet import Credit, Debit, SurplusKept, WalletChanged
from scripts.verify import guild_messages, item_messages
from scripts.verify.item_messages import amount_of

Events = list[Event[Any]]


def _place(events: Events) -> Command[Any]:
    placed = _first(events, Placed)
    return Place.model_construct(
        subject=placed.subject, name=placed.name, points=placed.points, at=placed.at, period=placed.period
    )


def _open_part(events: Events) -> Command[Any]:
    opened = _first(events, PartOpened)
    return OpenPart(period=opened.period, shard=opened.shard)


def _close_part(events: Events) -> Command[Any]:
    closed = _first(events, PartClosed)
    rows = [Finish(score=score, reached=reached, subject=who, name=name) for score, reached, who, name in closed.rows]
    return ClosePart(period=closed.period, shard=closed.shard, rows=rows)


def _credit(events: Events) -> Command[Any]:
    came = [event for event in events if isinstance(event, WalletChanged | SurplusKept)]
    amount = sum(amount_of(event) for event in came)
    return Credit(currency=came[0].currency, amount=amount, reason=came[0].reason, owed=True)


def _debit(events: Events) -> Command[Any]:
    changed = _first(events, WalletChanged)
    return Debit(currency=changed.currency, amount=-changed.change, reason=changed.reason)


def _report(events: Events) -> Command[Any]:
    suspected = _first(events, Suspected)
    [incident] = suspected.incidents
    return Report(
        player=suspected.player, rule=incident["rule"], points=incident["points"], evidence=incident["evidence"]
    )


def _sight(events: Events) -> Command[Any]:
    sighted = _first(events, Sighted)
    kind, _, place = sighted.place.partition(":")
    return Sight.model_validate({"player": sighted.player, "kind": kind, "place": place})


RECALLED: dict[tuple[str, str], Callable[[Events], Command[Any]]] = {
    ("leaderboard", "place"): _place,
    ("leaderboard", "open_part"): _open_part,
    ("leaderboard", "close_part"): _close_part,
    ("player", "credit"): _credit,
    ("player", "debit"): _debit,
    ("fraud", "report"): _report,
    ("fraud", "sight"): _sight,
    **guild_messages.RECALLED,
    **item_messages.RECALLED,
}
"""By kind and command. A late assessment cannot be recalled: its events hold only what was found suspicious. Of notices
and trades the events do not say all that the message said: see guess.py."""


def recalled(kind: str, name: str, events: Events) -> Command[Any] | None:
    """The command that led to these events; None when it cannot be known any more."""
    recall = RECALLED.get((kind, name))
    if recall is None or not events:
        return None
    try:
        return recall(events)
    except (LookupError, TypeError, ValueError):
        return None


def _first(events: Events, kind: type[Any]) -> Any:
    if type(events[0]) is not kind:
        raise TypeError(f"{type(events[0]).__name__} instead of {kind.__name__}")
    return events[0]

"""How two players come to an agreement, and how one gives something to another."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import ANYONE, Command, Consult, Effects, Event, Query, Rejected, Remind, Tell, Turn
from actors.player.gifts import TradeName
from actors.player.state import Lot
from actors.player.trading import PutUp, Things
from actors.times import MINUTE_MS, rfc3339
from actors.trade.delivery import Cancelled, told_once
from actors.trade.goods import Goods
from actors.trade.state import Trade
from schemas.address import player as player_address
from schemas.shape import Key

LIVES_MS = 10 * MINUTE_MS
"""How long two players may bargain."""


def _asked(trade: Trade, turn: Turn, partner: str, gift: Goods | None = None) -> Consult:
    """Whether the other side is there, and may get the gift; the key of the trade must be new."""
    if trade.exists():
        raise Rejected("trade_taken", "There is a trade of this key already.")
    if partner == turn.caller.user:
        raise Rejected("trade_with_oneself", "Nobody trades with itself.")
    return Consult(
        player_address(partner), TradeName() if gift is None else TradeName(goods=gift, giver=turn.caller.user)
    )


def _refuse_strangers(turn: Turn) -> None:
    if turn.answer is None:
        raise Rejected("UNAVAILABLE", "The player cannot be asked now.", retry_after_s=1)
    if not turn.answer.data.get("name"):
        raise Rejected("player_unknown", "There is no such player.")


def _refuse_without_room(turn: Turn) -> None:
    """Who was asked says what is in the way. Who says nothing has room: what comes waits, and is not lost."""
    said = {} if turn.answer is None else turn.answer.data
    if said.get("because"):
        raise Rejected(said["because"], said["message"])


class Open(Command[Trade]):
    """Two players begin to bargain. The key of the trade is new, and the caller's choice."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    partner: Key

    def consults(self, trade: Trade, turn: Turn) -> Consult:
        return _asked(trade, turn, self.partner)

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        _refuse_strangers(turn)
        ends, caller = turn.at + LIVES_MS, turn.caller.user
        yield Opened(key=turn.key, sides=[caller, self.partner], gift=False, expires_at=ends)
        yield Remind("expire", ends, Expire())
        yield Tell(player_address(self.partner), told_once("trade_opened", turn.key, caller, by=caller))
        return {"trade": turn.key, "expiresAt": rfc3339(ends)}


class Give(Command[Trade]):
    """A gift: goods go to another player for nothing. The key is new, and the caller's choice."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    to: Key
    goods: Goods

    def consults(self, trade: Trade, turn: Turn) -> Consult:
        if self.goods.nothing:
            raise Rejected("offer_empty", "A gift should hold something.")
        return _asked(trade, turn, self.to, self.goods)

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        _refuse_strangers(turn)
        _refuse_without_room(turn)
        giver = turn.caller.user
        yield Opened(key=turn.key, sides=[giver, self.to], gift=True, expires_at=turn.at)
        yield Offered(user=giver, goods=self.goods, revision=1)
        yield Settling(awaited=[giver])
        yield Tell(player_address(giver), PutUp(trade=turn.key, goods=self.goods), into="settled")
        return {"gift": turn.key}


class Opened(Event[Trade]):
    """A trade, or a gift, began."""

    public = True

    key: str
    sides: list[str]
    gift: bool
    expires_at: int

    def apply(self, trade: Trade) -> None:
        trade.key = self.key
        trade.sides = list(self.sides)
        trade.gift = self.gift
        trade.expires_at = self.expires_at
        trade.standing = "open"


class Offer(Command[Trade]):
    """What the caller would put up, instead of what it offered before; nobody has confirmed then."""

    public = True
    callers = frozenset({ANYONE})

    goods: Goods

    def consults(self, trade: Trade, turn: Turn) -> Consult | None:
        user = trade.bargainer(turn)
        return Consult(player_address(user), Things(ids=self.goods.ids)) if self.goods.ids else None

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        user = trade.bargainer(turn)
        revision = trade.revision + 1
        yield Offered(user=user, goods=self.goods, revision=revision, things=self._things(turn))
        return {"revision": revision}

    def _things(self, turn: Turn) -> list[Lot]:
        """What lies in the caller's bag under the ids that it offers; an id alone tells the other side nothing."""
        if not turn.consulted:
            return []
        if turn.answer is None:
            raise Rejected("UNAVAILABLE", "The bag cannot be looked into now.", retry_after_s=1)
        things = [Lot.model_validate(thing) for thing in turn.answer.data["things"]]
        if len(things) < len(set(self.goods.ids)):
            raise Rejected("stack_unknown", "There is no such thing in the bag.")
        return things


class Offered(Event[Trade]):
    """One side offers this now."""

    user: str
    goods: Goods
    revision: int
    things: list[Lot] = []
    """What its ids stand for; nothing in a gift."""

    def apply(self, trade: Trade) -> None:
        before = trade.offers.get(self.user)
        for thing in before.ids if before is not None else ():
            trade.things.pop(thing, None)
        trade.offers[self.user] = self.goods.model_copy(deep=True)
        trade.things.update({thing.id: thing.copied() for thing in self.things})
        trade.revision = self.revision
        trade.confirmed = []

    def push(self) -> Mapping[str, Any]:
        told = {"offers": {self.user: self.goods.shown()}, "revision": self.revision, "confirmed": []}
        return {**told, "things": {thing.id: thing.shown() for thing in self.things}} if self.things else told


class Confirm(Command[Trade]):
    """The caller agrees to both offers as of the revision that it has seen. When both have, they put them up."""

    public = True
    callers = frozenset({ANYONE})

    revision: Annotated[int, Field(ge=0)]

    def consults(self, trade: Trade, turn: Turn) -> Consult | None:
        user = trade.bargainer(turn)
        comes = trade.offers.get(trade.other(user))
        return None if comes is None or comes.nothing else Consult(player_address(user), TradeName(goods=comes))

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        user = trade.bargainer(turn)
        if self.revision != trade.revision:
            raise Rejected("offer_changed", f"The offers are at revision {trade.revision} by now.")
        if user in trade.confirmed:
            return {"confirmed": list(trade.confirmed)}
        giving = [side for side in trade.sides if side in trade.offers and not trade.offers[side].nothing]
        if not giving:
            raise Rejected("offer_empty", "Nobody offers anything.")
        _refuse_without_room(turn)
        both = bool(trade.confirmed)
        yield Confirmed(user=user)
        if both:
            yield Settling(awaited=giving)
            for side in giving:
                put_up = PutUp(trade=trade.key, goods=trade.offers[side], seen=trade.seen(side))
                yield Tell(player_address(side), put_up, into="own" if side == user else "other")
        return {"confirmed": [*trade.confirmed, user]}


class Confirmed(Event[Trade]):
    """One side agrees."""

    user: str

    def apply(self, trade: Trade) -> None:
        trade.confirmed.append(self.user)

    def push(self) -> Mapping[str, Any]:
        return {"agreed": self.user}


class Settling(Event[Trade]):
    """It is agreed; these have to put up what they offered."""

    awaited: list[str]

    def apply(self, trade: Trade) -> None:
        trade.standing = "settling"
        trade.awaited = list(self.awaited)

    def push(self) -> Mapping[str, Any]:
        return {"standing": "settling"}


class Cancel(Command[Trade]):
    """The caller does not want to trade any more."""

    public = True
    callers = frozenset({ANYONE})

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        trade.side(turn)
        if trade.standing == "cancelled":
            return {"standing": "cancelled"}
        trade.bargainer(turn)
        yield Cancelled(why="cancelled")
        return {"standing": "cancelled"}


class Expire(Command[Trade]):
    """They took too long."""

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        if trade.standing == "open":
            yield Cancelled(why="expired")
        return {"standing": trade.standing}


class Terms(Query[Trade]):
    """What is offered, who agreed, and what came of it; for those who trade."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, trade: Trade, turn: Turn) -> dict[str, Any]:
        if not turn.caller.internal:
            trade.side(turn)
        return trade.shown()

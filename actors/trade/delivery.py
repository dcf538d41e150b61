"""How a trade is settled: what players put up arrives, and goes on when all of it is there."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Rejected, Tell, Turn
from actors.player.handover import HandOver
from actors.player.inbox import Details, Notify
from actors.trade.goods import Held
from actors.trade.state import Trade
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key


def told_once(template: str, trade: str, sender: str, **more: str) -> Notify:
    """What somebody does unasked for: however often it does, the other has one unread message of it, about the last."""
    data: Details = {"trade": trade, **more}
    return Notify(template=template, data=data, sender=sender, about=sender, latest=True)


class Deliver(Command[Trade]):
    """A player put up what it had offered, or says why it cannot (`because`)."""

    by: Key
    held: Held
    because: Annotated[str, Field(max_length=limits.ID_CHARS_MAX)] = ""

    def decide(self, trade: Trade, turn: Turn) -> Effects:
        if self.by not in trade.awaited:
            raise Rejected("not_awaited", "This trade waits for nothing from there.")
        last = trade.awaited == [self.by]
        yield Delivered(by=self.by, held=self.held, because=self.because)
        if not last:
            return {"standing": "settling"}
        why = self.because or trade.why
        held = trade.held if self.because else {**trade.held, self.by: self.held}
        if why:
            yield Cancelled(why=why)
            for user, goods in held.items():
                back = HandOver(trade=trade.key, held=goods, by=user, reason="trade_returned")
                yield Tell(player_address(user), back)
            return {"standing": "cancelled", "why": why}
        yield Completed()
        reason = "gift" if trade.gift else "trade"
        for user, goods in held.items():
            to = player_address(trade.other(user))
            yield Tell(to, HandOver(trade=trade.key, held=goods, by=user, reason=reason))
        for user in trade.sides:
            told = Notify(template=f"{reason}_completed", data={"trade": trade.key})
            if trade.gift and user != trade.sides[0]:
                # A trade was agreed to. A gift comes unasked for, and is not told of by whom the player does not hear.
                told = told_once("gift_completed", trade.key, trade.sides[0])
            yield Tell(player_address(user), told)
        return {"standing": "completed", "why": ""}


class Delivered(Event[Trade]):
    """One side's goods are held here, or do not come."""

    by: str
    held: Held
    because: str

    def apply(self, trade: Trade) -> None:
        trade.awaited.remove(self.by)
        if self.because:
            trade.why = self.because
            return
        trade.held[self.by] = self.held.model_copy(deep=True)


class Completed(Event[Trade]):
    """Everything was there, and is handed over."""

    public = True

    def apply(self, trade: Trade) -> None:
        trade.standing = "completed"
        trade.held = {}

    def push(self) -> Mapping[str, Any]:
        return {"standing": "completed"}


class Cancelled(Event[Trade]):
    """It came to nothing; what was held goes back."""

    public = True

    why: str

    def apply(self, trade: Trade) -> None:
        trade.standing = "cancelled"
        trade.why = self.why
        trade.held = {}

    def push(self) -> Mapping[str, Any]:
        return {"standing": "cancelled", "why": self.why}

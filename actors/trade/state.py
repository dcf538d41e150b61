"""The state of a trade: who trades what with whom, how far they are, and what is held."""

from typing import Any, Literal

from actors.core import Actor, Address, Rejected, Turn
from actors.player.state import Lot
from actors.times import rfc3339
from actors.trade.goods import Goods, Held
from schemas.messages import Caller


def trade_address(key: str) -> Address:
    """The address of a trade."""
    return Address("trade", key)


class Trade(Actor):
    """A trade of two players, or a gift.

    Nothing is held while they bargain. When both have confirmed the same offers, each is told to put up what it
    offered. What arrives is held here, and is handed over when all of it is there, or given back when some is missing.
    """

    kind = "trade"
    unknown = "trade_unknown"
    pushes = "turn"

    key: str = ""
    sides: list[str] = []
    """Who opened it, and with whom; of a gift, who gives and who gets."""
    gift: bool = False
    standing: Literal["none", "open", "settling", "completed", "cancelled"] = "none"
    why: str = ""
    """Why it came to nothing."""
    expires_at: int = 0
    offers: dict[str, Goods] = {}
    things: dict[str, Lot] = {}
    """What was offered by its id, as it lay in the bag then."""
    revision: int = 0
    """Grows with each change of an offer."""
    confirmed: list[str] = []
    awaited: list[str] = []
    """Who was told to put up what it offered, and has not answered."""
    held: dict[str, Held] = {}
    """By who put it up."""

    def exists(self) -> bool:
        return self.standing != "none"

    def other(self, user: str) -> str:
        """The other side."""
        first, second = self.sides
        return second if user == first else first

    def seen(self, user: str) -> dict[str, int]:
        """How many lay under each id that this side offers: so many were agreed on."""
        return {thing: self.things[thing].quantity for thing in self.offers[user].ids if thing in self.things}

    def side(self, turn: Turn) -> str:
        """The caller, who must be one of the two."""
        if turn.caller.user not in self.sides:
            raise Rejected("trade_unknown", "There is no such trade.")
        return turn.caller.user

    def bargainer(self, turn: Turn) -> str:
        """The caller, while the two bargain still."""
        user = self.side(turn)
        if self.standing != "open":
            raise Rejected("trade_closed", f"This trade is {self.standing}.")
        if turn.at >= self.expires_at:
            raise Rejected("trade_closed", "This trade has expired.")
        return user

    def view(self) -> Any:
        return self.shown()

    def may_listen(self, key: str, caller: Caller) -> bool:
        if caller.user not in self.sides:
            # Strangers do not even learn that there is one.
            raise Rejected(self.unknown)
        return True

    def shown(self) -> dict[str, Any]:
        """The trade as both see it."""
        return {
            "standing": self.standing,
            "why": self.why,
            "sides": list(self.sides),
            "gift": self.gift,
            "expiresAt": rfc3339(self.expires_at),
            "offers": {user: goods.shown() for user, goods in self.offers.items()},
            "things": {key: thing.shown() for key, thing in self.things.items()},
            "revision": self.revision,
            "confirmed": list(self.confirmed),
        }

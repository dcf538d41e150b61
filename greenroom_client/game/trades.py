"""Trades and gifts: what two players put up, until all of it changes hands or none."""

from datetime import datetime

from greenroom_client.game.noun import Noun
from greenroom_client.models import Json, Model


class Goods(Model):
    """What one side puts up: so many of which item, stacks of its bag by their ids, and money."""

    items: dict[str, int] = {}
    ids: list[str] = []
    currencies: dict[str, int] = {}

    @property
    def sent(self) -> Json:
        """The goods in the wire's form."""
        return self.model_dump(mode="json", by_alias=True)


class Thing(Model):
    """What was offered by its id, as it lay in the bag then."""

    id: str
    item: str
    quantity: int


class Terms(Model):
    """How a trade stands: `open`, `settling`, `completed`, or `cancelled` (`why`)."""

    standing: str
    why: str
    sides: list[str]
    gift: bool
    expires_at: datetime
    offers: dict[str, Goods]
    things: dict[str, Thing] = {}
    revision: int
    confirmed: list[str]


class Opened(Model):
    """A trade that was opened, and until when the two may bargain."""

    trade: str
    expires_at: datetime


class Offered(Model):
    """The revision of the offers, which both sides confirm."""

    revision: int


class Confirmed(Model):
    """Who has agreed; when both have, the goods change hands."""

    confirmed: list[str]


class Cancelled(Model):
    """It is over."""

    standing: str


class Settled(Model):
    """Whether the giver had what it gave; `reason` says why not."""

    delivered: bool
    reason: str = ""


class Gift(Model):
    """A gift on its way; `settled` is None when the answer is late, not when it is lost."""

    gift: str
    settled: Settled | None = None


class Trade(Noun):
    """One trade, by its key: a new one of the caller's choice."""

    kind = "trade"

    async def open(self, partner: str, *, op: str | None = None) -> Opened:
        """Begin to bargain with somebody."""
        return await self._command(Opened, "open", op, partner=partner)

    async def offer(self, goods: Goods, *, op: str | None = None) -> int:
        """Offer this instead of what was offered before; answers the revision that both now have to confirm."""
        return (await self._command(Offered, "offer", op, goods=goods.sent)).revision

    async def confirm(self, revision: int, *, op: str | None = None) -> list[str]:
        """Agree to both offers as of a revision; answers who has."""
        return (await self._command(Confirmed, "confirm", op, revision=revision)).confirmed

    async def cancel(self, *, op: str | None = None) -> None:
        """Do not trade."""
        await self._command(Cancelled, "cancel", op)

    async def terms(self) -> Terms:
        """What is offered, who agreed, and what came of it."""
        return await self._query(Terms, "terms")

    async def give(self, to: str, goods: Goods, *, op: str | None = None) -> Gift:
        """Give something for nothing; the key names the gift."""
        return await self._command(Gift, "give", op, to=to, goods=goods.sent)

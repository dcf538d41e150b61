"""What changes hands: as it is offered, and as it is held by nobody in between."""

from typing import Annotated, Any

from pydantic import Field

from actors.player.state import Facet, Lot
from schemas import limits
from schemas.shape import Amount, Key, Shape


class Goods(Shape):
    """What one side offers: so many of which item, things of its bag by their ids, and money."""

    items: Annotated[dict[Key, Amount], Field(max_length=limits.TRADE_STACKS_MAX)] = {}
    ids: Annotated[list[Key], Field(max_length=limits.TRADE_STACKS_MAX)] = []
    currencies: Annotated[dict[Key, Amount], Field(max_length=limits.CURRENCIES_MAX)] = {}

    @property
    def nothing(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.items or self.ids or self.currencies)

    @property
    def things(self) -> bool:
        """Whether there is anything in it that takes room in a bag."""
        return bool(self.items or self.ids)

    def shown(self) -> dict[str, Any]:
        """The goods as both sides see them."""
        return {"items": dict(self.items), "ids": list(self.ids), "currencies": dict(self.currencies)}


class Held(Facet):
    """Goods that have left one player and have not come to another. `lots` are unique items."""

    items: dict[Key, Amount] = {}
    lots: list[Lot] = []
    currencies: dict[Key, Amount] = {}

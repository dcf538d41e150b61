"""What items there are: the definitions that clients show."""

from typing import Annotated, Any

from pydantic import Field

from actors.content import Item
from actors.core import Query, Turn
from actors.player.state import Player
from schemas import limits
from schemas.shape import Key


class Items(Query[Player]):
    """All items of the game, by name, a page at a time; `next` continues after the page."""

    public = True

    after: Key | None = None
    limit: Annotated[int, Field(ge=1, le=limits.CONTENT_PAGE_MAX)] = limits.PAGE_ITEMS

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        names = turn.content.names_after("items", self.after)
        page = names[: self.limit]
        return {
            "items": [_shown(name, turn.content.items[name]) for name in page],
            "next": page[-1] if len(names) > len(page) else None,
        }


def _shown(name: str, item: Item) -> dict[str, Any]:
    use = item.use
    return {
        "item": name,
        "title": item.title,
        "text": item.text,
        "type": item.type,
        "rarity": item.rarity,
        "level": item.level,
        "stack": item.stack,
        "unique": item.unique,
        "slots": list(item.slots),
        "stats": dict(item.stats),
        "properties": dict(item.properties),
        "use": None if use is None else use.model_dump(mode="python"),
        "bound": item.bound,
        "price": item.price,
    }

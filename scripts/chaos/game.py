"""What there is to play with in a chaos run: whatever the content of the Greenroom has, and what players share."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.address import Address

GOLD = "gold"
GOODS_MAX = 8
GEAR_MAX = 3
RECIPES_MAX = 4
GUILDS_MAX = 4
CRAFT_TAKES_S_MAX = 10


@dataclass(frozen=True, slots=True)
class Game:
    """The part of the content that everybody can play from the first second on."""

    action: str | None = None
    """One that can be played at any pace, as `practice` of the starter content."""
    currency: str | None = None
    goods: tuple[str, ...] = ()
    """What stacks and can be given away; the ingredients of the recipes among them."""
    gear: tuple[str, ...] = ()
    """What is unique and can be worn."""
    recipes: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    quests: bool = False
    guild_cost: int | None = None
    """What founding a guild costs; None when it takes more than the one currency."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Game":
        """What this content, as it is stored, has to play with."""
        currency = next(iter(sorted(content.get("currencies") or {}, key=lambda name: (name != GOLD, name))), None)
        items = content.get("items") or {}
        recipes = dict(sorted(_recipes(content), key=lambda pair: (pair[1]["takes_s"], pair[0]))[:RECIPES_MAX])
        ingredients = dict.fromkeys(name for recipe in recipes.values() for name in recipe["ingredients"])
        goods = [name for name in (*ingredients, *_consumables(items)) if not items[name]["bound"]]
        cost = (content.get("guilds") or {}).get("cost") or {}
        return cls(
            action=_action_without_limits(content),
            currency=currency,
            goods=tuple(dict.fromkeys(goods))[:GOODS_MAX],
            gear=tuple(_gear(items))[:GEAR_MAX],
            recipes=tuple(recipes),
            rooms=tuple(sorted((content.get("chat") or {}).get("rooms") or {})),
            quests=bool(content.get("quests")),
            guild_cost=int(cost.get(currency, 0)) if set(cost) <= {currency} else None,
        )


def _action_without_limits(content: Mapping[str, Any]) -> str | None:
    for name, action in sorted((content.get("actions") or {}).items()):
        paces = (action.get("starts_per_minute"), action.get("completions_per_minute"))
        if paces == ("unlimited", "unlimited") and not action.get("fraud", True):
            return str(name)
    return None


def _recipes(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What can be made without a level and without tools, soon."""
    stations = content.get("stations") or {}
    for name, recipe in (content.get("recipes") or {}).items():
        level = max(recipe["level"], stations[recipe["station"]]["level"] if recipe["station"] else 1)
        if level <= 1 and not recipe["tools"] and recipe["takes_s"] <= CRAFT_TAKES_S_MAX:
            yield name, recipe


def _consumables(items: Mapping[str, Any]) -> Iterator[str]:
    return (name for name, item in sorted(items.items()) if item["use"] and item["level"] <= 1 and item["stack"] > 1)


def _gear(items: Mapping[str, Any]) -> Iterator[str]:
    return (name for name, item in sorted(items.items()) if item["unique"] and item["slots"] and item["level"] <= 1)


@dataclass(slots=True)
class Deal:
    """A trade that two players bargain about, and what the other one does next."""

    trade: Address
    sides: tuple[str, str]
    revision: int = 0
    offered: bool = False
    """Whether the second side has offered and confirmed."""


@dataclass(slots=True)
class Company:
    """What the players of a run know of each other."""

    guests: list[str] = field(default_factory=list)
    """The users that play characters of their own."""
    guilds: list[str] = field(default_factory=list)
    """The keys of guilds that stand, as far as anybody knows."""
    deals: dict[str, deque[Deal]] = field(default_factory=lambda: defaultdict(deque))
    """Whose turn it is, by user."""

    def others(self, user: str) -> list[str]:
        """Everybody but this one."""
        return [guest for guest in self.guests if guest != user]

"""A small world for the rules of characters, items and crafting: everything in it is easy to reckon with."""

from functools import cache
from typing import Any

from pydantic_core import from_json, to_json

from actors.content import Content
from actors.core import Address, Caller, pack_event
from actors.player.effects import Condition, ConditionChanged
from actors.player.inventory import GrantItems
from actors.player.state import Player
from tests.unit.stage import Person, Stage

ALICE = Address("player", "alice")
SERVER = Caller("server-1", ("server",))

WORLD: dict[str, Any] = {
    "currencies": {"gold": {"start": 100}},
    "character": {
        "levels": [100, 300, 1_000],
        "stats": {"strength": {"title": "Strength", "base": 5, "per_level": 1}, "luck": {"title": "Luck"}},
        "resources": {
            "health": {
                "title": "Health", "base": 50, "per_level": 10, "stat": "strength", "per_stat": 10,
                "regains": 2, "every_s": 10,
            },
            "mana": {"title": "Mana", "base": 40, "regains": 1, "every_s": 5},
        },
        "slots": {"hand": "Hand", "other_hand": "Other hand", "head": "Head"},
        "bag_slots": 4,
        "skills": ["strike"],
    },
    "skills": {
        "strike": {"title": "Strike"},
        "frost": {"title": "Frost", "level": 2, "costs": {"mana": 10}},
    },
    "effects": {
        "strong": {"title": "Strong", "lasts_s": 60, "stats": {"strength": 5}},
        "weak": {"title": "Weak", "lasts_s": 100, "stats": {"strength": -3}},
        "lucky": {"title": "Lucky", "lasts_s": 30, "stats": {"luck": 7}},
    },
    "items": {
        "wood": {"title": "Wood", "stack": 10},
        "stone": {"title": "Stone", "stack": 5},
        "saw": {"title": "Saw", "type": "tool"},
        "bread": {"title": "Bread", "stack": 10, "use": {"restores": {"health": 30}}},
        "tonic": {"title": "Tonic", "stack": 10, "use": {"effects": ["strong"]}},
        "poison": {"title": "Poison", "stack": 10, "use": {"effects": ["weak"]}},
        "clover": {"title": "Clover", "use": {"effects": ["lucky"], "consumed": False}},
        "book": {"title": "Book", "stack": 10, "use": {"teaches": "frost"}},
        "tale": {"title": "Tale", "stack": 10, "use": {"experience": 150, "effects": ["strong"]}},
        "sword": {"title": "Sword", "unique": True, "slots": ["hand", "other_hand"], "stats": {"strength": 4}},
        "crown": {"title": "Crown", "unique": True, "slots": ["head"], "level": 3, "stats": {"luck": 10}},
    },
    "stations": {"bench": {"title": "Bench", "queue": 3}, "forge": {"title": "Forge", "level": 2}},
    "recipes": {
        "stone": {
            "title": "Stone", "station": "bench", "ingredients": {"wood": 2}, "takes_s": 10, "outputs": {"stone": 1},
        },
        "sword": {
            "title": "Sword", "ingredients": {"stone": 2}, "tools": ["saw"], "takes_s": 60, "outputs": {"sword": 1},
            "experience": 120,
        },
        "gamble": {
            "title": "Gamble", "ingredients": {"wood": 1}, "takes_s": 1, "chance": 50, "outputs": {"bread": 1},
            "salvage": {"tonic": 1},
        },
        "crown": {
            "title": "Crown", "station": "forge", "ingredients": {"sword": 1}, "takes_s": 5, "outputs": {"crown": 1},
        },
    },
}  # fmt: skip


@cache
def world() -> Content:
    return Content.model_validate(WORLD)


class Hero(Person):
    """A player of the small world."""

    def given(self, **items: int) -> dict[str, Any]:
        return self.stage.send(self.address, GrantItems(items=items, reason="test"))

    def stacks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("inventory")["stacks"]
        return found

    def counts(self) -> dict[str, int]:
        """How many of each item lie in the bag."""
        counts: dict[str, int] = {}
        for stack in self.stacks():
            counts[stack["item"]] = counts.get(stack["item"], 0) + stack["quantity"]
        return counts

    def stack(self, item: str) -> str:
        """The id of the first stack of the item."""
        return next(str(stack["id"]) for stack in self.stacks() if stack["item"] == item)

    def use(self, item: str) -> dict[str, Any]:
        return self.say("use_item", stackId=self.stack(item))

    def lose(self, resource: str, amount: int) -> None:
        """Some of a resource is spent, as a fight or a skill would."""
        player = self.stage.actor(self.address)
        assert isinstance(player, Player)
        condition = Condition(player, self.stage.content, self.stage.at)
        condition.spend(resource, amount)
        for change in condition.changes():
            assert isinstance(change, ConditionChanged)
            change.apply(player)
            self.stage.journal[self.address].append(from_json(to_json(pack_event(change))))

    def health(self) -> tuple[int, int]:
        health = self.ask("profile")["resources"]["health"]
        return health["current"], health["max"]


def small_stage() -> Stage:
    return Stage(world())

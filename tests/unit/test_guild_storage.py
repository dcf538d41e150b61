"""The storage of a guild: items move from bag to storage and back, and are always in one place."""

from collections import Counter
from typing import Any

import pytest

from actors.core import SYSTEM
from actors.guild.storing import ReceiveItems
from tests.unit.guildhall import ask, found, guild_of, say
from tests.unit.stage import Person, Stage
from tests.unit.test_guild_bank import GUILD
from tests.unit.test_player_actions import refused

UNIQUE, BOUND = "wooden_club", "old_map"


@pytest.fixture
def alice(stage: Stage) -> Person:
    """The leader of a guild, with 120 logs and two swords."""
    alice = Person(stage, "alice")
    found(alice)
    alice.say("grant_items", caller=SYSTEM, items={"oak_log": 120, UNIQUE: 2}, reason="test")
    return alice


def bag(person: Person) -> Counter[str]:
    counts: Counter[str] = Counter()
    for stack in person.ask("inventory")["stacks"]:
        counts[stack["item"]] += stack["quantity"]
    return counts


def stored(person: Person) -> Counter[str]:
    counts: Counter[str] = Counter()
    for lot in ask(person, "storage")["stored"]:
        counts[lot["item"]] += lot["quantity"]
    return counts


def ids_of(lots: list[dict[str, Any]], item: str) -> list[str]:
    return [lot["id"] for lot in lots if lot["item"] == item]


def test_what_is_stored_leaves_the_bag_and_fills_slots(stage: Stage, alice: Person) -> None:
    answer = say(alice, "store_items", items={"oak_log": 70})
    assert answer["handover"] == {"handedIn": True, "storage": {"stored": True}}
    say(alice, "store_items", items={"oak_log": 20})
    assert (bag(alice)["oak_log"], stored(alice)["oak_log"]) == (30, 90)
    assert sorted(lot.quantity for lot in guild_of(stage).storage.values()) == [40, 50]
    log = ask(alice, "storage")["log"]
    assert [(line["by"], line["item"], line["change"]) for line in log] == [
        ("alice", "oak_log", 20),
        ("alice", "oak_log", 70),
    ]


def test_a_unique_item_keeps_its_id_and_its_history(stage: Stage, alice: Person) -> None:
    bob = Person(stage, "bob")
    say(bob, "join")
    say(alice, "promote", player="bob")
    sword, other = ids_of(alice.ask("inventory")["stacks"], UNIQUE)
    say(alice, "store_items", ids=[sword])
    assert ids_of(alice.ask("inventory")["stacks"], UNIQUE) == [other]
    assert ids_of(ask(bob, "storage")["stored"], UNIQUE) == [sword]
    assert say(bob, "take_out_items", ids=[sword])["items"] == {UNIQUE: 1}
    [mine] = bob.ask("inventory")["stacks"]
    assert mine["id"] == sword
    assert [mark["how"] for mark in mine["history"]] == ["test", "guild_storage"]
    assert stored(alice) == {}


def test_what_is_taken_out_comes_into_the_bag(alice: Person) -> None:
    say(alice, "store_items", items={"oak_log": 70})
    assert say(alice, "take_out_items", items={"oak_log": 60})["bag"]["items"] == {"oak_log": 60}
    assert (bag(alice)["oak_log"], stored(alice)["oak_log"]) == (110, 10)
    with refused("items_missing", 409):
        say(alice, "take_out_items", items={"oak_log": 11})
    with refused("stored_item_unknown", 404):
        say(alice, "take_out_items", ids=["nothing"])


def test_nothing_is_taken_out_that_the_bag_has_no_room_for(stage: Stage, alice: Person) -> None:
    say(alice, "store_items", items={UNIQUE: 2})
    free = stage.content.character.bag_slots - len(alice.ask("inventory")["stacks"])
    for count in (100, 100, free):
        alice.say("grant_items", caller=SYSTEM, items={UNIQUE: count}, reason="test")
    with refused("bag_full", 409):
        say(alice, "take_out_items", items={UNIQUE: 2})
    assert stored(alice) == {UNIQUE: 2}


def test_who_may_not_take_out_may_store(stage: Stage, alice: Person) -> None:
    bob = Person(stage, "bob")
    with refused("not_a_member", 403):
        say(bob, "store_items", items={"oak_log": 1})
    say(bob, "join")
    with refused("items_missing", 409):
        say(bob, "store_items", items={"oak_log": 1})
    bob.say("grant_items", caller=SYSTEM, items={"oak_log": 1}, reason="test")
    say(bob, "store_items", items={"oak_log": 1})
    with refused("role_too_low", 403):
        say(bob, "take_out_items", items={"oak_log": 1})


def test_what_is_bound_or_locked_stays(alice: Person) -> None:
    [sword, _] = ids_of(alice.ask("inventory")["stacks"], UNIQUE)
    alice.say("lock_stack", stackId=sword)
    with refused("item_locked", 409):
        say(alice, "store_items", ids=[sword])
    alice.say("grant_items", caller=SYSTEM, items={BOUND: 1}, reason="test")
    with refused("item_bound", 409):
        say(alice, "store_items", items={BOUND: 1})


def test_what_is_not_there_any_more_is_not_stored(stage: Stage, alice: Person) -> None:
    """The player was asked before, and used it up meanwhile."""
    told = alice.say("hand_in", caller=SYSTEM, guild="red-dragons", move="m", items={"oak_log": 121}, ids=[])
    assert told == {"handedIn": False, "reason": "items_missing"}
    assert (bag(alice)["oak_log"], stored(alice)) == (120, {})


def test_what_finds_no_room_goes_back(stage: Stage, alice: Person) -> None:
    slots = stage.content.guilds.storage_slots
    full = ReceiveItems(move="m", player="alice", items={"wheat": slots * 100}, lots=[])
    assert stage.send(GUILD, full) == {"stored": True}
    answer = say(alice, "store_items", items={"oak_log": 20})
    assert answer["handover"]["storage"] == {"stored": False}
    assert bag(alice)["oak_log"] == 120
    assert len(guild_of(stage).storage) == slots


def test_a_guild_with_items_is_not_disbanded(stage: Stage, alice: Person) -> None:
    say(alice, "store_items", items={"oak_log": 20})
    with refused("storage_not_empty", 409):
        say(alice, "disband")
    say(alice, "take_out_items", items={"oak_log": 20})
    say(alice, "disband")
    late = ReceiveItems(move="m", player="alice", items={"oak_log": 1}, lots=[])
    assert stage.send(GUILD, late) == {"stored": False}
    assert bag(alice)["oak_log"] == 121

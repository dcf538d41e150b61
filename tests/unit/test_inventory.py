"""What lies in a bag: stacks and unique items, what is worn, and what waits for room."""

from collections.abc import Iterator

import pytest

from actors.core import Caller, admit
from actors.player.bag import DiscardItems
from actors.player.inventory import GrantItems, ItemsReceived, ItemsTaken, TakeItems
from actors.player.rewards import AwardItems
from actors.player.state import Lot, Mark
from schemas import limits
from schemas.problems import Refusal
from tests.unit.crafted_world import ALICE, SERVER, Hero, small_stage
from tests.unit.stage import Stage
from tests.unit.test_player_actions import refused


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = small_stage()
    yield stage
    stage.check()


@pytest.fixture
def alice(stage: Stage) -> Hero:
    return Hero(stage, "alice")


def events(stage: Stage, kind: type[ItemsReceived] | type[ItemsTaken]) -> list[dict[str, object]]:
    return [fields for name, fields in stage.journal[ALICE] if name == kind.wire_name]


def test_items_fill_stacks_first_and_then_free_slots(alice: Hero) -> None:
    alice.given(wood=7)
    alice.given(wood=15)
    assert [(stack["slot"], stack["quantity"]) for stack in alice.stacks()] == [(0, 10), (1, 10), (2, 2)]


def test_what_does_not_fit_waits_and_is_claimed(alice: Hero) -> None:
    assert alice.given(wood=50, sword=2) == {"items": {"sword": 2, "wood": 50}, "waiting": 30}
    assert alice.counts() == {"sword": 2, "wood": 20}
    with refused("bag_full"):
        alice.say("claim_items")
    alice.say("discard_items", stackId=alice.stack("wood"), quantity=4)
    assert alice.say("claim_items") == {"items": {"wood": 4}, "waiting": 26}
    assert alice.counts() == {"sword": 2, "wood": 20}
    assert alice.ask("profile")["bag"] == {"used": 4, "capacity": 4, "waiting": 1}
    for _ in range(2):
        alice.say("discard_items", stackId=alice.stack("wood"))
    assert alice.say("claim_items")["waiting"] == 6
    alice.say("discard_items", stackId=alice.stack("wood"))
    assert alice.say("claim_items") == {"items": {"wood": 6}, "waiting": 0}
    assert alice.say("claim_items") == {"items": {}, "waiting": 0}


def test_a_unique_item_that_waited_is_the_same_one(alice: Hero) -> None:
    alice.given(sword=5)
    [waiting] = alice.ask("inventory")["waiting"]
    alice.say("discard_items", stackId=alice.stack("sword"))
    alice.say("claim_items")
    assert waiting["id"] in [stack["id"] for stack in alice.stacks()]
    assert alice.ask("inventory")["waiting"] == []


def test_too_much_that_waits_is_refused_and_stays_with_its_sender(alice: Hero) -> None:
    alice.given(sword=100)
    alice.given(sword=100)
    with refused("bag_full"):
        alice.given(sword=100)
    assert len(alice.ask("inventory")["waiting"]) == 196 <= limits.ITEMS_WAITING_MAX
    with refused("items_too_many"):
        alice.given(sword=limits.UNIQUES_AT_ONCE_MAX + 1)


def test_an_item_that_is_not_in_the_content_is_refused(alice: Hero) -> None:
    with refused("item_unknown"):
        alice.given(unicorn=1)
    assert alice.stacks() == []


def test_each_unique_item_has_its_own_id_and_says_where_it_is_from(stage: Stage, alice: Hero) -> None:
    stage.send(ALICE, GrantItems(items={"sword": 2}, reason="quest:wolves", by="the-ranger"))
    first, second = alice.stacks()
    assert first["id"] != second["id"]
    assert first["history"] == [
        {"how": "quest:wolves", "by": "the-ranger", "at": "2026-09-21T14:13:20.000Z", "content": 0}
    ]


def test_a_unique_item_keeps_its_maker_and_its_newest_hands(stage: Stage, alice: Hero) -> None:
    hands = [Mark(how=f"hand {number}", by="", at=number, content=0) for number in range(limits.ITEM_MARKS_MAX)]
    lot = Lot(id="the-one", item="sword", quantity=1, history=hands)
    stage.send(ALICE, GrantItems(lots=[lot], reason="gift"))
    [sword] = alice.stacks()
    told = [mark["how"] for mark in sword["history"]]
    assert told == ["hand 0", "hand 2", "hand 3", "hand 4", "hand 5", "hand 6", "hand 7", "gift"]
    with refused("item_here_already"):
        stage.send(ALICE, GrantItems(lots=[lot], reason="gift"))
    alice.say("equip", stackId="the-one")
    with refused("item_here_already"):
        stage.send(ALICE, GrantItems(lots=[lot], reason="gift"))
    with refused("item_not_unique"):
        stage.send(ALICE, GrantItems(lots=[Lot(id="x", item="wood", quantity=3)], reason="gift"))


def test_what_is_taken_comes_from_the_smallest_stacks_and_all_or_nothing(stage: Stage, alice: Hero) -> None:
    alice.given(wood=14)
    stage.send(ALICE, TakeItems(items={"wood": 5}, reason="toll"))
    assert [stack["quantity"] for stack in alice.stacks()] == [9]
    with refused("items_missing"):
        stage.send(ALICE, TakeItems(items={"wood": 10}, reason="toll"))
    with refused("items_missing"):
        stage.send(ALICE, TakeItems(items={"stone": 1, "wood": 1}, reason="toll"))
    assert alice.counts() == {"wood": 9}
    assert [(entry["items"], entry["reason"]) for entry in events(stage, ItemsTaken)] == [({"wood": 5}, "toll")]


def test_what_is_taken_can_be_handed_on_whole(stage: Stage, alice: Hero) -> None:
    bob = Hero(stage, "bob")
    alice.given(sword=1, wood=12)
    sword = alice.stack("sword")
    stage.send(ALICE, TakeItems(items={"wood": 11}, ids=[sword], reason="gift"))
    event = ItemsTaken.model_validate(stage.journal[ALICE][-1][1])
    assert event.loose == {"wood": 11}
    stage.send(bob.address, GrantItems(items=event.loose, lots=event.uniques, reason="gift", by="alice"))
    assert bob.counts() == {"sword": 1, "wood": 11}
    assert alice.counts() == {"wood": 1}
    assert bob.stack("sword") == sword
    assert [mark["how"] for mark in bob.stacks()[-1]["history"]] == ["test", "gift"]


def test_a_lock_keeps_an_item_from_being_lost(stage: Stage, alice: Hero) -> None:
    alice.given(bread=3, sword=1)
    for item in ("bread", "sword"):
        assert alice.say("lock_stack", stackId=alice.stack(item)) == {"locked": True}
    with refused("item_locked"):
        alice.say("discard_items", stackId=alice.stack("bread"))
    with refused("item_locked"):
        alice.say("split_stack", stackId=alice.stack("bread"), quantity=1)
    with refused("item_locked"):
        stage.send(ALICE, TakeItems(items={"bread": 1}, reason="toll"))
    with refused("item_locked"):
        stage.send(ALICE, TakeItems(ids=[alice.stack("sword")], reason="toll"))
    alice.say("equip", stackId=alice.stack("sword"))
    alice.say("unequip", slot="hand")
    assert [stack["locked"] for stack in alice.stacks() if stack["item"] == "sword"] == [True]
    alice.say("lock_stack", stackId=alice.stack("bread"), locked=False)
    alice.say("discard_items", stackId=alice.stack("bread"), quantity=2)
    assert alice.counts() == {"bread": 1, "sword": 1}


def test_stacks_move_split_and_merge(alice: Hero) -> None:
    alice.given(wood=8, stone=1)
    wood, stone = alice.stack("wood"), alice.stack("stone")
    slots = {stack["item"]: stack["slot"] for stack in alice.stacks()}
    alice.say("move_stack", stackId=wood, slot=slots["stone"])
    assert {stack["item"]: stack["slot"] for stack in alice.stacks()} == {
        "wood": slots["stone"],
        "stone": slots["wood"],
    }
    alice.say("move_stack", stackId=stone, slot=3)
    with refused("slot_unknown"):
        alice.say("move_stack", stackId=stone, slot=4)
    new = alice.say("split_stack", stackId=wood, quantity=3)["stackId"]
    assert sorted(stack["quantity"] for stack in alice.stacks() if stack["item"] == "wood") == [3, 5]
    with refused("items_missing"):
        alice.say("split_stack", stackId=new, quantity=3)
    with refused("stacks_unlike"):
        alice.say("merge_stacks", stackId=new, onto=stone)
    with refused("stacks_unlike"):
        alice.say("merge_stacks", stackId=new, onto=new)
    assert alice.say("merge_stacks", stackId=new, onto=wood) == {"moved": 3, "left": 0}
    with refused("stack_unknown"):
        alice.say("move_stack", stackId=new, slot=0)
    assert alice.counts() == {"wood": 8, "stone": 1}


def test_a_merge_leaves_what_the_other_stack_has_no_room_for(alice: Hero) -> None:
    alice.given(wood=10)
    new = alice.say("split_stack", stackId=alice.stack("wood"), quantity=4)["stackId"]
    alice.given(wood=3)
    first = next(stack["id"] for stack in alice.stacks() if stack["id"] != new)
    assert alice.say("merge_stacks", stackId=new, onto=first) == {"moved": 1, "left": 3}
    with refused("stack_full"):
        alice.say("merge_stacks", stackId=new, onto=first)


def test_a_full_bag_has_no_room_for_a_split_or_for_what_is_taken_off(alice: Hero) -> None:
    alice.given(sword=1)
    alice.say("equip", stackId=alice.stack("sword"))
    alice.given(wood=40)
    with refused("bag_full"):
        alice.say("split_stack", stackId=alice.stack("wood"), quantity=1)
    with refused("bag_full"):
        alice.say("unequip", slot="hand")
    assert list(alice.ask("inventory")["equipment"]) == ["hand"]


def test_equipment_changes_places_with_what_was_worn(alice: Hero) -> None:
    alice.given(sword=3)
    first, second, third = (stack["id"] for stack in alice.stacks())
    assert alice.say("equip", stackId=first) == {"slot": "hand", "unequipped": None}
    assert alice.say("equip", stackId=second) == {"slot": "other_hand", "unequipped": None}
    assert alice.say("equip", stackId=third, slot="other_hand") == {"slot": "other_hand", "unequipped": second}
    equipment = alice.ask("inventory")["equipment"]
    assert {slot: worn["id"] for slot, worn in equipment.items()} == {"hand": first, "other_hand": third}
    assert [stack["id"] for stack in alice.stacks()] == [second]
    assert alice.ask("public_profile")["equipment"] == {"hand": "sword", "other_hand": "sword"}


def test_what_cannot_be_worn_is_refused_with_the_reason(alice: Hero) -> None:
    alice.given(wood=1, sword=1, crown=1)
    with refused("item_not_wearable"):
        alice.say("equip", stackId=alice.stack("wood"))
    with refused("slot_unfit"):
        alice.say("equip", stackId=alice.stack("sword"), slot="head")
    with refused("level_too_low"):
        alice.say("equip", stackId=alice.stack("crown"))
    with refused("stack_unknown"):
        alice.say("equip", stackId="nothing")
    with refused("slot_empty"):
        alice.say("unequip", slot="hand")


def test_using_an_item_uses_it_up_and_says_what_it_did(alice: Hero) -> None:
    alice.given(bread=2, wood=1)
    with refused("item_not_usable"):
        alice.use("wood")
    with refused("resources_full"):
        alice.use("bread")
    alice.lose("health", 45)
    assert alice.use("bread")["restored"] == {"health": 30}
    told = alice.use("bread")
    assert (told["restored"], told["resources"]["health"]) == ({"health": 15}, 100)
    assert alice.counts() == {"wood": 1}


def test_who_may_give_items_and_who_may_not() -> None:
    assert admit(AwardItems, "alice", SERVER) == "server"
    assert admit(DiscardItems, "alice", Caller("alice")) == "owner"
    for message, caller in ((GrantItems, Caller("alice")), (GrantItems, SERVER), (AwardItems, Caller("alice"))):
        with pytest.raises(Refusal, match="FORBIDDEN"):
            admit(message, "alice", caller)


def test_a_studio_awards_items(alice: Hero) -> None:
    assert alice.say("award_items", caller=SERVER, items={"sword": 1}, reason="event")["waiting"] == 0
    [sword] = alice.stacks()
    assert sword["history"][0]["by"] == "server-1"


def test_the_definitions_of_items_come_in_pages(alice: Hero) -> None:
    seen, after = [], None
    while True:
        page = alice.ask("items", limit=4, after=after)
        seen += [item["item"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == sorted(seen)
    assert len(seen) == 11

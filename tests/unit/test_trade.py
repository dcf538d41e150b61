"""Trades and gifts: agreed by both on the same offers, all or nothing, and each thing always in one place."""

from collections import Counter
from typing import Any

import pytest

from actors.core import Address, Caller, Command
from actors.player.handover import HandOver
from actors.player.inventory import GrantItems, TakeItems
from actors.player.state import Player
from actors.player.wallet import Debit
from actors.trade.bargain import Cancel, Confirm, Give, Offer, Open, Terms
from actors.trade.goods import Goods, Held
from actors.trade.state import trade_address
from schemas import limits
from tests.unit.stage import Person, Stage, catalog
from tests.unit.test_player_actions import refused

DEAL = trade_address("deal")
BREAD = {"wheat": 10}


@pytest.fixture
def alice(stage: Stage) -> Person:
    return Person(stage, "alice", "Alice")


@pytest.fixture
def bob(stage: Stage) -> Person:
    return Person(stage, "bob", "Bob")


def grant(stage: Stage, person: Person, **items: int) -> None:
    stage.send(person.address, GrantItems(items=items, reason="test"))


def said(stage: Stage, who: str, command: Command[Any], to: Address = DEAL) -> dict[str, Any]:
    return stage.send(to, command, Caller(who))


def player(stage: Stage, person: Person) -> Player:
    found = stage.actor(person.address)
    assert isinstance(found, Player)
    return found


def owned(stage: Stage, person: Person) -> Counter[str]:
    """What the player has, by item, and its gold."""
    return holdings(player(stage, person))


def holdings(of: Player) -> Counter[str]:
    counts = Counter({"gold": of.wallet.get("gold", 0)})
    for stack in of.bag.values():
        counts[stack.item] += stack.quantity
    for lot in of.waiting.values():
        counts[lot.item] += lot.quantity
    return counts


def standing(stage: Stage, who: str = "alice") -> dict[str, Any]:
    answer: dict[str, Any] = stage.query(DEAL, Terms(), Caller(who))
    return answer


def agreed(stage: Stage) -> dict[str, Any]:
    said(stage, "alice", Confirm(revision=standing(stage)["revision"]))
    return said(stage, "bob", Confirm(revision=standing(stage)["revision"]))


def test_both_get_what_the_other_offered(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, wheat=10, iron_sword=1)
    [sword] = [key for key, stack in player(stage, alice).bag.items() if stack.item == "iron_sword"]
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(items={"wheat": 4}, ids=[sword])))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 60})))
    reply = agreed(stage)
    assert reply["own"]["trade"] == {"standing": "completed", "why": ""}
    assert owned(stage, alice) == {"gold": 160, "wheat": 6}
    assert owned(stage, bob) == {"gold": 40, "wheat": 4, "iron_sword": 1}
    history = player(stage, bob).bag[sword].history
    assert [(mark.how, mark.by) for mark in history] == [("test", ""), ("trade", "alice")]
    assert [message["template"] for message in bob.ask("inbox")["messages"]] == ["trade_completed", "trade_opened"]


def test_nothing_moves_before_both_agree(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, **BREAD)
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(items=BREAD)))
    said(stage, "alice", Confirm(revision=1))
    assert owned(stage, alice)["wheat"] == 10
    assert standing(stage)["confirmed"] == ["alice"]
    assert said(stage, "alice", Confirm(revision=1)) == {"confirmed": ["alice"]}


def test_an_offer_that_changes_must_be_confirmed_anew(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 50})))
    said(stage, "alice", Confirm(revision=1))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 1})))
    assert standing(stage)["confirmed"] == []
    with refused("offer_changed"):
        said(stage, "alice", Confirm(revision=1))


def test_who_hears_each_push_knows_the_terms(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, **BREAD)
    said(stage, "alice", Open(partner="bob"))
    heard: dict[str, Any] = {**stage.actor(DEAL).view()}
    begun = len(stage.journal[DEAL])
    said(stage, "alice", Offer(goods=Goods(items=BREAD)))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 60})))
    agreed(stage)
    for name, fields in stage.journal[DEAL][begun:]:
        push = catalog().kind("trade").events[name].model_validate(fields).push()
        heard["confirmed"] = [
            *push.get("confirmed", heard["confirmed"]),
            *([push["agreed"]] if "agreed" in push else []),
        ]
        heard["offers"] = {**heard["offers"], **push.get("offers", {})}
        heard |= {field: push[field] for field in ("revision", "standing", "why") if field in push}
    assert heard == standing(stage)
    assert (heard["standing"], sorted(heard["confirmed"])) == ("completed", ["alice", "bob"])


def stack_id(stage: Stage, person: Person, item: str) -> str:
    return next(key for key, stack in player(stage, person).bag.items() if stack.item == item)


def test_both_see_what_is_offered_by_its_id(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, wheat=10, iron_sword=1)
    sword, wheat = (stack_id(stage, alice, item) for item in ("iron_sword", "wheat"))
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(ids=[sword, wheat])))
    told = catalog().kind("trade").events["offered"].model_validate(stage.journal[DEAL][-1][1]).push()["things"]
    things = standing(stage, "bob")["things"]
    assert told == things
    assert (things[wheat]["item"], things[wheat]["quantity"]) == ("wheat", 10)
    assert things[sword]["item"] == "iron_sword"
    assert [mark["how"] for mark in things[sword]["history"]] == ["test"]
    said(stage, "alice", Offer(goods=Goods(ids=[sword])))
    assert list(standing(stage, "bob")["things"]) == [sword]
    said(stage, "alice", Offer(goods=Goods(items={"wheat": 1})))
    assert standing(stage, "bob")["things"] == {}


def test_nobody_offers_by_an_id_what_it_has_not(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, bob, iron_sword=1)
    said(stage, "alice", Open(partner="bob"))
    with refused("stack_unknown"):
        said(stage, "alice", Offer(goods=Goods(ids=[stack_id(stage, bob, "iron_sword")])))
    stage.silent.add("player")
    with refused("UNAVAILABLE"):
        said(stage, "bob", Offer(goods=Goods(ids=[stack_id(stage, bob, "iron_sword")])))


@pytest.mark.parametrize("change", ["split", "grown"])
def test_a_stack_that_is_not_what_was_seen_does_not_change_hands(
    stage: Stage, alice: Person, bob: Person, change: str
) -> None:
    grant(stage, alice, **BREAD)
    wheat = stack_id(stage, alice, "wheat")
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(ids=[wheat])))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 60})))
    said(stage, "bob", Confirm(revision=2))
    if change == "split":
        alice.say("split_stack", stackId=wheat, quantity=9)
    else:
        grant(stage, alice, wheat=1)
    whole = owned(stage, alice)
    said(stage, "alice", Confirm(revision=2))
    assert (standing(stage)["standing"], standing(stage)["why"]) == ("cancelled", "offer_changed")
    assert (owned(stage, alice), owned(stage, bob)) == (whole, {"gold": 100})


def test_strangers_hear_nothing_of_a_trade(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    trade = stage.actor(DEAL)
    assert trade.may_listen("deal", Caller("bob"))
    with refused("trade_unknown"):
        trade.may_listen("deal", Caller("eve"))


def test_when_one_cannot_deliver_the_other_gets_all_back(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, **BREAD)
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(items=BREAD)))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 60})))
    stage.send(bob.address, Debit(currency="gold", amount=90, reason="spent elsewhere"))
    reply = agreed(stage)
    assert reply["own"]["trade"] == {"standing": "cancelled", "why": "balance_too_low"}
    assert owned(stage, alice) == {"gold": 100, "wheat": 10}
    assert owned(stage, bob) == {"gold": 10}


def test_what_is_bound_to_its_player_stays(stage: Stage, alice: Person, bob: Person) -> None:
    bound = next(name for name, item in stage.content.items.items() if item.bound and not item.unique)
    grant(stage, alice, **{bound: 1})
    gift = said(stage, "alice", Give(to="bob", goods=Goods(items={bound: 1})))
    assert gift["settled"] == {
        "delivered": False,
        "reason": "item_bound",
        "trade": {"standing": "cancelled", "why": "item_bound"},
    }
    assert owned(stage, alice)[bound] == 1


def test_a_gift_goes_over_at_once(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, **BREAD)
    gift = said(stage, "alice", Give(to="bob", goods=Goods(items={"wheat": 3}, currencies={"gold": 5})))
    assert gift["settled"]["delivered"] is True
    assert owned(stage, bob) == {"gold": 105, "wheat": 3}
    assert owned(stage, alice) == {"gold": 95, "wheat": 7}


def fill(stage: Stage, person: Person) -> None:
    """The bag is full of unique items, and as many wait as may."""
    for _ in range(2):
        grant(stage, person, wooden_club=100)
    grant(stage, person, wooden_club=stage.content.character.bag_slots)
    assert len(player(stage, person).waiting) == limits.ITEMS_WAITING_MAX


def test_a_gift_that_finds_no_room_stays_with_its_giver(stage: Stage, alice: Person, bob: Person) -> None:
    fill(stage, bob)
    grant(stage, alice, **BREAD)
    with refused("bag_full", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(items={"wheat": 3}, currencies={"gold": 5})))
    assert owned(stage, alice) == {"gold": 100, "wheat": 10}
    said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 5})))
    assert owned(stage, bob)["gold"] == 105, "money takes no room"


def test_nobody_agrees_to_what_it_has_no_room_for(stage: Stage, alice: Person, bob: Person) -> None:
    fill(stage, bob)
    grant(stage, alice, **BREAD)
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(items={"wheat": 3})))
    said(stage, "bob", Offer(goods=Goods(items={"wooden_club": 1})))
    said(stage, "alice", Confirm(revision=2))
    with refused("bag_full", 409):
        said(stage, "bob", Confirm(revision=2))
    said(stage, "alice", Offer(goods=Goods(currencies={"gold": 3})))
    for who in ("alice", "bob"):
        said(stage, who, Confirm(revision=3))
    assert owned(stage, alice) == {"gold": 97, "wheat": 10, "wooden_club": 1}


def test_what_was_held_waits_however_full_the_bag_became_meanwhile(stage: Stage, alice: Person, bob: Person) -> None:
    fill(stage, bob)
    come = HandOver(trade="deal", held=Held(items={"wheat": 3}, currencies={"gold": 5}), by="alice", reason="gift")
    stage.send(bob.address, come)
    assert (owned(stage, bob)["wheat"], owned(stage, bob)["gold"]) == (3, 105)


def test_nobody_is_told_of_gifts_of_whom_it_has_blocked(stage: Stage, alice: Person, bob: Person) -> None:
    bob.say("block_player", player="alice")
    said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 5})))
    assert owned(stage, bob)["gold"] == 105
    assert bob.ask("inbox")["messages"] == []
    assert [message["template"] for message in alice.ask("inbox")["messages"]] == ["gift_completed"]


def test_only_the_two_know_of_a_trade(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    commands: list[Command[Any]] = [Offer(goods=Goods()), Confirm(revision=0), Cancel()]
    for command in commands:
        with refused("trade_unknown"):
            said(stage, "eve", command)
    with refused("trade_unknown"):
        standing(stage, "eve")


def test_a_key_is_good_for_one_trade_with_somebody_else_who_is_there(stage: Stage, alice: Person, bob: Person) -> None:
    with refused("trade_with_oneself"):
        said(stage, "alice", Open(partner="alice"))
    with refused("player_unknown"):
        said(stage, "alice", Open(partner="nobody"))
    said(stage, "alice", Open(partner="bob"))
    with refused("trade_taken"):
        said(stage, "bob", Open(partner="alice"))
    with refused("trade_taken"):
        said(stage, "bob", Give(to="alice", goods=Goods(items=BREAD)))
    with refused("offer_empty"):
        said(stage, "alice", Give(to="bob", goods=Goods()))


def test_a_player_that_cannot_be_asked_is_no_stranger(stage: Stage, alice: Person, bob: Person) -> None:
    stage.silent.add("player")
    for command in (Open(partner="bob"), Give(to="bob", goods=Goods(items=BREAD))):
        with refused("UNAVAILABLE"):
            said(stage, "alice", command)


def test_a_trade_that_takes_too_long_is_over(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    stage.wait(600)
    assert standing(stage)["why"] == "expired"
    with refused("trade_closed"):
        said(stage, "bob", Offer(goods=Goods(currencies={"gold": 1})))


def test_either_may_cancel_while_they_bargain(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    assert said(stage, "bob", Cancel()) == said(stage, "bob", Cancel()) == {"standing": "cancelled"}


def test_a_player_that_was_robbed_meanwhile_delivers_nothing(stage: Stage, alice: Person, bob: Person) -> None:
    grant(stage, alice, **BREAD)
    stage.send(alice.address, TakeItems(items={"wheat": 8}, reason="robbed"))
    gift = said(stage, "alice", Give(to="bob", goods=Goods(items=BREAD, currencies={"gold": 5})))
    assert gift["settled"]["reason"] == "items_missing"
    assert owned(stage, alice) == {"gold": 100, "wheat": 2}

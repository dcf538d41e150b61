"""What comes to a player whose wallet or bag is full: all of it waits until there is room, and nothing is lost."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.content.rewards import Rewards
from actors.player.handover import HandOver
from actors.player.inventory import GrantItems
from actors.player.rewards import GrantRewards
from actors.player.wallet import Credit, Debit, SurplusKept, WalletChanged
from actors.trade.bargain import Confirm, Give, Offer, Open
from actors.trade.goods import Goods, Held
from schemas import limits
from scripts.verify.items import Items
from scripts.verify.past import Past
from scripts.verify.recall import recalled
from scripts.verify.report import Report
from scripts.verify.wallets import Wallets
from tests.unit.guildhall import found, say
from tests.unit.quest_world import quest, world
from tests.unit.stage import Person, Stage
from tests.unit.test_player_actions import refused
from tests.unit.test_trade import fill, owned, player, said
from tests.unit.test_verify_items import Logged

FULL = limits.INTEGER_MAX


@pytest.fixture
def stage() -> Iterator[Logged]:
    stage = Logged()
    yield stage
    stage.check()
    assert verified(stage) == []


@pytest.fixture
def alice(stage: Stage) -> Person:
    return Person(stage, "alice")


@pytest.fixture
def bob(stage: Stage) -> Person:
    """Its wallet is full of gold."""
    bob = Person(stage, "bob")
    stage.send(bob.address, Credit(currency="gold", amount=FULL - 100, reason="test"))
    return bob


def spend(stage: Stage, who: Person, amount: int) -> None:
    stage.send(who.address, Debit(currency="gold", amount=amount, reason="test"))


def purse(who: Person) -> tuple[int, dict[str, int]]:
    """The gold in the wallet, and what waits beside it."""
    wallet = who.ask("wallet")
    return wallet["balances"]["gold"], wallet["surplus"]


def verified(stage: Logged) -> list[str]:
    """What the checks of wallets and items find, one actor after the other, as the journal is read."""
    report = Report()
    watchers = [Wallets(report), Items(report)]
    for actor in stage.actors:
        for address, part in stage.parts:
            past = Past(address, 1, 1, "op", stage.at, 1)
            past.parts = [part]
            for watcher in watchers:
                if address == actor and (not watcher.kinds or address.kind in watcher.kinds):
                    watcher.turn(past)
        for watcher in watchers:
            watcher.left(actor, stage.actors[actor], 1)
    for watcher in watchers:
        with pytest.raises(StopIteration):
            watcher.end(None).send(None)  # type: ignore[arg-type]
    return [finding.what for finding in report.findings]


def test_a_gift_of_money_that_finds_no_room_stays_with_its_giver(stage: Stage, alice: Person, bob: Person) -> None:
    with refused("balance_too_high", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 5})))
    assert owned(stage, alice)["gold"] == 100
    spend(stage, bob, 5)
    said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 5})))
    assert purse(bob) == (FULL, {})


def test_nobody_agrees_to_more_money_than_it_can_hold(stage: Stage, alice: Person, bob: Person) -> None:
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(currencies={"gold": 5})))
    said(stage, "alice", Confirm(revision=1))
    with refused("balance_too_high", 409):
        said(stage, "bob", Confirm(revision=1))
    assert owned(stage, alice)["gold"] == 100


def test_what_a_trade_hands_over_waits_however_full_the_wallet_became_meanwhile() -> None:
    stage = Stage()
    bob = Person(stage, "bob")
    stage.send(bob.address, Credit(currency="gold", amount=FULL - 100, reason="test"))
    stage.send(bob.address, HandOver(trade="t", held=Held(currencies={"gold": 60}), by="alice", reason="trade"))
    assert purse(bob) == (FULL, {"gold": 60})
    stage.check()


def test_what_waits_comes_in_as_room_is_made(stage: Stage, bob: Person) -> None:
    stage.send(bob.address, Credit(currency="gold", amount=60, reason="bank", owed=True))
    assert purse(bob) == (FULL, {"gold": 60})
    spend(stage, bob, 25)
    assert purse(bob) == (FULL, {"gold": 35})
    spend(stage, bob, 100)
    assert purse(bob) == (FULL - 65, {})
    assert [entry["reason"] for entry in bob.ask("wallet", limit=4)["ledger"]] == ["surplus", "test", "surplus", "test"]


def test_an_amount_fills_the_wallet_and_only_the_rest_waits(stage: Stage, bob: Person) -> None:
    spend(stage, bob, 20)
    reply = stage.send(bob.address, Credit(currency="gold", amount=50, reason="bank", owed=True))
    assert (reply, purse(bob)) == ({"balance": FULL}, (FULL, {"gold": 30}))
    stage.send(bob.address, Credit(currency="gold", amount=FULL, reason="bank", owed=True))
    assert purse(bob) == (FULL, {"gold": FULL + 30})


def test_a_withdrawal_from_the_bank_of_a_guild_is_not_lost_on_a_full_wallet(stage: Stage, alice: Person) -> None:
    stage.send(alice.address, Credit(currency="gold", amount=1_000, reason="test"))
    found(alice)
    say(alice, "deposit", currency="gold", amount=70)
    stage.send(alice.address, Credit(currency="gold", amount=FULL - purse(alice)[0], reason="test"))
    say(alice, "withdraw", currency="gold", amount=70)
    assert purse(alice) == (FULL, {"gold": 70})
    say(alice, "deposit", currency="gold", amount=10)
    assert purse(alice) == (FULL, {"gold": 60})


def test_a_reward_waits_however_full_the_bag_and_the_wallet_are(stage: Stage, alice: Person) -> None:
    fill(stage, alice)
    stage.send(alice.address, Credit(currency="gold", amount=FULL - 100, reason="test"))
    rewards = Rewards(currencies={"gold": 7}, experience=3, items={"wheat": 2, "iron_sword": 1})
    stage.send(alice.address, GrantRewards(rewards=rewards, reason="event:feast"))
    assert purse(alice) == (FULL, {"gold": 7})
    assert (owned(stage, alice)["wheat"], owned(stage, alice)["iron_sword"]) == (2, 1)
    assert player(stage, alice).experience == 3


def test_what_is_no_longer_part_of_the_game_is_kept_all_the_same(stage: Stage, alice: Person) -> None:
    rewards = Rewards(currencies={"shells": 7}, items={"relic": 2})
    stage.send(alice.address, GrantRewards(rewards=rewards, reason="event:feast"))
    assert (alice.ask("wallet")["balances"]["shells"], owned(stage, alice)["relic"]) == (7, 2)


def test_a_quest_for_items_is_not_begun_while_too_much_waits_for_room() -> None:
    stage = Logged()
    stage.content = world({"feast": quest(rewards={"items": {"wheat": 1}}), "song": quest()})
    alice = Person(stage, "alice")
    alice.say("start_quest", quest="feast")
    fill(stage, alice)
    alice.do("practice")
    assert owned(stage, alice)["wheat"] == 1, "what was begun before is rewarded"
    stage.content = world({"feast": quest(rewards={"items": {"wheat": 1}}, repeats="d"), "song": quest()}, resets=DAILY)
    stage.wait(86_400)
    with refused("bag_full", 409):
        alice.say("start_quest", quest="feast")
    alice.say("start_quest", quest="song")


DAILY: dict[str, Any] = {"d": {"at": "04:00"}}


def test_so_much_of_an_item_may_wait_that_no_number_holds_it(stage: Stage, alice: Person) -> None:
    stage.send(alice.address, GrantItems(items={"wooden_club": stage.content.character.bag_slots}, reason="test"))
    for _ in range(2):
        stage.send(alice.address, GrantItems(items={"wheat": FULL}, reason="test", owed=True))
    assert [lot.quantity for lot in player(stage, alice).waiting.values()] == [FULL, FULL]
    for club in list(player(stage, alice).bag)[:2]:
        alice.say("discard_items", stackId=club)
    stack = stage.content.items["wheat"].stack
    assert alice.say("claim_items")["items"] == {"wheat": 2 * stack}
    assert [lot.quantity for lot in player(stage, alice).waiting.values()] == [FULL - 2 * stack, FULL]


def test_content_gives_no_more_unique_items_at_once_than_can_come() -> None:
    with pytest.raises(ValueError, match="must hold 100 unique items at most, not 101"):
        world({"feast": quest(rewards={"items": {"iron_sword": 101}})})


def test_what_a_credit_said_is_known_from_its_events() -> None:
    came = WalletChanged(currency="gold", change=3, balance=FULL, reason="bank", at=1)
    kept = SurplusKept(currency="gold", amount=4, surplus=4, reason="bank", at=1)
    credit = Credit(currency="gold", amount=7, reason="bank", owed=True)
    assert recalled("player", "credit", [came, kept]) == credit
    assert recalled("player", "credit", [kept]) == credit.model_copy(update={"amount": 4})


def test_a_surplus_that_appears_or_vanishes_is_found(bob: Person, stage: Logged) -> None:
    stage.send(bob.address, Credit(currency="gold", amount=5, reason="bank", owed=True))
    [part] = [part for _, part in stage.parts if any(isinstance(event, SurplusKept) for event in part.events)]
    [right] = part.events
    assert isinstance(right, SurplusKept)
    part.events[:] = [right.model_copy(update={"surplus": 6})]
    assert any("that wait became 6 instead of 5" in what for what in verified(stage))
    part.events[:] = [right]

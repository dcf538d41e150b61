"""What somebody does unasked for: gifts of strangers leave most of a bag free, and nobody's inbox is flooded."""

from actors.core import SYSTEM, Address
from actors.player.handover import HandOver
from actors.trade.bargain import Cancel, Give, Open
from actors.trade.goods import Goods, Held
from tests.unit.stage import Person, Stage, starter_content
from tests.unit.test_player_actions import refused
from tests.unit.test_trade import grant, owned, player, said

SLOTS = starter_content().character.slots_for_strangers


def trade(number: int) -> Address:
    return Address("trade", f"t-{number}")


def befriend(one: Person, other: Person) -> None:
    one.say("request_friend", player=other.user)
    other.say("accept_friend", player=one.user)


def clubs(stage: Stage, who: Person, count: int) -> list[str]:
    """So many unique items in the bag, by id."""
    grant(stage, who, wooden_club=count)
    return [key for key, stack in player(stage, who).bag.items() if stack.item == "wooden_club"]


def test_strangers_fill_no_more_of_a_bag_than_the_content_allows(stage: Stage, alice: Person, bob: Person) -> None:
    clubs(stage, bob, SLOTS - 2)
    ids = clubs(stage, alice, 3)
    with refused("gift_unwelcome", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(ids=ids)), trade(0))
    said(stage, "alice", Give(to="bob", goods=Goods(ids=ids[:2])), trade(1))
    with refused("gift_unwelcome", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(ids=ids[2:])), trade(2))
    with refused("gift_unwelcome", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(items={"wheat": 1})), trade(3))
    assert owned(stage, alice)["wooden_club"] == 1
    said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 5})), trade(4))
    assert owned(stage, bob) == {"wooden_club": SLOTS, "gold": 105}


def test_what_goes_onto_a_stack_takes_no_room(stage: Stage, alice: Person, bob: Person) -> None:
    clubs(stage, bob, SLOTS - 1)
    grant(stage, bob, wheat=1)
    stack = stage.content.items["wheat"].stack
    grant(stage, alice, wheat=stack)
    with refused("gift_unwelcome", 409):
        said(stage, "alice", Give(to="bob", goods=Goods(items={"wheat": stack})), trade(1))
    said(stage, "alice", Give(to="bob", goods=Goods(items={"wheat": stack - 1})), trade(2))
    assert owned(stage, bob)["wheat"] == stack


def test_friends_may_fill_the_bag(stage: Stage, alice: Person, bob: Person) -> None:
    befriend(alice, bob)
    clubs(stage, bob, SLOTS)
    said(stage, "alice", Give(to="bob", goods=Goods(ids=clubs(stage, alice, 1))), trade(1))
    assert owned(stage, bob)["wooden_club"] == SLOTS + 1


def test_who_is_blocked_gives_no_things_and_is_told_no_more_than_a_stranger(
    stage: Stage, alice: Person, bob: Person
) -> None:
    bob.say("block_player", player="alice")
    [club] = clubs(stage, alice, 1)
    with refused("gift_unwelcome", 409) as blocked:
        said(stage, "alice", Give(to="bob", goods=Goods(ids=[club])), trade(1))
    clubs(stage, Person(stage, "carol"), SLOTS)
    with refused("gift_unwelcome", 409) as full:
        said(stage, "alice", Give(to="carol", goods=Goods(ids=[club])), trade(2))
    assert blocked.value.pack() == full.value.pack()


def test_of_gifts_that_were_under_way_together_the_rest_waits_beside_the_bag(stage: Stage, bob: Person) -> None:
    for number in range(SLOTS + 1):
        goods = Held(items={"wooden_club": 1})
        stage.send(bob.address, HandOver(trade=f"t-{number}", held=goods, by="alice", reason="gift"))
    assert (len(player(stage, bob).bag), len(player(stage, bob).waiting)) == (SLOTS, 1)
    stage.send(bob.address, HandOver(trade="t", held=Held(items={"wooden_club": 1}), by="alice", reason="trade"))
    assert len(player(stage, bob).bag) == SLOTS + 1, "a trade was agreed to"


def test_however_often_somebody_opens_trades_one_message_tells_of_the_latest(
    stage: Stage, alice: Person, bob: Person
) -> None:
    bob.say("notify", caller=SYSTEM, template="hello")
    for number in range(250):
        said(stage, "alice", Open(partner="bob"), trade(number))
        said(stage, "alice", Cancel(), trade(number))
    told = bob.ask("inbox")
    assert [(message["template"], message["data"].get("trade")) for message in told["messages"]] == [
        ("trade_opened", "t-249"),
        ("hello", None),
    ]
    bob.say("mark_read", ids=[told["messages"][0]["id"]])
    said(stage, "alice", Open(partner="bob"), trade(250))
    assert len(bob.ask("inbox")["messages"]) == 3


def test_each_who_opens_a_trade_is_told_of(stage: Stage, alice: Person, bob: Person) -> None:
    Person(stage, "carol")
    for number, who in enumerate(("alice", "carol")):
        said(stage, who, Open(partner="bob"), trade(number))
    assert [message["data"]["by"] for message in bob.ask("inbox")["messages"]] == ["carol", "alice"]


def test_a_trade_that_follows_at_once_is_not_pushed_and_a_later_one_is(
    stage: Stage, alice: Person, bob: Person
) -> None:
    pushed = []
    for number, pause_s in enumerate((0, 0, 1, 6)):
        stage.wait(pause_s)
        said(stage, "alice", Open(partner="bob"), trade(number))
        name, fields = stage.journal[bob.address][-1]
        assert name == "notified"
        pushed.append(not fields["quiet"])
    assert pushed == [True, False, False, True]


def test_however_many_gifts_somebody_sends_one_message_tells_of_the_latest(
    stage: Stage, alice: Person, bob: Person
) -> None:
    for number in range(3):
        said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 1})), trade(number))
    [message] = bob.ask("inbox")["messages"]
    assert (message["template"], message["data"]) == ("gift_completed", {"trade": "t-2"})

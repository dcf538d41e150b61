"""What `greenroom verify` says about items: nothing when each is in one place, and what is wrong when one is not."""

from typing import Any

import pytest

from actors.core import SYSTEM, Address, Caller, Command
from actors.player.handover import HandOver
from actors.player.state import Player
from actors.trade.bargain import Confirm, Give, Offer, Open
from actors.trade.delivery import Deliver
from actors.trade.goods import Goods, Held
from actors.trade.state import Trade
from scripts.verify.items import Items
from scripts.verify.past import Part, Past
from scripts.verify.report import Report
from scripts.verify.watcher import DEAD, OUT, Waiting
from tests.unit.stage import Person, Stage, catalog
from tests.unit.test_trade import DEAL, grant, player, said


class Logged(Stage):
    """A stage that keeps which command led to which events."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[Address, Part]] = []
        self.starts: list[tuple[Address, int]] = []

    def send(self, to: Address, command: Command[Any], caller: Caller = SYSTEM) -> dict[str, Any]:
        part, mine = Part("op", command.wire_name, []), len(self.starts)
        self.parts.append((to, part))
        self.starts.append((to, len(self.journal.get(to, ()))))
        reply = super().send(to, command, caller)
        # What it told others was played within it, and may have come back.
        start, *later = [start for of, start in self.starts[mine:] if of == to]
        kind = catalog().kind(to.kind)
        for name, fields in self.journal.get(to, [])[start : later[0] if later else None]:
            part.events.append(kind.events[name].model_validate(fields))
        return reply


def traded() -> tuple[Logged, Person, Person]:
    """Two players, after a trade of swords and wheat for gold."""
    stage = Logged()
    alice, bob = Person(stage, "alice"), Person(stage, "bob")
    grant(stage, alice, wheat=10, iron_sword=2)
    sword = next(key for key, stack in player(stage, alice).bag.items() if stack.unique)
    said(stage, "alice", Open(partner="bob"))
    said(stage, "alice", Offer(goods=Goods(items={"wheat": 4}, ids=[sword])))
    said(stage, "bob", Offer(goods=Goods(currencies={"gold": 60})))
    said(stage, "alice", Confirm(revision=2))
    said(stage, "bob", Confirm(revision=2))
    return stage, alice, bob


def judged(stage: Logged, waiting: list[Waiting] | None = None) -> Report:
    report = Report()
    watcher = Items(report)
    for message in waiting or []:
        watcher.waits(message)
    for address, part in stage.parts:
        past = Past(address, 1, 1, "op", stage.at, 1)
        past.parts = [part]
        watcher.turn(past)
    for address, actor in stage.actors.items():
        watcher.left(address, actor, 1)
    with pytest.raises(StopIteration):
        watcher.end(None).send(None)
    return report


def waits(command: Command[Any], where: str = OUT) -> Waiting:
    return Waiting("op", Address("player", "bob"), command.wire_name, command.model_dump(), where)


def test_a_world_that_has_traded_is_whole() -> None:
    stage, _, _ = traded()
    report = judged(stage)
    assert report.findings == []
    assert report.looked["K7"] == "2 unique items, and 65 things put up for trades"


def test_an_item_with_two_owners_is_found() -> None:
    stage, alice, bob = traded()
    [[key, stack]] = [pair for pair in player(stage, bob).bag.items() if pair[1].unique]
    player(stage, alice).bag[key] = stack
    [finding] = judged(stage).findings
    assert (finding.invariant, finding.actor) == ("K7", "player:bob")
    assert key in finding.what


def test_an_item_that_is_owned_and_under_way_is_found() -> None:
    stage, _, bob = traded()
    [[key, stack]] = [pair for pair in player(stage, bob).bag.items() if pair[1].unique]
    again = HandOver(trade="deal", held=Held(lots=[stack.lot(key)]), by="alice", reason="trade")
    told = [finding.what for finding in judged(stage, [waits(again)]).findings]
    assert any(key in what and OUT in what for what in told), told


def test_what_is_held_or_under_way_is_not_missed() -> None:
    stage, _, _ = traded()
    said(stage, "alice", Give(to="bob", goods=Goods(currencies={"gold": 7})), Address("trade", "gift"))
    # The hand-over is dead instead of played.
    number = max(index for index, (to, part) in enumerate(stage.parts) if part.name == "hand_over")
    stage.parts.pop(number)
    dead = HandOver(trade="gift", held=Held(currencies={"gold": 7}), by="alice", reason="gift")
    assert judged(stage, [waits(dead, DEAD)]).findings == []
    deliver = Deliver(by="alice", held=Held(currencies={"gold": 7}))
    assert judged(stage, [waits(deliver)]).findings == []
    [finding] = judged(stage).findings
    assert "67 gold were put up for trades; 60 arrived" in finding.what


def test_what_a_trade_holds_counts() -> None:
    stage, _, _ = traded()
    deal = stage.actor(DEAL)
    assert isinstance(deal, Trade)
    deal.held["bob"] = Held(currencies={"gold": 5})
    [finding] = judged(stage).findings
    assert "65 arrived" in finding.what
    assert isinstance(stage.actor(Address("player", "bob")), Player)

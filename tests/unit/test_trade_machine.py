"""Any number of trades among three players, with messages that are late: each thing is always in one place."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.core import SYSTEM, Address, Caller, Command, Tell, decide
from actors.player.state import Player
from actors.trade.bargain import Cancel, Confirm, Give, Offer, Open
from actors.trade.goods import Goods, Held
from actors.trade.state import Trade, trade_address
from schemas.problems import Refusal
from tests.unit.stage import Person, Stage
from tests.unit.test_trade import grant, holdings


class SlowMarket(RuleBasedStateMachine):
    """Three players, trades, and tells that are under way for any while, each sender's in any order with others'.

    Whatever has been delivered so far (and so wherever a process could die), each coin and each item is in one place.
    """

    PEOPLE = ("alice", "bob", "carol")

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.under_way: deque[tuple[Address, Command[Any]]] = deque()
        self.trades: list[Address] = []

    @initialize()
    def begin(self) -> None:
        for name in self.PEOPLE:
            person = Person(self.stage, name, name.title())
            grant(self.stage, person, wheat=20, iron_sword=2)
        self.swords = self._unique_ids()
        self.worth = self._everything()

    def _say(self, to: Address, command: Command[Any], caller: Caller) -> None:
        turn = self.stage._turn(to, caller)
        actor = self.stage.actor(to)
        try:
            if not command.creates and not actor.exists():
                return
            consult = command.consults(actor, turn)
            if consult is not None:
                self.stage._consult(turn, consult)
            outcome = decide(command, actor, turn)
        except Refusal:
            assert caller is not SYSTEM, f"{type(command).__name__} was refused on its way"
            return
        self.under_way.extend((effect.to, effect.command) for effect in outcome.others if isinstance(effect, Tell))

    @rule(who=st.sampled_from(PEOPLE), other=st.sampled_from(PEOPLE), gift=st.booleans(), data=st.data())
    def start(self, who: str, other: str, gift: bool, data: st.DataObject) -> None:
        key = trade_address(f"deal-{len(self.trades)}")
        goods = self._goods(who, data)
        self._say(key, Give(to=other, goods=goods) if gift else Open(partner=other), Caller(who))
        if self.stage.actor(key).exists():
            self.trades.append(key)

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def offer(self, who: str, data: st.DataObject) -> None:
        if self.trades:
            self._say(data.draw(st.sampled_from(self.trades)), Offer(goods=self._goods(who, data)), Caller(who))

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def confirm(self, who: str, data: st.DataObject) -> None:
        if self.trades:
            key = data.draw(st.sampled_from(self.trades))
            trade = self.stage.actor(key)
            assert isinstance(trade, Trade)
            self._say(key, Confirm(revision=trade.revision), Caller(who))

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def cancel(self, who: str, data: st.DataObject) -> None:
        if self.trades:
            self._say(data.draw(st.sampled_from(self.trades)), Cancel(), Caller(who))

    @rule(data=st.data(), count=st.integers(1, 6))
    def deliver(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.under_way))):
            self.under_way.rotate(-data.draw(st.integers(0, len(self.under_way) - 1)))
            to, command = self.under_way.popleft()
            self._say(to, command, SYSTEM)

    def _goods(self, who: str, data: st.DataObject) -> Goods:
        player = self.stage.actor(Address("player", who))
        assert isinstance(player, Player)
        ids = sorted(player.bag)
        return Goods(
            items=data.draw(st.dictionaries(st.just("wheat"), st.integers(1, 25))),
            ids=data.draw(st.lists(st.sampled_from(ids), max_size=2, unique=True)) if ids else [],
            currencies=data.draw(st.dictionaries(st.just("gold"), st.integers(1, 120))),
        )

    def _places(self) -> Iterator[tuple[Counter[str], list[str]]]:
        """What each place holds: how much of what, and which unique items."""
        for actor in self.stage.actors.values():
            if isinstance(actor, Player):
                uniques = [key for key, stack in actor.bag.items() if stack.unique]
                yield holdings(actor), [*uniques, *(key for key, lot in actor.waiting.items() if lot.history)]
            if isinstance(actor, Trade):
                yield from map(_contents, actor.held.values())
        for _, command in self.under_way:
            held = getattr(command, "held", None)
            if isinstance(held, Held):
                yield _contents(held)

    def _everything(self) -> Counter[str]:
        return sum((counts for counts, _ in self._places()), Counter())

    def _unique_ids(self) -> list[str]:
        return sorted(key for _, keys in self._places() for key in keys)

    @invariant()
    def everything_is_somewhere_once(self) -> None:
        if hasattr(self, "worth"):
            assert self._everything() == self.worth
            assert self._unique_ids() == self.swords

    def teardown(self) -> None:
        while self.under_way:
            self._say(*self.under_way.popleft(), SYSTEM)
        if hasattr(self, "worth"):
            self.everything_is_somewhere_once()
            for key in self.trades:
                trade = self.stage.actor(key)
                assert isinstance(trade, Trade)
                assert trade.standing != "settling"
                assert not trade.held


def _contents(held: Held) -> tuple[Counter[str], list[str]]:
    counts = Counter({**held.items})
    counts["gold"] += held.currencies.get("gold", 0)
    for lot in held.lots:
        counts[lot.item] += 1
    return counts, [lot.id for lot in held.lots]


TestSlowMarket = SlowMarket.TestCase
TestSlowMarket.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

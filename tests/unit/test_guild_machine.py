"""Guilds under any order of requests and messages: coins and items stay as many, and both sides agree in the end."""

from collections import Counter
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.core import SYSTEM, Address, Caller, Command, Consult, Turn
from actors.guild.answers import ReceiveDeposit
from actors.guild.state import Guild
from actors.guild.storing import ReceiveItems
from actors.player.inventory import GrantItems
from actors.player.state import Player
from actors.player.wallet import Credit
from schemas.problems import Refusal
from tests.unit.guildhall import check_sides, say
from tests.unit.stage import Person, Stage

PEOPLE = ["alice", "bob", "carol", "dave", "erin"]
KEYS = ["red-dragons", "blue-whales", "grey-wolves"]
NAMES = ["Red Dragons", "red dragons", "Blue Whales"]
ANSWERS = ["leave", "accept_invitation", "decline_invitation", "cancel_request"]
ORDERS = ["invite", "accept_request", "decline_request", "revoke_invitation", "kick"]
ORDERS += ["promote", "demote", "transfer_leadership"]
START = 300


class Post(Stage):
    """A stage on which messages wait until they are delivered, in any order; a copy of one is dropped, as hosts do.

    Between a consult and its decision, messages to others are delivered: what the player said may be out of date.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, tuple[Address, Command[Any]]] = {}
        self.meanwhile: list[int] = []
        """Which messages are delivered during the next consult, counted from the oldest."""
        self._sent = 0
        self._busy = False

    def send(self, to: Address, command: Command[Any], caller: Caller = SYSTEM) -> dict[str, Any]:
        if self._busy:
            self._sent += 1
            self.waiting[self._sent] = (to, command)
            return {}
        self._busy = True
        try:
            return super().send(to, command, caller)
        finally:
            self._busy = False

    def deliver(self, number: int) -> None:
        """Deliver the message with this number, if it was not delivered before. It must not be refused."""
        if number in self.waiting:
            self.send(*self.waiting.pop(number))

    def deliver_all(self) -> None:
        while self.waiting:
            self.deliver(next(iter(self.waiting)))

    def _consult(self, turn: Turn, consult: Consult) -> None:
        super()._consult(turn, consult)
        self._busy = False
        others = [number for number, (to, _) in self.waiting.items() if to.key != turn.key]
        for index in self.meanwhile:
            if index < len(others):
                self.deliver(others[index])
        self._busy = True


class Guilds(RuleBasedStateMachine):
    """Five players, three guilds, and names that look like each other."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Post()
        self.people = {name: Person(self.stage, name) for name in PEOPLE}
        for person in self.people.values():
            person.say("credit", caller=SYSTEM, currency="gold", amount=START - 100, reason="test")
            person.say("grant_items", caller=SYSTEM, items={"oak_log": 60}, reason="test")
        self.settle()
        self.request("alice", KEYS[0], "create", name=NAMES[0])
        self.request("bob", KEYS[1], "create", name=NAMES[2])
        self.settle()
        self.request("carol", KEYS[0], "join")
        self.settle()

    who = st.sampled_from(PEOPLE)
    where = st.sampled_from(KEYS)
    meanwhile = st.lists(st.integers(0, 5), max_size=2)

    def request(self, who: str, where: str, command: str, **fields: Any) -> None:
        """Ask the guild; `the leader` is whoever leads it, if somebody does."""
        guild = self.stage.actor(Address("guild", where))
        if isinstance(guild, Guild) and who == "the leader":
            who = guild.leader or PEOPLE[0]
        with suppress(Refusal):
            say(self.people[who], command, where, **fields)

    @rule(who=who, where=where, name=st.sampled_from(NAMES), is_open=st.booleans(), meanwhile=meanwhile)
    def create(self, who: str, where: str, name: str, is_open: bool, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request(who, where, "create", name=name, open=is_open)

    @rule(who=who, where=where, other=where, meanwhile=meanwhile)
    def join_two(self, who: str, where: str, other: str, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request(who, where, "join")
        self.request(who, other, "join")

    @rule(who=who, where=where, command=st.sampled_from(ANSWERS), meanwhile=meanwhile)
    def answer(self, who: str, where: str, command: str, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request(who, where, command)

    @rule(
        who=st.sampled_from(["the leader", "the leader", "the leader", *PEOPLE]),
        where=where,
        other=who,
        command=st.sampled_from(ORDERS),
        meanwhile=meanwhile,
    )
    def order(self, who: str, where: str, other: str, command: str, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request(who, where, command, player=other)

    @rule(where=where)
    def disband(self, where: str) -> None:
        self.request("the leader", where, "disband")

    @rule(who=st.sampled_from(["the leader", *PEOPLE]), where=where, amount=st.integers(1, 150), meanwhile=meanwhile)
    def deposit(self, who: str, where: str, amount: int, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request(who, where, "deposit", currency="gold", amount=amount)

    @rule(where=where, amount=st.integers(1, 150))
    def withdraw(self, where: str, amount: int) -> None:
        self.request("the leader", where, "withdraw", currency="gold", amount=amount)

    @rule(where=where, count=st.integers(1, 60), into=st.booleans(), meanwhile=meanwhile)
    def move_items(self, where: str, count: int, into: bool, meanwhile: list[int]) -> None:
        self.stage.meanwhile = meanwhile
        self.request("the leader", where, "store_items" if into else "take_out_items", items={"oak_log": count})

    @rule(which=st.integers(0, 20), again=st.booleans())
    def deliver(self, which: int, again: bool) -> None:
        numbers = list(self.stage.waiting)
        if numbers:
            number = numbers[which % len(numbers)]
            self.stage.deliver(number)
            if again:
                self.stage.deliver(number)

    @rule()
    def settle(self) -> None:
        self.stage.deliver_all()

    @rule(seconds=st.sampled_from([1, 3_600, 7 * 86_400]))
    def wait(self, seconds: int) -> None:
        self.stage.wait(seconds)

    @invariant()
    def nothing_comes_or_goes(self) -> None:
        gold: Counter[str] = Counter()
        logs = 0
        for actor in self.stage.actors.values():
            if isinstance(actor, Player):
                gold["wallets"] += actor.wallet["gold"]
                logs += sum(stack.quantity for stack in actor.bag.values())
                logs += sum(lot.quantity for lot in actor.waiting.values())
            if isinstance(actor, Guild):
                gold["banks"] += actor.bank.get("gold", 0)
                logs += sum(stored.quantity for stored in actor.storage.values())
                assert min(actor.bank.values(), default=0) >= 0
        for _, command in self.stage.waiting.values():
            if isinstance(command, Credit | ReceiveDeposit):
                gold["messages"] += command.amount
            if isinstance(command, ReceiveItems | GrantItems):
                logs += sum(command.items.values())
        paid = [event for events in self.stage.journal.values() for event in events if event[0] == "founding_paid"]
        gold["foundings"] = sum(fields["cost"]["gold"] for _, fields in paid)
        assert gold.total() == START * len(PEOPLE), gold
        assert logs == 60 * len(PEOPLE)

    @invariant()
    def one_leads_and_names_differ(self) -> None:
        standing = []
        for actor in self.stage.actors.values():
            if isinstance(actor, Guild) and actor.exists():
                assert [member.role for member in actor.members.values()].count("leader") == 1
                standing.append(actor.name.casefold())
        assert len(standing) == len(set(standing))

    def teardown(self) -> None:
        self.settle()
        self.nothing_comes_or_goes()
        check_sides(self.stage)
        self.stage.check()


TestGuilds = Guilds.TestCase
TestGuilds.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)

"""What `greenroom verify` says about guilds: nothing when all is well, and what is wrong when something is."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.core import SYSTEM, Address, Caller, Command, Event
from actors.guild.state import Guild
from actors.player.state import Membership, Player
from scripts.verify.guild_messages import RECALLED
from scripts.verify.guilds import Guilds
from scripts.verify.past import Past
from scripts.verify.recall import recalled
from scripts.verify.report import Report
from scripts.verify.watcher import OUT, Waiting
from tests.unit.guildhall import found, guild_of, say
from tests.unit.stage import Person, Stage, catalog
from tests.unit.test_guild_bank import GUILD, deposit, order
from tests.unit.test_guild_machine import Post


class Told(Stage):
    """A stage that keeps each command that was told, and the first event it led to."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Address, Command[Any], Event[Any]]] = []

    def send(self, to: Address, command: Command[Any], caller: Caller = SYSTEM) -> dict[str, Any]:
        before = len(self.journal.get(to, ()))
        reply = super().send(to, command, caller)
        led_to = self.journal.get(to, [])[before:]
        if led_to:
            name, fields = led_to[0]
            self.told.append((to, command, catalog().kind(to.kind).events[name].model_validate(fields)))
        return reply


def live(stage: Stage) -> tuple[Person, Person]:
    """Some life of a guild, in which most of what guilds and players tell each other is told."""
    alice, bob, carol = Person(stage, "alice"), Person(stage, "bob"), Person(stage, "carol")
    alice.say("credit", caller=SYSTEM, currency="gold", amount=100, reason="test")
    alice.say("grant_items", caller=SYSTEM, items={"oak_log": 9, "wooden_club": 1}, reason="test")
    found(alice)
    found(carol, "whales")
    say(bob, "join")
    say(alice, "describe", open=False)
    say(carol, "disband", "whales")
    say(alice, "invite", player="carol")
    say(carol, "accept_invitation")
    say(carol, "leave")
    say(alice, "invite", player="carol")
    say(carol, "decline_invitation")
    deposit(bob, 60)
    say(alice, "withdraw", currency="gold", amount=20)
    say(alice, "store_items", items={"oak_log": 4})
    bob.award(50)
    order(stage, "claim_territory", territory="old_mill")
    order(stage, "contest_territory", territory="old_mill", by="whales")
    order(stage, "contest_territory", territory="old_mill")
    stage.wait(90_000)
    order(stage, "lose_territory", territory="old_mill")
    return alice, bob


def test_what_was_told_is_recalled_from_what_it_led_to() -> None:
    stage = Told()
    live(stage)
    names = set()
    for to, command, event in stage.told:
        key = (to.kind, command.wire_name)
        if key in RECALLED:
            names.add(key)
            again = recalled(to.kind, command.wire_name, [event])
            assert again is not None, key
            assert again.model_dump() == command.model_dump(), key
    assert len(names) > len(RECALLED) * 2 // 3


def judged(stage: Stage, waiting: list[Waiting] | None = None) -> Report:
    """The verdict on the stage, as if it were read from a database."""
    report = Report()
    watcher = Guilds(report)
    for message in waiting or []:
        watcher.waits(message)
    for address in sorted(stage.actors):
        if address.kind not in watcher.kinds:
            continue
        kind = catalog().kind(address.kind)
        for number, (name, fields) in enumerate(stage.journal.get(address, []), 1):
            past = Past(address, number, 1, f"op{number}", stage.at, 1)
            past.events = [kind.events[name].model_validate(fields)]
            watcher.turn(past)
        watcher.left(address, stage.actors[address], len(stage.journal.get(address, [])))
    with pytest.raises(StopIteration):
        watcher.end(None).send(None)
    return report


def test_a_world_that_is_whole_gives_no_finding() -> None:
    stage = Stage()
    live(stage)
    report = judged(stage)
    assert report.findings == []
    assert "2 players" in report.looked["K15"]


def test_messages_under_way_are_accounted_for() -> None:
    """At any moment, whatever has been delivered."""
    stage = Post()
    alice, bob = Person(stage, "alice"), Person(stage, "bob")
    steps: list[Callable[[], object]] = [
        lambda: found(alice),
        lambda: say(bob, "join"),
        lambda: deposit(bob, 60),
        lambda: say(alice, "kick", player="bob"),
        lambda: say(bob, "join"),
        lambda: say(alice, "disband"),
    ]
    for step in steps:
        step()
        while True:
            under_way = [
                Waiting(str(number), to, command.wire_name, command.model_dump(), OUT)
                for number, (to, command) in stage.waiting.items()
            ]
            assert judged(stage, under_way).findings == []
            if not stage.waiting:
                break
            stage.deliver(next(iter(stage.waiting)))


def player(stage: Stage, name: str) -> Player:
    actor = stage.actor(Address("player", name))
    assert isinstance(actor, Player)
    return actor


def forgets(stage: Stage) -> None:
    player(stage, "bob").guild = None


def pretends(stage: Stage) -> None:
    player(stage, "carol").guild = Membership("red-dragons", "Red Dragons", "forged", 0)


def takes_the_place_of_another(stage: Stage) -> None:
    player(stage, "carol").guild = player(stage, "bob").guild


def has_two_leaders(stage: Stage) -> None:
    guild_of(stage).members["bob"].role = "leader"


def has_more_in_the_bank(stage: Stage) -> None:
    guild_of(stage).bank["gold"] += 1


def lost_a_deposit(stage: Stage) -> None:
    stage.journal[GUILD] = [event for event in stage.journal[GUILD] if event[0] != "deposited"]


def wrote_another_balance(stage: Stage) -> None:
    next(fields for name, fields in stage.journal[GUILD] if name == "withdrawn")["balance"] += 1


@pytest.mark.parametrize(
    ("corrupt", "invariant"),
    [
        (forgets, "K15"),
        (pretends, "K15"),
        (takes_the_place_of_another, "K15"),
        (has_two_leaders, "K15"),
        (has_more_in_the_bank, "K6"),
        (lost_a_deposit, "K6"),
        (wrote_another_balance, "K6"),
    ],
)
def test_what_is_wrong_is_found(corrupt: Callable[[Stage], None], invariant: str) -> None:
    stage = Stage()
    live(stage)
    corrupt(stage)
    assert invariant in {finding.invariant for finding in judged(stage).findings}


def test_a_guild_stays_within_its_bounds() -> None:
    from scripts.verify.guilds import of_guild

    stage = Stage()
    live(stage)
    guild = stage.actor(GUILD)
    assert isinstance(guild, Guild)
    assert all(count <= most for _, count, most in of_guild(guild))

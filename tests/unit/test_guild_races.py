"""Guilds and players that act at the same moment: messages cross, and both sides agree once all have arrived."""

from collections.abc import Iterator

import pytest

from actors.core import SYSTEM
from tests.unit.guildhall import check_sides, directory_of, gold, guild_of, roles, say
from tests.unit.stage import Person
from tests.unit.test_guild_machine import Post


@pytest.fixture
def stage() -> Iterator[Post]:
    stage = Post()
    yield stage
    stage.deliver_all()
    stage.check()
    check_sides(stage)


def person(stage: Post, name: str) -> Person:
    """A player with 200 gold, when nothing is under way."""
    made = Person(stage, name)
    made.say("credit", caller=SYSTEM, currency="gold", amount=100, reason="test")
    stage.deliver_all()
    return made


def founded(stage: Post, leader: Person, key: str, *, is_open: bool = True) -> None:
    say(leader, "create", key, name=key.replace("-", " "), open=is_open)
    stage.deliver_all()


def test_two_guilds_that_claim_a_name_at_once_share_nothing(stage: Post) -> None:
    alice, bob = person(stage, "alice"), person(stage, "bob")
    say(alice, "create", "reds", name="Red Dragons")
    say(bob, "create", "other-reds", name="red dragons")
    stage.deliver_all()
    assert [guild_of(stage, key).exists() for key in ("reds", "other-reds")] == [True, False]
    assert (gold(alice), gold(bob)) == (100, 200)
    say(bob, "create", "other-reds", name="Blue Dragons")
    stage.deliver_all()
    assert roles(stage, "other-reds") == {"bob": "leader"}


def test_who_founds_two_guilds_at_once_has_one_and_pays_once(stage: Post) -> None:
    alice = person(stage, "alice")
    say(alice, "create", "reds", name="Reds")
    say(alice, "create", "blues", name="Blues")
    stage.deliver_all()
    assert [guild_of(stage, key).exists() for key in ("reds", "blues")] == [True, False]
    assert gold(alice) == 100
    assert len(directory_of(stage).shelf) == 1


def test_who_cannot_pay_any_more_founds_nothing_and_the_name_is_free(stage: Post) -> None:
    alice = person(stage, "alice")
    say(alice, "create", "reds", name="Reds")
    alice.say("debit", caller=SYSTEM, currency="gold", amount=101, reason="test")
    stage.deliver_all()
    assert not guild_of(stage, "reds").exists()
    assert (gold(alice), len(directory_of(stage).shelf)) == (99, 0)


def test_who_joins_two_guilds_at_once_is_in_the_first(stage: Post) -> None:
    alice, bob, carol = person(stage, "alice"), person(stage, "bob"), person(stage, "carol")
    founded(stage, alice, "reds")
    founded(stage, bob, "blues")
    say(carol, "join", "reds")
    say(carol, "join", "blues")
    assert carol.user in guild_of(stage, "blues").entering
    stage.deliver_all()
    assert (sorted(roles(stage, "reds")), sorted(roles(stage, "blues"))) == (["alice", "carol"], ["bob"])
    assert guild_of(stage, "blues").entering == {}


def test_who_founds_while_joining_does_one_of_both(stage: Post) -> None:
    alice, bob = person(stage, "alice"), person(stage, "bob")
    founded(stage, alice, "reds")
    say(bob, "create", "blues", name="Blues")
    say(bob, "join", "reds")
    stage.deliver_all()
    assert ("bob" in roles(stage, "reds")) != guild_of(stage, "blues").exists()


def test_who_enters_a_guild_that_is_disbanded_is_free_again(stage: Post) -> None:
    alice, bob = person(stage, "alice"), person(stage, "bob")
    founded(stage, alice, "reds")
    say(bob, "join", "reds")
    say(alice, "disband", "reds")
    stage.deliver_all()
    assert bob.ask("own_guild")["guild"] is None


def test_a_payment_under_way_to_a_guild_that_is_disbanded_comes_back(stage: Post) -> None:
    alice, bob = person(stage, "alice"), person(stage, "bob")
    founded(stage, alice, "reds")
    say(bob, "join", "reds")
    stage.deliver_all()
    say(bob, "deposit", "reds", currency="gold", amount=60)
    say(alice, "disband", "reds")
    stage.deliver_all()
    assert (gold(alice), gold(bob)) == (100, 200)


def test_two_requests_for_the_last_place_fill_it_once(stage: Post) -> None:
    """The place is kept from the moment somebody is let in."""
    alice = person(stage, "alice")
    founded(stage, alice, "reds")
    for number in range(98):
        say(person(stage, f"p{number}"), "join", "reds")
    stage.deliver_all()
    last, late = person(stage, "last"), person(stage, "late")
    say(last, "join", "reds")
    with pytest.raises(Exception, match="guild_full"):
        say(late, "join", "reds")


def test_a_player_who_is_kicked_while_leaving_has_left_once(stage: Post) -> None:
    alice, bob = person(stage, "alice"), person(stage, "bob")
    founded(stage, alice, "reds")
    say(bob, "join", "reds")
    stage.deliver_all()
    say(alice, "kick", "reds", player="bob")
    with pytest.raises(Exception, match="not_a_member"):
        say(bob, "leave", "reds")
    stage.deliver_all()
    say(bob, "join", "reds")
    stage.deliver_all()
    assert "bob" in roles(stage, "reds")

"""Guilds: founding, ranks, leaving, the end, and how they are found."""

from typing import Any

import pytest

from actors.core import SYSTEM, Address, Caller, admit
from actors.guild.directory import ListGuild, Search, directory_address
from actors.guild.members import AppointLeader
from actors.player.wallet import Credit
from schemas.problems import Refusal
from tests.unit.guildhall import ask, directory_of, found, gold, guild_of, roles, say, search, told
from tests.unit.stage import Person, Stage, catalog
from tests.unit.test_player_actions import refused

pytestmark = pytest.mark.usefixtures("both_sides")


# -- founding ---------------------------------------------------------------------------------------------------------


def test_the_founder_pays_and_leads(stage: Stage, alice: Person) -> None:
    told = found(alice, description="We breathe fire.")
    assert told["claim"]["founding"]["payment"] == {"paid": True, "guild": {"standing": "standing"}}
    assert gold(alice) == 0
    assert roles(stage) == {"alice": "leader"}
    assert alice.ask("own_guild")["guild"]["guild"] == "red-dragons"
    profile = ask(alice, "profile")
    assert (profile["name"], profile["leader"], profile["members"]) == ("Red Dragons", "alice", 1)
    assert search(stage, name="drag") == ["red-dragons"]


def test_who_cannot_pay_founds_nothing(stage: Stage, alice: Person) -> None:
    found(alice)
    bob = Person(stage, "bob")
    bob.say("debit", caller=SYSTEM, currency="gold", amount=1, reason="test")
    with refused("balance_too_low", 409):
        found(bob, "blue-dragons")
    with refused("already_in_guild", 409):
        found(alice, "blue-dragons")
    assert search(stage) == ["red-dragons"]


@pytest.mark.parametrize("key", ["Red", "ab", "-red", "red-", "red--dragons", "red dragons", "röd", "x" * 33])
def test_the_key_is_a_slug(alice: Person, key: str) -> None:
    with refused("INVALID", 400):
        found(alice, key, "Red Dragons")


@pytest.mark.parametrize(
    "name", ["ab", "x" * 33, " red", "red ", "red  dragons", "red\ndragons", "red<b>", "red\u034fdragons"]
)
def test_a_name_is_well_formed(alice: Person, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        found(alice, name=name)


@pytest.mark.parametrize("name", ["red dragons", "RED-DRAGONS", "RedDragons", "Red Dr\u0430gons", "Red Drag\u03bfns"])
def test_a_name_that_looks_like_another_is_taken(stage: Stage, alice: Person, bob: Person, name: str) -> None:
    found(alice)
    with refused("guild_name_taken", 409):
        found(bob, "others", name)
    with refused("guild_key_taken", 409):
        found(bob, "red-dragons", "Something Else")
    assert gold(bob) == 100


def test_a_name_that_is_claimed_meanwhile_ends_the_founding_and_costs_nothing(
    stage: Stage, alice: Person, bob: Person
) -> None:
    """The directory does not answer when it is asked first, so that the claim itself must decide."""
    found(alice)
    stage.silent.add("guild_directory")
    answer = found(bob, "others", "Red Dragons")
    assert answer["claim"]["founding"] == {"standing": "failed", "reason": "guild_name_taken"}
    assert (gold(bob), guild_of(stage, "others").exists()) == (100, False)
    stage.silent.clear()
    found(bob, "others", "Others")
    assert sorted(search(stage)) == ["others", "red-dragons"]


def test_a_founder_who_is_not_heard_founds_nothing(stage: Stage, alice: Person) -> None:
    stage.silent.add("player")
    with refused("UNAVAILABLE", 503):
        found(alice)


def test_a_guild_that_never_was_is_unknown(alice: Person) -> None:
    with refused("guild_unknown", 404):
        say(alice, "join")


# -- ranks ------------------------------------------------------------------------------------------------------------


def test_members_do_what_their_role_allows(stage: Stage, alice: Person, bob: Person, carol: Person) -> None:
    found(alice)
    say(bob, "join")
    say(carol, "join")
    outsider = Person(stage, "dave")
    for command, fields in (
        ("invite", {"player": "dave"}),
        ("kick", {"player": "carol"}),
        ("promote", {"player": "carol"}),
        ("withdraw", {"currency": "gold", "amount": 1}),
        ("describe", {"open": False}),
        ("disband", {}),
        ("transfer_leadership", {"player": "carol"}),
    ):
        with refused("role_too_low", 403):
            say(bob, command, **fields)
        with refused("not_a_member", 403):
            say(outsider, command, **fields)
    say(alice, "promote", player="bob")
    say(bob, "kick", player="carol")
    with refused("role_too_low", 403):
        say(bob, "kick", player="alice")
    with refused("role_too_low", 403):
        say(bob, "promote", player="bob")
    assert "guild_kicked" in told(carol)
    assert "guild_role" in told(bob)


def test_ranks_rise_and_fall(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice)
    say(bob, "join")
    assert say(alice, "promote", player="bob") == say(alice, "promote", player="bob") == {"role": "officer"}
    assert say(alice, "demote", player="bob") == say(alice, "demote", player="bob") == {"role": "member"}
    with refused("leader_cannot_step_down", 409):
        say(alice, "demote", player="alice")
    with refused("member_unknown", 404):
        say(alice, "promote", player="nobody")


def test_a_guild_has_so_many_officers(stage: Stage, alice: Person) -> None:
    found(alice)
    for number in range(6):
        say(Person(stage, f"p{number}"), "join")
    for number in range(5):
        say(alice, "promote", player=f"p{number}")
    with refused("officers_too_many", 409):
        say(alice, "promote", player="p5")


def test_a_leader_hands_over_before_leaving(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice)
    say(bob, "join")
    with refused("leader_cannot_leave", 409):
        say(alice, "leave")
    say(alice, "transfer_leadership", player="bob")
    assert roles(stage) == {"alice": "officer", "bob": "leader"}
    say(alice, "leave")
    assert alice.ask("own_guild")["guild"] is None
    say(alice, "join")
    assert roles(stage) == {"alice": "member", "bob": "leader"}


def test_a_moderator_appoints_a_leader_for_a_guild_whose_own_is_gone(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice)
    say(bob, "join")
    with pytest.raises(Refusal, match="FORBIDDEN"):
        admit(AppointLeader, "red-dragons", Caller("bob"))
    assert admit(AppointLeader, "red-dragons", Caller("m", ("moderator",))) == "moderator"
    stage.send(Address("guild", "red-dragons"), AppointLeader(player="bob", reason="gone"), Caller("m"))
    assert roles(stage) == {"alice": "officer", "bob": "leader"}


# -- the end ----------------------------------------------------------------------------------------------------------


def test_disbanding_pays_the_bank_to_the_leader_and_lets_everyone_go(
    stage: Stage, alice: Person, bob: Person, carol: Person
) -> None:
    found(alice, open=False)
    say(alice, "invite", player="bob")
    say(bob, "accept_invitation")
    say(bob, "deposit", currency="gold", amount=70)
    say(alice, "invite", player="carol")
    say(alice, "disband")
    assert (gold(alice), gold(bob)) == (70, 30)
    assert told(bob)[0] == "guild_disbanded"
    assert carol.ask("own_guild")["invitations"] == []
    assert search(stage) == []
    assert not stage.reminders
    for command in ("join", "leave", "disband"):
        with refused("guild_unknown", 404):
            say(bob, command)
    with refused("guild_key_taken", 409):
        found(alice)
    stage.send(alice.address, Credit(currency="gold", amount=100, reason="test"))
    found(alice, "dragons-again", "Red Dragons")


# -- who may listen ---------------------------------------------------------------------------------------------------


def test_only_members_listen_and_who_leaves_hears_no_more(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice)
    guild = guild_of(stage)
    assert guild.may_listen("red-dragons", Caller("alice"))
    assert not guild.may_listen("red-dragons", Caller("bob"))
    say(bob, "join")
    say(alice, "kick", player="bob")
    events = [catalog().kind("guild").events[name].model_validate(fields) for name, fields in _journal(stage)]
    assert [event.push()["departed"] for event in events if "departed" in event.push()] == [{"bob": "kicked"}]
    with refused("not_a_member", 403):
        ask(bob, "bank")


def _journal(stage: Stage) -> list[Any]:
    return stage.journal[Address("guild", "red-dragons")]


# -- search -----------------------------------------------------------------------------------------------------------


def test_guilds_are_found_by_name_level_and_openness_page_by_page(stage: Stage) -> None:
    for number, (key, name, is_open) in enumerate(
        [
            ("red-dragons", "Red Dragons", True),
            ("dragon-slayers", "Dragon Slayers", False),
            ("the-reds", "The Red & The Blue", True),
            ("blues", "Blue Dragons", True),
        ]
    ):
        found(Person(stage, f"p{number}"), key, name, open=is_open)
    assert set(search(stage, name="dragon")) == {"red-dragons", "dragon-slayers", "blues"}
    assert set(search(stage, name="DRAGON", open=True)) == {"red-dragons", "blues"}
    assert search(stage, name="the red") == ["the-reds"]
    assert set(search(stage, name="red")) == {"red-dragons", "the-reds"}
    assert search(stage, name="agons") == []
    assert search(stage, levelMin=2) == []
    assert len(search(stage)) == 4
    for name in ("", "dragon", "the"):
        pages, after = [], None
        while True:
            page = stage.query(directory_address(), Search(name=name, limit=1, after=after))
            pages += [row["guild"] for row in page["guilds"]]
            after = page["next"]
            if after is None:
                break
        assert pages == search(stage, name=name)
        assert len(set(pages)) == len(pages)


def test_what_a_guild_said_earlier_and_comes_later_no_longer_counts(stage: Stage, alice: Person) -> None:
    found(alice)
    founding = guild_of(stage).founding
    for founded, level, revision in ((founding, 3, 9), (founding, 2, 8), ("another", 4, 10)):
        listing = ListGuild(
            guild="red-dragons",
            founding=founded,
            name="Red Dragons",
            level=level,
            open=True,
            members=7,
            revision=revision,
        )
        stage.send(directory_address(), listing)
    shown = directory_of(stage).shelf.get("red-dragons")
    assert shown is not None
    assert shown.level == 3

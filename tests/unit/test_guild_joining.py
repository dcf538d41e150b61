"""How players come to guilds: open doors, requests, and invitations."""

import pytest

from actors.guild.directory import Search, directory_address
from schemas import limits
from tests.unit.guildhall import ask, found, guild_of, roles, say, told
from tests.unit.stage import Person, Stage
from tests.unit.test_player_actions import refused

DAY_S = 86_400

pytestmark = pytest.mark.usefixtures("both_sides")


def test_anyone_joins_an_open_guild(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice)
    answer = say(bob, "join")
    assert answer["membership"] == {"entered": True, "guild": {"entered": True, "members": 2}}
    assert say(bob, "join") == {"status": "member"}
    assert roles(stage) == {"alice": "leader", "bob": "member"}
    assert [row["members"] for row in stage.query(directory_address(), Search())["guilds"]] == [2]


def test_a_player_belongs_to_one_guild_at_a_time(stage: Stage, alice: Person, bob: Person, carol: Person) -> None:
    found(alice)
    found(bob, "blue-whales")
    say(carol, "join")
    with refused("already_in_guild", 409):
        say(carol, "join", "blue-whales")
    with refused("already_in_guild", 409):
        say(bob, "invite", "blue-whales", player="carol")


def test_a_full_guild_refuses_newcomers(stage: Stage, alice: Person) -> None:
    found(alice)
    for number in range(99):
        say(Person(stage, f"player{number}"), "join")
    late = Person(stage, "late")
    with refused("guild_full", 409):
        say(late, "join")
    with refused("guild_full", 409):
        say(alice, "invite", player="late")
    say(alice, "kick", player="player5")
    say(late, "join")
    assert len(guild_of(stage).members) == 100


def test_joining_a_closed_guild_makes_a_request_and_tells_its_officers(
    stage: Stage, alice: Person, bob: Person, carol: Person
) -> None:
    """S4"""
    found(alice)
    say(carol, "join")
    say(alice, "promote", player="carol")
    say(alice, "describe", open=False)
    answer = say(bob, "join")
    assert answer["status"] == "requested"
    assert say(bob, "join") == answer
    assert told(alice)[0] == told(carol)[0] == "guild_join_request"
    assert [row["userId"] for row in ask(carol, "candidates")["requests"]] == ["bob"]
    say(carol, "accept_request", player="bob")
    assert roles(stage)["bob"] == "member"
    assert say(carol, "accept_request", player="bob") == {"status": "member"}
    assert ask(carol, "candidates")["requests"] == []


def test_a_request_is_declined_cancelled_or_expires(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice, open=False)
    say(bob, "join")
    say(alice, "decline_request", player="bob")
    assert told(bob) == ["guild_request_declined"]
    say(bob, "join")
    say(bob, "cancel_request")
    with refused("request_unknown", 404):
        say(alice, "accept_request", player="bob")
    say(bob, "join")
    stage.wait(7 * DAY_S)
    assert guild_of(stage).requests == {}
    assert say(bob, "join")["status"] == "requested"


def test_two_officers_who_invite_at_once_make_one_invitation(
    stage: Stage, alice: Person, bob: Person, carol: Person
) -> None:
    found(alice)
    say(carol, "join")
    say(alice, "promote", player="carol")
    first = say(alice, "invite", player="bob")
    assert say(carol, "invite", player="bob") == first
    assert told(bob) == ["guild_invitation"]
    [invitation] = bob.ask("own_guild")["invitations"]
    assert (invitation["guild"], invitation["by"]) == ("red-dragons", "Alice")
    say(alice, "describe", open=False)
    say(bob, "accept_invitation")
    assert say(bob, "accept_invitation") == {"status": "member"}
    assert roles(stage)["bob"] == "member"
    assert bob.ask("own_guild")["invitations"] == []
    assert not [name for _, name in stage.reminders if name.startswith("invitation")]


def test_an_invitation_is_declined_revoked_or_expires(stage: Stage, alice: Person, bob: Person) -> None:
    found(alice, open=False)
    say(alice, "invite", player="bob")
    say(bob, "decline_invitation")
    assert bob.ask("own_guild")["invitations"] == []
    say(alice, "invite", player="bob")
    say(alice, "revoke_invitation", player="bob")
    with refused("invitation_unknown", 404):
        say(bob, "accept_invitation")
    say(alice, "invite", player="bob")
    stage.wait(7 * DAY_S)
    assert guild_of(stage).invitations == {}
    assert bob.ask("own_guild")["invitations"] == []


def test_an_invitation_that_runs_out_while_it_is_accepted_is_over(stage: Stage, alice: Person, bob: Person) -> None:
    """Its reminder is late, and its time counts all the same; an accepted one is not undone by the reminder."""
    found(alice, open=False)
    say(alice, "invite", player="bob")
    (address, name), late = next(item for item in stage.reminders.items() if item[0][1] == "invitation:bob")
    del stage.reminders[address, name]
    stage.wait(7 * DAY_S)
    with refused("invitation_expired", 409):
        say(bob, "accept_invitation")
    say(alice, "invite", player="bob")
    say(bob, "accept_invitation")
    stage.send(address, late.command)
    assert roles(stage)["bob"] == "member"


def test_who_was_invited_joins_and_who_asked_is_let_in_by_an_invitation(
    stage: Stage, alice: Person, bob: Person, carol: Person
) -> None:
    found(alice, open=False)
    say(alice, "invite", player="bob")
    assert say(bob, "join")["status"] == "entering"
    say(carol, "join")
    assert say(alice, "invite", player="carol")["status"] == "entering"
    assert sorted(roles(stage)) == ["alice", "bob", "carol"]


def test_nobody_invites_somebody_who_does_not_exist(alice: Person) -> None:
    found(alice)
    with refused("player_unknown", 404):
        say(alice, "invite", player="nobody")


def test_open_invitations_and_requests_have_a_bound(stage: Stage, alice: Person) -> None:
    found(alice, open=False)
    people = [Person(stage, f"p{number}") for number in range(limits.GUILD_REQUESTS_MAX + 1)]
    for person in people[:-1]:
        say(person, "join")
    with refused("requests_too_many", 409):
        say(people[-1], "join")

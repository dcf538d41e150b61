"""Who a player is, what it is awarded, owns and is told."""

import pytest

from actors.core import SYSTEM, Address, Caller, admit
from actors.player.inbox import Notify
from actors.player.profile import Profile, PublicProfile
from actors.player.score import AwardScore, Score
from actors.player.wallet import Credit, Debit, GrantCurrency
from schemas import limits
from schemas.problems import Refusal
from tests.unit.stage import Person, Stage
from tests.unit.test_player_actions import refused

SERVER = Caller("server-1", ("server",))


@pytest.fixture
def alice(stage: Stage) -> Person:
    return Person(stage, "alice", "Alice")


def test_to_be_created_again_changes_nothing_but_the_name(stage: Stage, alice: Person) -> None:
    alice.say("create", caller=SYSTEM, name="Alice")
    assert len(stage.journal[alice.address]) == 1
    alice.say("create", caller=SYSTEM, name="Alicia")
    assert alice.ask("profile")["username"] == "Alicia"
    assert alice.ask("profile")["wallet"] == {"gold": 100}


def test_the_public_part_shows_no_wallet(alice: Person) -> None:
    assert set(alice.ask("public_profile")) == {"userId", "username", "createdAt", "scores", "level", "equipment"}


def test_who_may_ask_and_order_what() -> None:
    owner, other, server = Caller("alice"), Caller("bob"), SERVER
    assert admit(Profile, "alice", owner) == "owner"
    assert admit(PublicProfile, "alice", other) == "anyone"
    assert admit(AwardScore, "alice", server) == "server"
    for message, caller in ((Profile, other), (AwardScore, owner), (Credit, owner), (GrantCurrency, owner)):
        with pytest.raises(Refusal, match="FORBIDDEN"):
            admit(message, "alice", caller)


def test_an_award_has_no_limits_and_asks_no_detector(stage: Stage, alice: Person) -> None:
    for number in range(1, 101):
        assert alice.award(5)["score"] == {"previous": 5 * number - 5, "current": 5 * number}
    assert not [address for address in stage.actors if address.kind == "fraud"]


def test_an_award_counts_for_the_team_too(stage: Stage, alice: Person) -> None:
    from actors.leaderboard.gathers import Top

    bob = Person(stage, "bob")
    alice.award(1, attributes={"team": "Brazil", "minute": 90, "penalty": True})
    bob.award(2, attributes={"team": "Brazil"})
    bob.award(2)
    [row] = stage.gather(Top(), "teams")
    assert row == {"rank": 1, "userId": "Brazil", "username": "Brazil", "score": 3}


def test_an_award_on_an_unknown_board_is_refused(alice: Person) -> None:
    with refused("board_unknown", 404):
        alice.award(1, board="nowhere")


def test_a_score_has_an_upper_bound(alice: Person) -> None:
    alice.award(limits.INTEGER_MAX)
    with refused("score_too_high", 409):
        alice.award(1)


@pytest.mark.parametrize("at", ["yesterday", "2026-01-31", "2026-01-31T12:00:00", "2100-01-01T00:00:00Z"])
def test_the_time_of_an_award_is_a_time_with_an_offset_and_not_in_the_future(alice: Person, at: str) -> None:
    with refused("INVALID", 400):
        alice.award(1, at=at)


def test_an_award_of_the_past_counts_on_main_but_not_today(alice: Person) -> None:
    alice.award(1, at="1916-07-02T00:00:00Z")
    assert alice.ask("profile")["scores"] == {"main": 1}
    alice.award(1, board="daily")
    assert alice.ask("own_score", board="daily") == {"score": 1}
    assert alice.ask("own_score", board="main") == {"score": 1}
    with refused("period_over", 409):
        alice.award(1, board="daily", at="1916-07-02T00:00:00Z")


def test_score_and_rank_come_with_the_players_version(stage: Stage, alice: Person) -> None:
    bob = Person(stage, "bob")
    assert stage.gather(Score(), "alice") == {"score": 0, "rank": None, "version": 1}
    alice.award(1)
    bob.award(2)
    assert stage.gather(Score(), "alice") == {"score": 1, "rank": 2, "version": 2}
    with refused("player_unknown", 404):
        stage.gather(Score(), "nobody")
    with refused("board_unknown", 404):
        stage.gather(Score(board="nowhere"), "alice")


def test_yesterdays_score_is_not_todays(stage: Stage, alice: Person) -> None:
    alice.award(7, board="daily")
    assert alice.ask("own_score", board="daily")["score"] == 7
    stage.wait(86_400)
    assert alice.ask("own_score", board="daily")["score"] == 0
    assert alice.award(1, board="daily")["score"] == {"previous": 0, "current": 1}


def test_a_wallet_never_goes_below_zero_or_beyond_the_bound(stage: Stage, alice: Person) -> None:
    def credit(amount: int, currency: str = "gems") -> None:
        stage.send(alice.address, Credit(currency=currency, amount=amount, reason="test"))

    credit(limits.INTEGER_MAX)
    with refused("balance_too_high", 409):
        credit(1)
    stage.send(alice.address, Debit(currency="gems", amount=limits.INTEGER_MAX, reason="test"))
    with refused("balance_too_low", 409):
        stage.send(alice.address, Debit(currency="gems", amount=1, reason="test"))
    with refused("currency_unknown", 404):
        credit(1, "shells")
    assert alice.ask("wallet")["balances"] == {"gold": 100, "gems": 0}


def test_the_ledger_shows_the_newest_changes_first(stage: Stage, alice: Person) -> None:
    for number in range(1, limits.LEDGER_ENTRIES_MAX + 11):
        alice.say("grant_currency", caller=SERVER, currency="gems", amount=1, reason=f"gift {number}")
    ledger = alice.ask("wallet", limit=2)["ledger"]
    assert [entry["reason"] for entry in ledger] == ["gift 210", "gift 209"]
    assert ledger[0]["balance"] == 210
    assert len(alice.ask("wallet", limit=limits.LEDGER_ENTRIES_MAX)["ledger"]) == limits.LEDGER_ENTRIES_MAX


def notify(alice: Person, **fields: object) -> str:
    message_id: str = alice.say("notify", caller=SYSTEM, template="hello", **fields)["id"]
    return message_id


def test_messages_are_read_and_deleted(alice: Person) -> None:
    first, second = notify(alice, data={"n": 1}), notify(alice)
    assert alice.ask("profile")["inbox"] == {"unread": 2}
    alice.say("mark_read", ids=[first])
    assert alice.say("mark_read", ids=[first]) == {"read": 0}
    assert [message["id"] for message in alice.ask("inbox", unread=True)["messages"]] == [second]
    assert alice.say("delete_messages", ids=[first, "gone"]) == {"deleted": 1}
    with refused("message_unknown", 404):
        alice.say("mark_read", ids=[first])
    assert alice.ask("inbox")["unread"] == 1


def test_messages_expire(stage: Stage, alice: Person) -> None:
    notify(alice, lives_days=1)
    stage.wait(86_400)
    assert alice.ask("inbox") == {"unread": 0, "messages": []}


def test_a_full_inbox_gives_up_what_was_read(stage: Stage, alice: Person) -> None:
    ids = [notify(alice) for _ in range(limits.INBOX_MAX)]
    alice.say("mark_read", ids=[ids[5]])
    newest = notify(alice)
    kept = [message["id"] for message in alice.ask("inbox", limit=limits.INBOX_MAX)["messages"]]
    assert kept == [newest, *reversed(ids[:5] + ids[6:])]


def test_a_topic_of_a_player_is_its_own() -> None:
    from actors.player.state import Player

    assert Player.may_subscribe("alice", Caller("alice"))
    assert not Player.may_subscribe("alice", Caller("bob"))
    assert Player.may_subscribe("alice", SYSTEM)


def test_notifications_are_addressed_to_players_only() -> None:
    assert Notify.actor.kind == Address("player", "x").kind

"""What guilds hold and earn: the bank, experience and perks, the board of guilds, territories."""

from typing import Any

import pytest

from actors.content.guilds import Guilds
from actors.core import Address, Caller
from actors.guild.answers import ReceiveDeposit
from actors.leaderboard.gathers import Top
from schemas import limits
from tests.unit.guildhall import ask, found, gold, guild_of, say, search
from tests.unit.stage import Person, Stage, catalog, starter_content
from tests.unit.test_player_actions import refused

SERVER = Caller("server-1", ("server",))
GUILD = Address("guild", "red-dragons")
HOUR_S = 3_600

pytestmark = pytest.mark.usefixtures("both_sides")


@pytest.fixture
def alice(stage: Stage) -> Person:
    """The leader of a guild, with 100 gold left."""
    alice = Person(stage, "alice")
    alice.say("grant_currency", caller=SERVER, currency="gold", amount=100, reason="test")
    found(alice)
    return alice


@pytest.fixture
def bob(stage: Stage, alice: Person) -> Person:
    """A member."""
    bob = Person(stage, "bob")
    say(bob, "join")
    return bob


def deposit(person: Person, amount: int, currency: str = "gold") -> dict[str, Any]:
    return say(person, "deposit", currency=currency, amount=amount)


def order(stage: Stage, command: str, **fields: Any) -> None:
    """A game server, or a zone, tells the guild."""
    stage.send(GUILD, catalog().kind("guild").command(command).model_validate(fields), SERVER)


# -- bank -------------------------------------------------------------------------------------------------------------


def test_what_is_paid_in_is_in_the_bank_and_in_the_reply(alice: Person, bob: Person) -> None:
    answer = deposit(bob, 40)
    assert answer["payment"] == {
        "paid": True,
        "balance": 60,
        "bank": {"accepted": True, "currency": "gold", "balance": 40},
    }
    bank = ask(alice, "bank")
    assert bank["balances"] == {"gold": 40}
    assert [(line["by"], line["change"]) for line in bank["ledger"]] == [("bob", 40)]


def test_nobody_pays_in_what_it_does_not_have(stage: Stage, alice: Person, bob: Person) -> None:
    with refused("balance_too_low", 409):
        deposit(bob, 101)
    with refused("currency_unknown", 404):
        deposit(bob, 1, "shells")
    with refused("not_a_member", 403):
        deposit(Person(stage, "carol"), 1)
    assert (gold(bob), guild_of(stage).bank) == (100, {})


def test_a_payment_that_is_not_there_any_more_is_declined(stage: Stage, alice: Person, bob: Person) -> None:
    """The player was asked before, and spent it meanwhile."""
    pay = catalog().kind("player").command("pay_guild")
    fields = {"guild": "red-dragons", "deposit": "d", "currency": "gold", "amount": 101}
    assert stage.send(bob.address, pay.model_validate(fields)) == {"paid": False, "reason": "balance_too_low"}
    assert (gold(bob), guild_of(stage).bank) == (100, {})


def test_a_payment_that_comes_too_late_goes_back(stage: Stage, alice: Person, bob: Person) -> None:
    say(alice, "disband")
    bob.say("debit", caller=Caller(internal=True), currency="gold", amount=30, reason="test")
    late = ReceiveDeposit(deposit="d", player="bob", name="Bob", currency="gold", amount=30)
    assert stage.send(GUILD, late) == {"accepted": False}
    assert (gold(bob), guild_of(stage).bank) == (100, {})


def test_what_is_withdrawn_comes_into_a_wallet(stage: Stage, alice: Person, bob: Person) -> None:
    deposit(bob, 40)
    assert say(alice, "withdraw", currency="gold", amount=15)["wallet"] == {"balance": 115}
    say(alice, "withdraw", currency="gold", amount=25, member="bob")
    assert (gold(alice), gold(bob)) == (115, 85)
    with refused("bank_too_low", 409):
        say(alice, "withdraw", currency="gold", amount=1)
    with refused("member_unknown", 404):
        say(alice, "withdraw", currency="gold", amount=1, member="carol")


def test_the_ledger_keeps_the_newest_lines(alice: Person, bob: Person) -> None:
    for _ in range(limits.GUILD_LOG_MAX // 2 + 5):
        deposit(bob, 1)
        say(alice, "withdraw", currency="gold", amount=1, member="bob")
    ledger = ask(alice, "bank", limit=limits.GUILD_LOG_MAX)["ledger"]
    assert len(ledger) == limits.GUILD_LOG_MAX
    assert (ledger[0]["change"], ledger[1]["change"]) == (-1, 1)


# -- experience -------------------------------------------------------------------------------------------------------


def test_donations_and_deeds_raise_the_guild_and_its_rank(stage: Stage, alice: Person, bob: Person) -> None:
    deposit(bob, 100)
    assert guild_of(stage).experience == 10
    bob.award(49)
    assert guild_of(stage).experience == 10
    bob.award(1)
    bob.award(125)
    assert guild_of(stage).experience == 10 + 10 + 20
    assert {row["userId"]: row["earned"] for row in ask(bob, "profile")["roster"]} == {"alice": 0, "bob": 40}
    [row] = stage.gather(Top(), "guilds")
    assert row == {"rank": 1, "userId": "red-dragons", "username": "Red Dragons", "score": 40}


def test_scores_on_other_boards_and_of_strangers_bring_nothing(stage: Stage, alice: Person) -> None:
    alice.award(1_000, board="practice")
    Person(stage, "carol").award(1_000)
    assert guild_of(stage).experience == 0


def test_deeds_that_are_told_after_the_stay_bring_nothing(stage: Stage, alice: Person, bob: Person) -> None:
    ticket = guild_of(stage).members["bob"].ticket
    say(bob, "leave")
    say(bob, "join")
    order(stage, "contribute", player="bob", ticket=ticket, experience=10)
    assert guild_of(stage).experience == 0


def test_a_guild_rises_and_its_perks_with_it(stage: Stage, alice: Person, bob: Person) -> None:
    bob.award(2_500)
    assert (guild_of(stage).level, search(stage, levelMin=2)) == (2, ["red-dragons"])
    deposit(bob, 100)
    assert guild_of(stage).experience == 500 + 11
    assert starter_content().guilds.perks_of(10).officers == 10
    assert starter_content().guilds.perks_of(1).officers == 0


# -- territories ------------------------------------------------------------------------------------------------------


def test_a_territory_yields_its_income_on_time_and_once(stage: Stage, alice: Person) -> None:
    order(stage, "claim_territory", territory="old_mill")
    order(stage, "claim_territory", territory="old_mill")
    stage.wait(24 * HOUR_S - 1)
    assert guild_of(stage).bank == {}
    stage.wait(1)
    assert guild_of(stage).bank == {"gold": 40}
    stage.wait(48 * HOUR_S)
    assert guild_of(stage).bank == {"gold": 120}
    order(stage, "lose_territory", territory="old_mill")
    stage.wait(240 * HOUR_S)
    assert guild_of(stage).bank == {"gold": 120}
    assert not stage.reminders


def test_income_that_was_due_while_all_was_down_comes_for_each_day(stage: Stage, alice: Person) -> None:
    order(stage, "claim_territory", territory="old_mill")
    [(place, late)] = stage.reminders.items()
    stage.reminders.clear()
    stage.wait(73 * HOUR_S)
    stage.send(place[0], late.command)
    stage.send(place[0], late.command)
    assert guild_of(stage).bank == {"gold": 120}
    stage.wait(23 * HOUR_S)
    assert guild_of(stage).bank == {"gold": 160}


def test_a_territory_may_yield_its_income_many_times_a_day() -> None:
    content = starter_content()
    mill = content.guilds.territories["old_mill"].model_copy(update={"every_hours": 0.5})
    guilds = content.guilds.model_copy(update={"territories": {"old_mill": mill}})
    stage = Stage(content.model_copy(update={"guilds": guilds}))
    found(Person(stage, "alice"))
    order(stage, "claim_territory", territory="old_mill")
    stage.wait(2 * HOUR_S)
    assert guild_of(stage).bank == {"gold": 160}
    stage.check()


@pytest.mark.parametrize(
    "fields", [{"invitation_days": 0}, {"territories": {"mill": {"title": "M", "every_hours": 0}}}]
)
def test_nothing_of_guilds_ends_within_a_second(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="greater than or equal"):
        Guilds.model_validate(fields)
    assert Guilds.model_validate({"invitation_days": 7}).invitation_ms == 7 * 24 * HOUR_S * 1_000
    assert Guilds.model_validate({"invitation_days": 1 / 86_400}).invitation_ms == 1_000


def test_a_contested_territory_yields_nothing(stage: Stage, alice: Person) -> None:
    order(stage, "claim_territory", territory="old_mill")
    order(stage, "contest_territory", territory="old_mill", by="blue-whales")
    stage.wait(24 * HOUR_S)
    assert guild_of(stage).bank == {}
    assert ask(alice, "profile")["territories"]["old_mill"]["contestedBy"] == "blue-whales"
    order(stage, "contest_territory", territory="old_mill")
    stage.wait(24 * HOUR_S)
    assert guild_of(stage).bank == {"gold": 40}


def test_a_territory_must_be_there_and_held(stage: Stage, alice: Person) -> None:
    with refused("territory_unknown", 404):
        order(stage, "claim_territory", territory="atlantis")
    with refused("territory_not_held", 409):
        order(stage, "contest_territory", territory="old_mill", by="x")
    order(stage, "lose_territory", territory="old_mill")

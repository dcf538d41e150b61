"""Quests: begun, brought forward by the player's own events, completed once, begun anew after a reset."""

from typing import Any

import pytest

from actors.core import SYSTEM, Address, Caller, Tell, Turn, decide
from actors.guild.founding import Create
from actors.guild.members import Disband
from actors.player.quests import ExpireQuest
from actors.player.score import AwardScore
from actors.player.state import Errand, Player
from actors.player.wallet import Credit, Debit
from schemas import limits
from tests.unit.quest_world import WIN, active, alone, available, completed, happened, objective, quest, world
from tests.unit.stage import START_MS, Person
from tests.unit.test_player_actions import refused

GOLD: dict[str, Any] = {"rewards": {"currencies": {"gold": 7}}}
DAILY = {"daily": {"at": "00:00"}, "weekly": {"every": "week"}}


def gold(person: Person) -> int:
    balance: int = person.ask("wallet")["balances"]["gold"]
    return balance


def test_a_quest_is_brought_forward_by_events_and_completes_itself() -> None:
    stage, alice = alone(world({"wins": quest(2, **GOLD)}))
    assert available(alice) == {"wins"}
    started = alice.say("start_quest", quest="wins")
    assert (started["state"], started["objectives"]["win"]["progress"]) == ("active", 0)
    alice.do("practice")
    assert active(alice)["wins"]["objectives"]["win"] == {"title": "Win", "target": 2, "progress": 1}
    assert gold(alice) == 100
    alice.do("practice")
    assert (active(alice), completed(alice), gold(alice)) == ({}, {"wins": 1}, 107)
    stage.check()


def test_rewards_and_notification_follow_by_commands_of_their_own() -> None:
    _, alice = alone(world({"wins": quest(**GOLD)}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    names = [name for name, _ in alice.stage.journal[alice.address]]
    assert names[-5:] == ["action_completed", "quests_progressed", "quest_completed", "wallet_changed", "notified"]
    assert happened(alice, "wallet_changed")[0]["reason"] == "quest:wins:1"
    [message] = alice.ask("inbox")["messages"]
    assert (message["template"], message["data"]) == ("quest_completed", {"quest": "wins", "title": "Quest"})


def test_the_turn_that_completes_a_quest_pays_nothing_itself() -> None:
    content = world({"wins": quest(1, objectives={"o": objective(1, {"event": "score_awarded"})}, **GOLD)})
    player = Player(id="alice", name="Alice", wallet={"gold": 1}, quests={"wins": Errand(START_MS)})
    outcome = decide(AwardScore(points=1), player, Turn(SYSTEM, START_MS, content, "op", key="alice"))
    assert player.wallet == {"gold": 1}
    tells = [effect for effect in outcome.others if isinstance(effect, Tell)]
    told = [tell.command.wire_name for tell in tells if tell.to.kind == "player"]
    assert told == ["grant_rewards", "notify"]


def test_what_happened_before_the_start_does_not_count() -> None:
    _, alice = alone(world({"wins": quest(2)}))
    alice.do("practice")
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    assert active(alice)["wins"]["objectives"]["win"]["progress"] == 1


def test_to_start_again_what_one_is_on_changes_nothing() -> None:
    _, alice = alone(world({"wins": quest(2)}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    assert alice.say("start_quest", quest="wins")["objectives"]["win"]["progress"] == 1
    assert len(happened(alice, "quest_started")) == 1


def test_a_quest_that_is_done_once_is_not_done_twice() -> None:
    _, alice = alone(world({"wins": quest()}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    with refused("quest_done", 409):
        alice.say("start_quest", quest="wins")
    with refused("quest_unknown", 404):
        alice.say("start_quest", quest="losses")
    assert available(alice) == set()


def test_a_quest_that_is_turned_in_waits_for_the_player() -> None:
    _, alice = alone(world({"wins": quest(2, turn_in=True, **GOLD)}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    with refused("quest_unfinished", 409):
        alice.say("complete_quest", quest="wins")
    alice.do("practice")
    assert (active(alice)["wins"]["state"], gold(alice)) == ("ready", 100)
    assert happened(alice, "quests_progressed")[-1]["ready"] == ["wins"]
    alice.do("practice")
    assert active(alice)["wins"]["objectives"]["win"]["progress"] == 2
    assert alice.say("complete_quest", quest="wins") == {
        "quest": "wins",
        "state": "completed",
        "times": 1,
        "opens": [],
    }
    assert gold(alice) == 107
    with refused("quest_not_active", 409):
        alice.say("complete_quest", quest="wins")
    assert gold(alice) == 107


def test_an_abandoned_quest_is_forgotten_with_its_progress() -> None:
    stage, alice = alone(world({"wins": quest(2, within_s=60)}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    alice.say("abandon_quest", quest="wins")
    assert (active(alice), stage.reminders) == ({}, {})
    with refused("quest_not_active", 409):
        alice.say("abandon_quest", quest="wins")
    assert alice.say("start_quest", quest="wins")["objectives"]["win"]["progress"] == 0


# -- prerequisites ------------------------------------------------------------------------------------------------


def test_a_chain_opens_quest_by_quest() -> None:
    _, alice = alone(world({"one": quest(), "two": quest(requires={"quests": ["one"]})}))
    with refused("quest_locked", 409):
        alice.say("start_quest", quest="two")
    alice.say("start_quest", quest="one")
    alice.do("practice")
    assert happened(alice, "quest_completed")[0]["opens"] == ["two"]
    assert available(alice) == {"two"}
    alice.say("start_quest", quest="two")


def test_a_quest_may_take_a_level_and_items() -> None:
    content = world({"wins": quest(requires={"level": 2, "items": {"oak_log": 3}})})
    stage, alice = alone(content)
    with refused("quest_locked", 409):
        alice.say("start_quest", quest="wins")
    reward = {"experience": 100, "items": {"oak_log": 2}}
    alice.say("grant_rewards", caller=SYSTEM, rewards=reward, reason="test")
    assert available(alice) == set()
    alice.say("grant_rewards", caller=SYSTEM, rewards={"items": {"oak_log": 1}}, reason="test")
    assert available(alice) == {"wins"}
    alice.say("start_quest", quest="wins")
    assert sum(stack.quantity for stack in stage.actor(alice.address).bag.values()) == 3  # type: ignore[attr-defined]


def test_a_quest_may_take_a_guild_to_belong_to() -> None:
    stage, alice = alone(world({"wins": quest(requires={"guild": True})}))
    with refused("quest_locked", 409):
        alice.say("start_quest", quest="wins")
    guild = Address("guild", "red-dragons")
    stage.send(guild, Create(name="Red Dragons", open=True), Caller("alice"))
    assert available(alice) == {"wins"}
    alice.say("start_quest", quest="wins")
    stage.send(guild, Disband(), Caller("alice"))
    assert set(active(alice)) == {"wins"}, "who has begun may go on"


def test_a_player_is_on_so_many_quests_at_most() -> None:
    _, alice = alone(world({f"q{number}": quest(9) for number in range(limits.QUESTS_ACTIVE_MAX + 1)}))
    for number in range(limits.QUESTS_ACTIVE_MAX):
        alice.say("start_quest", quest=f"q{number}")
    with refused("quests_too_many", 409):
        alice.say("start_quest", quest=f"q{limits.QUESTS_ACTIVE_MAX}")
    alice.say("abandon_quest", quest="q0")
    alice.say("start_quest", quest=f"q{limits.QUESTS_ACTIVE_MAX}")


# -- time ---------------------------------------------------------------------------------------------------------


def test_a_quest_ends_when_its_time_is_up() -> None:
    stage, alice = alone(world({"wins": quest(2, within_s=60)}))
    assert alice.say("start_quest", quest="wins")["endsAt"] == "2026-09-21T14:14:20.000Z"
    stage.wait(60)
    assert happened(alice, "quest_expired") == [{"quest": "wins"}]
    assert [message["template"] for message in alice.ask("inbox")["messages"]] == ["quest_expired"]
    alice.do("practice")
    assert (active(alice), available(alice)) == ({}, {"wins"})
    stage.check()


def test_a_late_reminder_makes_no_difference() -> None:
    stage, alice = alone(world({"wins": quest(2, within_s=60), "pies": quest(1, turn_in=True, within_s=60)}))
    alice.say("start_quest", quest="wins")
    alice.say("start_quest", quest="pies")
    alice.do("practice")
    late = dict(stage.reminders)
    stage.reminders.clear()
    stage.wait(60)
    alice.do("practice")
    assert (active(alice), completed(alice), available(alice)) == ({}, {}, {"wins", "pies"})
    with refused("quest_expired", 409):
        alice.say("complete_quest", quest="pies")
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    for (address, _), remind in late.items():
        stage.send(address, remind.command)
    assert list(active(alice)) == ["wins"], "the reminder of the first try ends the second"
    stage.check()


def test_a_reminder_of_another_try_ends_nothing() -> None:
    stage, alice = alone(world({"wins": quest(2)}))
    alice.say("start_quest", quest="wins")
    stage.send(alice.address, ExpireQuest(quest="wins", started_at=stage.at - 1))
    assert list(active(alice)) == ["wins"]


def test_a_completed_quest_leaves_no_reminder() -> None:
    stage, alice = alone(world({"wins": quest(1, within_s=60)}))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    assert stage.reminders == {}


def test_a_daily_quest_can_be_done_again_after_the_reset() -> None:
    stage, alice = alone(world({"wins": quest(repeats="daily", **GOLD)}, resets=DAILY))
    for day in range(1, 4):
        alice.say("start_quest", quest="wins")
        alice.do("practice")
        with refused("quest_done_for_now", 409) as caught:
            alice.say("start_quest", quest="wins")
        assert caught.value.details == {"availableAt": f"2026-09-{21 + day}T00:00:00.000Z"}
        assert (completed(alice), gold(alice), available(alice)) == ({"wins": day}, 100 + 7 * day, set())
        to_midnight = (86_400_000 - stage.at % 86_400_000) / 1_000
        stage.wait(to_midnight - 0.001)
        assert available(alice) == set()
        stage.wait(0.001)
        assert available(alice) == {"wins"}
    stage.check()


def test_a_daily_quest_that_is_not_completed_ends_at_the_reset() -> None:
    stage, alice = alone(world({"wins": quest(2, repeats="daily")}, resets=DAILY))
    ends = alice.say("start_quest", quest="wins")["endsAt"]
    assert ends == "2026-09-22T00:00:00.000Z"
    alice.do("practice")
    stage.wait(86_400)
    assert (active(alice), available(alice)) == ({}, {"wins"})
    assert alice.ask("inbox")["messages"] == [], "nobody needs to be told of every morning"
    assert alice.say("start_quest", quest="wins")["objectives"]["win"]["progress"] == 0


def test_the_sooner_of_reset_and_time_limit_ends_a_quest() -> None:
    _, alice = alone(world({"wins": quest(2, repeats="weekly", within_s=60)}, resets=DAILY))
    assert alice.say("start_quest", quest="wins")["endsAt"] == "2026-09-21T14:14:20.000Z"


# -- objectives ---------------------------------------------------------------------------------------------------


def progress(counts: dict[str, Any], *said: tuple[str, dict[str, Any]], target: int = 1_000) -> int:
    """How far the objective is after an award of points with these fields, and so on."""
    content = world({"q": {"title": "Q", "objectives": {"o": objective(target, counts)}}})
    stage, alice = alone(content)
    alice.say("start_quest", quest="q")
    for name, fields in said:
        if name == "award":
            alice.award(**fields)
        else:
            stage.send(alice.address, {"credit": Credit, "debit": Debit}[name](**fields, reason="test"))
    shown: int = active(alice)["q"]["objectives"]["o"]["progress"]
    return shown


AWARDS = [("award", {"points": points, "reason": reason}) for points, reason in ((5, "a"), (20, "b"), (7, "a"))]
COINS = [("credit", {"currency": "gold", "amount": 30}), ("debit", {"currency": "gold", "amount": 12})]


@pytest.mark.parametrize(
    ("counts", "said", "expected"),
    [
        ({"event": "score_awarded"}, AWARDS, 3),
        ({"event": "score_awarded", "where": {"reason": "a"}}, AWARDS, 2),
        ({"event": "score_awarded", "where": {"reason": "a", "board": "main"}}, AWARDS, 2),
        ({"event": "score_awarded", "where": {"reason": "a", "board": "practice"}}, AWARDS, 0),
        ({"event": "score_awarded", "at_least": {"points": 7}}, AWARDS, 2),
        ({"event": "score_awarded", "at_least": {"scores.practice": 1}}, AWARDS, 0),
        ({"event": "score_awarded", "adds": "points"}, AWARDS, 32),
        ({"event": "score_awarded", "highest": "points"}, AWARDS, 20),
        ({"event": "score_awarded", "highest": "scores.main"}, AWARDS, 32),
        ({"event": "score_awarded", "highest": "scores.practice"}, AWARDS, 0),
        ({"event": "wallet_changed", "adds": "change"}, COINS, 30),
        ({"event": "wallet_changed", "takes": "change"}, COINS, 12),
        ({"event": "wallet_changed", "highest": "balance", "where": {"currency": "gold"}}, COINS, 130),
        (
            {"event": "score_awarded", "where": {"attributes.team": "red"}},
            [("award", {"points": 1, "attributes": {"team": "red"}}), ("award", {"points": 1})],
            1,
        ),
    ],
)
def test_an_objective_counts_what_its_trigger_says(counts: dict[str, Any], said: Any, expected: int) -> None:
    assert progress(counts, *said) == expected


def test_the_entries_of_a_list_are_counted() -> None:
    _, alice = alone(
        world({"q": {"title": "Q", "objectives": {"o": objective(9, {"event": "messages_read", "adds": "ids"})}}})
    )
    alice.say("start_quest", quest="q")
    ids = [alice.say("notify", caller=SYSTEM, template="hello")["id"] for _ in range(3)]
    alice.say("mark_read", ids=ids)
    assert active(alice)["q"]["objectives"]["o"]["progress"] == 3


def test_any_of_several_triggers_brings_an_objective_forward() -> None:
    either = objective(9, WIN, {"event": "score_awarded", "adds": "points"})
    _, alice = alone(world({"q": {"title": "Q", "objectives": {"o": either}}}))
    alice.say("start_quest", quest="q")
    alice.do("practice")
    alice.award(4)
    assert active(alice)["q"]["objectives"]["o"]["progress"] == 5


def test_progress_stops_at_the_target_and_every_objective_must_reach_its_own() -> None:
    two = {"few": objective(1, {"event": "score_awarded", "adds": "points"}), "wins": objective(1)}
    _, alice = alone(world({"q": {"title": "Q", "objectives": two}}))
    alice.say("start_quest", quest="q")
    alice.award(50)
    assert active(alice)["q"]["objectives"]["few"]["progress"] == 1
    alice.award(50)
    assert len(happened(alice, "quests_progressed")) == 1, "what is at its target makes no more news"
    alice.do("practice")
    assert completed(alice) == {"q": 1}


def test_quests_may_wait_for_quests_however_long_the_chain_that_falls() -> None:
    quests: dict[str, Any] = {"q0": quest(**GOLD)}
    for number in range(1, 20):
        before = {"event": "quest_completed", "where": {"quest": f"q{number - 1}"}}
        quests[f"q{number}"] = {"title": "Q", "objectives": {"o": objective(1, before)}, **GOLD}
    stage, alice = alone(world(quests))
    for name in quests:
        alice.say("start_quest", quest=name)
    alice.do("practice")
    assert completed(alice) == dict.fromkeys(quests, 1)
    assert gold(alice) == 100 + 7 * 20
    stage.check()


def test_a_quest_that_is_turned_in_counts_for_others_too() -> None:
    counts = {"event": "quest_completed", "where": {"quest": "wins"}}
    content = world({"wins": quest(turn_in=True), "more": {"title": "Q", "objectives": {"o": objective(1, counts)}}})
    _, alice = alone(content)
    for name in ("wins", "more"):
        alice.say("start_quest", quest=name)
    alice.do("practice")
    assert completed(alice) == {}
    alice.say("complete_quest", quest="wins")
    assert completed(alice) == {"wins": 1, "more": 1}


# -- new versions of the content -----------------------------------------------------------------------------------


def test_a_quest_that_left_the_content_rests_and_can_be_given_up() -> None:
    stage, alice = alone(world({"wins": quest(2), "done": quest()}))
    for name in ("wins", "done"):
        alice.say("start_quest", quest=name)
    alice.do("practice")
    stage.content = world({"other": quest()})
    alice.do("practice")
    assert (active(alice), completed(alice)) == ({}, {"done": 1})
    alice.say("abandon_quest", quest="wins")
    stage.check()


def test_a_quest_whose_target_was_lowered_is_completed_with_the_next_event() -> None:
    stage, alice = alone(world({"wins": quest(9)}))
    alice.say("start_quest", quest="wins")
    for _ in range(5):
        alice.do("practice")
    stage.content = world({"wins": quest(3)})
    assert active(alice)["wins"]["objectives"]["win"]["progress"] == 3
    assert active(alice)["wins"]["state"] == "ready"
    alice.do("practice")
    assert completed(alice) == {"wins": 1}

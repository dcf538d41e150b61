"""What is suspicious, what follows from it, and how people undo it."""

import pytest

from actors.content import Content, Fraud
from actors.core import Address, Caller
from actors.fraud.assess import Assess, Standing
from actors.fraud.cases import Case, Cases, ConfirmCase, DismissCase, Pardon
from actors.fraud.decay import decayed
from actors.fraud.places import sightings
from actors.fraud.rules import Play, hits
from tests.unit.stage import Person, Stage, starter_content
from tests.unit.test_player_actions import refused

MODERATOR = Caller("mo", ("moderator",))
DETECTOR = Address("fraud", "0")


def standing(stage: Stage, user: str = "alice") -> dict[str, object]:
    told: dict[str, object] = stage.query(DETECTOR, Standing(player=user))
    return told


def cases(stage: Stage, status: str | None = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = stage.gather(Cases.model_validate({"status": status}), "all")
    return found


def sanctions(stage: Stage) -> list[tuple[object, object]]:
    return [(record.row["standing"], record.row["until"]) for record in stage.records if record.table == "sanction"]


def test_a_hit_below_the_flag_proceeds_with_a_warning(stage: Stage, alice: Person) -> None:
    done = alice.do("boss_kill", took_s=1.999)
    assert done["warning"]
    assert done["score"]["current"] == 50
    assert standing(stage)["suspicion"] == 30
    assert cases(stage) == []
    [incident] = [record.row for record in stage.records]
    assert (incident["rule"], incident["player"], incident["suspicion"]) == ("too_fast", "alice", 30_000)
    assert incident["evidence"] == {"action": "boss_kill", "took_ms": 1_999, "minimum_ms": 2_000}
    assert "warning" not in alice.do("boss_kill", took_s=2)


def test_eight_actions_in_ten_seconds_are_fine_and_the_ninth_is_flagged(stage: Stage, alice: Person) -> None:
    for _ in range(8):
        assert "warning" not in alice.do("quick_win", took_s=1)
    assert alice.do("quick_win", took_s=1)["warning"]
    assert standing(stage)["standing"] == "flagged"
    [case] = cases(stage, "open")
    assert (case["userId"], case["outcome"], case["suspicion"]) == ("alice", "flagged", 60)
    assert alice.ask("inbox")["messages"][0]["template"] == "account_flagged"


def test_the_action_that_raises_the_flag_passes_under_the_limits_of_before(stage: Stage, alice: Person) -> None:
    for number in range(20):
        alice.do("quick_win", took_s=1.5 + 0.01 * number)
    assert alice.do("boss_kill", took_s=1)["warning"]
    assert alice.do("boss_kill", took_s=0)["warning"]
    assert standing(stage)["standing"] == "flagged"
    with refused("RATE_LIMITED", 429):
        alice.say("start_action", type="quick_win")


def test_a_flag_halves_the_limits_for_an_hour(stage: Stage, alice: Person) -> None:
    for _ in range(2):
        alice.do("boss_kill")
    assert standing(stage)["standing"] == "flagged"
    stage.wait(60)
    for _ in range(15):
        alice.say("start_action", type="quick_win")
    with refused("RATE_LIMITED", 429):
        alice.say("start_action", type="quick_win")
    stage.wait(3_540)
    for _ in range(30):
        alice.say("start_action", type="quick_win")


def test_above_a_hundred_the_action_is_refused_and_the_player_suspended(stage: Stage, alice: Person) -> None:
    for _ in range(3):
        alice.do("boss_kill")
    started = alice.say("start_action", type="boss_kill")
    with refused("SUSPICIOUS_ACTIVITY", 403):
        alice.finish(started)
    assert sanctions(stage) == [("suspended", stage.at + 86_400_000)]
    assert alice.ask("own_score", board="main")["score"] == 150
    with refused("SUSPICIOUS_ACTIVITY", 403):
        alice.say("start_action", type="quick_win")
    [case] = cases(stage)
    assert case["outcome"] == "suspended"
    stage.wait(9)
    with refused("SUSPICIOUS_ACTIVITY", 403):
        alice.finish(started)


def test_after_ten_seconds_a_sanction_is_the_gateways_affair(stage: Stage, alice: Person) -> None:
    for _ in range(3):
        alice.do("boss_kill")
    with refused("SUSPICIOUS_ACTIVITY"):
        alice.do("boss_kill")
    stage.wait(10)
    assert standing(stage)["standing"] == "suspended"
    assert alice.do("quick_win")["score"]["current"] == 151
    with refused("SUSPICIOUS_ACTIVITY"):
        alice.do("boss_kill")
    assert [standing for standing, _ in sanctions(stage)] == ["suspended", "suspended"]


def test_suspicion_halves_every_hour(stage: Stage, alice: Person) -> None:
    alice.do("boss_kill")
    stage.wait(3_600)
    assert standing(stage)["suspicion"] == 15
    stage.wait(3_600)
    assert standing(stage)["suspicion"] == 8


def test_the_third_flag_in_a_day_is_a_ban(stage: Stage, alice: Person) -> None:
    for _ in range(2):
        alice.do("boss_kill")
        alice.do("boss_kill")
        stage.wait(4 * 3_600)
    alice.do("boss_kill")
    started = alice.say("start_action", type="boss_kill")
    with refused("SUSPICIOUS_ACTIVITY", 403):
        alice.finish(started)
    assert sanctions(stage) == [("banned", None)]
    assert standing(stage)["standing"] == "banned"


def test_flags_of_yesterday_do_not_add_up(stage: Stage, alice: Person) -> None:
    for _ in range(4):
        alice.do("boss_kill")
        alice.do("boss_kill")
        stage.wait(13 * 3_600)
    assert sanctions(stage) == []


def test_a_dismissed_case_undoes_flag_limits_and_sanction(stage: Stage, alice: Person) -> None:
    for _ in range(3):
        alice.do("boss_kill")
    started = alice.say("start_action", type="boss_kill")
    with refused("SUSPICIOUS_ACTIVITY"):
        alice.finish(started)
    [case] = cases(stage, "open")
    case_id = str(case["id"])
    closed = stage.send(DETECTOR, DismissCase(case_id=case_id, reason="a known speedrunner"), MODERATOR)
    assert (closed["status"], closed["by"]) == ("dismissed", "mo")
    assert standing(stage) == {
        "standing": "clear",
        "suspicion": 0,
        "warning": None,
        "halved_until": 0,
        "refused": False,
    }
    assert sanctions(stage)[-1] == ("clear", None)
    assert "warning" in alice.finish(started)
    assert stage.gather(Case(case_id=case_id), "all")["reason"] == "a known speedrunner"
    assert [entry["id"] for entry in cases(stage, "dismissed")] == [case_id]
    assert stage.send(DETECTOR, DismissCase(case_id=case_id, reason="again"), MODERATOR)["by"] == "mo"
    with refused("case_closed", 409):
        stage.send(DETECTOR, ConfirmCase(case_id=case_id), MODERATOR)


def test_a_confirmed_case_stands_until_it_is_dismissed(stage: Stage, alice: Person) -> None:
    for _ in range(2):
        alice.do("boss_kill")
    [case] = cases(stage)
    confirmed = ConfirmCase(case_id=str(case["id"]), reason="clear enough")
    assert stage.send(DETECTOR, confirmed, MODERATOR)["status"] == "confirmed"
    assert stage.send(DETECTOR, confirmed, MODERATOR)["status"] == "confirmed"
    assert standing(stage)["standing"] == "flagged"
    stage.send(DETECTOR, DismissCase(case_id=str(case["id"]), reason="a mistake"), MODERATOR)
    assert standing(stage)["standing"] == "clear"
    assert sanctions(stage) == []


def test_an_unknown_case_is_refused(stage: Stage) -> None:
    for case_id in ("0-nothing", "7-nothing", "nothing"):
        with refused("case_unknown", 404):
            stage.gather(Case(case_id=case_id), "all")
    with refused("case_unknown", 404):
        stage.send(DETECTOR, DismissCase(case_id="0-nothing", reason="x"), MODERATOR)


def test_a_pardon_forgets_everything(stage: Stage, alice: Person) -> None:
    alice.do("boss_kill")
    stage.send(DETECTOR, Pardon(player="alice", reason="appeal"), MODERATOR)
    assert standing(stage)["suspicion"] == 0
    stage.send(DETECTOR, Pardon(player="bob", reason="appeal"), MODERATOR)
    assert len(stage.journal[DETECTOR]) == 2


def test_play_without_a_hit_costs_the_detector_nothing(stage: Stage, alice: Person) -> None:
    alice.do("quick_win")
    assert DETECTOR not in stage.journal or stage.journal[DETECTOR] == []


def test_without_an_answer_play_goes_on_under_halved_limits_and_is_assessed_later(stage: Stage, alice: Person) -> None:
    stage.silent.add("fraud")
    for _ in range(15):
        alice.do("boss_kill", took_s=3)
    with refused("RATE_LIMITED", 429):
        alice.do("boss_kill", took_s=2)
    state = stage.actor(alice.address).model_dump()
    assert state["unassessed"] == 15
    stage.silent.clear()
    assert standing(stage)["standing"] == "clear"
    stage.wait(60)
    stage.silent.add("fraud")
    alice.do("boss_kill", took_s=1)
    assert standing(stage)["suspicion"] == 30


def test_a_completion_that_is_judged_twice_counts_once(stage: Stage, alice: Person) -> None:
    """The answer came too late for the player, who went on, and has the completion assessed afterwards."""
    recent: list[list[int]] = []
    for number in range(3):
        at = stage.at
        for took_ms, late in ((1_000, False), (1_500, True), (1_500, True)):
            assess = Assess(
                player="alice",
                action="boss_kill",
                at=at + took_ms,
                took_ms=took_ms,
                minimum_ms=2_000,
                points=1,
                recent=recent,
                late=late,
            )
            assert stage.send(DETECTOR, assess)["warning"]
        assert len(stage.records) == number + 1
        recent.append([at + 1_500, 1_500, 1])


def test_a_detector_that_must_answer_closes_the_door(stage: Stage) -> None:
    starter = starter_content().model_dump()
    stage.content = Content.model_validate({**starter, "fraud": {**starter["fraud"], "fail_closed": True}})
    stage.silent.add("fraud")
    alice = Person(stage, "alice")
    with refused("UNAVAILABLE", 503):
        alice.say("start_action", type="quick_win")
    alice.do("practice")


def test_a_flagged_player_over_its_halved_limit_is_not_judged_again(stage: Stage, alice: Person) -> None:
    for _ in range(2):
        alice.do("boss_kill")
    fields = {"action": "boss_kill", "at": stage.at, "took_ms": 0, "minimum_ms": 2_000, "points": 50}
    recent = [[stage.at, 0, 50]] * 2
    beyond = Assess.model_validate({"player": "alice", **fields, "recent": recent, "over_halved": True})
    assert stage.send(DETECTOR, beyond)["suspicion"] == 60
    assert stage.send(DETECTOR, beyond.model_copy(update={"late": True}))["suspicion"] == 90


def play(recent: list[list[int]], at: int, took_ms: int = 0, minimum_ms: int = 0, points: int = 1) -> Play:
    return Play("quick_win", at, took_ms, minimum_ms, points, recent)


def found(play: Play) -> list[str]:
    return [hit.rule for hit in hits(starter_content().fraud, play)]


def test_a_machines_rhythm_is_noticed() -> None:
    regular = [[2_000 * number, 100 * number, 1] for number in range(20)]
    assert found(play(regular, 40_000)) == ["clockwork"]
    assert found(play(regular, 40_006)) == []
    assert found(play(regular[1:], 40_000)) == []


def test_taking_exactly_as_long_every_time_is_noticed() -> None:
    alike = [[2_000 * number + number**2, 700, 1] for number in range(19)]
    assert found(play(alike, 60_000, took_ms=701)) == ["same_every_time"]
    assert found(play(alike, 60_000, took_ms=703)) == []
    quick = [[at, 3, points] for at, _, points in alike]
    assert found(play(quick, 60_000, took_ms=3)) == []


def test_more_points_than_anyone_can_earn_are_noticed() -> None:
    rich = [[10_000 * number + number**2, number, 500] for number in range(4)]
    assert found(play(rich, 40_000, points=1)) == ["impossible_rate"]
    assert found(play(rich, 90_000, points=1)) == []


def test_players_behind_one_device_are_reported_and_loopback_never_counts(stage: Stage) -> None:
    assert sightings("alice", stage.content, address="127.0.0.1") == []
    assert sightings("alice", stage.content, address="::1") == []
    for number in range(7):
        for detector, sight in sightings(f"p{number}", stage.content, address="203.0.113.9", device="d"):
            stage.send(detector, sight)
            stage.send(detector, sight)
    assert [standing(stage, f"p{number}")["suspicion"] for number in range(7)] == [0, 0, 0, 0, 0, 30, 30]


def test_decay_is_exact_at_half_lives_and_never_rises() -> None:
    assert decayed(30_000, 0, 3_600_000) == 30_000
    assert decayed(30_000, 3_600_000, 3_600_000) == 15_000
    assert decayed(30_000, 1_800_000, 3_600_000) in (21_212, 21_213)
    assert decayed(2**53, 10**15, 3_600_000) == 0
    values = [decayed(60_000, 7_919 * step, 3_600_000) for step in range(2_000)]
    assert values == sorted(values, reverse=True)
    assert all(abs(value - 60_000 * 0.5 ** (7_919 * step / 3_600_000)) < 2 for step, value in enumerate(values))


def test_the_suspension_lies_above_the_flag() -> None:
    with pytest.raises(ValueError, match="flag_above"):
        Content(fraud=Fraud(flag_above=50, suspend_above=50))

"""How points are earned: tokens, limits, and what is refused in which order."""

import pytest

from actors.core import Address, Caller
from schemas import limits
from schemas.problems import Refusal
from tests.unit.stage import Person, Stage


def refused(code: str, status: int | None = None) -> "pytest.RaisesExc[Refusal]":
    def check(refusal: Refusal) -> bool:
        return refusal.code == code and status in (None, refusal.status)

    return pytest.raises(Refusal, check=check)


def test_a_completed_action_scores_and_ranks(alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    assert started["expectedScore"] == 1
    assert started["actionToken"].partition(".")[0] == started["id"]
    assert started["expiresAt"].endswith("Z")
    done = alice.finish(started)
    assert done["score"] == {"previous": 0, "current": 1}
    assert done["rank"] == {"previous": None, "current": 1}
    assert "warning" not in done
    assert done["links"]["self"] == f"/api/v1/actions/{started['id']}"
    assert alice.do("boss_kill", took_s=2)["score"] == {"previous": 1, "current": 51}


def test_an_unknown_action_type_is_refused(alice: Person) -> None:
    with refused("action_type_unknown", 400):
        alice.say("start_action", type="fly")


def test_a_player_that_was_never_created_is_unknown(stage: Stage, alice: Person) -> None:
    alice.address = Address("player", "nobody")
    with refused("player_unknown", 404):
        alice.say("start_action", type="quick_win")


def test_a_token_works_once(alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    alice.finish(started)
    with refused("TOKEN_USED", 403):
        alice.finish(started)
    assert alice.ask("own_score", board="main")["score"] == 1


def test_a_used_token_is_told_apart_for_an_hour(stage: Stage, alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    alice.finish(started)
    stage.wait(3_599)
    with refused("TOKEN_USED"):
        alice.finish(started)
    stage.wait(1)
    alice.do("quick_win")
    with refused("TOKEN_INVALID", 401):
        alice.finish(started)


def test_a_token_lives_ten_minutes(stage: Stage, alice: Person) -> None:
    in_time, too_late = (alice.say("start_action", type="quick_win") for _ in range(2))
    stage.wait(599.999)
    alice.finish(in_time)
    stage.wait(0.001)
    with refused("TOKEN_INVALID", 401):
        alice.finish(too_late)


def test_a_token_of_somebody_else_is_unknown(stage: Stage, alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    with refused("TOKEN_INVALID", 401):
        Person(stage, "bob").finish(started)
    alice.finish(started)


@pytest.mark.parametrize("token", ["x", ".", "5bc8fbbc-bde5-4099-8164-d8399f767c45.00", "é.é"])
def test_a_token_that_never_was_is_unknown(alice: Person, token: str) -> None:
    with refused("TOKEN_INVALID", 401):
        alice.say("complete_action", actionId="5bc8fbbc-bde5-4099-8164-d8399f767c45", actionToken=token)


def test_a_forged_signature_is_told_apart_and_burns_nothing(alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    forged = {**started, "actionToken": f"{started['id']}.{'0' * 64}"}
    with refused("SIGNATURE_INVALID", 401):
        alice.finish(forged)
    alice.finish(started)
    with refused("SIGNATURE_INVALID", 401):
        alice.finish(forged)


def test_the_signature_of_another_action_does_not_fit(alice: Person) -> None:
    cheap, dear = alice.say("start_action", type="quick_win"), alice.say("start_action", type="boss_kill")
    _, _, signature = cheap["actionToken"].partition(".")
    with refused("SIGNATURE_INVALID"):
        alice.finish({**dear, "actionToken": f"{dear['id']}.{signature}"})
    with refused("TOKEN_INVALID"):
        alice.finish({**dear, "actionToken": cheap["actionToken"]})


def test_thirty_starts_a_minute_and_then_none_until_one_is_a_minute_old(stage: Stage, alice: Person) -> None:
    for _ in range(30):
        alice.say("start_action", type="quick_win")
        stage.wait(1)
    with refused("RATE_LIMITED", 429) as caught:
        alice.say("start_action", type="quick_win")
    assert caught.value.retry_after_s == 30
    stage.wait(29.999)
    with refused("RATE_LIMITED") as caught:
        alice.say("start_action", type="quick_win")
    assert caught.value.retry_after_s == 1
    stage.wait(0.001)
    alice.say("start_action", type="quick_win")


def test_thirty_completions_a_minute_before_anything_else_is_looked_at(stage: Stage, alice: Person) -> None:
    for number in range(30):
        alice.do("quick_win", took_s=1.5 + 0.01 * number)
    with refused("RATE_LIMITED", 429):
        alice.say("complete_action", actionId="x", actionToken="x")
    stage.wait(60)
    assert alice.do("quick_win")["score"]["current"] == 31


def test_families_are_limited_each_for_itself(stage: Stage, alice: Person) -> None:
    tokens = [alice.say("request_token")["actionToken"] for _ in range(10)]
    with refused("RATE_LIMITED", 429):
        alice.say("request_token")
    for token in tokens[:5]:
        alice.say("increment_score", actionToken=token)
        stage.wait(3)
    with refused("RATE_LIMITED", 429):
        alice.say("increment_score", actionToken=tokens[5])
    made = [alice.say("generate_action") for _ in range(10)]
    with refused("RATE_LIMITED", 429):
        alice.say("generate_action")
    for action in made:
        alice.say("update_score", **{name: action[name] for name in ("actionId", "hash", "timestamp")})
        stage.wait(2)
    with refused("RATE_LIMITED", 429):
        alice.say("update_score", actionId="x", hash="x", timestamp=1)
    assert alice.do("quick_win")["score"]["current"] == 16


def test_the_second_family_answers_a_bad_token_with_400(stage: Stage, alice: Person) -> None:
    token = alice.say("request_token")["actionToken"]
    with refused("TOKEN_INVALID", 400):
        alice.say("increment_score", actionToken=token[:-1] + "!")
    stage.wait(60)
    with refused("TOKEN_INVALID", 400):
        alice.say("increment_score", actionToken=token)


def test_a_token_of_one_family_is_none_of_another(alice: Person) -> None:
    started = alice.say("start_action", type="quick_win")
    with refused("TOKEN_INVALID", 400):
        alice.say("increment_score", actionToken=started["actionToken"])


def test_the_first_family_tells_a_wrong_hash_from_a_wrong_time(stage: Stage, alice: Person) -> None:
    made = alice.say("generate_action")
    assert made["points"] == 1
    right = {name: made[name] for name in ("actionId", "hash", "timestamp")}
    with refused("hash_invalid", 400):
        alice.say("update_score", **{**right, "hash": "0" * 64})
    with refused("timestamp_invalid", 400):
        alice.say("update_score", **{**right, "timestamp": made["timestamp"] + 1})
    assert alice.say("update_score", **right)["score"]["current"] == 1
    with refused("TOKEN_USED", 403):
        alice.say("update_score", **right)
    late = alice.say("generate_action")
    stage.wait(600)
    with refused("timestamp_invalid", 400):
        alice.say("update_score", **{name: late[name] for name in ("actionId", "hash", "timestamp")})


def test_practice_has_no_limits_and_asks_no_detector(stage: Stage, alice: Person) -> None:
    for _ in range(299):
        alice.do("practice")
    assert alice.do("practice")["score"]["current"] == 300
    assert not [address for address in stage.actors if address.kind == "fraud"]
    assert alice.ask("profile")["scores"] == {"practice": 300}


def test_no_more_actions_than_the_bound_can_be_open(stage: Stage, alice: Person) -> None:
    for _ in range(limits.ACTIONS_HELD_MAX):
        alice.say("start_action", type="practice")
    with refused("RATE_LIMITED", 429) as caught:
        alice.say("start_action", type="practice")
    assert caught.value.retry_after_s == 600
    stage.wait(600)
    alice.say("start_action", type="practice")


def test_used_tokens_are_remembered_up_to_the_bound(alice: Person) -> None:
    for _ in range(limits.ACTIONS_USED_MAX + 50):
        alice.do("practice")
    held = alice.stage.actor(alice.address).model_dump()
    assert len(held["used"]) == limits.ACTIONS_USED_MAX
    assert not held["held"]


def test_a_push_says_what_changed(alice: Person) -> None:
    alice.do("quick_win")
    kind = alice.stage.replayed(alice.address).view()
    assert kind["scores"]["main"] == 1
    assert kind["userId"] == "alice"


@pytest.mark.parametrize("amount", [0, -1, 2**53, 1.0, "1", True, None])
def test_amounts_are_whole_positive_and_bounded(alice: Person, amount: object) -> None:
    with pytest.raises(ValueError, match="points"):
        alice.say("award_score", caller=Caller("s", ("server",)), points=amount)


def test_fields_that_nobody_asked_for_are_refused(alice: Person) -> None:
    with pytest.raises(ValueError, match="score"):
        alice.say("start_action", type="quick_win", score=9)

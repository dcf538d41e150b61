"""SPEC section 4: play that is too good to be true, and what moderators do about it."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.acceptance.clients import API, Answer, Door, Sockets, User
from tests.acceptance.server import Server, until_sql

CASES = f"{API}/moderation/cases"


async def suspicious(door: Door, user: User, actions: int) -> list[Answer]:
    """Complete this many actions as fast as possible; all answers."""
    started = [await door.start(user, "quick_win") for _ in range(actions)]
    return [await door.complete(user, action) for action in started]


async def case_of(door: Door, moderator: User, user: User, status: str = "open") -> Any:
    answer = await door.get(CASES, as_=moderator, status=status)
    assert answer.status == 200
    return next((case for case in answer.body if case["userId"] == user.id), None)


@pytest.fixture
def flagged_actions() -> int:
    """The ninth action within ten seconds is one too many."""
    return 9


async def test_fr_01_more_than_eight_actions_in_ten_seconds_are_flagged(
    door: Door, alice: User, moderator: User, flagged_actions: int
) -> None:
    answers = await suspicious(door, alice, flagged_actions)
    assert {answer.status for answer in answers} == {200}
    assert all("warning" not in answer.body for answer in answers[:-1])
    assert answers[-1].body["warning"]
    assert (await door.score(alice.id, alice))["score"] == flagged_actions
    case = await case_of(door, moderator, alice)
    assert case is not None
    [incident] = case["incidents"]
    assert (incident["rule"], incident["points"]) == ("rapid_actions", 60)
    assert incident["evidence"] == {"action": "quick_win", "actions": flagged_actions, "withinS": 10}


async def test_fr_05_a_completion_that_is_too_fast_proceeds_with_a_warning(
    door: Door, server: Server, alice: User, moderator: User
) -> None:
    answer = await door.complete(alice, await door.start(alice, "boss_kill"))
    assert answer.status == 200
    assert answer.body["score"]["current"] == 50
    assert answer.body["warning"]
    rows = await server.sql("SELECT rule, points, evidence FROM incident WHERE player = $1", alice.id)
    assert [(row["rule"], row["points"]) for row in rows] == [("too_fast", 30)]
    assert await case_of(door, moderator, alice) is None


async def test_fr_05_play_on_loopback_is_no_shared_address(door: Door, server: Server, alice: User) -> None:
    await suspicious(door, alice, 1)
    assert await server.sql("SELECT rule FROM incident WHERE rule = 'crowded_address'") == []


async def test_fr_03_a_flag_halves_the_limits(door: Door, alice: User, flagged_actions: int) -> None:
    await suspicious(door, alice, flagged_actions)
    started = [await door.post(f"{API}/actions/token", as_=alice) for _ in range(6)]
    assert [answer.status for answer in started] == [200] * 5 + [429]


async def test_fr_06_above_a_hundred_the_account_is_suspended(
    door: Door, sockets: Sockets, alice: User, moderator: User
) -> None:
    wire = await sockets.open(alice)
    actions = [await door.start(alice, "boss_kill") for _ in range(4)]
    answers = [await door.complete(alice, action) for action in actions]
    assert answers[0].status == 200
    assert await wire.closed(5) == 4403
    refused = await door.until(
        "requests are refused",
        lambda: door.get(f"{API}/players/me", as_=alice),
        lambda answer: answer.status == 403,
        3,
    )
    assert refused.code == "SUSPENDED"
    case = await case_of(door, moderator, alice)
    assert case["outcome"] == "suspended"


async def rules_become(door: Door, server: Server, changes: dict[str, int]) -> None:
    """Change the fraud rules, and wait for the detector: every turn names the content it was decided under."""
    version = (await server.sql("SELECT version FROM content WHERE active"))[0]["version"]
    server.edit_content("fraud", changes)
    await until_sql(server, "SELECT version > $1 AS holds FROM content WHERE active", version)
    end = time.monotonic() + 10
    while True:
        stranger = await door.guest()
        await door.complete(stranger, await door.start(stranger, "boss_kill"))
        [row] = await server.sql(
            """SELECT max((turn ->> 'content')::int) = (SELECT version FROM content WHERE active) AS holds
               FROM journal WHERE kind = 'fraud'"""
        )
        if row["holds"]:
            return
        assert time.monotonic() < end, "the detector does not take the new content"


async def test_fr_06_the_third_flag_in_a_day_is_a_ban(door: Door, server: Server, alice: User) -> None:
    """Suspicion has to fall below the flag between two flags: this server's half-life is made short for it."""
    await rules_become(door, server, {"half_life_s": 1, "flag_above": 25, "suspend_above": 10_000})
    try:
        answers = [await door.complete(alice, await door.start(alice, "boss_kill"))]
        for _ in range(2):
            # A hit is worth 30: after 1.2 s, less than half of what there was is left, and that is below the flag.
            [row] = await server.sql("SELECT max(at) AS at FROM incident WHERE player = $1", alice.id)
            passed = "SELECT extract(epoch FROM clock_timestamp()) * 1000 > $1::bigint + 1200 AS holds"
            await until_sql(server, passed, row["at"])
            answers.append(await door.complete(alice, await door.start(alice, "boss_kill")))
        assert [answer.status for answer in answers[:2]] == [200] * 2
        refused = await door.until(
            "the account is banned",
            lambda: door.get(f"{API}/players/me", as_=alice),
            lambda answer: answer.status == 403,
            3,
        )
        assert refused.code == "BANNED"
    finally:
        await rules_become(door, server, {"half_life_s": 3600, "flag_above": 50, "suspend_above": 100})


async def test_fr_02_every_detection_is_an_incident_with_its_evidence(
    door: Door, server: Server, alice: User, flagged_actions: int
) -> None:
    await suspicious(door, alice, flagged_actions)
    [row] = await server.sql("SELECT rule, points, suspicion, evidence FROM incident WHERE player = $1", alice.id)
    assert (row["rule"], row["points"]) == ("rapid_actions", 60)
    assert row["suspicion"] == 60_000
    assert len(row["evidence"]) > len("{}")


async def test_fr_08_a_moderator_dismisses_a_case_and_all_is_undone(
    door: Door, alice: User, moderator: User, flagged_actions: int
) -> None:
    await suspicious(door, alice, flagged_actions)
    case = await case_of(door, moderator, alice)
    one = await door.get(f"{CASES}/{case['id']}", as_=moderator)
    assert (one.status, one.body["id"], one.body["status"]) == (200, case["id"], "open")
    assert (await door.post(f"{CASES}/{case['id']}/dismiss", {}, as_=moderator)).status == 400
    answer = await door.post(f"{CASES}/{case['id']}/dismiss", {"reason": "a fast child"}, as_=moderator)
    assert (answer.status, answer.body["status"], answer.body["by"]) == (200, "dismissed", moderator.id)
    assert await case_of(door, moderator, alice) is None
    assert (await case_of(door, moderator, alice, "dismissed"))["reason"] == "a fast child"
    started = [await door.post(f"{API}/actions/token", as_=alice) for _ in range(10)]
    assert {answer.status for answer in started} == {200}


async def test_fr_08_a_dismissed_suspension_lets_the_player_back(door: Door, alice: User, moderator: User) -> None:
    actions = [await door.start(alice, "boss_kill") for _ in range(4)]
    for action in actions:
        await door.complete(alice, action)
    await door.until(
        "the account is suspended",
        lambda: door.get(f"{API}/players/me", as_=alice),
        lambda answer: answer.status == 403,
        3,
    )
    case = await case_of(door, moderator, alice)
    await door.post(f"{CASES}/{case['id']}/dismiss", {"reason": "it was a test"}, as_=moderator)
    await door.until(
        "the account is back",
        lambda: door.get(f"{API}/players/me", as_=alice),
        lambda answer: answer.status == 200,
        3,
    )
    assert (await door.play(alice, "quick_win"))["score"]["current"] >= 50


async def test_sc_10_a_completion_that_suspends_is_403_and_does_not_burn_the_token(
    door: Door, alice: User, moderator: User
) -> None:
    actions = [await door.start(alice, "boss_kill") for _ in range(5)]
    answers = [await door.complete(alice, action) for action in actions]
    assert [answer.status for answer in answers] == [200] * 3 + [403] * 2
    assert answers[3].code == "SUSPICIOUS_ACTIVITY"
    assert answers[4].code in ("SUSPICIOUS_ACTIVITY", "SUSPENDED")
    case = await case_of(door, moderator, alice)
    assert [incident["rule"] for incident in case["incidents"]].count("too_fast") >= 3
    await door.post(f"{CASES}/{case['id']}/dismiss", {"reason": "it was a test"}, as_=moderator)
    done = await door.until(
        "the account is back", lambda: door.complete(alice, actions[3]), lambda answer: answer.status == 200, 3
    )
    assert done.body["score"] == {"previous": 150, "current": 200}
    assert (await door.complete(alice, actions[4])).body["score"]["current"] == 250
    assert await case_of(door, moderator, alice) is None


async def test_fr_08_a_moderator_confirms_a_case(
    door: Door, alice: User, moderator: User, flagged_actions: int
) -> None:
    await suspicious(door, alice, flagged_actions)
    case = await case_of(door, moderator, alice)
    answer = await door.post(f"{CASES}/{case['id']}/confirm", {"reason": "clear"}, as_=moderator)
    assert (answer.status, answer.body["status"]) == (200, "confirmed")
    late = await door.post(f"{CASES}/{case['id']}/dismiss", {"reason": "no"}, as_=moderator)
    assert late.status in (200, 409)
    assert late.body.get("code", "dismissed") in ("case_closed", "dismissed")


async def test_fr_08_a_moderator_decides_by_command_line(
    door: Door, server: Server, alice: User, bob: User, moderator: User, flagged_actions: int
) -> None:
    async def run(*arguments: str) -> Any:
        done = await asyncio.to_thread(server.tool, "fraud", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    for user in (alice, bob):
        await suspicious(door, user, flagged_actions)
    listed = {case["userId"]: case["id"] for case in await run("list")}
    shown = await run("show", listed[alice.id])
    assert shown["incidents"][0]["rule"] == "rapid_actions"
    await run("dismiss", listed[alice.id], "--reason", "a fast child")
    await run("confirm", listed[bob.id], "--reason", "clear")
    assert (await case_of(door, moderator, alice, "dismissed"))["reason"] == "a fast child"
    assert (await case_of(door, moderator, bob, "confirmed"))["reason"] == "clear"
    started = [await door.post(f"{API}/actions/token", as_=alice) for _ in range(6)]
    assert {answer.status for answer in started} == {200}


async def test_fr_08_cases_are_for_moderators(door: Door, staff: dict[str, User]) -> None:
    for role, user in staff.items():
        assert (await door.get(CASES, as_=user, status="open")).status == (
            200 if role in ("moderator", "admin") else 403
        )
    answer = await door.get(f"{CASES}/unknown", as_=staff["moderator"])
    assert (answer.status, answer.code) == (404, "case_unknown")


async def test_fr_09_practice_has_no_fraud_rules(door: Door, server: Server, alice: User) -> None:
    for _ in range(12):
        assert "warning" not in await door.play(alice)
    assert await server.sql("SELECT rule FROM incident WHERE player = $1", alice.id) == []

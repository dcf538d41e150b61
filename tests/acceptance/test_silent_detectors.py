"""SPEC FR-09: what happens while a fraud detector does not answer. Its process is stopped, as by a debugger."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from scripts.metrics import folder_of
from tests.acceptance.clients import API, Door, User
from tests.acceptance.server import PROJECT, Server, until_sql
from tests.acceptance.spare import Spare

CONSULT_S = 0.5
"""How long an answer is waited for. After five seconds of silence the process would be replaced."""

OWNER = "SELECT pid, pool FROM slot JOIN host USING (run) WHERE slot = 'fraud:0' AND NOT retired AND lease > now()"


async def detector_has_its_own_process(door: Door) -> None:
    """It lives with others until it has something to remember; then it is given a process of its own."""
    stranger = await door.guest()
    await door.complete(stranger, await door.start(stranger, "boss_kill"))
    alone = f"SELECT count(*) = 1 AS holds FROM ({OWNER}) AS owner WHERE pool = 'fraud:0'"
    await until_sql(door.server, alone, within_s=20)


@pytest_asyncio.fixture
async def watched(door: Door) -> None:
    await detector_has_its_own_process(door)


@asynccontextmanager
async def silenced(server: Server) -> AsyncIterator[None]:
    """The detector's process does nothing until the end of the block."""
    [row] = await server.sql(OWNER)
    assert row["pool"] == "fraud:0"
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(row["pid"], signal.SIGCONT)


async def completed(server: Server, user: User) -> list[dict[str, Any]]:
    """The player's completions, as the journal has them."""
    return await server.sql(
        """SELECT (e -> 1 ->> 'unassessed')::bool AS unassessed FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = $1 AND e ->> 0 = 'action_completed' ORDER BY version""",
        user.id,
    )


@pytest.mark.usefixtures("watched")
async def test_fr_09_without_an_answer_the_action_proceeds_and_is_assessed_later(
    door: Door, server: Server, alice: User, moderator: User
) -> None:
    """Three hits, one of them judged late: 30 points each, below the suspension."""
    for _ in range(2):
        await door.complete(alice, await door.start(alice, "boss_kill"))
    action = await door.start(alice, "boss_kill")
    async with silenced(server):
        answer = await door.complete(alice, action)
        assert answer.status == 200
        assert answer.body["score"] == {"previous": 100, "current": 150}
        assert CONSULT_S * 0.9 <= answer.seconds < CONSULT_S + 2
        rows = await server.sql("SELECT count(*) AS incidents FROM incident WHERE player = $1", alice.id)
        assert rows[0]["incidents"] == 2
    assert [row["unassessed"] for row in await completed(server, alice)] == [False, False, True]
    # What was asked in vain arrives too, before what was told instead: together they count once.
    await until_sql(server, "SELECT count(*) = 0 AS holds FROM outbox WHERE kind = 'fraud'", within_s=20)
    rows = await server.sql("SELECT rule, points FROM incident WHERE player = $1", alice.id)
    assert [(row["rule"], row["points"]) for row in rows] == [("too_fast", 30)] * 3
    [case] = [
        case
        for case in (await door.get(f"{API}/moderation/cases", as_=moderator, status="open")).body
        if case["userId"] == alice.id
    ]
    assert (case["outcome"], case["suspicion"]) == ("flagged", 90)


@pytest.mark.usefixtures("watched")
async def test_fr_09_without_an_answer_the_limits_are_halved(door: Door, server: Server, alice: User) -> None:
    """Ten tokens a minute are allowed; the sixth is refused while nobody can say whether the player is clean."""
    for _ in range(5):
        assert (await door.post(f"{API}/actions/token", as_=alice)).status == 200
    async with silenced(server):
        refused = await door.post(f"{API}/actions/token", as_=alice)
        assert (refused.status, refused.code) == (429, "RATE_LIMITED")
        assert int(refused.headers["Retry-After"]) >= 1
    allowed = await door.until(
        "the detector answers again", lambda: door.post(f"{API}/actions/token", as_=alice), lambda a: a.status == 200
    )
    server.secrets.add(allowed.body["actionToken"])


@pytest.mark.usefixtures("watched")
async def test_fr_09_what_has_no_fraud_rules_waits_for_nobody(door: Door, server: Server, alice: User) -> None:
    async with silenced(server):
        answer = await door.complete(alice, await door.start(alice, "practice"))
        assert answer.status == 200
        assert answer.seconds < CONSULT_S


@pytest.mark.usefixtures("watched")
async def test_fr_09_actions_that_passed_unassessed_are_counted_for_the_alert(
    door: Door, server: Server, session: aiohttp.ClientSession, alice: User
) -> None:
    name = "greenroom_unanswered_consults_total"
    rules = yaml.safe_load((PROJECT / "deploy" / "prometheus" / "alerts.yml").read_text())
    [alert] = [rule for group in rules["groups"] for rule in group["rules"] if name in str(rule.get("expr"))]
    assert "> 0.01" in alert["expr"]

    async def counted() -> float:
        total = 0.0
        for target in targets(server):
            async with session.get(f"http://{target}/metrics") as response:
                lines = (await response.text()).splitlines()
            total += sum(float(line.split()[-1]) for line in lines if line.startswith(f'{name}{{kind="fraud"'))
        return total

    action = await door.start(alice, "quick_win")
    before = await counted()
    async with silenced(server):
        assert (await door.complete(alice, action)).status == 200
    assert await counted() == before + 1


def targets(server: Server) -> list[str]:
    """Where the shared hosts tell Prometheus what they count."""
    files = sorted(folder_of(server.data).glob("*host*"))
    return [target for file in files for group in yaml.safe_load(file.read_text()) for target in group["targets"]]


async def test_fr_09_a_server_that_fails_closed_refuses_and_burns_no_token(spare: Spare, spare_door: Door) -> None:
    """The second server is set so; practice has no rules and goes on there too."""
    await detector_has_its_own_process(spare_door)
    alice = await spare_door.guest()
    action = await spare_door.start(alice, "boss_kill")
    async with silenced(spare):
        refused = await spare_door.complete(alice, action)
        assert refused.status == 503, refused
        assert int(refused.headers["Retry-After"]) >= 1
        start = await spare_door.post(f"{API}/actions", {"type": "quick_win"}, as_=alice)
        assert (start.status, start.code) == (503, "UNAVAILABLE")
        assert (await spare_door.play(alice))["score"]["current"] == 1
    done = await spare_door.until(
        "the detector answers again",
        lambda: spare_door.complete(alice, action),
        lambda answer: answer.status == 200,
    )
    assert done.body["score"] == {"previous": 0, "current": 50}
    assert [row["unassessed"] for row in await completed(spare, alice)] == [False, False]

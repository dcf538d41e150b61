"""SE-28: a flood of play while no fraud detector answers: halved limits hold, all is marked, and it is told."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.acceptance.clients import API, Answer, Door, User
from tests.acceptance.server import Server, until_sql
from tests.acceptance.test_silent_detectors import OWNER, detector_has_its_own_process, targets
from tests.chaos.tiers import by_tier

PLAYERS = by_tier(20, 100)
TOKENS, TOKENS_HALVED = 7, 5
"""What each asks for, and gets, of the ten a minute that the content allows."""
ACTIONS = 2
"""What each does: with the tokens, a thousand things in all before a release."""
KEPT_EVERY_S = 0.5
_KEEP = "UPDATE host SET lease = now() + interval '10 seconds' WHERE pid = $1 AND NOT retired"
ALARM = "greenroom_unanswered_consults_total"


@asynccontextmanager
async def silenced_for_good(server: Server) -> AsyncIterator[None]:
    """The detector's process does nothing until the end of the block, and keeps its lease, so that none replaces it."""
    [row] = await server.sql(OWNER)
    assert row["pool"] == "fraud:0"

    async def keep() -> None:
        while True:
            await server.sql(_KEEP, row["pid"])
            await asyncio.sleep(KEPT_EVERY_S)

    os.kill(row["pid"], signal.SIGSTOP)
    keeping = asyncio.ensure_future(keep())
    try:
        yield
        assert not keeping.done(), "its lease was not kept"
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        os.kill(row["pid"], signal.SIGCONT)


async def alarmed(server: Server, session: aiohttp.ClientSession) -> float:
    """How many questions to detectors had no answer, as the alert counts it."""
    total = 0.0
    for target in targets(server):
        async with session.get(f"http://{target}/metrics") as response:
            lines = (await response.text()).splitlines()
        total += sum(float(line.split()[-1]) for line in lines if line.startswith(f'{ALARM}{{kind="fraud"'))
    return total


async def test_se_28_a_thousand_actions_while_nobody_judges_are_halved_marked_and_told(
    door: Door, server: Server, session: aiohttp.ClientSession
) -> None:
    await detector_has_its_own_process(door)
    people = [await door.guest() for _ in range(PLAYERS)]
    before = await alarmed(server, session)
    began = time.monotonic()
    async with silenced_for_good(server):
        done = sum(await asyncio.gather(*(play(door, person) for person in people)))
        took_s = time.monotonic() - began
    assert took_s < 50, "limits count by the minute"
    rows = await server.sql(
        """SELECT key, count(*) AS all, count(*) FILTER (WHERE (e -> 1 ->> 'unassessed')::bool) AS unassessed
           FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = ANY($1) AND e ->> 0 = 'action_completed' GROUP BY key""",
        [person.id for person in people],
    )
    assert {row["key"]: row["all"] for row in rows} == {person.id: ACTIONS for person in people}
    assert sum(row["unassessed"] for row in rows) >= 0.9 * done
    assert await alarmed(server, session) - before >= 0.9 * done
    # Once somebody judges again, all of it is judged.
    await until_sql(server, "SELECT count(*) = 0 AS holds FROM outbox WHERE kind = 'fraud'", within_s=40)


async def play(door: Door, person: User) -> int:
    """Ask for tokens until it is too much, and do some actions; how many counted."""
    for number in range(TOKENS):
        answer = await door.post(f"{API}/actions/token", as_=person)
        refused(answer, number >= TOKENS_HALVED)
        if answer.status == 200:
            door.server.secrets.add(answer.body["actionToken"])
    for _ in range(ACTIONS):
        refused(await door.complete(person, await door.start(person, "quick_win")), False)
    return ACTIONS


def refused(answer: Answer, too_much: bool) -> None:
    """Whether it was done or refused as it should be."""
    assert answer.status == (429 if too_much else 200), answer
    assert not too_much or int(answer.headers["Retry-After"]) >= 1

"""SE-08 and SE-14: the same token, the same request, the same moment, on every door at once."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.acceptance.server import Server, until_sql


async def completions(server: Server, user: User) -> int:
    [row] = await server.sql(
        """SELECT count(*) AS count FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = $1 AND e ->> 0 = 'action_completed'""",
        user.id,
    )
    return int(row["count"])


async def test_se_08_fifty_completions_of_one_token_have_one_effect(
    server: Server, door: Door, sockets: Sockets, alice: User
) -> None:
    action = await door.start(alice)
    body = {"actionId": action["id"], "actionToken": action["actionToken"]}
    wires = [await sockets.open(alice, binary=bool(number % 2)) for number in range(10)]
    by_frame = [wire.command("player", "me", "complete_action", body) for wire in wires]
    by_rest = [door.complete(alice, action) for _ in range(40)]
    frames, answers = await asyncio.gather(asyncio.gather(*by_frame), asyncio.gather(*by_rest))
    statuses = [frame["meta"]["code"] for frame in frames] + [answer.status for answer in answers]
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 403}
    assert await completions(server, alice) == 1
    assert (await door.score(alice.id, alice, "practice"))["score"] == 1


async def test_se_08_a_used_token_stays_used_after_a_flush(server: Server, door: Door, alice: User) -> None:
    action = await door.start(alice)
    await door.complete(alice, action)
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        await client.flushall()
    answer = await door.complete(alice, action)
    assert (answer.status, answer.code) == (403, "TOKEN_USED")


async def test_se_08_a_token_of_another_user_is_none(server: Server, door: Door, alice: User, bob: User) -> None:
    mine, theirs = await door.start(alice), await door.start(bob)
    mixed = {"id": mine["id"], "actionToken": f"{mine['id']}.{theirs['actionToken'].partition('.')[2]}"}
    answer = await door.complete(alice, mixed)
    assert (answer.status, answer.code) == (401, "SIGNATURE_INVALID")
    assert (await door.complete(bob, mine)).code == "TOKEN_INVALID"
    assert await completions(server, alice) == await completions(server, bob) == 0


async def test_se_08_a_signature_of_another_type_is_none(door: Door, alice: User) -> None:
    cheap, dear = await door.start(alice, "quick_win"), await door.start(alice, "boss_kill")
    mixed = {"id": dear["id"], "actionToken": f"{dear['id']}.{cheap['actionToken'].partition('.')[2]}"}
    answer = await door.complete(alice, mixed)
    assert (answer.status, answer.code) == (401, "SIGNATURE_INVALID")


async def test_se_08_a_token_is_good_until_it_expires_and_not_a_moment_longer(
    server: Server, door: Door, alice: User
) -> None:
    """The second family's tokens live for two seconds on this server."""
    token = (await door.post(f"{API}/actions/token", as_=alice)).body
    expired = """SELECT max((e -> 1 ->> 'expires_at')::bigint) <= extract(epoch FROM clock_timestamp()) * 1000 AS holds
                 FROM journal, json_array_elements(events) e WHERE kind = 'player' AND key = $1"""
    await until_sql(server, expired, alice.id)
    answer = await door.post(f"{API}/scores/increment", token, as_=alice)
    assert (answer.status, answer.code) == (400, "TOKEN_INVALID")
    assert await completions(server, alice) == 0


async def test_se_08_what_the_journal_keeps_makes_no_token(server: Server, door: Door, alice: User) -> None:
    action = await door.start(alice)
    rows = await server.sql("SELECT turn, events FROM journal WHERE kind = 'player' AND key = $1", alice.id)
    assert action["actionToken"].partition(".")[2] not in " ".join(row["events"] for row in rows)
    stored = json.dumps(rows[-1]["events"])
    proof = stored[stored.index("proof") :].split('\\"')[2]
    forged = {"id": action["id"], "actionToken": f"{action['id']}.{proof}"}
    assert (await door.complete(alice, forged)).code == "SIGNATURE_INVALID"


@pytest.mark.parametrize("same_op", [True, False])
async def test_se_14_a_hundred_awards_at_once_are_conserved(
    server: Server, door: Door, sockets: Sockets, alice: User, studio: User, same_op: bool
) -> None:
    """Over REST and both forms of frames, on two gateways: each op counts once, whatever came first."""
    op = fresh_name("race")
    ops = [op if same_op else f"{op}-{number}" for number in range(100)]
    wires = [await sockets.open(studio, binary=bool(number % 2)) for number in range(6)]
    fields = {"points": 7, "board": "practice"}

    async def by_rest(name: str) -> int:
        async with aiohttp.ClientSession() as fresh:
            body = {"userId": alice.id, **fields}
            return (await door.ask("POST", f"{API}/scores/award", body, as_=studio, op=name, session=fresh)).status

    async def by_frames(wire: Any, names: list[str]) -> list[int]:
        answered = [await wire.command("player", alice.id, "award_score", fields, op=name) for name in names]
        return [frame["meta"]["code"] for frame in answered]

    rest = asyncio.gather(*(by_rest(name) for name in ops[:40]))
    framed = asyncio.gather(*(by_frames(wire, ops[40 + at :: 6]) for at, wire in enumerate(wires)))
    statuses = [*(await rest), *(status for part in await framed for status in part)]
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    distinct = len(set(ops))
    if not same_op:
        assert set(statuses) == {200}
    score = await door.score(alice.id, alice, "practice")
    assert score["score"] == 7 * distinct
    [row] = await server.sql(
        """SELECT count(*) AS turns, count(DISTINCT op) AS ops FROM journal
           WHERE kind = 'player' AND key = $1 AND turn ->> 'command' = 'award_score'""",
        alice.id,
    )
    assert row["turns"] == row["ops"] == distinct
    await door.until(
        "the board has all of it",
        lambda: door.get(f"{API}/leaderboard/users/{alice.id}", as_=alice, board="practice"),
        lambda answer: answer.status == 200 and answer.body["score"] == 7 * distinct,
    )


async def test_se_14_refreshing_at_once_never_gives_two_families(door: Door) -> None:
    user = await door.guest()
    answers = await asyncio.gather(
        *(door.post(f"{API}/auth/refresh", {"refreshToken": user.refresh}) for _ in range(10))
    )
    assert sum(answer.status == 200 for answer in answers) <= 1
    for answer in answers:
        if answer.status == 200:
            door.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}


async def test_se_14_guests_of_one_device_at_once_are_one_player(door: Door) -> None:
    device = fresh_name("a device of many hands ")
    guests = await asyncio.gather(*(door.guest(device) for _ in range(10)))
    assert len({guest.id for guest in guests}) == 1


async def test_se_14_histories_are_contiguous_after_all_of_this(server: Server) -> None:
    broken = await server.sql(
        """SELECT kind, key, version FROM (
               SELECT kind, key, version, lag(version + length) OVER (PARTITION BY kind, key ORDER BY version) AS due
               FROM journal) turns
           WHERE version <> coalesce(due, 1)"""
    )
    assert broken == []
    assert await server.sql("SELECT * FROM dead_letter") == []

"""SPEC FR-05 and FR-07: every kind of rule, as content that changes while the game runs, and how suspicion fades."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.acceptance.clients import API, PASSWORD, Door, User, fresh_name
from tests.acceptance.server import PROXY, Server, until_sql

CROWD = 4
HALF_LIFE_S = 2
STRICT = {
    "half_life_s": HALF_LIFE_S,
    "rules": {
        "evenly": {"kind": "periodic", "points": 1, "samples": 3, "tolerance_ms": 60_000},
        "alike": {"kind": "identical", "points": 2, "samples": 3, "tolerance_ms": 60_000},
        "greedy": {"kind": "score_rate", "points": 4, "more_than": 120, "within_s": 60},
        "hasty": {"kind": "too_fast", "points": 8},
        "many": {"kind": "burst", "points": 16, "more_than": 4, "within_s": 60},
        "crowd": {"kind": "shared_address", "points": 5, "more_than": CROWD - 1, "within_s": 3_600},
        "machine": {"kind": "shared_device", "points": 6, "more_than": CROWD - 1, "within_s": 3_600},
    },
}
"""Rules that everybody breaks who plays five times, each told apart by its points."""


async def every_host_decides_under_the_active_content(server: Server, door: Door) -> None:
    """Each process reads it within a second; each turn names what it was decided under. Both sides are asked: the
    players' host and the detector."""
    while True:
        stranger = await door.guest()
        await door.complete(stranger, await door.start(stranger, "boss_kill"))
        [row] = await server.sql(
            """SELECT (SELECT max((turn ->> 'content')::int) FROM journal WHERE kind = 'fraud') = version AS detector,
                      (SELECT min((turn ->> 'content')::int) FROM journal WHERE kind = 'player' AND key = $1)
                      = version AS host FROM content WHERE active""",
            stranger.id,
        )
        if row["host"] and row["detector"] is not False:
            return


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(server: Server) -> AsyncIterator[None]:
    """The strict rules, for this file only."""
    path = server.content / "fraud.yaml"
    before = path.read_text()

    async def become(text: str, wanted: str) -> None:
        path.write_text(text)
        taken = "SELECT (body -> 'fraud' -> 'rules') ? $1 AS holds FROM content WHERE active"
        await until_sql(server, taken, wanted)
        async with aiohttp.ClientSession() as session:
            await every_host_decides_under_the_active_content(server, Door(server, session))

    await become(yaml.safe_dump({**yaml.safe_load(before), **STRICT}), "hasty")
    yield
    await become(before, "too_fast")


async def incidents(server: Server, user: User) -> list[dict[str, Any]]:
    """All that was detected of this player, oldest first."""
    rows = await server.sql("SELECT * FROM incident WHERE player = $1 ORDER BY at, points", user.id)
    return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]


async def rules_hit(server: Server, user: User) -> list[str]:
    return sorted({row["rule"] for row in await incidents(server, user)})


@pytest.mark.usefixtures("strict")
async def test_fr_07_evenly_spaced_play_is_detected(door: Door, server: Server, alice: User) -> None:
    """Three pauses need four completions, and all of them are within the tolerance here."""
    for _ in range(3):
        await door.play(alice, "quick_win")
    assert "evenly" not in await rules_hit(server, alice)
    answer = await door.play(alice, "quick_win")
    assert answer["warning"]
    [found] = [row for row in await incidents(server, alice) if row["rule"] == "evenly"]
    assert len(found["evidence"]["pauses_ms"]) == 3
    assert found["evidence"]["action"] == "quick_win"


@pytest.mark.usefixtures("strict")
async def test_fr_07_actions_that_take_equally_long_are_detected(door: Door, server: Server, alice: User) -> None:
    for _ in range(2):
        assert "warning" not in await door.play(alice, "quick_win")
    assert (await door.play(alice, "quick_win"))["warning"]
    [found] = await incidents(server, alice)
    assert (found["rule"], found["points"]) == ("alike", 2)
    assert len(found["evidence"]["took_ms"]) == 3


@pytest.mark.usefixtures("strict")
async def test_fr_07_a_score_that_rises_too_fast_is_detected(door: Door, server: Server, alice: User) -> None:
    for _ in range(2):
        await door.play(alice, "boss_kill")
    assert await rules_hit(server, alice) == ["hasty"]
    await door.play(alice, "boss_kill")
    [found] = [row for row in await incidents(server, alice) if row["rule"] == "greedy"]
    assert (found["points"], found["evidence"]["earned"], found["evidence"]["within_s"]) == (4, 150, 60)


@pytest.mark.usefixtures("strict")
async def test_fr_07_too_many_in_a_window_are_detected_whatever_the_family(
    door: Door, server: Server, alice: User
) -> None:
    for _ in range(2):
        await door.play(alice, "quick_win")
        token = (await door.post(f"{API}/actions/token", as_=alice)).body["actionToken"]
        server.secrets.add(token)
        assert (await door.post(f"{API}/scores/increment", {"actionToken": token}, as_=alice)).status == 200
    assert "many" not in await rules_hit(server, alice)
    await door.play(alice, "quick_win")
    [found] = [row for row in await incidents(server, alice) if row["rule"] == "many"]
    assert (found["evidence"]["actions"], found["evidence"]["within_s"]) == (5, 60)


@pytest.mark.usefixtures("strict")
async def test_fr_05_an_action_below_its_minimum_proceeds_and_one_above_is_no_hit(
    door: Door, server: Server, alice: User, bob: User
) -> None:
    hasty = await door.complete(alice, await door.start(alice, "boss_kill"))
    assert (hasty.status, hasty.body["score"]["current"]) == (200, 50)
    assert hasty.body["warning"]
    [found] = await incidents(server, alice)
    assert found["evidence"]["minimum_ms"] == 2_000
    assert 0 <= found["evidence"]["took_ms"] < 2_000
    action = await door.start(bob, "boss_kill")
    [row] = await server.sql("SELECT clock_timestamp() + interval '2 seconds' AS over")
    await until_sql(server, "SELECT clock_timestamp() > $1 AS holds", row["over"])
    patient = await door.complete(bob, action)
    assert patient.status == 200
    assert "warning" not in patient.body
    assert await incidents(server, bob) == []


@pytest.mark.usefixtures("strict")
async def test_fr_07_suspicion_is_halved_after_each_half_life(door: Door, server: Server, alice: User) -> None:
    await door.play(alice, "boss_kill")
    [first] = await incidents(server, alice)
    assert first["suspicion"] == 8_000
    await until_sql(
        server,
        "SELECT extract(epoch FROM clock_timestamp()) * 1000 > $1::bigint + $2::bigint AS holds",
        first["at"],
        HALF_LIFE_S * 1_000,
    )
    await door.play(alice, "boss_kill")
    [_, second] = await incidents(server, alice)
    left = second["suspicion"] - 8_000
    assert left < 4_000
    assert left == pytest.approx(8_000 * 0.5 ** ((second["at"] - first["at"]) / (HALF_LIFE_S * 1_000)), abs=2)


@pytest.mark.usefixtures("strict")
async def test_fr_05_many_players_behind_one_address_are_detected(door: Door, server: Server) -> None:
    """A proxy that is trusted says where they come from; the one too many is suspected, and so are all after it."""
    people = [await guest_from(door, "203.0.113.7") for _ in range(CROWD + 1)]
    for late in people[CROWD - 1 :]:
        await until_sql(server, "SELECT count(*) = 1 AS holds FROM incident WHERE player = $1", late.id)
    assert [await rules_hit(server, user) for user in people] == [[]] * (CROWD - 1) + [["crowd"]] * 2
    [found] = await incidents(server, people[CROWD - 1])
    assert found["points"] == 5
    assert (found["evidence"]["players"], found["evidence"]["address"]) == (CROWD, "203.0.113.7")


@pytest.mark.usefixtures("strict")
async def test_fr_05_many_players_on_one_device_are_detected(door: Door, server: Server) -> None:
    device = {"deviceId": "one machine in a shop"}
    people = []
    for _ in range(CROWD):
        account = {"username": fresh_name("shop"), "password": PASSWORD, **device}
        made = await door.post(f"{API}/auth/register", account)
        assert made.status == 201, made
        people.append(made.body["userId"])
    await until_sql(server, "SELECT count(*) = 1 AS holds FROM incident WHERE player = $1", people[-1])
    [found] = await server.sql("SELECT rule, points FROM incident WHERE player = ANY($1)", people)
    assert (found["rule"], found["points"]) == ("machine", 6)


@pytest.mark.usefixtures("strict")
async def test_fr_05_loopback_and_trusted_proxies_are_nobodys_address(door: Door, server: Server) -> None:
    """After these, one more crowd elsewhere is detected: by then nobody else is on the way to the detector."""
    for forwarded in ("", "127.0.0.1", "::1", PROXY):
        for _ in range(CROWD):
            await guest_from(door, forwarded)
    crowd = [await guest_from(door, "203.0.113.8") for _ in range(CROWD)]
    await until_sql(server, "SELECT count(*) = 1 AS holds FROM incident WHERE player = $1", crowd[-1].id)
    rows = await server.sql("SELECT DISTINCT evidence ->> 'address' AS address FROM incident WHERE rule = 'crowd'")
    assert {row["address"] for row in rows} <= {"203.0.113.7", "203.0.113.8"}


@pytest.mark.usefixtures("strict")
async def test_fr_05_one_player_who_comes_back_is_no_crowd(door: Door, server: Server, alice: User) -> None:
    crowd = [await guest_from(door, "203.0.113.9") for _ in range(CROWD - 1)]
    again = await door.register()
    for _ in range(CROWD):
        async with from_proxy() as session:
            await door.login(again.name, session=session, headers={"X-Forwarded-For": "198.51.100.1"})
    last = await guest_from(door, "203.0.113.9")
    await until_sql(server, "SELECT count(*) = 1 AS holds FROM incident WHERE player = $1", last.id)
    assert await incidents(server, again) == []
    assert all([await incidents(server, user) == [] for user in crowd])


def from_proxy() -> aiohttp.ClientSession:
    """Requests of this session come from a peer whose X-Forwarded-For is believed."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(PROXY, 0)))


async def guest_from(door: Door, address: str) -> User:
    """A new player who comes from this address, through the proxy."""
    async with from_proxy() as session:
        session.headers.update({"X-Forwarded-For": address} if address else {})
        return await Door(door.server, session).guest()

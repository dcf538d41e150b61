"""REST in front of a real Greenroom: every path, the ladder of errors, boards, caches, health and documents."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgpack
import pytest
from jsonschema import Draft7Validator
from openapi_spec_validator import validate

from gateway import asyncapi, openapi
from tests.integration.door import User, admin, alice, bob, room, session
from tests.integration.one_process import OneProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

__all__ = ["admin", "alice", "bob", "room", "session"]


# REST


async def test_an_action_is_started_and_completed(alice: User) -> None:
    status, action, headers = await alice.ask("POST", "/api/v1/actions", {"type": "quick_win"})
    assert status == 201
    assert headers["Location"] == f"/api/v1/actions/{action['id']}"
    done = await alice.post(f"/api/v1/actions/{action['id']}/complete", {"actionToken": action["actionToken"]})
    assert done["score"] == {"previous": 0, "current": 1}
    assert done["rank"]["current"] >= 1


async def test_the_second_family_increments_a_score(alice: User) -> None:
    token = await alice.post("/api/actions/token")
    answer = await alice.post("/scores/increment", token)
    assert answer["newScore"] == 1
    assert answer["newRank"] >= 1
    assert await alice.refused("POST", "/api/v1/scores/increment", {"actionToken": "x"}) == (400, "TOKEN_INVALID")


async def test_the_first_family_updates_the_scoreboard(alice: User) -> None:
    action = await alice.post("/api/scoreboard/generate-action")
    sent = {name: action[name] for name in ("actionId", "hash", "timestamp")}
    wrong = {**sent, "hash": "0" * 64}
    assert (await alice.refused("POST", "/api/scoreboard/update", wrong))[0] == 400
    assert (await alice.post("/api/scoreboard/update", sent))["score"]["current"] == 1


async def test_one_idempotency_key_has_one_effect_and_one_answer(alice: User, admin: User) -> None:
    body = {"userId": alice.id, "points": 7}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = await admin.ask("POST", "/api/v1/scores/award", body, **key)
    again = await admin.ask("POST", "/api/v1/scores/award", body, **key)
    assert first[:2] == again[:2]
    assert await admin.refused("POST", "/api/v1/scores/award", {**body, "points": 8}, **key) == (422, "OP_REUSED")
    assert (await alice.get("/api/v1/players/me/score"))["score"] == 7


async def test_the_same_key_of_another_caller_is_another_request(alice: User, bob: User) -> None:
    key = {"Idempotency-Key": "same"}
    first = await alice.post("/api/v1/actions", {"type": "quick_win"}, **key)
    second = await bob.post("/api/v1/actions", {"type": "quick_win"}, **key)
    assert first["id"] != second["id"]


async def test_a_batch_answers_for_each_item(alice: User, admin: User) -> None:
    op = uuid.uuid4().hex
    items = [
        {"op": op, "userId": alice.id, "points": 2},
        {"op": op + "b", "userId": "nobody", "points": 2},
        {"op": op + "c", "userId": alice.id, "points": -2},
    ]
    answers = (await admin.post("/api/v1/scores/award-batch", {"items": items}))["items"]
    assert [answer["status"] for answer in answers] == [200, 404, 400]
    assert answers[0]["op"] == op
    assert answers[0]["score"] == {"previous": 0, "current": 2}
    assert answers[1]["error"]["code"] == "player_unknown"
    assert (await admin.post("/api/v1/scores/award-batch", {"items": items}))["items"][0] == answers[0]


async def test_a_batch_without_ops_counts_once_under_its_key(alice: User, admin: User) -> None:
    items = [{"userId": alice.id, "points": 2}, {"userId": alice.id, "points": 2}]
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = await admin.post("/api/v1/scores/award-batch", {"items": items}, **key)
    assert [answer["status"] for answer in first["items"]] == [200, 200]
    assert await admin.post("/api/v1/scores/award-batch", {"items": items}, **key) == first
    items[1]["points"] = 3
    (again, other) = (await admin.post("/api/v1/scores/award-batch", {"items": items}, **key))["items"]
    assert again == first["items"][0]
    assert (other["status"], other["error"]["code"]) == (422, "OP_REUSED")


async def test_a_batch_of_five_hundred_with_everything_in_it_fits(admin: User) -> None:
    item = {"points": 1, "reason": "r" * 100, "attributes": {"team": "t" * 40}, "at": "2026-01-31T12:00:00Z"}
    items = [{"op": f"{uuid.uuid4()}", "userId": admin.id, **item} for _ in range(500)]
    answers = (await admin.post("/api/v1/scores/award-batch", {"items": items}))["items"]
    assert {answer["status"] for answer in answers} == {200}
    assert max(answer["score"]["current"] for answer in answers) == 500


async def test_every_command_and_query_has_a_generic_path(alice: User) -> None:
    answer = await alice.post("/api/v1/actors/player/me/start_action", {"type": "quick_win"})
    assert answer["ok"] is True
    assert answer["version"] > 0
    assert answer["data"]["expectedScore"] == 1
    sheet = await alice.get("/api/v1/actors/player/me/profile")
    assert sheet["data"]["userId"] == alice.id
    top = await alice.get("/api/v1/actors/leaderboard/main/top?limit=3")
    assert len(top["data"]) <= 3


async def test_errors_come_in_the_order_of_the_ladder(room: OneProcess, alice: User, bob: User) -> None:
    nobody = User(room, alice.session, "", "")
    large = {"type": "x" * 70_000}
    assert await nobody.refused("POST", "/api/v1/nothing", large) == (404, "NOT_FOUND")
    assert await nobody.refused("POST", "/api/v1/actors/nobody/x/y", {}) == (404, "UNKNOWN_KIND")
    assert await nobody.refused("POST", "/api/v1/actors/player/me/fly", {}) == (404, "UNKNOWN_COMMAND")
    assert await nobody.refused("GET", "/api/v1/actors/player/me/fly") == (404, "UNKNOWN_QUERY")
    assert await nobody.refused("POST", "/api/v1/actors/player/me/create", {}) == (404, "UNKNOWN_COMMAND")
    assert await nobody.refused("POST", "/api/v1/actions", large) == (413, "TOO_LARGE")
    assert await nobody.refused("POST", "/api/v1/actions", {"type": 5}) == (401, "UNAUTHENTICATED")
    wrong = User(room, alice.session, "", "not.a.token")
    assert await wrong.refused("POST", "/api/v1/actions", {"type": 5}) == (401, "UNAUTHENTICATED")
    path = f"/api/v1/actors/player/{bob.id}/start_action"
    assert await alice.refused("POST", path, {"type": 5}) == (403, "FORBIDDEN")
    assert await alice.refused("POST", "/api/v1/actions", {"type": 5}) == (400, "INVALID")
    assert await alice.refused("PATCH", "/api/v1/actions", {}) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("points", [-1, 0, 2**53, 2**63, "1", 1.0, 1e3, None, True, [], {}])
async def test_an_amount_that_is_none_is_refused_by_name(admin: User, points: Any) -> None:
    status, body, _ = await admin.ask("POST", "/api/v1/scores/award", {"userId": admin.id, "points": points})
    assert (status, body["code"]) == (400, "INVALID")
    assert points == 2**63 or "points" in body["message"] or "2^53" in body["message"]


async def test_unknown_fields_are_refused(admin: User) -> None:
    body = {"userId": admin.id, "points": 1, "score": 9}
    status, answer, _ = await admin.ask("POST", "/api/v1/scores/award", body)
    assert status == 400
    assert answer["fields"][0]["field"] == "score"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 40 + b"]" * 40, b'{"type": "\\u0000"}', b"NaN", b"[]"])
async def test_what_is_no_request_is_a_400(alice: User, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {alice.token}", "Content-Type": "application/json"}
    async with alice.session.post(alice.room.url + "/api/v1/actions", data=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "INVALID"


async def test_a_chunked_body_is_bounded_too(alice: User) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    headers = {"Authorization": f"Bearer {alice.token}", "Content-Type": "application/json"}
    async with alice.session.post(alice.room.url + "/api/v1/actions", data=chunks(), headers=headers) as response:
        assert response.status == 413


async def test_msgpack_bodies_are_understood(alice: User) -> None:
    headers = {"Authorization": f"Bearer {alice.token}", "Content-Type": "application/msgpack"}
    body = msgpack.packb({"type": "quick_win"})
    async with alice.session.post(alice.room.url + "/api/v1/actions", data=body, headers=headers) as response:
        assert response.status == 201


async def test_pages_of_listed_origins_may_call_and_others_not(alice: User) -> None:
    for origin, allowed in (("https://game.example", True), ("https://game.example.evil.com", False), ("null", False)):
        headers = {"Origin": origin}
        async with alice.session.options(alice.room.url + "/api/v1/actions", headers=headers) as response:
            assert ("Access-Control-Allow-Origin" in response.headers) is allowed


# Boards, caches, health, documents


async def test_a_read_after_an_acknowledged_write_shows_it(alice: User, admin: User) -> None:
    for points in range(1, 21):
        award = await admin.post("/api/v1/scores/award", {"userId": alice.id, "points": 1_000_000})
        rows = await alice.get("/api/v1/leaderboard/top?limit=100")
        mine = next(row for row in rows if row["userId"] == alice.id)
        assert mine["score"] == award["score"]["current"] == points * 1_000_000
        assert mine["rank"] == award["rank"]["current"]


async def test_the_top_is_answered_from_memory_and_shared_through_redis(room: OneProcess, alice: User) -> None:
    await alice.get("/api/v1/leaderboard/top")
    before = room.gateway.cache.counts.hits_l1
    assert await alice.get("/api/v1/leaderboard") == await alice.get("/api/scoreboard")
    assert room.gateway.cache.counts.hits_l1 == before + 2
    shared = await room.gateway._bus.get("leaderboard:top:10")
    assert shared is not None
    ttl_ms = await room.gateway._bus.ask("PTTL", "leaderboard:top:10")
    assert 0 < ttl_ms <= 60_000


async def test_health_tells_of_each_dependency(room: OneProcess, session: aiohttp.ClientSession) -> None:
    for path, status in (("/health", "healthy"), ("/health/ready", "ready"), ("/health/live", "live")):
        async with session.get(room.url + path) as response:
            assert response.status == 200
            body = await response.json()
            assert body["status"] == status
    async with session.get(room.url + "/health") as response:
        body = await response.json()
        assert set(body) == {"status", "redis", "database", "hosts", "uptime", "timestamp", "version"}


async def test_metrics_name_what_happened(room: OneProcess, session: aiohttp.ClientSession) -> None:
    async with session.get(room.url + "/metrics") as response:
        text = await response.text()
    assert 'greenroom_http_requests_total{process="gateway-0",method="GET",route="/health"' in text
    for name in (
        "greenroom_sockets",
        "greenroom_cache_hit_ratio",
        "greenroom_refusals_total",
        "greenroom_bus_connected",
    ):
        assert name in text


async def test_the_documents_are_valid(room: OneProcess, session: aiohttp.ClientSession) -> None:
    async with session.get(room.url + "/openapi.json") as response:
        document = await response.json()
        assert document == json.loads(json.dumps(openapi.document(room.gateway._catalog, room.gateway.version)))
    validate(document)
    assert "/api/v1/actions/{id}/complete" in document["paths"]
    async with session.get(room.url + "/asyncapi.json") as response:
        document = await response.json()
        assert document == json.loads(json.dumps(asyncapi.document(room.gateway._catalog, room.gateway.version)))
    for message in document["components"]["messages"].values():
        Draft7Validator.check_schema(message["payload"])

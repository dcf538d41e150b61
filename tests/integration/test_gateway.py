"""The door in front of a real Greenroom: REST, WebSocket, topics, caches, limits, and an orderly end."""

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio
from jsonschema import Draft7Validator
from openapi_spec_validator import validate

from gateway import asyncapi, openapi
from greenroom_client import Client, Form
from tests.integration.one_process import ADMIN_PASSWORD, OneProcess, one_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE_S = 10.0
PASSWORD = "correct horse battery"


@dataclass
class User:
    """A registered player and the ways to send as one."""

    room: OneProcess
    session: aiohttp.ClientSession
    id: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        sent = {"Authorization": f"Bearer {self.token}", **headers} if self.token else headers
        async with self.session.request(method, self.room.url + path, json=body, headers=sent) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def get(self, path: str) -> Any:
        status, body, _ = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        status, answer, _ = await self.ask("POST", path, {} if body is None else body, **headers)
        assert status in (200, 201), answer
        return answer

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        status, answer, sent = await self.ask(method, path, body, **headers)
        assert set(answer) >= {"error", "code", "message", "requestId"}
        assert sent["X-Request-Id"] == answer["requestId"]
        return status, answer["code"]

    def connect(self, path: str = "/api/v1/ws", **options: Any) -> Any:
        return self.session.ws_connect(self.room.url + path, **options)

    async def socket(self, path: str = "/api/v1/ws") -> aiohttp.ClientWebSocketResponse:
        ws: aiohttp.ClientWebSocketResponse = await self.connect(path)
        await ws.send_json({"type": "auth", "id": "hello", "auth": f"Bearer {self.token}"})
        welcome = await frame(ws)
        assert welcome["type"] == "welcome"
        return ws


async def frame(ws: aiohttp.ClientWebSocketResponse) -> Any:
    """The next frame; pings of the server aside."""
    while True:
        message = await ws.receive(timeout=DEADLINE_S)
        if message.type is aiohttp.WSMsgType.TEXT:
            told = json.loads(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            told = msgpack.unpackb(message.data)
        else:
            raise AssertionError(f"{message.type.name} {message.data}")
        if told["type"] != "ping":
            return told


async def frame_of(ws: aiohttp.ClientWebSocketResponse, type_: str) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        while (told := await frame(ws))["type"] != type_:
            pass
        return told


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code that the server closes with."""
    async with asyncio.timeout(DEADLINE_S):
        while not ws.closed:
            await ws.receive()
    return ws.close_code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OneProcess]:
    folder: Path = tmp_path_factory.mktemp("room") / "data"
    async with one_process(folder, allowed_origins=("https://game.example",)) as room:
        yield room


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def registered(room: OneProcess, session: aiohttp.ClientSession) -> User:
    nobody = User(room, session, "", "")
    answer = await nobody.post("/api/v1/auth/guest", {"deviceId": uuid.uuid4().hex})
    token = answer["accessToken"]
    me = await User(room, session, "", token).get("/api/v1/players/me")
    return User(room, session, me["userId"], token)


@pytest_asyncio.fixture(loop_scope="module")
async def alice(room: OneProcess, session: aiohttp.ClientSession) -> User:
    return await registered(room, session)


@pytest_asyncio.fixture(loop_scope="module")
async def bob(room: OneProcess, session: aiohttp.ClientSession) -> User:
    return await registered(room, session)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(room: OneProcess, session: aiohttp.ClientSession) -> User:
    nobody = User(room, session, "", "")
    answer = await nobody.post("/api/v1/auth/login", {"username": "admin", "password": ADMIN_PASSWORD})
    return User(room, session, answer["user"]["userId"], answer["accessToken"])


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
    assert 'greenroom_http_requests_total{method="GET",route="/health"' in text
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


# WebSocket


async def test_commands_and_queries_travel_in_frames(alice: User) -> None:
    ws = await alice.socket()
    start = {"type": "command", "kind": "player", "key": "me", "name": "start_action", "data": {"type": "quick_win"}}
    await ws.send_json({**start, "id": "2"})
    action = await frame(ws)
    assert action["meta"]["code"] == 200
    assert action["meta"]["id"] == "2"
    assert action["meta"]["version"] > 0
    complete = {"actionId": action["data"]["id"], "actionToken": action["data"]["actionToken"]}
    await ws.send_json({**start, "id": 3, "name": "complete_action", "data": complete})
    done = await frame(ws)
    assert done["meta"]["id"] == 3
    assert done["data"]["score"] == {"previous": 0, "current": 1}
    await ws.send_json({"type": "query", "id": "4", "kind": "player", "key": "me", "name": "profile"})
    assert (await frame(ws))["data"]["scores"]["main"] == 1
    await ws.send_json({**start, "id": "5", "name": "complete_action", "data": complete})
    refused = await frame(ws)
    assert refused["type"] == "error"
    assert refused["meta"] == {"code": 403, "id": "5"}
    assert refused["error"]["code"] == "TOKEN_USED"
    assert refused["error"]["requestId"].startswith("req_")
    await ws.close()


async def test_one_op_of_frames_has_one_effect(alice: User) -> None:
    ws = await alice.socket()
    op = uuid.uuid4().hex
    start = {"type": "command", "op": op, "kind": "player", "key": "me", "name": "start_action"}
    for number in range(3):
        await ws.send_json({**start, "id": str(number), "data": {"type": "quick_win"}})
    answers = [await frame(ws) for _ in range(3)]
    ids = {answer["data"]["id"] for answer in answers if answer["type"] == "reply"}
    assert len(ids) == 1
    await ws.send_json({**start, "id": "9", "data": {"type": "practice"}})
    assert (await frame(ws))["error"]["code"] == "OP_REUSED"
    await ws.close()


async def test_answers_come_in_the_form_last_used(alice: User) -> None:
    ws = await alice.socket()
    query = {"type": "query", "id": "1", "kind": "player", "key": "me", "name": "profile", "data": {}}
    await ws.send_bytes(msgpack.packb(query))
    message = await ws.receive(timeout=DEADLINE_S)
    assert message.type is aiohttp.WSMsgType.BINARY
    assert msgpack.unpackb(message.data)["data"]["userId"] == alice.id
    await ws.send_json(query)
    assert (await ws.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.TEXT
    await ws.close()


async def test_more_than_sixty_four_outstanding_are_refused(alice: User) -> None:
    ws = await alice.socket()
    query = {"type": "query", "kind": "player", "key": "me", "name": "profile", "data": {}}
    for number in range(200):
        await ws.send_json({**query, "id": number})
    answers = [await frame(ws) for _ in range(200)]
    codes = {answer["meta"]["code"] for answer in answers}
    assert {answer["meta"]["id"] for answer in answers} == set(range(200))
    assert codes <= {200, 429}
    await ws.close()


async def test_a_bad_frame_is_an_error_and_the_socket_stays(alice: User) -> None:
    ws = await alice.socket()
    for bad in ("{", "[]", '{"type": "dance", "id": "x"}', '{"type": "command", "id": "x"}', '{"type": "command"}'):
        await ws.send_str(bad)
        refused = await frame(ws)
        assert refused["meta"]["code"] == 400
        assert refused["error"]["code"] == "INVALID"
    await ws.send_json({"type": "ping", "id": "7", "timestamp": "now"})
    pong = await frame(ws)
    assert (pong["type"], pong["timestamp"]) == ("pong", "now")
    for _ in range(10):
        await ws.send_str("{")
    assert await closed(ws) == 1007


async def test_frames_have_a_size(alice: User) -> None:
    ws = await alice.socket()
    ping = {"type": "ping", "id": "1"}
    await ws.send_str(json.dumps(ping).ljust(64 * 1024))
    assert (await frame(ws))["type"] == "pong"
    await ws.send_str(json.dumps(ping).ljust(64 * 1024 + 1))
    assert await closed(ws) == 1009


async def test_the_first_frame_must_authenticate(alice: User) -> None:
    async with alice.connect() as ws:
        await ws.send_json({"type": "query", "id": "1", "kind": "player", "key": "me", "name": "profile"})
        assert (await frame(ws))["meta"] == {"code": 401, "id": "1"}
        assert await closed(ws) == 1008
    async with alice.connect() as ws:
        await ws.send_json({"type": "auth", "id": "1", "auth": "Bearer not.a.token"})
        assert (await frame(ws))["meta"]["code"] == 401
        assert await closed(ws) == 1008
    async with alice.connect(f"/api/v1/ws?access_token={alice.token}") as ws:
        await ws.send_json({"type": "ping"})
        assert (await frame(ws))["meta"]["code"] == 401


async def test_a_token_may_come_with_the_handshake(alice: User) -> None:
    async with alice.connect(headers={"Authorization": f"Bearer {alice.token}"}) as ws:
        assert (await frame(ws))["data"]["userId"] == alice.id
    async with alice.connect(protocols=("greenroom.json", f"bearer.{alice.token}")) as ws:
        assert ws.protocol == "greenroom.json"
        assert (await frame(ws))["type"] == "welcome"
    async with alice.connect(protocols=("greenroom.msgpack", f"bearer.{alice.token}")) as ws:
        assert (await ws.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.BINARY


async def test_foreign_pages_cannot_connect(alice: User) -> None:
    for origin in ("https://evil.example", "null", "https://game.example.evil.com"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await alice.connect(headers={"Origin": origin})
        assert refused.value.status == 403
    async with alice.connect(headers={"Origin": "https://game.example"}) as ws:
        assert not ws.closed


async def test_a_twenty_first_connection_is_closed(alice: User) -> None:
    sockets = [await alice.socket() for _ in range(20)]
    async with alice.connect() as ws:
        await ws.send_json({"type": "auth", "auth": f"Bearer {alice.token}"})
        assert (await frame(ws))["error"]["code"] == "too_many_connections"
        assert await closed(ws) == 4429
    for open_socket in sockets:
        await open_socket.close()
    async with asyncio.timeout(DEADLINE_S):
        while await alice.room.gateway.presence.connections(alice.id):
            await asyncio.sleep(0.01)
    await (await alice.socket()).close()


async def test_a_logout_closes_the_sockets_of_its_session(alice: User) -> None:
    ws = await alice.socket()
    await alice.post("/auth/logout")
    assert await closed(ws) == 4401


async def test_a_ban_closes_sockets_and_refuses_the_token(alice: User, admin: User) -> None:
    ws = await alice.socket()
    await admin.post(f"/api/v1/moderation/users/{alice.id}/ban", {"reason": "test"})
    assert await closed(ws) == 4403
    assert await alice.refused("GET", "/api/v1/players/me") == (403, "BANNED")


# Topics


async def test_a_board_tells_its_top_and_what_changed(alice: User, admin: User) -> None:
    ws = await alice.socket()
    await ws.send_json({"type": "subscribe", "id": "5", "topic": "leaderboard:main"})
    initial = await frame(ws)
    assert initial["type"] == "leaderboard.initial"
    assert initial["meta"]["topic"] == "leaderboard:main"
    assert len(initial["data"]) <= 10
    award = await admin.post("/api/v1/scores/award", {"userId": alice.id, "points": 50_000_000})
    update = await frame_of(ws, "leaderboard.update")
    assert update["meta"]["seq"] > initial["meta"]["seq"]
    mine = {"rank": 1, "userId": alice.id, "score": award["score"]["current"]}
    assert mine.items() <= update["data"][0].items()
    assert any(mine.items() <= row.items() for row in update["changes"])
    await ws.send_json({"type": "unsubscribe", "id": "6", "topic": "leaderboard:main"})
    assert (await frame_of(ws, "unsubscribed"))["meta"]["id"] == "6"
    await ws.close()


async def test_the_board_path_subscribes_by_its_first_frame(alice: User) -> None:
    async with alice.connect("/api/v1/ws/leaderboard") as ws:
        await ws.send_json({"type": "subscribe", "id": "1", "auth": f"Bearer {alice.token}"})
        initial = await frame(ws)
        assert initial["type"] == "leaderboard.initial"
        assert initial["meta"]["id"] == "1"
    ws = await alice.socket("/api/v1/ws/leaderboard")
    assert (await frame(ws))["type"] == "leaderboard.initial"
    await ws.close()


async def test_a_player_hears_of_every_turn_and_resumes_after_what_was_heard(alice: User, admin: User) -> None:
    ws = await alice.socket()
    await ws.send_json({"type": "subscribe", "id": "1", "topic": "player:me"})
    initial = await frame(ws)
    assert initial["type"] == "player.initial"
    seqs = []
    for total in (5, 10, 15):
        await admin.post("/api/v1/scores/award", {"userId": alice.id, "points": 5})
        update = await frame_of(ws, "player.update")
        assert update["meta"]["topic"] == "player:me"
        assert update["data"]["score"]["main"] == total
        seqs.append(update["meta"]["seq"])
    assert seqs == sorted(set(seqs))
    await ws.close()

    ws = await alice.socket()
    await ws.send_json({"type": "subscribe", "id": "1", "topic": "player:me", "after": seqs[0]})
    assert (await frame(ws))["type"] == "player.resumed"
    replayed = [await frame(ws), await frame(ws)]
    assert [push["meta"]["seq"] for push in replayed] == seqs[1:]
    assert [push["data"]["score"]["main"] for push in replayed] == [10, 15]
    await ws.send_json({"type": "subscribe", "id": "2", "topic": f"player:{alice.id}", "after": seqs[-1] + 1_000})
    reset = await frame_of(ws, "player.reset")
    assert reset["meta"]["reset"] is True
    assert reset["data"]["scores"]["main"] == 15
    await ws.close()


async def test_topics_of_others_are_closed_and_unknown_ones_refused(alice: User, bob: User) -> None:
    ws = await alice.socket()
    for topic, code in ((f"player:{bob.id}", 403), ("leaderboard:nope", 404), ("fraud:0", 404), ("x:y", 404)):
        await ws.send_json({"type": "subscribe", "id": topic, "topic": topic})
        refused = await frame(ws)
        assert refused["meta"] == {"code": code, "id": topic, "topic": topic}
    await ws.close()


async def test_pushes_missed_while_redis_was_away_arrive_afterwards(alice: User, admin: User) -> None:
    room = alice.room
    ws = await alice.socket()
    await ws.send_json({"type": "subscribe", "id": "1", "topic": "player:me"})
    await ws.send_json({"type": "subscribe", "id": "2", "topic": "leaderboard:main"})
    seen = {(await frame(ws))["type"], (await frame(ws))["type"]}
    assert seen == {"player.initial", "leaderboard.initial"}
    await room.redis.stop()
    async with asyncio.timeout(DEADLINE_S):
        while room.gateway._bus.connected:
            await asyncio.sleep(0.01)
    async with alice.session.get(room.url + "/health/ready") as response:
        assert (response.status, (await response.json())["status"]) == (200, "degraded")
    async with alice.session.get(room.url + "/health") as response:
        assert (response.status, (await response.json())["status"]) == (503, "unhealthy")
    await admin.post("/api/v1/scores/award", {"userId": alice.id, "points": 70_000_000})
    await admin.post("/api/v1/scores/award", {"userId": alice.id, "points": 1})
    await room.redis.start()
    updates: list[int] = []
    board: Any = None
    async with asyncio.timeout(DEADLINE_S):
        while len(updates) < 2 or board is None or board[0]["score"] != 70_000_001:
            told = await frame(ws)
            if told["type"] == "player.update":
                updates.append(told["data"]["score"]["main"])
            elif told["type"] == "leaderboard.update":
                board = told["data"]
    assert updates == [70_000_000, 70_000_001]
    await ws.close()


async def test_the_python_client_plays(alice: User) -> None:
    for form in (Form.JSON, Form.MSGPACK):
        async with Client(alice.room.url) as client:
            await client.guest(uuid.uuid4().hex)
            async with client.connect(form) as connection:
                me = await connection.subscribe("player:me")
                action = await connection.command("player", "me", "start_action", {"type": "practice"})
                sent = {"actionId": action.data["id"], "actionToken": action.data["actionToken"]}
                done = await connection.command("player", "me", "complete_action", sent)
                assert done.data["score"]["current"] == 1
                async with asyncio.timeout(DEADLINE_S):
                    async for push in me:
                        if push.type == "player.update" and "score" in push.data:
                            break


async def test_a_client_that_does_not_read_is_cut_off_and_others_are_not(alice: User, bob: User, admin: User) -> None:
    """Answers that are not read fill the kernel's buffers, then the queue; then the socket ends with 4408."""
    host, port = alice.room.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    writer.write(
        f"GET /api/v1/ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {alice.token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    sockets = alice.room.gateway.sockets
    async with asyncio.timeout(DEADLINE_S):
        while not alice.room.gateway.presence.here(alice.id):
            await asyncio.sleep(0.01)
    mine = next(iter(alice.room.gateway.presence.here(alice.id)))
    query = json.dumps({"type": "query", "id": "i" * 100, "kind": "leaderboard", "key": "main", "name": "top"}).encode()
    header = bytes((0x81, 0x80 | 126)) + len(query).to_bytes(2, "big") + bytes(4)
    async with asyncio.timeout(60):
        while mine in sockets._open:
            writer.write((header + query) * 20)
            await asyncio.sleep(0.002)
    writer.transport.abort()
    assert mine.reason == "4408 slow_consumer"
    assert (await bob.get("/api/v1/players/me"))["userId"] == bob.id


async def test_a_gateway_that_stops_tells_its_clients_when_to_come_back(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session, one_process(tmp_path / "data") as room:
        user = await registered(room, session)
        ws = await user.socket()
        stopping = asyncio.create_task(room.gateway.stop(grace_s=5))
        disconnect = await frame_of(ws, "disconnect")
        assert 0 < disconnect["data"]["reconnectAfterS"] <= 5
        assert await closed(ws) == 1012
        await stopping
        with pytest.raises(aiohttp.ClientConnectorError):
            await user.get("/api/v1/players/me")

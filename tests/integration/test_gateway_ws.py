"""WebSocket in front of a real Greenroom: frames, topics, what was missed, slow clients, and an orderly end."""

import asyncio
import json
import socket
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

from gateway.accounts.sessions import Sessions
from greenroom_client import Client, Form
from tests.integration.door import (
    DEADLINE_S,
    User,
    admin,
    alice,
    bob,
    closed,
    frame,
    frame_of,
    registered,
    room,
    session,
)
from tests.integration.one_process import one_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

__all__ = ["admin", "alice", "bob", "room", "session"]


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


async def test_roles_that_cannot_be_confirmed_are_no_reason_to_give_up(
    alice: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = await admin.socket()
    award = {"type": "command", "kind": "player", "key": alice.id, "name": "award_score", "data": {"points": 1}}
    await ws.send_json({**award, "id": "known"})
    assert (await frame(ws))["type"] == "reply"
    monkeypatch.setattr(Sessions, "stale", property(lambda _: True))
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await ws.send_json({**award, "id": "in doubt"})
            told = await frame(ws)
            if told["type"] == "error":
                break
    assert (told["meta"]["code"], told["error"]["code"]) == (503, "UNAVAILABLE")
    monkeypatch.undo()
    await ws.send_json({**award, "id": "just confirmed"})
    assert (await frame(ws)).get("error", {}).get("code") in (None, "UNAVAILABLE")
    await ws.send_json({**award, "id": "known again"})
    assert (await frame(ws))["type"] == "reply"
    player = await alice.socket()
    await player.send_json({**award, "id": "no role"})
    assert (await frame(player))["error"]["code"] == "FORBIDDEN"


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


async def test_subscriptions_are_all_answered_and_follow_the_order_of_their_frames(alice: User) -> None:
    ws = await alice.socket()
    for id_, type_ in enumerate(("subscribe", "subscribe", "unsubscribe")):
        await ws.send_json({"type": type_, "id": id_, "topic": "player:me"})
    answers = [await frame(ws) for _ in range(3)]
    assert {answer["meta"]["id"]: answer["meta"]["code"] for answer in answers} == {0: 409, 1: 409, 2: 200}
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {"superseded"}
    start = {"kind": "player", "key": "me", "name": "start_action", "data": {"type": "practice"}}
    await ws.send_json({"type": "command", "id": "start", **start})
    assert (await frame(ws))["meta"]["id"] == "start"
    await ws.send_json({"type": "subscribe", "id": "last", "topic": "player:me"})
    assert (await frame(ws))["type"] == "player.initial"
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

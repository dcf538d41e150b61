"""The client's WebSocket against a small server that speaks the frames."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from greenroom_client import (
    Backoff,
    Client,
    Connection,
    ConnectionLost,
    DeadlinePassed,
    Forbidden,
    Form,
    Refused,
    Tokens,
    Unauthenticated,
)

Frame = dict[str, Any]
GOOD = Tokens(access_token="good")
Answer = Callable[["Door", web.WebSocketResponse, Frame], Awaitable[Frame | None]]


class Door:
    """Authenticates, remembers every frame, and answers by the function given."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.frames: list[Frame] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.forms: list[WSMsgType] = []

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            text = message.type is WSMsgType.TEXT
            frame: Frame = json.loads(message.data) if text else msgpack.unpackb(message.data)
            self.forms.append(message.type)
            self.frames.append(frame)
            if frame["type"] == "auth" and frame["auth"] != "Bearer good":
                await socket.send_json(error(frame, 401, "TOKEN_INVALID"))
                await socket.close(code=1008)
            elif frame["type"] == "auth":
                await self.send(socket, text, {"meta": {"code": 200, "id": frame["id"]}, "type": "welcome", "data": {}})
            elif (reply := await self.answer(self, socket, frame)) is not None:
                await self.send(socket, text, reply)
        return socket

    async def send(self, socket: web.WebSocketResponse, text: bool, frame: Frame) -> None:
        if text:
            await socket.send_json(frame)
        else:
            await socket.send_bytes(msgpack.packb(frame))

    def asked(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]


def reply(frame: Frame, data: Any, version: int = 1) -> Frame:
    return {"meta": {"code": 200, "id": frame["id"], "version": version}, "type": "reply", "data": data}


def error(frame: Frame, status: int, code: str, **details: Any) -> Frame:
    problem = {"code": code, "message": "no", "requestId": "req_1", **details}
    return {"meta": {"code": status, "id": frame["id"]}, "type": "error", "error": problem}


def push(seq: int, data: Any = None) -> Frame:
    return {"meta": {"code": 200, "topic": "player:me", "seq": seq}, "type": "player.update", "data": data}


async def echo(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
    return reply(frame, frame.get("data"))


@asynccontextmanager
async def connected(answer: Answer, tokens: Tokens = GOOD, **options: Any) -> AsyncIterator[tuple[Door, Connection]]:
    door = Door(answer)
    app = web.Application()
    app.router.add_get("/api/v1/ws", door.serve)
    async with TestServer(app) as server, Client(str(server.make_url("")), tokens=tokens) as client:
        options = {"backoff": Backoff(base_s=0.01, cap_s=0.02), "deadline_s": 5.0, **options}
        async with client.connect(**options) as connection:
            yield door, connection


@pytest.mark.parametrize(("form", "message"), [(Form.JSON, WSMsgType.TEXT), (Form.MSGPACK, WSMsgType.BINARY)])
async def test_a_command_travels_in_the_chosen_form(form: Form, message: WSMsgType) -> None:
    async with connected(echo, form=form) as (door, connection):
        answer = await connection.command("player", "me", "start_action", {"type": "boss_kill"})
        assert answer.data == {"type": "boss_kill"}
        assert answer.version == 1
        assert set(door.forms) == {message}


async def test_answers_find_their_questions_in_any_order() -> None:
    held: list[Frame] = []

    async def backwards(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        held.append(frame)
        while len(held) == 20 and door.frames:
            for each in reversed(held):
                await socket.send_json(reply(each, each["data"]))
            held.append({})
        return None

    async with connected(backwards) as (door, connection):
        asked = (connection.command("player", "me", "count", {"n": n}) for n in range(20))
        answers = await asyncio.gather(*asked)
        assert [answer.data["n"] for answer in answers] == list(range(20))
        assert len({frame["op"] for frame in door.asked("command")}) == 20


async def test_no_more_than_the_agreed_number_is_outstanding() -> None:
    gate = asyncio.Event()

    async def gated(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if len(door.asked("query")) == 4:
            gate.set()
        if frame["data"].get("probe"):
            return reply(frame, len(door.asked("query")))
        return None

    async with connected(gated, outstanding_max=4, deadline_s=0.3) as (door, connection):
        asked = [asyncio.create_task(connection.query("player", "me", "wait")) for _ in range(9)]
        async with asyncio.timeout(5):
            await gate.wait()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, DeadlinePassed) for result in results)
        assert len(door.asked("query")) == 4


async def test_a_refusal_says_why() -> None:
    async def refuse(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        return error(frame, 409, "guild_full")

    async with connected(refuse) as (_, connection):
        with pytest.raises(Refused) as refusal:
            await connection.command("guild", "red-dragons", "join", op="op-1")
        assert (refusal.value.code, refusal.value.status, refusal.value.op) == ("guild_full", 409, "op-1")
        assert refusal.value.request_id == "req_1"


async def test_an_overloaded_server_is_asked_again_under_the_same_op() -> None:
    async def overloaded_twice(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        times = len(door.asked("command"))
        refusals = [error(frame, 503, "overloaded", retryAfter=0), error(frame, 409, "OP_IN_PROGRESS")]
        return reply(frame, "done") if times > 2 else refusals[times - 1]

    async with connected(overloaded_twice) as (door, connection):
        assert (await connection.command("player", "me", "play")).data == "done"
        assert len({frame["op"] for frame in door.asked("command")}) == 1


async def test_what_was_not_answered_is_sent_again_after_a_reconnect_in_order() -> None:
    async def drop_the_first_socket(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if len(door.sockets) > 1:
            return reply(frame, frame["data"])
        if frame["data"]["n"] == 4:
            await socket.close(code=1012)
        return None

    async with connected(drop_the_first_socket) as (door, connection):
        answers = await asyncio.gather(*(connection.command("player", "me", "count", {"n": n}) for n in range(5)))
        assert [answer.data["n"] for answer in answers] == list(range(5))
        ops = [frame["op"] for frame in door.asked("command")]
        assert ops[:5] == ops[5:]
        assert connection.reconnects == 1


async def test_a_subscription_resumes_after_the_last_push_it_saw_without_doubles() -> None:
    async def topic(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if frame["type"] == "subscribe":
            meta = {"code": 200, "id": frame["id"], "topic": "player:me", "seq": frame.get("after", 0)}
            await socket.send_json({"meta": meta, "type": "subscribed", "data": {}})
            for seq in [1, 2] if len(door.sockets) == 1 else [2, 3]:
                await socket.send_json(push(seq))
            if len(door.sockets) == 1:
                await socket.close(code=1012)
        return None

    async with connected(topic) as (door, connection):
        subscription = await connection.subscribe("player:me")
        async with asyncio.timeout(5):
            seqs = [(await anext(subscription)).seq for _ in range(3)]
        assert seqs == [1, 2, 3]
        assert [frame.get("after") for frame in door.asked("subscribe")] == [None, 2]


async def test_a_board_tells_its_state_first_and_its_state_anew_after_a_reconnect() -> None:
    async def board(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if frame["type"] == "subscribe":
            meta = {"code": 200, "id": frame["id"], "topic": frame["topic"], "seq": 10 * len(door.sockets)}
            await socket.send_json({"meta": meta, "type": "leaderboard.initial", "data": [{"rank": 1}]})
        return None

    async with connected(board) as (door, connection):
        subscription = await connection.subscribe("leaderboard:main")
        assert subscription.initial is not None
        assert subscription.initial.seq == 10
        await door.sockets[0].close(code=1012)
        async with asyncio.timeout(5):
            anew = await anext(subscription)
        assert (anew.type, anew.seq) == ("leaderboard.initial", 20)


async def test_a_topic_that_may_not_be_heard_any_more_ends_with_the_reason() -> None:
    async def member_once(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if len(door.sockets) == 1:
            return {"meta": {"code": 200, "id": frame["id"], "topic": "guild:1", "seq": 1}, "type": "subscribed"}
        return error(frame, 403, "not_a_member")

    async with connected(member_once) as (door, connection):
        subscription = await connection.subscribe("guild:1")
        await door.sockets[0].close(code=1012)
        with pytest.raises(Forbidden):
            async with asyncio.timeout(5):
                await anext(subscription)


async def test_a_ping_is_answered_with_its_timestamp() -> None:
    ponged = asyncio.Event()

    async def ping_first(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if frame["type"] == "pong":
            ponged.set()
            return None
        await socket.send_json({"type": "ping", "timestamp": "2026-01-01T00:00:00Z"})
        return reply(frame, None)

    async with connected(ping_first) as (door, connection):
        await connection.query("player", "me", "profile")
        async with asyncio.timeout(5):
            await ponged.wait()
        assert door.asked("pong") == [{"type": "pong", "timestamp": "2026-01-01T00:00:00Z"}]


async def test_a_bad_token_is_told_and_not_tried_again() -> None:
    with pytest.raises(Unauthenticated):
        async with connected(echo, tokens=Tokens(access_token="bad")):
            pass


async def test_a_ban_ends_the_connection_and_everything_that_waits_on_it() -> None:
    async def ban(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if frame["type"] == "subscribe":
            return {"meta": {"code": 200, "id": frame["id"], "topic": "player:me", "seq": 1}, "type": "subscribed"}
        problem = {"code": "BANNED", "message": "no", "requestId": "req_9"}
        await socket.send_json({"meta": {"code": 403}, "type": "error", "error": problem})
        await socket.close(code=4403)
        return None

    async with connected(ban) as (door, connection):
        subscription = await connection.subscribe("player:me")
        with pytest.raises(Forbidden) as ban_told:
            await connection.command("player", "me", "play")
        assert (ban_told.value.code, ban_told.value.request_id) == ("BANNED", "req_9")
        with pytest.raises(Forbidden):
            await anext(subscription)
        with pytest.raises(Forbidden):
            await connection.query("player", "me", "profile")
        assert len(door.sockets) == 1


async def test_closing_fails_what_is_outstanding_and_ends_topics() -> None:
    async def silent(door: Door, socket: web.WebSocketResponse, frame: Frame) -> Frame | None:
        if frame["type"] == "subscribe":
            return {"meta": {"code": 200, "id": frame["id"], "topic": "player:me", "seq": 1}, "type": "subscribed"}
        return None

    async with connected(silent) as (_, connection):
        subscription = await connection.subscribe("player:me")
        asked = asyncio.create_task(connection.command("player", "me", "play"))
        await asyncio.wait([asked], timeout=0.05)
        await connection.close()
        with pytest.raises(ConnectionLost):
            await asked
        assert [push async for push in subscription] == []


async def test_a_server_that_is_not_there_is_a_deadline_passed() -> None:
    async with Client("http://127.0.0.1:1", tokens=Tokens(access_token="good")) as client:
        with pytest.raises(DeadlinePassed):
            async with client.connect(deadline_s=0.1):
                pass

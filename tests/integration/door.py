"""Users at the door of a Greenroom: what the tests of REST and WebSocket have in common."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio

from tests.integration.one_process import ADMIN_PASSWORD, OneProcess, one_process

DEADLINE_S = 10.0


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


async def registered(room: OneProcess, session: aiohttp.ClientSession) -> User:
    nobody = User(room, session, "", "")
    answer = await nobody.post("/api/v1/auth/guest", {"deviceId": uuid.uuid4().hex})
    token = answer["accessToken"]
    me = await User(room, session, "", token).get("/api/v1/players/me")
    return User(room, session, me["userId"], token)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OneProcess]:
    folder: Path = tmp_path_factory.mktemp("room") / "data"
    async with one_process(folder, allowed_origins=("https://game.example",)) as room:
        yield room


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


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

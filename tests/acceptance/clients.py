"""Clients written from the specification alone: one for REST, one for WebSocket; both check every answer's form."""

import asyncio
import itertools
import json
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import msgpack

from tests.acceptance.server import ADMIN, ADMIN_PASSWORD, Server

API = "/api/v1"
REQUEST_ID = re.compile(r"req_[0-9a-z]+")
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PASSWORD = "correct horse battery"

_numbers = itertools.count(1)


def fresh_name(stem: str = "player") -> str:
    """A username that nobody had."""
    return f"{stem}{next(_numbers)}x{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Answer:
    """An HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The machine code of an error."""
        return str(self.body["code"])


@dataclass
class User:
    """Somebody who is logged in."""

    id: str
    token: str
    refresh: str = ""
    name: str = ""
    password: str = ""

    @property
    def bearer(self) -> str:
        return f"Bearer {self.token}"


class Door:
    """The server's HTTP side. `as_` sends the request with this user's token."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        as_: User | str | None = None,
        op: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> Answer:
        """Send one request; asserts what holds for every answer."""
        sent = dict(headers or {})
        token = as_.token if isinstance(as_, User) else as_
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if op is not None:
            sent["Idempotency-Key"] = op
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        began = time.monotonic()
        async with (session or self.session).request(
            method, self.server.url + path, data=data, headers=sent, params=params, allow_redirects=False
        ) as response:
            text = await response.text()
            answer = Answer(response.status, response.headers, text, time.monotonic() - began)
        check_form(answer)
        return answer

    async def get(self, path: str, *, as_: User | str | None = None, **params: str) -> Answer:
        return await self.ask("GET", path, as_=as_, params=params)

    async def post(
        self, path: str, body: Any = None, *, as_: User | str | None = None, op: str | None = None
    ) -> Answer:
        return await self.ask("POST", path, {} if body is None else body, as_=as_, op=op)

    # People

    async def register(self, name: str | None = None, password: str = PASSWORD) -> User:
        name = name or fresh_name()
        answer = await self.post(f"{API}/auth/register", {"username": name, "password": password})
        assert answer.status == 201, answer
        return self._user(answer.body, answer.body["userId"], name, password)

    async def login(self, name: str, password: str = PASSWORD, **more: Any) -> User:
        answer = await self.ask("POST", f"{API}/auth/login", {"username": name, "password": password}, **more)
        assert answer.status == 200, answer
        return self._user(answer.body, answer.body["user"]["userId"], name, password)

    async def guest(self, device: str | None = None) -> User:
        device = device or str(uuid.uuid4())
        self.server.secrets.add(device)
        answer = await self.post(f"{API}/auth/guest", {"deviceId": device})
        assert answer.status == 200, answer
        return self._user(answer.body, answer.body["userId"])

    async def admin(self) -> User:
        return await self.login(ADMIN, ADMIN_PASSWORD)

    async def with_role(self, role: str, admin: User) -> User:
        """Somebody new with this role; the role counts at the next request after the grant is known."""
        user = await self.guest()
        if role != "player":
            granted = await self.post(f"{API}/admin/users/{user.id}/roles", {"role": role, "grant": True}, as_=admin)
            assert granted.status == 200, granted
        return user

    def _user(self, tokens: Any, user_id: str, name: str = "", password: str = "") -> User:
        self.server.secrets |= {tokens["accessToken"], tokens["refreshToken"]} | ({password} if password else set())
        return User(user_id, tokens["accessToken"], tokens["refreshToken"], name, password)

    # Play

    async def start(self, user: User, type_: str = "practice") -> Any:
        answer = await self.post(f"{API}/actions", {"type": type_}, as_=user)
        assert answer.status == 201, answer
        self.server.secrets.add(answer.body["actionToken"])
        return answer.body

    async def complete(self, user: User, action: Any, op: str | None = None) -> Answer:
        body = {"actionToken": action["actionToken"]}
        return await self.post(f"{API}/actions/{action['id']}/complete", body, as_=user, op=op)

    async def play(self, user: User, type_: str = "practice") -> Any:
        """Start and complete one action; the body of the completion."""
        answer = await self.complete(user, await self.start(user, type_))
        assert answer.status == 200, answer
        return answer.body

    async def award(self, server_user: User, user_id: str, points: int, **more: Any) -> Any:
        """Points from a trusted game server; the body of the answer."""
        op = more.pop("op", None)
        answer = await self.post(
            f"{API}/scores/award", {"userId": user_id, "points": points, **more}, as_=server_user, op=op
        )
        assert answer.status == 200, answer
        return answer.body

    async def score(self, user_id: str, as_: User, board: str = "main") -> Any:
        answer = await self.get(f"{API}/players/{user_id}/score", as_=as_, board=board)
        assert answer.status == 200, answer
        return answer.body

    async def until(self, what: str, ask: Any, holds: Any, within_s: float = 10.0) -> Answer:
        """Ask again until the answer is right; the answer."""
        end = time.monotonic() + within_s
        while True:
            answer: Answer = await ask()
            if holds(answer):
                return answer
            assert time.monotonic() < end, f"not within {within_s:g} s: {what}; last: {answer}"
            await asyncio.sleep(0.05)


def check_form(answer: Answer) -> None:
    """What every answer has: a request id, and for errors the one body with the same id in it."""
    request_id = answer.headers.get("X-Request-Id", "")
    assert REQUEST_ID.fullmatch(request_id), answer
    if answer.status < 400:
        return
    assert answer.status != 500, answer
    body = answer.body
    assert {"error", "code", "message", "requestId"} <= set(body), answer
    assert all(isinstance(body[name], str) and body[name] for name in ("error", "code", "message")), answer
    assert body["requestId"] == request_id, answer
    assert "Traceback" not in answer.text, answer
    if answer.status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1, answer


class Wire:
    """The server's WebSocket side, in one of its two forms."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, binary: bool = False) -> None:
        self.socket = socket
        self.binary = binary
        self.frames: list[dict[str, Any]] = []
        """Received and not yet asked for."""
        self.code: int | None = None
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def send(self, frame: Mapping[str, Any]) -> None:
        if self.binary:
            await self.socket.send_bytes(msgpack.packb(frame))
        else:
            await self.socket.send_str(json.dumps(frame))

    async def receive(self, within_s: float = 10.0) -> dict[str, Any]:
        """The next frame."""
        if self.frames:
            return self.frames.pop(0)
        return await self._next(within_s)

    async def _next(self, within_s: float) -> dict[str, Any]:
        message = await self.socket.receive(timeout=within_s)
        if message.type is aiohttp.WSMsgType.TEXT:
            frame: dict[str, Any] = json.loads(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            frame = msgpack.unpackb(message.data)
        else:
            # The code is in the frame: when the server is gone before our answer, the socket's own says 1006.
            closed = message.type is aiohttp.WSMsgType.CLOSE
            self.code = int(message.data) if closed else self.socket.close_code
            raise ConnectionError(f"closed with {self.code} instead of a frame")
        self._check(frame)
        return frame

    def _check(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ping":
            assert RFC3339_UTC.fullmatch(frame["timestamp"]), frame
            return
        assert isinstance(frame["meta"]["code"], int), frame
        if frame["type"] == "error":
            assert set(frame["error"]) >= {"code", "message", "requestId"}, frame
            assert REQUEST_ID.fullmatch(frame["error"]["requestId"]), frame
            assert frame["meta"]["code"] >= 400, frame
            assert "data" not in frame, frame
        else:
            assert frame["meta"]["code"] == 200, frame

    async def until(self, holds: Any, within_s: float = 10.0) -> dict[str, Any]:
        """The first frame for which this holds; the others stay, in order."""
        for index, frame in enumerate(self.frames):
            if holds(frame):
                return self.frames.pop(index)
        end = time.monotonic() + within_s
        while True:
            frame = await self._next(max(0.01, end - time.monotonic()))
            if holds(frame):
                return frame
            self.frames.append(frame)

    async def push(self, topic: str, within_s: float = 10.0) -> dict[str, Any]:
        """The next frame of this topic that answers nothing."""
        return await self.until(
            lambda frame: frame.get("meta", {}).get("topic") == topic and "id" not in frame["meta"], within_s
        )

    async def ask(self, type_: str, within_s: float = 10.0, **members: Any) -> dict[str, Any]:
        """Send a frame and wait for what answers it."""
        id_ = members.pop("id", None) or f"q{next(self._ids)}"
        await self.send({"type": type_, "id": id_, **members})
        return await self.until(lambda frame: frame.get("meta", {}).get("id") == id_, within_s)

    async def command(self, kind: str, key: str, name: str, data: Any = None, **members: Any) -> dict[str, Any]:
        return await self.ask("command", kind=kind, key=key, name=name, data=data or {}, **members)

    async def query(self, kind: str, key: str, name: str, data: Any = None) -> dict[str, Any]:
        return await self.ask("query", kind=kind, key=key, name=name, data=data or {})

    async def subscribe(self, topic: str, **members: Any) -> dict[str, Any]:
        return await self.ask("subscribe", topic=topic, **members)

    async def closed(self, within_s: float = 10.0) -> int:
        """Read until the server closes; its close code."""
        end = time.monotonic() + within_s
        while self.code is None:
            try:
                self.frames.append(await self._next(max(0.01, end - time.monotonic())))
            except ConnectionError:
                break
        assert self.code is not None
        return self.code


class Sockets:
    """Opens WebSockets, and closes them when the test is over."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.wires: list[Wire] = []

    async def raw(self, path: str = f"{API}/ws", *, binary: bool = False, **options: Any) -> Wire:
        """A socket that has not said who it is."""
        socket = await self.session.ws_connect(
            self.server.url.replace("http", "ws", 1) + path, max_msg_size=1 << 24, **options
        )
        wire = Wire(socket, binary=binary)
        self.wires.append(wire)
        return wire

    async def open(self, user: User, *, binary: bool = False, path: str = f"{API}/ws") -> Wire:
        """A socket of this user, welcomed."""
        wire = await self.raw(path, binary=binary)
        welcome = await wire.ask("auth", auth=user.bearer)
        assert welcome["type"] == "welcome", welcome
        return wire

    async def close(self) -> None:
        await asyncio.gather(*(wire.socket.close() for wire in self.wires))

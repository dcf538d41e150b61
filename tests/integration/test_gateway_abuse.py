"""What hostile or broken clients can do to the door: little."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.door import User, admin, alice, bob, room, session
from tests.integration.one_process import OneProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

__all__ = ["admin", "alice", "bob", "room", "session"]

DEADLINE_S = 10.0


@asynccontextmanager
async def opened(room: OneProcess) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = room.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """All until the end; a server that closes while we still send cuts the connection."""
    read = b""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65_536):
                read += part
    return read


async def upgrade(user: User, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"GET /api/v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
        b"Authorization: Bearer " + user.token.encode() + b"\r\n\r\n"
    )
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"permessage-deflate" not in answer


def client_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | opcode, 0x80 | (size if size < 126 else 126)))
    return head + (b"" if size < 126 else struct.pack("!H", size)) + bytes(4) + payload


def close_code(stream: bytes) -> int:
    """The code of the close frame, which comes last."""
    place = stream.rindex(b"\x88")
    return int(struct.unpack("!H", stream[place + 2 : place + 4])[0])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    ],
)
async def test_a_request_that_is_none_is_refused_and_closed(room: OneProcess, head: bytes, status: bytes) -> None:
    async with opened(room) as (reader, writer):
        writer.write(head)
        answer = await everything(reader)
    assert answer.startswith((b"HTTP/1.0 " + status, b"HTTP/1.1 " + status))
    assert b"requestId" in answer
    assert b"Traceback" not in answer


async def test_unfit_paths_are_not_found_and_not_a_bug(alice: User) -> None:
    for path in (
        "/api/v1/actors/player/%00/profile",
        "/api/v1/actors/player/%ED%A0%80/profile",
        "/api/v1/players/a%0Ab",
    ):
        status, body, _ = await alice.ask("GET", path)
        assert status in (400, 403, 404), body


@pytest.mark.parametrize(
    ("frames", "codes"),
    [
        ([client_frame(1, b"\xff\xfe")], {1007}),
        ([client_frame(3, b"x")], {1002}),
        ([client_frame(0, b"x")], {1002}),
        ([client_frame(1, b"{", fin=False)] + [client_frame(0, b" " * 30, fin=False)] * 3_000, {1002, 1008, 1009}),
        ([client_frame(2, b"\xc1")] * 10, {1007}),
    ],
    ids=["bad UTF-8", "reserved opcode", "continuation of nothing", "endless fragments", "garbage"],
)
async def test_frames_that_break_the_protocol_close_the_socket(
    alice: User, frames: list[bytes], codes: set[int]
) -> None:
    async with opened(alice.room) as (reader, writer):
        await upgrade(alice, reader, writer)
        writer.write(b"".join(frames))
        assert close_code(await everything(reader)) in codes


async def test_protocol_pings_are_answered(alice: User) -> None:
    async with opened(alice.room) as (reader, writer):
        await upgrade(alice, reader, writer)
        writer.write(client_frame(9, b"are you there?"))
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(b"\x8a\x0eare you there?")


async def test_a_silent_connection_is_closed(room: OneProcess) -> None:
    async with opened(room) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        async with asyncio.timeout(15):
            assert await reader.read(-1) == b""


async def test_a_player_who_asks_too_often_is_told_to_wait(alice: User, bob: User) -> None:
    answers = await asyncio.gather(*(alice.ask("GET", "/api/v1/players/me") for _ in range(500)))
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused
    assert all(answer[1]["code"] == "RATE_LIMITED" and int(answer[2]["Retry-After"]) >= 1 for answer in refused)
    assert (await bob.ask("GET", "/api/v1/players/me"))[0] == 200

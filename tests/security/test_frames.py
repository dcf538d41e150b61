"""SE-09 and SE-10: WebSockets from foreign pages, and frames that no honest client sends."""

import asyncio
import contextlib
import json
import time

import psutil
import pytest

from gateway.limits import UNDECODABLE_FRAMES_MAX
from tests.acceptance.clients import Door, Sockets, User
from tests.acceptance.server import ALLOWED_ORIGIN, Server
from tests.security.raw import Raw, frame


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "null",
        f"{ALLOWED_ORIGIN}.evil.com",
        ALLOWED_ORIGIN.replace("https", "http"),
        f"{ALLOWED_ORIGIN}:8443",
        "https://playXexample.com",
        "file://",
        "http://127.0.0.1@evil.example.com",
    ],
)
async def test_se_09_foreign_pages_are_refused_before_the_upgrade(server: Server, alice: User, origin: str) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade(f"Origin: {origin}", f"Authorization: {alice.bearer}") == 403


@pytest.mark.parametrize("origin", [None, ALLOWED_ORIGIN, "http://127.0.0.1"])
async def test_se_09_native_clients_and_known_pages_connect(server: Server, origin: str | None) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade(*([f"Origin: {origin}"] if origin else [])) == 101


async def test_se_09_foreign_pages_read_nothing_over_rest(door: Door, alice: User) -> None:
    answer = await door.ask("GET", "/api/v1/players/me", as_=alice, headers={"Origin": "https://evil.example.com"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    answer = await door.ask("GET", "/api/v1/players/me", as_=alice, headers={"Origin": ALLOWED_ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED_ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers


def auth(user: User) -> bytes:
    return frame(1, json.dumps({"type": "auth", "auth": user.bearer}).encode())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(1, b'"' + b"x" * 65_536)], {1009}),
        ([frame(2, b"\xc1" * 65_537)], {1009}),
        ([frame(1, b"x", last=False), *[frame(0, b"x" * 100, last=False)] * 656], {1009}),
        ([frame(1, b"\xff\xfe\xfd")], {1007}),
        ([frame(3, b"")], {1002}),
        ([frame(1, b"{}", reserved=0x40)], {1002}),
        ([frame(0, b"continues nothing")], {1002}),
        ([frame(9, b"x" * 126)], {1002}),
        ([frame(8, b"\x03")], {1002}),
    ],
    ids=[
        "a byte too many in text",
        "a byte too many in binary",
        "hundreds of continuations",
        "no UTF-8",
        "an unknown opcode",
        "compressed without agreement",
        "a continuation of nothing",
        "a long ping",
        "a short close",
    ],
)
async def test_se_10_broken_frames_end_the_connection(
    server: Server, alice: User, frames: list[bytes], code: set[int]
) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade() == 101
        await raw.send(auth(alice))
        for data in frames:
            await raw.send(data)
        assert await raw.close_code() in code


async def test_se_10_a_frame_of_64_kib_is_taken(sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    text = json.dumps({"type": "query", "id": "big", "kind": "player", "key": "me", "name": "profile", "data": {}})
    await wire.socket.send_str(text.ljust(64 * 1024))
    assert (await wire.receive())["meta"] == {"code": 200, "id": "big", "version": 1}


async def test_se_10_compression_is_not_taken_up(server: Server) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits") == 101
        assert not raw.extensions


async def test_se_10_a_frame_before_auth_is_1008(server: Server) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade() == 101
        await raw.send(frame(1, b'{"type":"subscribe","topic":"leaderboard:main"}'))
        assert await raw.close_code() == 1008
    async with await Raw.open(server) as raw:
        assert await raw.upgrade() == 101
        await raw.send(frame(2, b"\xc1garbage"))
        assert await raw.close_code() == 1008


async def test_se_10_garbage_after_auth_is_refused_and_ends_the_connection(server: Server, alice: User) -> None:
    async with await Raw.open(server) as raw:
        assert await raw.upgrade() == 101
        await raw.send(auth(alice))
        # No more than it takes: what came after the close would make the kernel cut off the close code.
        for _ in range(UNDECODABLE_FRAMES_MAX):
            await raw.send(frame(2, b"\xc1\xc1\xc1"))
        assert await raw.close_code() == 1007


async def test_se_10_floods_leave_neighbours_alone(
    server: Server, door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    """Pings and unauthenticated sockets by the hundred; somebody else goes on playing meanwhile."""
    wire = await sockets.open(bob)
    resident = _resident_bytes(server)
    assert resident > 0

    async def flood() -> None:
        async with await Raw.open(server) as raw:
            await raw.upgrade()
            await raw.send(auth(alice))
            await raw.send(frame(9, b"x" * 100) * 5_000)
            await raw.close_code(3)

    async def knock(number: int) -> Raw:
        raw = await Raw.open(server)
        await raw.upgrade()
        return raw

    knocking = await asyncio.gather(*(knock(number) for number in range(400)))
    flooding = [asyncio.create_task(flood()) for _ in range(4)]
    took = []
    for _ in range(40):
        began = time.monotonic()
        assert (await wire.query("player", "me", "profile"))["meta"]["code"] == 200
        took.append(time.monotonic() - began)
    for task in flooding:
        task.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
    await asyncio.gather(*(raw.__aexit__() for raw in knocking))
    assert sorted(took)[35] < 1.0
    assert _resident_bytes(server) - resident < 100 * 1024 * 1024


def _resident_bytes(server: Server) -> int:
    """Memory of the two gateways."""
    assert server.process is not None
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = 0
    for child in children:
        with contextlib.suppress(psutil.Error):
            found += child.memory_info().rss if "GatewayProcess" in " ".join(child.cmdline()) else 0
    return found

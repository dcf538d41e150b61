"""SE-11: HTTP that is meant to tie the server up, or to be read in two ways."""

import asyncio
import time

from tests.acceptance.clients import API, Door, User
from tests.acceptance.server import Server
from tests.security.raw import Raw

PATH = f"{API}/auth/guest"


def head(*lines: str, method: str = "POST", path: str = PATH) -> bytes:
    return ("\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines]) + "\r\n\r\n").encode()


async def test_se_11_length_and_chunks_together_are_refused(server: Server) -> None:
    async with await Raw.open(server) as raw:
        await raw.send(head("Content-Length: 6", "Transfer-Encoding: chunked") + b"0\r\n\r\nG")
        assert await raw.status() == 400
        assert await raw.ended(15)


async def test_se_11_two_lengths_are_refused(server: Server) -> None:
    for lengths in (("Content-Length: 2", "Content-Length: 3"), ("Content-Length: +2",), ("Content-Length: -1",)):
        async with await Raw.open(server) as raw:
            await raw.send(head(*lengths) + b"{}x")
            assert await raw.status() == 400


async def test_se_11_a_body_in_chunks_of_one_byte_is_read_or_refused(server: Server) -> None:
    async with await Raw.open(server) as raw:
        body = b'{"deviceId": "chunks-of-one-byte-each"}'
        await raw.send(head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        await raw.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert await raw.status() == 200


async def test_se_11_endless_chunks_end_at_the_limit(server: Server) -> None:
    async with await Raw.open(server) as raw:
        await raw.send(head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        await raw.send(b"1\r\n \r\n" * 70_000)
        assert await raw.status() == 413


async def test_se_11_hundreds_of_headers_are_refused_or_harmless(server: Server) -> None:
    async with await Raw.open(server) as raw:
        await raw.send(head(*(f"X-Header-{number}: {number}" for number in range(200)), "Content-Length: 0"))
        assert await raw.status() in (400, 431)
    async with await Raw.open(server) as raw:
        await raw.send(head(*(f"X-Header-{number}: " + "x" * 1_000 for number in range(200))))
        assert await raw.status() in (0, 400, 431)


async def test_se_11_a_multipart_of_ten_thousand_parts_is_no_json(server: Server) -> None:
    part = b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n"
    for data in (part * 1_000 + b"--b--", part * 10_000 + b"--b--"):
        async with await Raw.open(server) as raw:
            began = time.monotonic()
            await raw.send(head("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(data)}"))
            await raw.send(data)
            assert await raw.status() in (400, 413)
            assert time.monotonic() - began < 5


async def test_se_11_a_slow_body_is_given_up(server: Server) -> None:
    """One byte at a time, for as long as the server bears it: 15 seconds at most."""
    async with await Raw.open(server) as raw:
        await raw.send(head("Content-Type: application/json", "Content-Length: 1000"))
        answer = asyncio.create_task(raw.status(15))
        began = time.monotonic()
        while not answer.done():
            await raw.send(b" ")
            await asyncio.wait([answer], timeout=0.5)
        assert answer.result() in (0, 400, 408)
        assert time.monotonic() - began < 15


async def test_se_11_slow_headers_are_given_up_or_cost_nobody_else_anything(server: Server, door: Door) -> None:
    connections = [await Raw.open(server) for _ in range(100)]
    for raw in connections:
        await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    answer = await door.get("/health/live")
    assert answer.status == 200
    assert answer.seconds < 1
    for raw in connections:
        await raw.__aexit__()


async def test_se_11_compressed_bodies_are_refused(door: Door, alice: User) -> None:
    answer = await door.ask(
        "POST", f"{API}/actions", data=b"\x1f\x8b" + b"\0" * 100, as_=alice, headers={"Content-Encoding": "gzip"}
    )
    assert (answer.status, answer.code) == (400, "INVALID")


async def test_se_11_strange_lines_are_400_and_no_trace(server: Server) -> None:
    for line in (b"GET", b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G\xc3\xa9T / HTTP/1.1\r\n\r\n"):
        async with await Raw.open(server) as raw:
            await raw.send(line + b"\r\n\r\n")
            answer = await asyncio.wait_for(raw.reader.read(65_536), 10)
            assert b"Traceback" not in answer
            assert b"aiohttp" not in answer.split(b"\r\n\r\n", 1)[-1]


async def test_se_11_paths_do_not_climb(server: Server) -> None:
    for path in ("/../../etc/passwd", "/api/v1/../../health", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"):
        async with await Raw.open(server) as raw:
            await raw.send(head(method="GET", path=path))
            assert await raw.status() in (400, 404)

"""SE-11, SPEC section 0: what is no HTTP gets the one form of errors as well, and nothing after it is believed."""

import asyncio
import json
from typing import Any

import pytest

from tests.acceptance.clients import API, REQUEST_ID, Door
from tests.acceptance.server import Server, wait_until
from tests.security.raw import Raw

HOST = b"Host: 127.0.0.1\r\n"
GUEST = f"POST {API}/auth/guest HTTP/1.1\r\n".encode() + HOST
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST

MALFORMED = {
    "nonsense": b"\x00\x01\x02\x03\r\n\r\n",
    "tls": b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\r\n\r\n",
    "version_unknown": b"GET /health/live HTTP/9.9\r\n" + HOST + b"\r\n",
    "method_not_ascii": b"G\xc3\xa9T /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "path_with_spaces": b"GET /health /live HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority_broken": b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "header_without_colon": LIVE + b"Nonsense\r\n\r\n",
    "header_name_with_space": LIVE + b"Content-Length : 0\r\n\r\n",
    "header_with_nul": LIVE + b"X-Nul: a\x00b\r\n\r\n",
    "length_no_number": GUEST + b"Content-Length: ten\r\n\r\n{}",
    "length_negative": GUEST + b"Content-Length: -1\r\n\r\n{}",
    "length_signed": GUEST + b"Content-Length: +2\r\n\r\n{}",
    "two_lengths": GUEST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length_and_chunks": GUEST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "chunked_twice": GUEST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
}

LONG = {
    "one_long_header": LIVE + b"X-Long: " + b"a" * 17_000 + b"\r\n\r\n",
    "long_in_sum": LIVE
    + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1_000) for number in range(20))
    + b"Connection: close\r\n\r\n",
    "long_path": b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
}


async def answered(server: Server, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers (names in lower case) and body of the one answer to these bytes, after which the server hangs
    up."""
    async with await Raw.open(server) as raw:
        await raw.send(sent)
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), 10)
        first, *lines = head.decode().split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = json.loads(await raw.reader.readexactly(int(headers["content-length"])))
        # Garbage that is still on its way may turn the end into a reset; more answers there are none.
        assert await raw.ended(20)
    return int(first.split()[1]), headers, body


def check(answer: tuple[int, dict[str, str], Any], code: str) -> str:
    """The one form of errors; the request id."""
    _, headers, body = answer
    assert set(body) == {"error", "code", "message", "requestId"}
    assert all(isinstance(text, str) and text for text in body.values())
    assert body["code"] == code
    assert headers["content-type"].startswith("application/json")
    assert REQUEST_ID.fullmatch(body["requestId"])
    assert headers["x-request-id"] == body["requestId"]
    told = json.dumps(body)
    assert "Traceback" not in told
    assert "aiohttp" not in json.dumps(answer)
    return str(body["requestId"])


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_se_11_what_is_no_http_is_a_400_in_the_form_of_all_errors(server: Server, sent: bytes) -> None:
    answer = await answered(server, sent)
    assert answer[0] == 400
    check(answer, "INVALID")


@pytest.mark.parametrize("sent", LONG.values(), ids=LONG)
async def test_se_11_headers_over_16_kib_are_refused_in_the_form_of_all_errors(server: Server, sent: bytes) -> None:
    answer = await answered(server, sent)
    assert answer[0] == 431
    check(answer, "TOO_LARGE")


async def test_se_11_an_expectation_that_nobody_can_meet_has_the_form_of_all_errors(server: Server) -> None:
    answer = await answered(server, LIVE + b"Expect: a miracle\r\nConnection: close\r\n\r\n")
    assert answer[0] == 417
    check(answer, "INVALID")


async def test_se_11_what_follows_a_broken_request_is_not_answered(server: Server) -> None:
    """Else a proxy and this server could disagree about where a request begins."""
    async with await Raw.open(server) as raw:
        await raw.send(GUEST + b"Content-Length: -1\r\n\r\n" + LIVE + b"\r\n")
        told = await asyncio.wait_for(raw.reader.read(-1), 20)
    assert told.count(b"HTTP/1.1 ") == 1


async def test_se_11_a_broken_request_after_a_good_one_is_told_too(server: Server) -> None:
    async with await Raw.open(server) as raw:
        await raw.send(LIVE + b"\r\n")
        assert await raw.status() == 200
        await raw.reader.readuntil(b"\r\n\r\n")
        await raw.reader.readuntil(b"}")
        await raw.send(b"nonsense\r\n\r\n")
        assert await raw.status() == 400
        assert b"requestId" in await asyncio.wait_for(raw.reader.read(-1), 20)


async def test_se_11_a_broken_request_is_in_the_log_by_its_id_without_a_traceback(server: Server, door: Door) -> None:
    request_id = check(await answered(server, MALFORMED["nonsense"]), "INVALID")

    def lines() -> list[str]:
        return [line for text in server.logs().values() for line in text.splitlines() if request_id in line]

    [line] = wait_until(lines, "the access log has the request")
    assert json.loads(line)["status"] == 400
    assert not any("Error handling request" in text for text in server.logs().values())
    answer = await door.get("/health/live")
    assert answer.status == 200

"""SE-20: requests that leave the server go where they are meant to, whatever a name or a document says."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.outside import Outside, Reach, is_meant
from schemas.problems import Refusal


class Neighbour:
    """Something on this machine that was not meant to be asked."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.connected = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/slow":
            await asyncio.Event().wait()
        if request.path == "/moved":
            raise web.HTTPFound(f"http://127.0.0.1:{self.port}/metadata")
        if request.path == "/squeezed":
            return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        return web.json_response({"secret": "kept"} if request.path != "/list" else ["kept"])


@pytest_asyncio.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    made = Neighbour()
    application = web.Application()
    application.router.add_get("/{path}", made.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def refused(reach: Reach, url: str) -> str:
    outside = Outside(reach)
    try:
        with pytest.raises(Refusal) as refusal:
            await outside.get(url)
    finally:
        await outside.close()
    return refusal.value.code


@pytest.mark.parametrize("reach", ["public", "private"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_se_20_nobody_on_this_machine_is_asked(neighbour: Neighbour, reach: Reach, host: str) -> None:
    for scheme in ("https", "http"):
        assert await refused(reach, f"{scheme}://{host}:{neighbour.port}/metadata") == "UNAVAILABLE"
    assert neighbour.asked == []


async def test_se_20_who_is_meant_to_be_here_is_asked_and_does_not_send_us_on(neighbour: Neighbour) -> None:
    outside = Outside("loopback")
    assert await outside.get(f"http://127.0.0.1:{neighbour.port}/x") == {"secret": "kept"}
    await outside.close()
    for path in ("moved", "squeezed", "list"):
        assert await refused("loopback", f"http://127.0.0.1:{neighbour.port}/{path}") == "UNAVAILABLE"
    assert neighbour.asked == ["/x", "/moved", "/squeezed", "/list"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://8.8.8.8/", "//127.0.0.1/", "x"]
)
async def test_se_20_only_web_addresses_are_asked(url: str) -> None:
    assert await refused("loopback", url) == "UNAVAILABLE"


async def test_se_20_a_party_that_does_not_answer_is_given_up(
    neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.outside.WITHIN_S", 0.2)
    assert await refused("loopback", f"http://127.0.0.1:{neighbour.port}/slow") == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("address", "reaches"),
    [
        ("8.8.8.8", {"public", "private"}),
        ("2001:4860:4860::8888", {"public", "private"}),
        ("64:ff9b::808:808", {"public", "private"}),
        ("10.0.0.1", {"private"}),
        ("192.168.1.1", {"private"}),
        ("fd00::1", {"private"}),
        ("::ffff:10.0.0.1", {"private"}),
        ("64:ff9b::a00:1", {"private"}),
        ("127.0.0.1", {"loopback"}),
        ("::1", {"loopback"}),
        ("::ffff:127.0.0.1", {"loopback"}),
        ("169.254.169.254", set()),
        ("::ffff:169.254.169.254", set()),
        ("fe80::1%eth0", set()),
        ("0.0.0.0", set()),
        ("224.0.0.1", set()),
        ("255.255.255.255", set()),
        ("100.64.0.1", set()),
    ],
)
def test_se_20_each_address_is_for_whom_it_is_meant(address: str, reaches: set[str]) -> None:
    every: tuple[Reach, ...] = ("public", "private", "loopback")
    assert {reach for reach in every if is_meant(address, reach)} == reaches

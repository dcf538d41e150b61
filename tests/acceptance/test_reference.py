"""SPEC SDK-01: the documents of REST and WebSocket as pages to read, to search, and to try requests out."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.pages import reference
from schemas.settings import PROJECT
from tests.acceptance.clients import Door, User
from tests.acceptance.server import Server
from tests.harness.browser import MISSING, Browser, Window

FOLDER = PROJECT / "gateway" / "reference"
PHONE = (390, 844)
COLOURS = "getComputedStyle(document.body).color + getComputedStyle(document.body).backgroundColor"
needs_browser = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest_asyncio.fixture
async def browser() -> Any:
    async with Browser() as browser:
        yield browser


def at_peace(window: Window, server: Server) -> bool:
    """Whether the page complained of nothing, and asked nobody but this server."""
    elsewhere = [url for url in window.asked if not url.startswith((f"{server.url}/", "data:"))]
    assert (window.troubles, elsewhere) == ([], [])
    return True


async def fits_a_phone_and_the_dark(window: Window) -> None:
    light = await window.run(COLOURS)
    await window.size(*PHONE, dark=True)
    await window.until(f"{COLOURS} !== {json.dumps(light)}")
    await window.until("document.documentElement.scrollWidth <= innerWidth")


@needs_browser
async def test_sdk_01_routes_are_shown_and_tried_out_with_a_token(
    browser: Browser, server: Server, alice: User
) -> None:
    window = await browser.window(f"{server.url}/docs")
    await window.sees("/api/v1/players/me", "#document", 60)
    await window.sees("The whole sheet, for the player itself.", "#document")
    await window.click("#document .authorize")
    await window.fill("#document .modal-ux input", alice.token)
    await window.click("#document .modal-ux button.authorize", "Authorize")
    await window.click("#document .modal-ux button", "Close")
    route = "#document [id='operations-player-get_api_v1_players_me']"
    await window.click(f"{route} .opblock-summary-control")
    await window.click(f"{route} button.execute")
    await window.sees(alice.id, f"{route} .live-responses-table")
    assert f"{server.url}/api/v1/players/me" in window.asked
    await fits_a_phone_and_the_dark(window)
    assert at_peace(window, server)


@needs_browser
async def test_sdk_01_messages_are_shown_with_their_fields_and_searched(browser: Browser, server: Server) -> None:
    window = await browser.window(f"{server.url}/docs/ws")
    await window.sees("/api/v1/ws/leaderboard", "#channels")
    await window.sees("command.trade.offer", "#messages")
    await window.fill("#sought", "Trade.offer")
    await window.sees("1 message", "#found")
    shown = (
        "[...document.querySelectorAll('.message')].filter((box) => box.getClientRects().length).map((box) => box.id)"
    )
    assert await window.run(shown) == ["command.trade.offer"]
    await window.click("#messages summary", "command.trade.offer")
    await window.sees("data.goods.currencies", "#messages td")
    await window.sees("At most 20 entries.", "#messages td")
    sent = json.loads(await window.run("document.querySelector('#messages pre').textContent"))
    assert sent == {
        "type": "command",
        "kind": "trade",
        "key": "...",
        "name": "offer",
        "data": {"goods": {}},
    }
    assert await window.run("location.hash") == "#command.trade.offer"
    await window.reload()
    await window.sees("data.goods.currencies", "#messages [id='command.trade.offer'] td")
    assert at_peace(window, server)


@needs_browser
async def test_sdk_01_each_message_can_be_opened(browser: Browser, server: Server, door: Door) -> None:
    window = await browser.window(f"{server.url}/docs/ws")
    messages = (await door.get("/asyncapi.json")).body["components"]["messages"]
    await window.until(f"document.querySelectorAll('.message').length === {len(messages)}")
    await window.run("document.querySelectorAll('.message').forEach((box) => { box.open = true; })")
    await window.until(f"document.querySelectorAll('.message .body tbody').length === {len(messages)}")
    assert await window.run("document.querySelectorAll('.message tbody:empty').length") == 0
    await fits_a_phone_and_the_dark(window)
    assert at_peace(window, server)


async def test_sdk_01_the_pages_are_served_with_all_that_they_name(door: Door) -> None:
    entry = await door.get("/docs")
    assert (entry.status, entry.headers["Location"]) == (308, "docs/")
    for page in ("", "ws"):
        shown = await door.get(f"/docs/{page}")
        assert (shown.status, shown.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        policy = dict(rule.split(" ", 1) for rule in shown.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "://" not in re.sub(r"<a [^>]*>", "", shown.text)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", shown.text)
        for name in re.findall(r'(?:src|href)="([^"]+)"', shown.text):
            named = await door.get(f"/{name.removeprefix('../')}" if name.startswith("../") else f"/docs/{name}")
            assert named.status == 200, name
    assert (await door.get("/docs/swagger-ui.css")).headers["Content-Type"] == "text/css; charset=utf-8"
    assert (await door.get("/docs/elsewhere")).status == 404
    assert (await door.get("/docs/..%2fpages.py")).status == 404


def test_sdk_01_the_pages_are_installed_with_the_server() -> None:
    distribution = importlib.import_module("setuptools.dist").Distribution()
    importlib.import_module("setuptools.config.pyprojecttoml").apply_configuration(
        distribution, PROJECT / "pyproject.toml"
    )
    assert "gateway.reference" in (distribution.packages or ())
    copying: Any = distribution.get_command_obj("build_py")
    copying.finalize_options()
    copying.manifest_files = {}
    found = {Path(path).name for path in copying.find_data_files("gateway.reference", str(FOLDER))}
    assert found == {path.name for path in FOLDER.iterdir()}
    assert found < set(reference().files)

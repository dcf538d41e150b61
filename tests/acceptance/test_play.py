"""SPEC SDK-01: the browser game and the TypeScript client in a real Chromium, against the running server."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.clients import PASSWORD, Door, User, fresh_name
from tests.acceptance.server import Server
from tests.harness.browser import MISSING, Browser, Window
from tests.harness.cutter import Cutter

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

PHONE = (390, 844)
TIMES = chr(0xD7)
TABS = ("Hero", "Quests", "Workshop", "Trade", "Guild", "Town")

UNNAMED = """
[...document.querySelectorAll("button, input, select, progress, summary")]
  .filter((field) => field.getClientRects().length > 0)
  .filter((field) => !(field.textContent.trim() || field.ariaLabel || field.labels?.length))
  .map((field) => field.outerHTML)
"""
"""What can be used and says nothing of itself to those who do not see it."""


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


@pytest_asyncio.fixture
async def way(server: Server) -> AsyncIterator[Cutter]:
    async with Cutter("127.0.0.1", server.port) as cutter:
        yield cutter


async def test_sdk_01_two_browser_windows_play_together(
    browser: Browser, server: Server, door: Door, studio: User
) -> None:
    """One registers, at a desk; the other is a guest, on a phone. Each sees what the other does."""
    ada, bea = await browser.window(f"{server.url}/play"), await browser.window(f"{server.url}/play", *PHONE, dark=True)
    name = fresh_name("ada")
    await ada.fill("[name=username]", name)
    await ada.fill("[name=password]", PASSWORD)
    await ada.click("#login button", "Register")
    await ada.sees(name, "#who")
    other = await as_guest(bea)
    await quest(ada)
    await craft(ada)
    await trade(ada, bea, name, other)
    await talk(ada, bea, name, other)
    await guild(ada, bea, name, other)
    await board(ada, bea, name, door, studio)
    await achieve(ada)
    for window in (ada, bea):
        tokens = await window.run("JSON.parse(sessionStorage.getItem('greenroom-session')).tokens")
        server.secrets |= set(tokens.values())
    await bea.click("#who button", "Leave")
    await ada.sees("Nobody else", "#people")
    await ada.until("document.querySelector('#people .dot.offline') !== null")
    assert (ada.troubles, bea.troubles) == ([], [])


async def as_guest(window: Window) -> str:
    """Come in as a guest; the name."""
    await window.click("#guest")
    name: str = await window.until("document.querySelector('#who strong')?.textContent")
    return name


async def quest(ada: Window) -> None:
    """Take on a quest, bring it forward by three deeds, and get what it brings."""
    await ada.click("[data-quest=first_steps] button", "Take it on")
    await ada.sees("Do anything three times: 0 of 3", "[data-quest=first_steps]")
    for done in (1, 2):
        await ada.click("#deeds button", "Do a small deed")
        await ada.sees(f"Do anything three times: {done} of 3", "[data-quest=first_steps]")
    await ada.click("#deeds button", "Do a small deed")
    await ada.until("document.querySelector('[data-done=first_steps]') !== null")
    await ada.sees(f"{TIMES} 16", "[data-item=wheat]")
    await ada.sees("Quest completed", "#post")
    await ada.sees("120", "[data-key=fact-Gold]")


async def craft(ada: Window) -> None:
    """Work is begun at two places, is seen to go on, and brings what it should; a club is to be worn."""
    await ada.click("[data-recipe=wooden_club] button", "Make")
    for _ in range(2):
        await ada.click("[data-recipe=flour] button", "Make")
    await ada.sees("to go", "[data-work=wooden_club]")
    await picture(ada, "workshop")
    await ada.sees(f"{TIMES} 2", "[data-item=flour]")
    await ada.sees(f"{TIMES} 12", "[data-item=wheat]")
    await ada.sees(f"{TIMES} 3", "[data-item=oak_log]")
    await ada.click("[data-item=wooden_club] button", "Wear")
    await ada.sees("Wooden club", "#hero")
    await ada.sees("No work under way.", "#workshop")


async def trade(ada: Window, bea: Window, name: str, other: str) -> None:
    """Logs and a club for gold: both see each offer, a change takes agreement back, and both get what was agreed."""
    await ada.click("#hero button", "Take off")
    await ada.click(f"[data-person='{other}'] button", "Trade")
    await bea.click("#tabs button", "Trade")
    await bea.click(f"[data-invitation='{name}'] button", "To the table")
    await offer(ada, "item:oak_log", 2)
    await bea.sees(f"2{chr(0xA0)}{TIMES} Oak log", "[data-side=theirs]")
    club = await ada.until("document.querySelector('#market option[value^=\"thing:\"]')?.value")
    await offer(ada, club, 1)
    for told in ("Wooden club", "Strength +1"):
        await bea.sees(told, "[data-side=theirs] .what")
    await bea.click("#market button", "Agree")
    await ada.sees(f"{other} has agreed.", "[data-side=theirs]")
    await offer(bea, "money:gold", 30)
    await ada.sees("30 gold", "[data-side=theirs]")
    await ada.sees("Not agreed yet.", "[data-side=theirs]")
    await offer(bea, "money:gold", 40)
    await ada.sees("40 gold", "[data-side=theirs]")
    await ada.click("#market button", "Agree")
    await bea.sees(f"{name} has agreed.", "[data-side=theirs]")
    await picture(ada, "trade")
    await picture(bea, "trade-phone-dark")
    await bea.click("#market button", "Agree")
    for window in (ada, bea):
        await window.sees("Ask somebody who is here to trade.", "#market")
    await ada.sees("The trade is done", "#post")
    await ada.sees("160", "[data-key=fact-Gold]")
    await ada.until("document.querySelector('[data-item=oak_log] .count').textContent === ''")
    await bea.click("#tabs button", "Hero")
    await bea.sees("60", "[data-key=fact-Gold]")
    await bea.sees(f"{TIMES} 2", "[data-item=oak_log]")
    await bea.sees("Strength +1", "[data-item=wooden_club]")


async def offer(window: Window, what: str, count: int) -> None:
    await window.choose("#market select", what)
    await window.fill("#market input[type=number]", str(count))
    await window.click("#market button", "Offer")


async def talk(ada: Window, bea: Window, name: str, other: str) -> None:
    """They talk, and become friends."""
    await bea.click("#tabs button", "Town")
    await ada.fill("#say input", "Was that <b>oak</b>?")
    await ada.press("Enter", 13)
    await bea.sees("Was that <b>oak</b>?", "#talk p")
    await bea.fill("#say input", "The best there is.")
    await bea.click("#say button")
    await ada.sees("The best there is.", "#talk p")
    assert await ada.run("document.querySelector('#say input').value") == ""
    await ada.click(f"[data-person='{other}'] button", "Befriend")
    await bea.click("#tabs button", "Trade")
    await bea.click(f"[data-person='{name}'] button", "Be friends")
    for window, friend in ((ada, other), (bea, name)):
        await window.sees("friend", f"[data-person='{friend}'] .soft")


async def guild(ada: Window, bea: Window, name: str, other: str) -> None:
    """One founds a guild; the other finds it, joins it, and both talk where nobody else hears it."""
    title = fresh_name("Lions")
    await ada.click("#guild summary", "Found a guild")
    await ada.fill("#guild [name=title]", "-" + title)
    await ada.click("#guild details button", "Found it")
    await ada.sees("Name must begin and end with a letter or digit", "#news [role=alert]")
    await ada.fill("#guild [name=title]", title)
    await ada.click("#guild details button", "Found it")
    await ada.sees("1 member", f"[data-guild='{title}'] h3")
    await ada.sees("leader", f"[data-member='{name}']")
    await ada.sees("60", "[data-key=fact-Gold]")
    await bea.click("#tabs button", "Guild")
    await bea.fill("#guild [name=sought]", title)
    await bea.click(f"[data-found='{title}'] button", "Join")
    await bea.sees("2 members", f"[data-guild='{title}'] h3")
    await ada.sees("member", f"[data-member='{other}']")
    await ada.fill("#guild-say input", "Nobody else hears this.")
    await ada.press("Enter", 13)
    await bea.sees("Nobody else hears this.", "#guild-talk p")
    await bea.fill("#guild-say input", "Then we are a guild.")
    await bea.click("#guild-say button")
    await ada.sees("Then we are a guild.", "#guild-talk p")
    assert "Nobody else" not in await bea.run("document.querySelector('#talk').textContent")
    await picture(ada, "guild")
    await picture(bea, "guild-phone-dark")
    await bea.click("#guild summary", "Leave the guild")
    await bea.click("#guild button", f"Leave {title}")
    await bea.sees("You belong to no guild.", "#guild")
    await ada.sees("1 member", f"[data-guild='{title}'] h3")


async def achieve(ada: Window) -> None:
    """Who leads the board and does a deed then becomes known for it."""
    await ada.sees("of 100", "[data-achievement=climber]")
    await ada.click("#deeds button", "Do a small deed")
    for tier, title in ((1, "Climber: Noticed"), (2, "Climber: Known")):
        await ada.sees(title, f"[data-reached=climber-{tier}]")
    await ada.sees("Noticed", "#post")
    await ada.click("#hero summary", "Skills")
    await ada.sees("A blow with whatever is at hand.", "[data-skill=strike]")
    await picture(ada, "achievements")


async def board(ada: Window, bea: Window, name: str, door: Door, studio: User) -> None:
    """Both see at once who leads."""
    await bea.click("#tabs button", "Town")
    user = await ada.run(
        "JSON.parse(atob(JSON.parse(sessionStorage.getItem('greenroom-session')).tokens"
        ".accessToken.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub"
    )
    best = (await door.get("/api/v1/leaderboard/top", as_=studio)).body[0]["score"]
    await door.award(studio, user, best + 1_000)
    for window in (ada, bea):
        await window.sees(name, "#board tbody tr:first-child")
    assert await ada.run("document.querySelector('#board tbody tr').className") == "own"
    assert await bea.run("document.querySelector('#board tbody tr').className") == ""
    await picture(ada, "board")
    await picture(bea, "town-phone-dark")


async def test_sdk_01_the_game_is_for_every_screen_and_for_the_keyboard(browser: Browser, server: Server) -> None:
    window = await browser.window(f"{server.url}/play", *PHONE)
    await picture(window, "door-phone")
    assert await window.run(UNNAMED) == []
    for _ in range(10):
        if await window.run("document.activeElement.id") == "guest":
            break
        await window.press("Tab", 9)
    await window.press("Enter", 13)
    await window.sees("Hero", "#tabs button")
    light = await colours(window)
    await window.size(*PHONE, dark=True)
    await window.until(f"{COLOURS} !== {json.dumps(light)}")
    for width in (320, *PHONE[:1], 820, 1400):
        await window.size(width, 900)
        for tab in TABS if width < 960 else TABS[:1]:
            if width < 960:
                await window.click("#tabs button", tab)
            assert await window.until("document.documentElement.scrollWidth <= innerWidth"), (width, tab)
            assert await window.run(UNNAMED) == [], (width, tab)
            await picture(window, f"{width}-{tab.lower()}")
    assert window.troubles == []


COLOURS = "getComputedStyle(document.body).color + getComputedStyle(document.body).backgroundColor"


async def colours(window: Window) -> Any:
    return await window.run(COLOURS)


async def test_sdk_01_the_game_says_in_words_what_went_wrong_and_comes_back_after_a_break(
    browser: Browser, server: Server, way: Cutter
) -> None:
    window = await browser.window(f"{way.url}/play")
    await window.fill("[name=username]", fresh_name())
    await window.fill("[name=password]", "not the password")
    await window.click("#login button", "Log in")
    await window.sees("do not go together", "#news [role=alert]")
    name = await as_guest(window)
    way.cut()
    await window.click("[data-quest=first_steps] button", "Take it on")
    await window.sees("Do anything three times: 0 of 3", "[data-quest=first_steps]")
    await window.sees("connected", ".status")
    assert way.cuts
    await window.reload()
    await window.sees(name, "#who")
    await window.sees("Do anything three times: 0 of 3", "[data-quest=first_steps]")
    await window.click("#hero summary", "Keep this hero")
    kept = fresh_name("keeper")
    await window.fill("#hero [name=username]", kept)
    await window.fill("#hero [name=password]", PASSWORD)
    await window.click("#hero form button", "Keep")
    await window.sees(kept, "#who strong")
    await window.click("#who button", "Leave")
    await window.sees("Come in", "#door")
    assert await window.run("sessionStorage.length") == 0
    await window.run(
        "sessionStorage.setItem('greenroom-session', JSON.stringify({ tokens: { accessToken: 'x.y.z' } }))"
    )
    await window.reload()
    await window.sees("you were logged out", "#news [role=alert]")
    await window.until("sessionStorage.length === 0")


async def test_sdk_01_the_typescript_client_in_a_browser_outlives_its_sockets(
    browser: Browser, server: Server, way: Cutter
) -> None:
    window = await browser.window(f"{way.url}/play")
    begun = await window.run(
        """(async () => {
          const { Client, newOp } = await import("/play/greenroom-client.js");
          const client = new Client(location.origin);
          await client.guest(crypto.randomUUID());
          const connection = await client.connect({ form: "msgpack" });
          const topic = await connection.subscribe("player:me");
          const seen = [];
          void (async () => { for await (const push of topic) seen.push(push.seq); })();
          const op = newOp();
          const start = () => connection.command("player", "me", "start_action", { type: "practice" }, { op });
          const [first, again] = [await start(), await start()];
          const refused = await connection.command("player", "me", "start_quest", { quest: "the_last_dragon" })
            .catch((error) => [error.name, error.code]);
          globalThis.play = { client, connection, seen, version: first.version };
          return { same: first.data.id === again.data.id, refused, from: topic.initial.seq, tokens: client.tokens };
        })()"""
    )
    server.secrets |= set(begun["tokens"].values())
    assert (begun["same"], begun["refused"]) == (True, ["Refused", "quest_locked"])
    version = 0
    for _ in range(2):
        await window.run(
            """(() => {
              const start = () => play.connection.command("player", "me", "start_action", { type: "practice" });
              play.pending = Promise.all(Array.from({ length: 20 }, start));
            })()"""
        )
        way.cut()
        version = await window.run("play.pending.then((replies) => Math.max(...replies.map((reply) => reply.version)))")
        await window.until(f"play.seen.at(-1) >= {version}")
    seen = await window.run("play.seen")
    assert seen == list(range(begun["from"] + 1, version + 1)), "each push once, in order"
    assert version == begun["from"] + 41, "each command once"
    assert await window.run("play.connection.reconnects") >= 2
    await window.run("play.connection.close()")


async def picture(window: Window, name: str) -> None:
    """A picture for people to look at, when `PICTURES` names a folder."""
    folder = os.environ.get("PICTURES")
    if folder:
        await window.picture(Path(folder) / f"{name}.png")

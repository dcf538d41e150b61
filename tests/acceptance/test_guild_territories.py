"""SPEC section 7 (GS-10): territories are claimed, contested and lost; income comes by itself, and to one guild."""

from typing import Any

import pytest_asyncio

from tests.acceptance.clients import Answer, Door, Sockets, User
from tests.acceptance.guildhall import all_join, asked, bank, done, found, guild, say
from tests.acceptance.server import Server

MILL = "try_mill"
INCOME = 7


@pytest_asyncio.fixture
async def mill(server: Server, door: Door, studio: User) -> str:
    """A territory that yields something each second."""
    key = await found(door, await door.guest())
    territory = {"title": "A mill in a hurry", "income": {"gold": INCOME}, "every_hours": 1 / 3_600}
    server.edit_content("guilds", {"territories": {MILL: territory}})
    await door.until(
        "the territory is known",
        lambda: say(door, studio, key, "claim_territory", territory=MILL),
        lambda answer: answer.status == 200,
        within_s=30,
    )
    await done(door, studio, key, "lose_territory", territory=MILL)
    return MILL


async def known(door: Door, studio: User, key: str, command: str) -> Answer:
    """Each guild's host learns of new content by itself."""
    return await door.until(
        "the territory is known there too",
        lambda: say(door, studio, key, command, territory=MILL),
        lambda answer: answer.status == 200,
        within_s=30,
    )


async def richer(door: Door, user: User, key: str, than: int, times: int = 2) -> int:
    """Wait until the bank has grown by so many incomes; what it holds then."""
    answer = await door.until(
        "income comes by itself",
        lambda: door.get(f"{guild(key)}/bank", as_=user),
        lambda answer: answer.body["data"]["balances"].get("gold", 0) >= than + times * INCOME,
        within_s=30,
    )
    held: int = answer.body["data"]["balances"]["gold"]
    return held


async def held_by(door: Door, user: User, key: str) -> Any:
    return (await asked(door, user, key, "profile"))["territories"].get(MILL)


async def test_gs_10_a_territory_pays_by_itself_until_it_is_contested_or_lost(
    door: Door, sockets: Sockets, studio: User, mill: str, alice: User, bob: User
) -> None:
    """Claimed over REST, contested and lost by frames; who listens is told of each step, and of each income."""
    reds, blues = await found(door, alice), await found(door, bob)
    wire, zone = await sockets.open(alice), await sockets.open(studio, binary=True)
    await wire.subscribe(f"guild:{reds}")

    def territory(now: str | None) -> Any:
        return wire.until(lambda frame: (frame.get("data") or {}).get("territories") == {mill: now}, 30)

    await known(door, studio, reds, "claim_territory")
    await territory("held")
    assert (await held_by(door, bob, reds))["contestedBy"] is None
    pushed = await wire.until(lambda frame: "bank" in (frame.get("data") or {}), 30)
    assert pushed["data"]["bank"] == {"gold": INCOME}
    before = await richer(door, alice, reds, 0)
    ledger = (await asked(door, alice, reds, "bank"))["ledger"]
    assert {(line["by"], line["change"], line["reason"]) for line in ledger} == {("", INCOME, f"income of {mill}")}

    frame = await zone.command("guild", reds, "contest_territory", {"territory": mill, "by": blues})
    assert frame["data"] == {"contestedBy": blues}
    await territory("contested")
    assert (await held_by(door, bob, reds))["contestedBy"] == blues
    contested = await bank(door, alice, reds)
    assert (contested - before) % INCOME == 0
    # Two periods pass for sure: another guild that holds the same kind of land is paid twice meanwhile.
    await known(door, studio, blues, "claim_territory")
    theirs = await richer(door, bob, blues, 0)
    assert await bank(door, alice, reds) == contested, "nobody is paid while it is fought for"

    frame = await zone.command("guild", reds, "contest_territory", {"territory": mill})
    assert frame["data"] == {"contestedBy": None}
    await territory("held")
    await richer(door, alice, reds, contested)

    for key in (reds, blues):
        frame = await zone.command("guild", key, "lose_territory", {"territory": mill})
        assert frame["data"] == {"held": False}
    await territory(None)
    assert await held_by(door, bob, reds) is None
    left, theirs = await bank(door, alice, reds), await bank(door, bob, blues)
    await known(door, studio, blues, "claim_territory")
    await richer(door, bob, blues, theirs)
    assert await bank(door, alice, reds) == left, "what is lost pays nothing"
    await done(door, studio, blues, "lose_territory", territory=mill)


async def test_gs_10_a_territory_that_is_claimed_twice_pays_once_and_what_is_not_held_is_not_fought_for(
    server: Server, door: Door, studio: User, mill: str, alice: User
) -> None:
    key = await found(door, alice)
    nowhere = await say(door, studio, key, "claim_territory", territory="atlantis")
    assert (nowhere.status, nowhere.code) == (404, "territory_unknown")
    idle = await say(door, studio, key, "contest_territory", territory=mill, by="others")
    assert (idle.status, idle.code) == (409, "territory_not_held")
    for _ in range(3):
        await known(door, studio, key, "claim_territory")
    await richer(door, alice, key, 0, times=3)
    await done(door, studio, key, "lose_territory", territory=mill)
    ledger = (await asked(door, alice, key, "bank"))["ledger"]
    assert await bank(door, alice, key) == INCOME * len(ledger)
    rows = await server.sql("SELECT name FROM reminder WHERE kind = 'guild' AND key = $1", key)
    assert rows == [], "nothing more comes"
    times = [line["at"] for line in reversed(ledger)]
    assert times == sorted(set(times)), "each has a moment of its own"


async def test_gs_10_whoever_is_only_a_player_neither_takes_nor_gives_land(
    door: Door, sockets: Sockets, studio: User, mill: str, alice: User, bob: User
) -> None:
    key = await found(door, alice)
    await all_join(door, key, [bob])
    await known(door, studio, key, "claim_territory")
    wire = await sockets.open(alice)
    for command in ("claim_territory", "contest_territory", "lose_territory"):
        frame = await wire.command("guild", key, command, {"territory": mill})
        assert (frame["meta"]["code"], frame["error"]["code"]) == (403, "FORBIDDEN")
        assert (await say(door, bob, key, command, territory=mill)).status == 403
    assert await held_by(door, bob, key) is not None
    await done(door, alice, key, "disband")
    gone = await say(door, studio, key, "claim_territory", territory=mill)
    assert (gone.status, gone.code) == (404, "guild_unknown")

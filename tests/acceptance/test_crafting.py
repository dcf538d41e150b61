"""SPEC section 6, GS-06: crafting, over REST and WebSocket."""

import pytest_asyncio

from tests.acceptance.clients import RFC3339_UTC, Door, Sockets, User
from tests.acceptance.hero import Hero


@pytest_asyncio.fixture
async def hero(door: Door, alice: User, studio: User) -> Hero:
    return Hero(door, alice, studio)


async def test_gs_06_planks_are_made_in_line_and_come_by_reminder(hero: Hero, sockets: Sockets) -> None:
    await hero.given(oak_log=3, saw=1)
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    begun = [await hero.done("craft", recipe="oak_planks") for _ in range(2)]
    assert all(RFC3339_UTC.fullmatch(job["readyAt"]) for job in begun)
    assert begun[1]["startsAt"] == begun[0]["readyAt"]
    assert await hero.counts() == {"oak_log": 1, "saw": 1}
    states = [job["state"] for job in (await hero.ask("crafting"))["jobs"]]
    assert states in (["running", "waiting"], ["ready", "waiting"], ["running"])
    for job in begun:
        push = await wire.until(lambda frame: "crafted" in (frame.get("data") or {}).get("events", []), 30)
        assert push["data"]["crafting"][job["id"]] == {"recipe": "oak_planks", "succeeded": True}
        assert push["data"]["received"] == {"oak_plank": 2}
    assert await hero.counts() == {"oak_log": 1, "saw": 1, "oak_plank": 4}
    assert (await hero.ask("crafting"))["jobs"] == []
    assert (await hero.sheet())["experience"] == 2


async def test_gs_06_cancelling_gives_everything_back(hero: Hero) -> None:
    await hero.given(iron_ore=6, coal=3)
    jobs = [(await hero.done("craft", recipe="iron_ingot"))["id"] for _ in range(3)]
    assert await hero.counts() == {}
    for job in jobs:
        assert await hero.done("cancel_craft", id=job) == {"items": {"coal": 1, "iron_ore": 2}}
    assert await hero.refused("cancel_craft", id=jobs[0]) == "craft_unknown"
    assert await hero.counts() == {"iron_ore": 6, "coal": 3}


async def test_gs_06_what_is_missing_is_said(hero: Hero) -> None:
    assert await hero.refused("craft", recipe="oak_planks") == "tool_missing"
    await hero.given(saw=1)
    assert await hero.refused("craft", recipe="oak_planks") == "items_missing"
    assert await hero.refused("craft", recipe="iron_sword") == "level_too_low"
    assert await hero.refused("craft", recipe="philosophers_stone") == "recipe_unknown"


async def test_gs_06_recipes_are_served_by_station_and_in_pages(hero: Hero) -> None:
    await hero.given(wheat=2)
    kitchen = (await hero.ask("recipes", station="kitchen"))["recipes"]
    assert {recipe["station"] for recipe in kitchen} == {"kitchen"}
    assert [recipe["recipe"] for recipe in kitchen if recipe["enough"]] == ["flour"]
    first = await hero.ask("recipes", limit="30")
    rest = await hero.ask("recipes", limit="30", after=first["next"])
    names = [recipe["recipe"] for recipe in first["recipes"] + rest["recipes"]]
    assert names == sorted(names)
    assert len(names) >= 40

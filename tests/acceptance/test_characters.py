"""SPEC section 6, GS-02 and GS-13: the character sheet, levels, stats, resources, effects and skills."""

import pytest_asyncio

from tests.acceptance.clients import API, RFC3339_UTC, Door, Sockets, User
from tests.acceptance.hero import Hero


@pytest_asyncio.fixture
async def hero(door: Door, alice: User, studio: User) -> Hero:
    return Hero(door, alice, studio)


async def test_gs_02_the_sheet_shows_the_whole_character(hero: Hero) -> None:
    sheet = await hero.sheet()
    assert {
        "userId", "username", "createdAt", "scores", "wallet", "inbox", "level", "experience", "nextLevelAt",
        "stats", "resources", "effects", "skills", "equipment", "bag", "achievements", "guild",
    } <= set(sheet)  # fmt: skip
    assert (sheet["level"], sheet["experience"], sheet["nextLevelAt"]) == (1, 0, 100)
    assert sheet["stats"]["vitality"] == {"value": 5, "base": 5, "equipment": 0, "effects": 0}
    back = {"amount": 1, "everyS": 3}
    assert sheet["resources"]["health"] == {"current": 100, "max": 100, "regeneration": back, "fullAt": None}
    assert set(sheet["resources"]) == {"health", "mana", "energy"}
    assert sheet["skills"] == ["strike", "mend", "fireball"]


async def test_gs_02_others_see_level_and_equipment_and_no_more(door: Door, hero: Hero, bob: User) -> None:
    await hero.given(wooden_club=1)
    await hero.done("equip", stackId=await hero.stack("wooden_club"))
    await hero.learns(100)
    public = (await door.get(f"{API}/players/{hero.user.id}", as_=bob)).body
    assert set(public) == {"userId", "username", "createdAt", "scores", "level", "equipment"}
    assert (public["level"], public["equipment"]) == (2, {"weapon": "wooden_club"})


async def test_gs_13_experience_raises_the_level_and_its_news_are_pushed(hero: Hero, sockets: Sockets) -> None:
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    assert await hero.learns(260) == {"experience": 260, "level": 3}
    push = await wire.until(lambda frame: "level" in (frame.get("data") or {}))
    assert push["type"] == "player.update"
    assert (push["data"]["level"], push["data"]["experience"]) == (3, 260)
    sheet = await hero.sheet()
    assert (sheet["level"], sheet["nextLevelAt"]) == (3, 450)
    assert sheet["stats"]["strength"]["base"] == 7


async def test_gs_13_stats_are_base_and_equipment_and_effects(hero: Hero) -> None:
    await hero.given(copper_dagger=1, swiftness_potion=1)
    await hero.done("equip", stackId=await hero.stack("copper_dagger"))
    used = await hero.done("use_item", stackId=await hero.stack("swiftness_potion"))
    assert used["effects"] == ["swiftness"]
    sheet = await hero.sheet()
    assert sheet["stats"]["agility"] == {"value": 12, "base": 5, "equipment": 1, "effects": 6}
    [effect] = sheet["effects"]
    assert (effect["effect"], effect["title"]) == ("swiftness", "Swiftness")
    assert RFC3339_UTC.fullmatch(effect["endsAt"])


async def test_gs_13_a_larger_maximum_is_filled_by_time_alone(hero: Hero) -> None:
    await hero.given(moonstone_ring=1)
    await hero.learns(2_500)
    before = (await hero.sheet())["resources"]["health"]
    assert (before["current"], before["max"], before["fullAt"]) == (180, 180, None)
    await hero.done("equip", stackId=await hero.stack("moonstone_ring"))
    # A portion comes back every 3 s.
    health = (await hero.sheet())["resources"]["health"]
    assert health["max"] == 195
    assert 180 <= health["current"] < 195
    assert RFC3339_UTC.fullmatch(health["fullAt"])


async def test_gs_13_a_skill_is_learnt_from_a_book(hero: Hero) -> None:
    await hero.given(tome_of_frost=1)
    tome = await hero.stack("tome_of_frost")
    assert await hero.refused("use_item", stackId=tome) == "level_too_low"
    await hero.learns(700)
    assert (await hero.done("use_item", stackId=tome))["learnt"] == "frost_bolt"
    assert "frost_bolt" in (await hero.sheet())["skills"]

"""SPEC section 6, GS-04 and GS-05: bags, equipment and use of items, over REST, WebSocket and the Python client."""

import asyncio
import uuid

import pytest
import pytest_asyncio

from greenroom_client import Client, Refused
from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.hero import Hero
from tests.acceptance.server import Server


@pytest_asyncio.fixture
async def hero(door: Door, alice: User, studio: User) -> Hero:
    return Hero(door, alice, studio)


async def test_gs_04_items_stack_and_unique_ones_say_where_they_are_from(hero: Hero) -> None:
    assert await hero.given(oak_log=60, iron_sword=1) == {"items": {"iron_sword": 1, "oak_log": 60}, "waiting": 0}
    sword, *logs = sorted(await hero.stacks(), key=lambda stack: str(stack["item"]))
    assert [stack["quantity"] for stack in logs] == [50, 10]
    [made] = sword["history"]
    assert (made["how"], made["by"]) == ("test", hero.studio.id if hero.studio else "")
    assert made["content"] >= 1
    assert "history" not in logs[0]


async def test_gs_04_what_a_full_bag_has_no_room_for_waits(hero: Hero) -> None:
    assert (await hero.given(oak_log=50 * 40 + 7))["waiting"] == 7
    assert await hero.refused("claim_items") == "bag_full"
    await hero.done("discard_items", stackId=await hero.stack("oak_log"))
    assert await hero.done("claim_items") == {"items": {"oak_log": 7}, "waiting": 0}


async def test_gs_05_stacks_move_split_merge_lock_and_go(hero: Hero) -> None:
    await hero.given(coal=20)
    coal = await hero.stack("coal")
    await hero.done("move_stack", stackId=coal, slot=39)
    assert await hero.refused("move_stack", stackId=coal, slot=40) == "slot_unknown"
    part = (await hero.done("split_stack", stackId=coal, quantity=5))["stackId"]
    await hero.done("lock_stack", stackId=part)
    assert await hero.refused("discard_items", stackId=part) == "item_locked"
    await hero.done("lock_stack", stackId=part, locked=False)
    assert await hero.done("merge_stacks", stackId=part, onto=coal) == {"moved": 5, "left": 0}
    assert await hero.done("discard_items", stackId=coal, quantity=19) == {"discarded": 19}
    assert await hero.refused("discard_items", stackId=coal, quantity=2) == "items_missing"
    assert await hero.refused("discard_items", stackId=part) == "stack_unknown"
    assert await hero.counts() == {"coal": 1}


async def test_gs_05_equipment_is_worn_and_taken_off(hero: Hero) -> None:
    await hero.given(wooden_club=1, oak_staff=1, iron_sword=1, coal=1)
    club, staff = await hero.stack("wooden_club"), await hero.stack("oak_staff")
    await hero.done("equip", stackId=club)
    assert (await hero.done("equip", stackId=staff))["unequipped"] == club
    assert await hero.refused("equip", stackId=await hero.stack("coal")) == "item_not_wearable"
    assert await hero.refused("equip", stackId=await hero.stack("iron_sword")) == "level_too_low"
    assert await hero.refused("equip", stackId=club, slot="head") == "slot_unfit"
    assert (await hero.sheet())["equipment"]["weapon"]["id"] == staff
    await hero.done("unequip", slot="weapon")
    assert await hero.refused("unequip", slot="weapon") == "slot_empty"
    assert (await hero.sheet())["equipment"] == {}


async def test_gs_05_use_item_the_flow_of_the_seed(hero: Hero, sockets: Sockets) -> None:
    """Client -> inventory -> effects on the actor -> item used -> effect applied; in one commit, and pushed."""
    await hero.given(stoneskin_potion=2, healing_potion=1)
    wire = await sockets.open(hero.user, binary=True)
    await wire.subscribe("player:me")
    potion = await hero.stack("stoneskin_potion")
    reply = await wire.command("player", "me", "use_item", {"stackId": potion}, op=str(uuid.uuid4()))
    assert reply["data"]["effects"] == ["stoneskin"]
    push = await wire.push("player:me")
    assert push["data"]["events"][:2] == ["items_taken", "item_used"]
    assert (push["data"]["used"], push["data"]["taken"]) == ("stoneskin_potion", {"stoneskin_potion": 1})
    assert push["data"]["condition"]["effects"] == ["stoneskin"]
    sheet = await wire.query("player", "me", "profile")
    assert sheet["data"]["stats"]["armor"]["effects"] == 12
    refused = await wire.command("player", "me", "use_item", {"stackId": await hero.stack("healing_potion")})
    assert (refused["meta"]["code"], refused["error"]["code"]) == (409, "resources_full")
    assert await hero.counts() == {"stoneskin_potion": 1, "healing_potion": 1}


async def test_gs_05_an_item_is_used_once_however_often_the_request_comes(hero: Hero) -> None:
    await hero.given(herbal_tea=5)
    tea, op = await hero.stack("herbal_tea"), str(uuid.uuid4())
    answers = [await hero.say("use_item", op=op, stackId=tea) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert await hero.counts() == {"herbal_tea": 4}


async def test_gs_05_the_last_one_is_used_by_one_of_many_requests(hero: Hero) -> None:
    await hero.given(herbal_tea=1)
    tea = await hero.stack("herbal_tea")
    answers = await asyncio.gather(*(hero.say("use_item", stackId=tea) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert {answer.code for answer in answers if answer.status == 409} == {"stack_unknown"}


async def test_gs_04_nobody_else_touches_a_bag(door: Door, hero: Hero, bob: User) -> None:
    await hero.given(coal=1)
    coal = await hero.stack("coal")
    for command in ("discard_items", "use_item", "equip", "lock_stack"):
        answer = await door.post(f"{API}/actors/player/{hero.user.id}/{command}", {"stackId": coal}, as_=bob)
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
    for command in ("grant_items", "take_items", "award_items"):
        answer = await door.post(f"{API}/actors/player/me/{command}", {"items": {"coal": 1}, "reason": "x"}, as_=bob)
        assert answer.status in (403, 404)


async def test_gs_04_items_through_the_python_client(server: Server, door: Door, studio: User) -> None:
    async with Client(server.url) as client:
        await client.guest(str(uuid.uuid4()))
        await Hero(door, User(client.user_id, "", ""), studio).given(hunting_bow=1, bread=2)
        bag = (await client.query("player", "me", "inventory")).data
        bow = next(stack["id"] for stack in bag["stacks"] if stack["item"] == "hunting_bow")
        with pytest.raises(Refused) as refused:
            await client.command("player", "me", "equip", {"stackId": bow})
        assert refused.value.code == "level_too_low"
        items = (await client.query("player", "me", "items", limit=100)).data["items"]
        assert len(items) >= 60
        assert {"item", "title", "rarity", "stats", "use"} <= set(items[0])

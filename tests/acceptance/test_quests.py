"""SPEC section 6, QA-03 to QA-05: quests over REST, WebSocket and the Python client, step by step as in the seed."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from greenroom_client import Client, Refused
from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.acceptance.gamers import until
from tests.acceptance.hero import Hero
from tests.acceptance.journey import Traveller, prepare
from tests.acceptance.server import Server


@pytest_asyncio.fixture
async def hero(door: Door, server: Server, alice: User) -> Traveller:
    await prepare(door, server, alice)
    return Traveller(door, alice)


async def test_qa_03_quest_start_the_flow_of_the_seed(
    hero: Traveller, door: Door, server: Server, sockets: Sockets, moderator: User, bob: User
) -> None:
    """Client -> start -> the user is validated -> progress is created -> started is published -> reply."""
    assert (await door.post(f"{API}/actors/player/me/start_quest", {"quest": "try_two_wins"})).status == 401
    await door.post(f"{API}/moderation/users/{bob.id}/ban", {"reason": "a test"}, as_=moderator)
    await door.until(
        "the user's status counts",
        lambda: Traveller(door, bob).say("start_quest", "try_two_wins"),
        lambda answer: answer.status == 403,
    )
    assert await hero.refused("start_quest", "try_chained") == "quest_locked"
    assert await hero.refused("start_quest", "nowhere") == "quest_unknown"
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    reply = await wire.command("player", "me", "start_quest", {"quest": "try_two_wins"})
    assert (reply["data"]["state"], reply["data"]["objectives"]["win"]["progress"]) == ("active", 0)
    push = await wire.push("player:me")
    assert push["data"]["events"] == ["quest_started"]
    assert push["data"]["quests"] == {"try_two_wins": {"state": "active", "progress": {}}}
    assert (await hero.journal(server))[-1] == ("start_quest", ["quest_started"])
    assert "try_two_wins" in await hero.shown("active")


async def test_qa_04_quest_completion_the_flow_of_the_seed(
    hero: Traveller, door: Door, server: Server, sockets: Sockets
) -> None:
    """Progress -> validated -> status updated -> completion published -> reply; rewards and notification follow."""
    await hero.done("start_quest", "try_two_wins")
    wire = await sockets.open(hero.user, binary=True)
    await wire.subscribe("player:me")
    await hero.wins()
    progress = await wire.until(lambda frame: "quests" in (frame.get("data") or {}))
    assert progress["data"]["quests"] == {"try_two_wins": {"state": "active", "progress": {"win": 1}}}
    reply = await hero.wins()
    assert set(reply) == {"score", "rank", "links"}, "the reply does not wait for rewards"
    done = await wire.until(lambda frame: "quest_completed" in (frame.get("data") or {}).get("events", ()))
    assert done["data"]["quests"]["try_two_wins"] == {"state": "completed", "times": 1, "opens": []}
    told = await wire.until(lambda frame: "notifications" in (frame.get("data") or {}))
    templates = [notice["template"] for notice in told["data"]["notifications"]]
    assert "quest_completed" in templates
    await hero.until_paid(100 + 7 + 7)
    turns = await hero.journal(server)
    [completion] = [index for index, (_, names) in enumerate(turns) if "quest_completed" in names]
    assert turns[completion][0] == "complete_action"
    assert "wallet_changed" not in turns[completion][1]
    paid = [index for index, (_, names) in enumerate(turns) if "wallet_changed" in names]
    assert paid
    assert all(index > completion and turns[index][0] == "parcel" for index in paid)
    ledger = (await hero.asked("wallet"))["ledger"]
    assert sorted(entry["reason"] for entry in ledger) == ["achievement:try_wins:1", "quest:try_two_wins:1"]


async def test_qa_04_a_quest_is_turned_in_once_however_often_the_request_comes(hero: Traveller, door: Door) -> None:
    await hero.done("start_quest", "try_turn_in")
    assert await hero.refused("complete_quest", "try_turn_in") == "quest_unfinished"
    await hero.wins()
    assert (await hero.shown("active"))["try_turn_in"]["state"] == "ready"
    op = str(uuid.uuid4())
    first = await hero.say("complete_quest", "try_turn_in", op)
    assert first.body["data"] == {"quest": "try_turn_in", "state": "completed", "times": 1, "opens": ["try_chained"]}
    assert (await hero.say("complete_quest", "try_turn_in", op)).text == first.text
    assert await hero.refused("complete_quest", "try_turn_in") == "quest_not_active"
    assert await hero.refused("start_quest", "try_turn_in") == "quest_done"
    await hero.until_paid(107)
    assert "try_chained" in await hero.shown("available")
    assert (await hero.shown("completed"))["try_turn_in"]["times"] == 1


async def test_qa_05_a_daily_quest_is_available_again_at_its_reset(hero: Traveller, door: Door) -> None:
    started = await hero.done("start_quest", "try_daily")
    await hero.wins()
    answer = await hero.say("start_quest", "try_daily")
    assert (answer.status, answer.code) == (409, "quest_done_for_now")
    shown = (await hero.shown("completed"))["try_daily"]
    again = datetime.fromisoformat(shown["availableAt"])
    assert shown["availableAt"] == started["endsAt"] == answer.body["availableAt"]
    assert (again.astimezone(UTC) + timedelta(hours=5, minutes=45)).strftime("%H:%M") == "12:34", "by Kathmandu's clock"
    assert timedelta(0) < again - datetime.now(UTC) <= timedelta(days=1)


async def test_qa_05_time_runs_out_by_itself(hero: Traveller, sockets: Sockets) -> None:
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    await hero.done("start_quest", "try_soon")
    gone = await wire.until(lambda frame: "quest_expired" in (frame.get("data") or {}).get("events", ()), 20)
    assert gone["data"]["quests"] == {"try_soon": {"state": "expired"}}
    assert await hero.refused("abandon_quest", "try_soon") == "quest_not_active"
    await hero.done("start_quest", "try_soon")


async def test_qa_05_an_abandoned_quest_starts_from_nothing(hero: Traveller, door: Door) -> None:
    await hero.done("start_quest", "try_two_wins")
    await hero.wins()
    assert await hero.done("abandon_quest", "try_two_wins") == {"quest": "try_two_wins", "state": "abandoned"}
    assert (await hero.done("start_quest", "try_two_wins"))["objectives"]["win"]["progress"] == 0


async def test_qa_05_a_weekly_quest_is_available_again_on_its_weekday(hero: Traveller) -> None:
    await hero.done("start_quest", "try_weekly")
    await hero.wins()
    again = datetime.fromisoformat((await hero.shown("completed"))["try_weekly"]["availableAt"])
    there = again.astimezone(UTC) + timedelta(hours=5, minutes=45)
    assert there.strftime("%A %H:%M") == "Thursday 12:34", "by Kathmandu's clock"
    assert timedelta(0) < again - datetime.now(UTC) <= timedelta(days=7)


async def test_qa_03_a_quest_may_take_a_guild_to_belong_to(hero: Traveller, door: Door) -> None:
    assert "try_guild" not in await hero.shown("available")
    assert await hero.refused("start_quest", "try_guild") == "quest_locked"
    key = fresh_name("guild-").lower()
    assert (await door.post(f"{API}/actors/guild/{key}/create", {"name": key}, as_=hero.user)).status == 200
    await door.until(
        "the player belongs to it",
        lambda: door.get(f"{API}/players/me", as_=hero.user),
        lambda answer: answer.body["guild"] is not None,
    )
    assert (await hero.done("start_quest", "try_guild"))["state"] == "active"


async def test_qa_03_objectives_of_every_kind_are_fed_by_the_games_own_events(
    hero: Traveller, door: Door, studio: User, bob: User
) -> None:
    """Counted, added up, spent, the best of, at least, entries of a list, of a map, either of two, other quests."""
    me = Hero(door, hero.user, studio)
    await hero.done("start_quest", "try_turn_in")
    await hero.done("start_quest", "try_everything")
    assert await hero.refused("complete_quest", "try_everything") == "quest_unfinished"
    for _ in range(2):
        await hero.wins()
    await door.award(studio, hero.user.id, 25, board="practice", attributes={"team": "red"})
    await door.award(studio, hero.user.id, 9, board="practice", attributes={"team": "blue"})
    await door.award(studio, hero.user.id, 5, board="practice", attributes={"team": "red"})
    gift = {"to": bob.id, "goods": {"currencies": {"gold": 20}}}
    assert (await door.post(f"{API}/actors/trade/{fresh_name('gift')}/give", gift, as_=hero.user)).status == 200
    await me.given(oak_log=1, saw=1, herbal_tea=1, stoneskin_potion=1)
    await me.done("craft", recipe="oak_planks")
    await me.learns(300)
    await hero.done("complete_quest", "try_turn_in")
    told = await door.until(
        "the completion is told",
        lambda: door.get(f"{API}/notifications", as_=hero.user),
        lambda answer: answer.body["unread"] >= 1,
    )
    await me.done("mark_read", ids=[told.body["messages"][0]["id"]])
    await me.done("use_item", stackId=await me.stack("stoneskin_potion"))
    await until("all but one are met", lambda: unmet(hero), lambda waiting: waiting == {"either": 0})
    await me.done("use_item", stackId=await me.stack("herbal_tea"))
    done = await hero.done("complete_quest", "try_everything")
    assert (done["state"], done["times"]) == ("completed", 1)


async def unmet(hero: Traveller) -> dict[str, int]:
    """How far the objectives are that are not met yet."""
    objectives = (await hero.shown("active"))["try_everything"]["objectives"]
    return {name: one["progress"] for name, one in objectives.items() if one["progress"] < one["target"]}


async def test_qa_03_quests_through_the_python_client(server: Server, door: Door, alice: User) -> None:
    await prepare(door, server, alice)
    async with Client(server.url) as client:
        await client.guest(str(uuid.uuid4()))
        available = {shown["quest"] for shown in (await client.query("player", "me", "quests")).data["available"]}
        assert {"first_steps", "wolves_at_the_gate", "daily_hunt"} <= available
        async with client.connect() as connection:
            await connection.command("player", "me", "start_quest", {"quest": "try_turn_in"})
            started = (await connection.command("player", "me", "start_action", {"type": "try_win"})).data
            server.secrets.add(started["actionToken"])
            done = {"actionId": started["id"], "actionToken": started["actionToken"]}
            await connection.command("player", "me", "complete_action", done)
            [ready] = (await connection.query("player", "me", "quests")).data["active"]
            assert (ready["quest"], ready["state"]) == ("try_turn_in", "ready")
            told = (await connection.command("player", "me", "complete_quest", {"quest": "try_turn_in"})).data
            assert told["state"] == "completed"
            with pytest.raises(Refused) as caught:
                await connection.command("player", "me", "start_quest", {"quest": "try_turn_in"})
            assert caught.value.code == "quest_done"

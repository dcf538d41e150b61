"""SPEC section 6, QA-01 and QA-02: achievements over REST and WebSocket, step by step as in the seed."""

from typing import Any

import pytest_asyncio

from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.journey import Traveller, holders, prepare
from tests.acceptance.server import Server


@pytest_asyncio.fixture
async def hero(door: Door, server: Server, alice: User) -> Traveller:
    await prepare(door, server, alice)
    return Traveller(door, alice)


async def feat(hero: Traveller) -> dict[str, Any]:
    found = (await hero.asked("achievements"))["achievements"]
    [shown] = [shown for shown in found if shown["achievement"] == "try_wins"]
    return dict(shown)


async def test_qa_01_progress_tracking_the_flow_of_the_seed(
    hero: Traveller, door: Door, server: Server, sockets: Sockets
) -> None:
    """Progress is calculated, saved, published, and what is asked for afterwards shows it."""
    assert (await feat(hero))["progress"] == 0
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    await hero.wins()
    push = await wire.until(lambda frame: "achievements" in (frame.get("data") or {}))
    assert push["data"]["achievements"]["try_wins"] == 1
    assert (await feat(hero))["progress"] == 1
    assert (await hero.journal(server))[-1] == ("complete_action", ["action_completed", "achievements_progressed"])


async def test_qa_02_achievement_unlocking_the_flow_of_the_seed(
    hero: Traveller, door: Door, server: Server, sockets: Sockets
) -> None:
    """Completion is checked -> saved -> published -> statistics, notification over WebSocket, reward, each once."""
    before = (await holders(door, hero.user)).body["data"]["holders"]
    wire = await sockets.open(hero.user)
    await wire.subscribe("player:me")
    for _ in range(3):
        reply = await hero.wins()
        assert set(reply) == {"score", "rank", "links"}
    push = await wire.until(lambda frame: "unlocked" in (frame.get("data") or {}))
    assert push["data"]["unlocked"] == {"try_wins": 1}
    told = await wire.until(lambda frame: "notifications" in (frame.get("data") or {}))
    [notice] = [one for one in told["data"]["notifications"] if one["template"] == "achievement_unlocked"]
    assert notice["data"] == {"achievement": "try_wins", "tier": 1, "title": "Wins"}
    await hero.until_paid(107)
    shown = await feat(hero)
    assert (shown["progress"], [tier["unlockedAt"] is not None for tier in shown["tiers"]]) == (3, [True, False])
    inbox = await hero.asked("inbox")
    assert [message["template"] for message in inbox["messages"]] == ["achievement_unlocked"]
    await door.until(
        "one more holder is counted",
        lambda: holders(door, hero.user),
        lambda answer: answer.body["data"]["holders"][0] > before[0],
    )
    turns = await hero.journal(server)
    [unlocking] = [index for index, (_, names) in enumerate(turns) if "achievement_unlocked" in names]
    [paying] = [index for index, (_, names) in enumerate(turns) if "wallet_changed" in names]
    assert (turns[unlocking][0], turns[paying][0]) == ("complete_action", "parcel")
    assert paying > unlocking


async def test_qa_02_the_count_of_an_unknown_achievement_is_refused(hero: Traveller, door: Door) -> None:
    answer = await door.get(f"{API}/actors/achievement/nothing/holders", as_=hero.user)
    assert (answer.status, answer.code) == (404, "achievement_unknown")

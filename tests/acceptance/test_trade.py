"""SPEC GS-22: trades and gifts between two players, over REST and WebSocket: all of it changes hands, or nothing."""

import asyncio
from typing import Any

from tests.acceptance.clients import API, Answer, Door, Sockets, User, fresh_name

NOTHING: dict[str, Any] = {}


def money(**amounts: int) -> dict[str, Any]:
    return {"goods": {"currencies": amounts}}


async def say(door: Door, who: User, key: str, name: str, data: Any = None, op: str | None = None) -> Answer:
    return await door.post(f"{API}/actors/trade/{key}/{name}", data, as_=who, op=op)


async def purse(door: Door, who: User) -> dict[str, int]:
    balances: dict[str, int] = (await door.get(f"{API}/players/me", as_=who)).body["wallet"]
    return balances


async def gems(door: Door, studio: User, who: User, amount: int) -> None:
    body = {"currency": "gems", "amount": amount, "reason": "a test"}
    assert (await door.post(f"{API}/actors/player/{who.id}/grant_currency", body, as_=studio)).status == 200


async def test_gs_22_a_trade_changes_hands_when_both_have_confirmed(
    door: Door, alice: User, bob: User, studio: User
) -> None:
    await gems(door, studio, bob, 5)
    key = fresh_name("trade")
    assert (await say(door, alice, key, "open", {"partner": bob.id})).status == 200
    assert (await say(door, alice, key, "offer", money(gold=30))).body["data"] == {"revision": 1}
    assert (await say(door, bob, key, "offer", money(gems=5))).body["data"] == {"revision": 2}
    assert (await say(door, alice, key, "confirm", {"revision": 1})).code == "offer_changed"
    await say(door, alice, key, "confirm", {"revision": 2})
    reply = await say(door, bob, key, "confirm", {"revision": 2})
    assert sorted(reply.body["data"]["confirmed"]) == sorted([alice.id, bob.id])
    terms = (await door.get(f"{API}/actors/trade/{key}/terms", as_=alice)).body["data"]
    assert terms["standing"] == "completed"
    await arrived(door, alice, {"gold": 70, "gems": 5})
    await arrived(door, bob, {"gold": 130, "gems": 0})


async def arrived(door: Door, who: User, expected: dict[str, int]) -> None:
    async with asyncio.timeout(10):
        while await purse(door, who) != expected:
            await asyncio.sleep(0.01)


async def test_gs_22_a_gift_arrives_once_however_often_it_is_sent(door: Door, alice: User, bob: User) -> None:
    key, op = fresh_name("gift"), fresh_name("op")
    gift = {"to": bob.id, **money(gold=25)}
    first = await say(door, alice, key, "give", gift, op)
    again = await say(door, alice, key, "give", gift, op)
    assert first.body == again.body
    assert first.body["data"]["settled"]["delivered"] is True
    await arrived(door, bob, {"gold": 125})
    assert await purse(door, alice) == {"gold": 75}
    assert (await say(door, alice, key, "give", gift)).code == "trade_taken"


async def test_gs_22_what_is_not_there_is_not_given(door: Door, alice: User, bob: User) -> None:
    reply = await say(door, alice, fresh_name("gift"), "give", {"to": bob.id, **money(gold=101)})
    assert reply.body["data"]["settled"]["reason"] == "balance_too_low"
    assert (await purse(door, alice), await purse(door, bob)) == ({"gold": 100}, {"gold": 100})


async def test_gs_22_strangers_learn_nothing_of_a_trade(door: Door, alice: User, bob: User) -> None:
    key, eve = fresh_name("trade"), await door.guest()
    await say(door, alice, key, "open", {"partner": bob.id})
    unknown = await say(door, eve, fresh_name("trade"), "offer", money(gold=1))
    foreign = await say(door, eve, key, "offer", money(gold=1))
    assert (foreign.status, foreign.code) == (unknown.status, unknown.code) == (404, "trade_unknown")
    assert (await door.get(f"{API}/actors/trade/{key}/terms", as_=eve)).status == 404


async def test_gs_22_a_trade_goes_over_websocket_and_is_pushed_to_both(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    here, there = await sockets.open(alice), await sockets.open(bob)
    await there.subscribe("player:me")
    key = fresh_name("trade")
    await here.command("trade", key, "open", {"partner": bob.id})
    await here.command("trade", key, "offer", money(gold=40))
    await there.command("trade", key, "confirm", {"revision": 1})
    await here.command("trade", key, "confirm", {"revision": 1})
    await there.until(lambda frame: frame.get("data", {}).get("wallet") == {"gold": 140})
    await arrived(door, alice, {"gold": 60})


async def test_gs_22_both_sides_hear_each_step_of_a_trade_and_strangers_nothing(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    here, there, eve = await sockets.open(alice), await sockets.open(bob), await sockets.open(await door.guest())
    key = fresh_name("trade")
    topic = f"trade:{key}"
    await here.command("trade", key, "open", {"partner": bob.id})
    assert (await eve.subscribe(topic))["error"]["code"] == (await eve.subscribe("trade:none"))["error"]["code"]
    for wire in (here, there):
        assert (await wire.subscribe(topic))["data"]["standing"] == "open"
    await here.command("trade", key, "offer", money(gold=40))
    offered = await there.push(topic)
    assert offered["data"]["offers"] == {alice.id: {"items": {}, "ids": [], "currencies": {"gold": 40}}}
    await there.command("trade", key, "confirm", {"revision": offered["data"]["revision"]})
    await here.until(lambda frame: (frame.get("data") or {}).get("agreed") == bob.id)
    await here.command("trade", key, "confirm", {"revision": offered["data"]["revision"]})
    for wire in (here, there):
        await wire.until(lambda frame: (frame.get("data") or {}).get("standing") == "completed")


async def test_gs_22_a_gift_that_finds_no_room_is_refused_and_stays_with_its_giver(
    door: Door, alice: User, bob: User, studio: User
) -> None:
    full = 2**53 - 1
    body = {"currency": "gold", "amount": full - 100, "reason": "a test"}
    assert (await door.post(f"{API}/actors/player/{bob.id}/grant_currency", body, as_=studio)).status == 200
    reply = await say(door, alice, fresh_name("gift"), "give", {"to": bob.id, **money(gold=1)})
    assert (reply.status, reply.code) == (409, "balance_too_high")
    assert (await purse(door, alice), await purse(door, bob)) == ({"gold": 100}, {"gold": full})


async def test_gs_22_gifts_of_strangers_leave_room_in_a_bag(door: Door, alice: User, bob: User, studio: User) -> None:
    for who, items in ((bob, {"wooden_club": 29}), (alice, {"wooden_club": 1, "iron_sword": 2})):
        body = {"items": items, "reason": "a test"}
        assert (await door.post(f"{API}/actors/player/{who.id}/award_items", body, as_=studio)).status == 200
    swords = {"to": bob.id, "goods": {"items": {"iron_sword": 2}}}
    reply = await say(door, alice, fresh_name("gift"), "give", swords)
    assert (reply.status, reply.code) == (409, "gift_unwelcome")
    club = {"to": bob.id, "goods": {"items": {"wooden_club": 1}}}
    assert (await say(door, alice, fresh_name("gift"), "give", club)).status == 200


async def test_gs_22_who_opens_many_trades_is_told_of_once(door: Door, alice: User, bob: User) -> None:
    async def inbox() -> Answer:
        return await door.get(f"{API}/actors/player/me/inbox", as_=bob)

    before = (await inbox()).body["version"]
    keys = [fresh_name("trade") for _ in range(5)]
    for key in keys:
        assert (await say(door, alice, key, "open", {"partner": bob.id})).status == 200
    # Each of the five is an event, in whatever order they come.
    told = await door.until("bob heard of all", inbox, lambda answer: answer.body["version"] >= before + 5, 30)
    [message] = told.body["data"]["messages"]
    assert message["template"] == "trade_opened"
    assert message["data"]["trade"] in keys

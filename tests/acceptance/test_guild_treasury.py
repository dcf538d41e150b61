"""SPEC section 7 (GS-09): nothing of what a guild holds vanishes or is doubled, when it is full, and when it ends."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from schemas.limits import INTEGER_MAX
from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.guildhall import (
    all_join,
    asked,
    bag,
    balance,
    bank,
    crowd,
    done,
    found,
    free,
    guild,
    member,
    say,
    stored,
)

SLOTS, STACK = 200, 10
"""Of the storage, and of star iron."""
UNIQUES = 60


async def given(door: Door, studio: User, user: User, command: str, **fields: Any) -> None:
    answer = await door.post(f"{API}/actors/player/{user.id}/{command}", {**fields, "reason": "test"}, as_=studio)
    assert answer.status == 200, answer


async def gold_of(door: Door, users: Iterable[User]) -> int:
    return sum([await balance(door, user) for user in users])


async def settled_gold(door: Door, key: str, leader: User, users: list[User], amount: int) -> None:
    """Wait until wallets and bank hold as much again as there ever was: what is under way has come."""
    end = asyncio.get_running_loop().time() + 20
    while True:
        there = await say(door, leader, key, "describe")
        in_bank = await bank(door, leader, key) if there.status == 200 else 0
        total = await gold_of(door, users) + in_bank
        if total == amount:
            return
        assert total < amount, "it was doubled"
        assert asyncio.get_running_loop().time() < end, f"{amount - total} gold vanished"
        await asyncio.sleep(0.05)


async def test_gs_09_a_guild_that_ends_with_a_full_bank_and_storage_leaves_everything_to_somebody(
    door: Door, studio: User, alice: User, bob: User
) -> None:
    """The bank goes to the leader, whatever its wallet holds; the storage must be empty, and all of it comes out."""
    key = await found(door, alice)
    await all_join(door, key, [bob])
    await given(door, studio, alice, "grant_currency", currency="gold", amount=INTEGER_MAX)
    paid = await done(door, alice, key, "deposit", currency="gold", amount=INTEGER_MAX)
    assert paid["deposit"]
    await door.until(
        "the bank is full",
        lambda: door.get(f"{guild(key)}/bank", as_=alice),
        lambda answer: answer.body["data"]["balances"] == {"gold": INTEGER_MAX},
    )
    full = await say(door, bob, key, "deposit", currency="gold", amount=1)
    assert (full.status, full.code) == (409, "bank_too_full")
    await given(door, studio, alice, "grant_currency", currency="gold", amount=77)
    everything = await gold_of(door, (alice, bob)) + await bank(door, alice, key)
    assert everything == INTEGER_MAX + 77 + 100

    items: Counter[str] = Counter({"iron_sword": UNIQUES, "star_iron": (SLOTS - UNIQUES) * STACK})
    for item, size in (("iron_sword", 20), ("star_iron", 300)):
        while missing := items[item] - (await stored(door, alice, key))[item]:
            load = {item: min(size, missing)}
            await given(door, studio, alice, "award_items", items=load)
            before = await stored(door, alice, key)
            await done(door, alice, key, "store_items", items=load)
            await door.until(
                "it is stored",
                lambda: door.get(f"{guild(key)}/storage", as_=alice),
                lambda answer, more=before + Counter(load): (
                    sum(lot["quantity"] for lot in answer.body["data"]["stored"]) == more.total()
                ),
            )
    storage = await asked(door, alice, key, "storage")
    assert (len(storage["stored"]), storage["slots"]) == (SLOTS, SLOTS)
    swords = {lot["id"] for lot in storage["stored"] if lot["item"] == "iron_sword"}

    await given(door, studio, bob, "award_items", items={"oak_log": 3})
    await say(door, bob, key, "store_items", items={"oak_log": 3})
    await door.until(
        "what found no room is back",
        lambda: door.get(f"{API}/actors/player/me/inventory", as_=bob),
        lambda answer: [lot["quantity"] for lot in answer.body["data"]["stacks"]] == [3],
    )
    stays = await say(door, alice, key, "disband")
    assert (stays.status, stays.code) == (409, "storage_not_empty")
    assert await stored(door, alice, key) == items

    assert (await say(door, bob, key, "take_out_items", items={"star_iron": 1})).code == "role_too_low"
    out = await done(door, alice, key, "take_out_items", items=dict(items))
    assert Counter(out["items"]) == items
    await door.until(
        "all of it has come",
        lambda: door.get(f"{API}/actors/player/me/inventory", as_=alice),
        lambda answer: answer.body["data"]["stacks"] or answer.body["data"]["waiting"],
    )
    held_then = await bag(door, alice)
    assert {item: held_then[item] for item in items} == items, "beside what such riches are rewarded with"
    held = (await door.get(f"{API}/actors/player/me/inventory", as_=alice)).body["data"]
    assert swords <= {lot["id"] for lot in (*held["stacks"], *held["waiting"])}, "the very same"

    await done(door, alice, key, "disband")
    await free(door, alice, bob)
    await door.until(
        "all the gold has come",
        lambda: door.get(f"{API}/actors/player/me/wallet", as_=alice),
        lambda answer: answer.body["data"]["balances"]["gold"] == INTEGER_MAX,
    )
    await settled_gold(door, key, alice, [alice, bob], everything)
    assert await balance(door, alice) == INTEGER_MAX + 77
    assert (await say(door, alice, key, "withdraw", currency="gold", amount=1)).code == "guild_unknown"


async def test_gs_09_what_is_paid_in_while_the_guild_ends_is_in_somebodys_wallet(
    door: Door, sockets: Sockets, alice: User
) -> None:
    """Deposits, a withdrawal and the end at one moment: each coin is the leader's, or its own player's again."""
    key = await found(door, alice)
    payers = await crowd(door, 5)
    await all_join(door, key, payers)
    await done(door, payers[0], key, "deposit", currency="gold", amount=50)
    everyone = [alice, *payers]
    wires = [await sockets.open(payer, binary=True) for payer in payers]
    fields = {"currency": "gold", "amount": 30}
    _, _, _, ended = await asyncio.gather(
        asyncio.gather(*(wire.command("guild", key, "deposit", fields) for wire in wires[:3])),
        asyncio.gather(*(say(door, payer, key, "deposit", **fields) for payer in payers[3:])),
        say(door, alice, key, "withdraw", currency="gold", amount=20, member=payers[4].id),
        say(door, alice, key, "disband"),
    )
    assert ended.status == 200
    await free(door, *everyone)
    await settled_gold(door, key, alice, everyone, 100 * len(payers))


async def test_gs_09_of_many_who_withdraw_the_same_coins_at_once_nobody_gets_them_twice(
    door: Door, sockets: Sockets, alice: User
) -> None:
    key = await found(door, alice)
    officers = await crowd(door, 4)
    await all_join(door, key, officers)
    for officer in officers:
        await done(door, alice, key, "promote", player=officer.id)
        await done(door, officer, key, "deposit", currency="gold", amount=25)
    await door.until(
        "the bank has it",
        lambda: door.get(f"{guild(key)}/bank", as_=alice),
        lambda answer: answer.body["data"]["balances"] == {"gold": 100},
    )
    wires = [await sockets.open(officer) for officer in officers]
    fields = {"currency": "gold", "amount": 40}
    answers, frames = await asyncio.gather(
        asyncio.gather(*(say(door, officer, key, "withdraw", **fields) for officer in officers)),
        asyncio.gather(*(wire.command("guild", key, "withdraw", fields) for wire in wires)),
    )
    outcomes = [(answer.status, "" if answer.status == 200 else answer.code) for answer in answers]
    outcomes += [(frame["meta"]["code"], frame.get("error", {}).get("code", "")) for frame in frames]
    assert Counter(outcomes) == {(200, ""): 2, (409, "bank_too_low"): 6}
    await settled_gold(door, key, alice, [alice, *officers], 400)
    told = await asked(door, alice, key, "bank")
    assert told["balances"] == {"gold": 20}
    assert sum(line["change"] for line in told["ledger"]) == 20


async def test_gs_09_of_many_who_take_the_same_items_out_at_once_nobody_gets_them_twice(
    door: Door, studio: User, sockets: Sockets, alice: User
) -> None:
    key = await found(door, alice)
    officers = await crowd(door, 3)
    await all_join(door, key, officers)
    for officer in officers:
        await done(door, alice, key, "promote", player=officer.id)
    await given(door, studio, alice, "award_items", items={"iron_sword": 1, "oak_log": 10})
    await done(door, alice, key, "store_items", items={"iron_sword": 1, "oak_log": 10})
    await door.until(
        "the storage has them",
        lambda: door.get(f"{guild(key)}/storage", as_=alice),
        lambda answer: len(answer.body["data"]["stored"]) == 2,
    )
    [sword] = [lot["id"] for lot in (await asked(door, alice, key, "storage"))["stored"] if lot["item"] == "iron_sword"]
    wires = [await sockets.open(officer) for officer in officers]
    answers, frames = await asyncio.gather(
        asyncio.gather(*(say(door, officer, key, "take_out_items", items={"oak_log": 6}) for officer in officers)),
        asyncio.gather(*(wire.command("guild", key, "take_out_items", {"ids": [sword]}) for wire in wires)),
    )
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 2}
    assert Counter(frame["meta"]["code"] for frame in frames) == {200: 1, 404: 2}

    async def all_there() -> bool:
        total: Counter[str] = Counter()
        for officer in officers:
            total += await bag(door, officer)
        return total == {"iron_sword": 1, "oak_log": 6}

    end = asyncio.get_running_loop().time() + 20
    while not await all_there():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)
    assert await stored(door, alice, key) == {"oak_log": 4}
    changes: Counter[str] = Counter()
    for line in (await asked(door, alice, key, "storage"))["log"]:
        changes[line["item"]] += line["change"]
    assert changes == {"oak_log": 4, "iron_sword": 0}


async def test_gs_09_whoever_leaves_or_is_demoted_has_no_key_to_the_treasury_any_more(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    key = await found(door, alice)
    await all_join(door, key, [bob])
    await done(door, bob, key, "deposit", currency="gold", amount=90)
    await done(door, alice, key, "promote", player=bob.id)
    wire = await sockets.open(bob)
    take = {"currency": "gold", "amount": 10}
    await door.until(
        "the bank has it",
        lambda: door.get(f"{guild(key)}/bank", as_=alice),
        lambda answer: answer.body["data"]["balances"] == {"gold": 90},
    )
    assert (await wire.command("guild", key, "withdraw", take))["meta"]["code"] == 200
    await done(door, alice, key, "demote", player=bob.id)
    assert (await wire.command("guild", key, "withdraw", take))["error"]["code"] == "role_too_low"
    await done(door, bob, key, "leave")
    await free(door, bob)
    for command in ("deposit", "withdraw"):
        assert (await wire.command("guild", key, command, take))["error"]["code"] == "not_a_member"
    for query in ("bank", "storage", "candidates"):
        hidden = await door.get(f"{guild(key)}/{query}", as_=bob)
        assert (hidden.status, hidden.code) == (403, "not_a_member")
    await done(door, bob, key, "join")
    await member(door, alice, key, bob)
    assert (await say(door, bob, key, "withdraw", **take)).code == "role_too_low", "who comes back is a member"
    assert await bank(door, bob, key) == 80

"""`greenroom verify` finds what is wrong with items, rewards and belonging in a journal in which a game was played."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from actors.core import Command
from actors.guild.bank import Deposit, Withdraw
from actors.guild.founding import Create as Found
from actors.guild.joining import Join
from actors.guild.storage import StoreItems, TakeOutItems
from actors.player.actions import CompleteAction, StartAction
from actors.player.profile import Create, Profile
from actors.player.quests import StartQuest
from actors.player.rewards import AwardItems
from actors.player.wallet import GrantCurrency
from actors.runtime.database import Connection
from actors.trade.bargain import Give
from actors.trade.goods import Goods
from schemas import limits
from schemas.address import Address, player
from schemas.messages import Caller, Reply
from tests.harness import Greenroom, Servers, eventually
from tests.integration.played import (
    again,
    delivered,
    forget_checkpoint,
    newest,
    remove_turn,
    rewrite,
    tampered,
    verified,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN, BEA = player("ann"), player("bea")
GUILD = Address("guild", "owls")
QUEST = "first_steps"
Corruption = Callable[[Connection], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, tell_attempts_max=2) as greenroom:
        await play(greenroom)
        await delivered(greenroom)
        await greenroom.stop_host(greenroom.homes[0])
        yield greenroom


async def ask(greenroom: Greenroom, to: Address, command: Command[Any], by: Address, *roles: str) -> Reply:
    reply = await greenroom.persist(to, command, caller=Caller(by.key, roles))
    assert reply.status == 200, (command, reply)
    return reply


async def play(greenroom: Greenroom) -> None:
    """Ann has a quest behind her and leads a guild; Bea belongs to it; things went by hand, by gift and by storage."""
    for who in (ANN, BEA):
        sql = "INSERT INTO account (id, external_id, display_name, player_made) VALUES ($1, $1, $1, true)"
        await greenroom.database.execute(sql, who.key)
        await ask(greenroom, who, Create(name=who.key), who)
        things = AwardItems(items={"linen": 9, "wooden_club": 3}, reason="test")
        await ask(greenroom, who, things, who, "server")
    await ask(greenroom, ANN, StartQuest(quest=QUEST), ANN)
    for _ in range(3):
        started = await ask(greenroom, ANN, StartAction(type="practice"), ANN)
        done = CompleteAction(action_id=started.data["id"], action_token=started.data["actionToken"])
        await ask(greenroom, ANN, done, ANN)
    await ask(greenroom, GUILD, Found(name="Night owls"), ANN)
    await eventually(lambda: belongs(greenroom, ANN))
    await ask(greenroom, GUILD, Join(), BEA)
    await eventually(lambda: belongs(greenroom, BEA))
    await delivered(greenroom)
    await overflow(greenroom)
    await ask(greenroom, GUILD, Deposit(currency="gold", amount=7), BEA)
    await ask(greenroom, GUILD, StoreItems(items={"linen": 4, "wooden_club": 1}), BEA)
    await delivered(greenroom)
    await ask(greenroom, GUILD, TakeOutItems(items={"linen": 3, "wooden_club": 1}), ANN)
    gift = Goods(items={"linen": 2, "wooden_club": 1}, currencies={"gold": 5})
    await ask(greenroom, Address("trade", "gift"), Give(to="ann", goods=gift), BEA)


async def overflow(greenroom: Greenroom) -> None:
    """Ann's wallet is full of gems when more come out of the bank; as she gives some away, what waited comes in."""
    for who, gems in ((ANN, limits.INTEGER_MAX), (BEA, 9)):
        await ask(greenroom, who, GrantCurrency(currency="gems", amount=gems, reason="found"), who, "server")
    await ask(greenroom, GUILD, Deposit(currency="gems", amount=9), BEA)
    await delivered(greenroom)
    await ask(greenroom, GUILD, Withdraw(currency="gems", amount=9), ANN)
    await delivered(greenroom)
    await ask(greenroom, Address("trade", "rest"), Give(to="bea", goods=Goods(currencies={"gems": 4})), ANN)


async def belongs(greenroom: Greenroom, who: Address) -> bool:
    seen = await greenroom.query(who, Profile(), Caller(who.key))
    return seen.status == 200 and (seen.data.get("guild") or {}).get("guild") == GUILD.key


async def test_a_game_that_is_whole_gives_no_finding_and_each_of_its_turns_is_explained(greenroom: Greenroom) -> None:
    async with greenroom.database.transaction() as connection:
        report = await verified(connection, strict=True)
    assert report.findings == []
    assert report.remarks == []
    assert {"K6", "K7", "K9", "K15", "K16"} <= set(report.looked)
    assert not any("explain" in why for why in report.unjudged.values()), report.unjudged


async def test_what_found_no_room_in_a_wallet_came_in_as_room_was_made(greenroom: Greenroom) -> None:
    async with greenroom.database.transaction() as connection:
        turn = await newest(connection, ANN, '%["surplus_taken"%')
    [taken] = [fields for name, fields in turn["events"] if name == "surplus_taken"]
    assert (taken["amount"], taken["surplus"], taken["balance"]) == (4, 5, limits.INTEGER_MAX)


async def surplus_that_nobody_sent(connection: Connection) -> None:
    turn = await newest(connection, ANN, '%["surplus_kept"%')
    kept = next(fields for name, fields in turn["events"] if name == "surplus_kept")
    await rewrite(connection, turn, lambda turn: kept.update(amount=kept["amount"] + 1))


# -- rewards (K16) ----------------------------------------------------------------------------------------------------

REWARDED = f'%"quest:{QUEST}:1"%'


async def reward_given_twice(connection: Connection) -> None:
    await again(connection, await newest(connection, ANN, REWARDED), "another-parcel")


async def reward_lost(connection: Connection) -> None:
    await remove_turn(connection, await newest(connection, ANN, REWARDED))
    await forget_checkpoint(connection, ANN)


async def reward_of_another_size(connection: Connection) -> None:
    turn = await newest(connection, ANN, REWARDED)
    gained = next(fields for name, fields in turn["events"] if name == "experience_gained")
    await rewrite(connection, turn, lambda turn: gained.update(amount=gained["amount"] + 1))


async def reward_of_a_quest_that_was_never_done(connection: Connection) -> None:
    turn = await newest(connection, ANN, REWARDED)
    for name, fields in turn["events"]:
        if name in ("wallet_changed", "experience_gained", "items_received"):
            fields["reason"] = "quest:the_last_dragon:1"
    await rewrite(connection, turn, lambda turn: None)


async def quest_completed_for_the_second_time_first(connection: Connection) -> None:
    turn = await newest(connection, ANN, '%["quest_completed"%')
    completed = next(fields for name, fields in turn["events"] if name == "quest_completed")
    await rewrite(connection, turn, lambda turn: completed.update(times=2))


# -- items (K7), and messages about them (K9) -------------------------------------------------------------------------


async def _received(connection: Connection, who: Address, like: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A turn in which items came, and the event that says so."""
    turn = await newest(connection, who, like)
    return turn, next(fields for name, fields in turn["events"] if name == "items_received")


async def more_in_the_bag_than_came(connection: Connection) -> None:
    turn, received = await _received(connection, BEA, '%"reason":"test"%')
    place = next(place for place in received["placed"] if place["item"] == "linen")
    await rewrite(connection, turn, lambda turn: place.update(quantity=place["quantity"] + 1))


async def unique_item_in_two_bags(connection: Connection) -> None:
    _, hers = await _received(connection, BEA, '%"reason":"test"%')
    turn, mine = await _received(connection, ANN, '%"reason":"test"%')
    clubs = [[place for place in part["placed"] if place["item"] == "wooden_club"] for part in (mine, hers)]
    # What went from hand to hand is Ann's already; the copy is of a club that stayed with her.
    await rewrite(connection, turn, lambda turn: clubs[0][0].update(id=clubs[1][-1]["id"]))


async def items_lost_between_guild_and_player(connection: Connection) -> None:
    turn, _ = await _received(connection, ANN, '%"guild_storage"%')
    await remove_turn(connection, turn)
    await forget_checkpoint(connection, ANN)


async def items_changed_on_their_way_to_the_storage(connection: Connection) -> None:
    turn = await newest(connection, GUILD, '%["items_stored"%')
    stored = next(fields for name, fields in turn["events"] if name == "items_stored")
    stored["items"]["linen"] = 3
    place = next(place for place in stored["placed"] if place["item"] == "linen")
    await rewrite(connection, turn, lambda turn: place.update(quantity=3))


async def grant_that_came_from_another(connection: Connection) -> None:
    turn, received = await _received(connection, ANN, '%"guild_storage"%')
    await rewrite(connection, turn, lambda turn: received.update(by="another"))


async def gift_that_arrived_twice(connection: Connection) -> None:
    await again(connection, await newest(connection, ANN, '%"gift gift"%'), "another-parcel")


async def money_of_a_gift_that_became_more(connection: Connection) -> None:
    turn = await newest(connection, ANN, '%"gift gift"%')
    credited = next(fields for name, fields in turn["events"] if name == "wallet_changed")
    credited.update(change=50, balance=credited["balance"] + 45)
    await rewrite(connection, turn, lambda turn: None)


# -- belonging (K15) and banks (K6) -----------------------------------------------------------------------------------


async def player_that_forgot_its_guild(connection: Connection) -> None:
    turn = await newest(connection, BEA, '%["guild_entered"%')
    entered = next(fields for name, fields in turn["events"] if name == "guild_entered")
    await rewrite(connection, turn, lambda turn: entered.update(guild="hawks"))


async def payment_that_shrank_on_its_way_to_the_bank(connection: Connection) -> None:
    turn = await newest(connection, GUILD, '%["deposited"%')
    deposited = next(fields for name, fields in turn["events"] if name == "deposited")
    await rewrite(connection, turn, lambda turn: deposited.update(amount=6, balance=6))


PLANTED: list[tuple[Corruption, str, object, str]] = [
    (reward_given_twice, "K16", ANN, f"what quest:{QUEST}:1 gives was given 2 times"),
    (reward_lost, "K16", ANN, f"what quest:{QUEST}:1 gives was neither given"),
    (reward_of_another_size, "K16", ANN, f"quest:{QUEST}:1 gives"),
    (reward_of_a_quest_that_was_never_done, "K16", ANN, "quest:the_last_dragon:1 gives was given, and never earned"),
    (quest_completed_for_the_second_time_first, "K16", ANN, "for the 2. time, which is the 1."),
    (more_in_the_bag_than_came, "K7", BEA, "what came less what went is"),
    (unique_item_in_two_bags, "K7", BEA, "is here, and in player:ann"),
    (items_lost_between_guild_and_player, "K7", "items of linen", "3 linen were sent by guilds to players; 0 arrived"),
    (items_changed_on_their_way_to_the_storage, "K7", "items of linen", "4 linen were handed in to guilds; 3 arrived"),
    (items_changed_on_their_way_to_the_storage, "K9", GUILD, "as another than was sent"),
    (grant_that_came_from_another, "K9", ANN, "as another than was sent"),
    (gift_that_arrived_twice, "K7", "trades of gold", "5 gold were put up for trades; 10 arrived"),
    (money_of_a_gift_that_became_more, "K7", "trades of gold", "5 gold were put up for trades; 50 arrived"),
    (player_that_forgot_its_guild, "K15", BEA, "it says it belongs to guild hawks, which does not say so"),
    (surplus_that_nobody_sent, "K6", ANN, "0 +10 gems that wait became 9 instead of 10"),
    (payment_that_shrank_on_its_way_to_the_bank, "K6", "currency gold", "7 gold were paid to guilds; 6 arrived"),
]


@pytest.mark.parametrize(
    ("corrupt", "invariant", "actor", "says"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in PLANTED],
)
async def test_what_is_wrong_in_a_game_is_found_and_named(
    greenroom: Greenroom, corrupt: Corruption, invariant: str, actor: object, says: str
) -> None:
    async with tampered(greenroom) as connection:
        await corrupt(connection)
        report = await verified(connection)
    told = [one.what for one in report.findings if (one.invariant, one.actor) == (invariant, str(actor))]
    assert any(says in what for what in told), report.findings
    assert all(one.todo for one in report.findings)

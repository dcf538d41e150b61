"""SPEC sections 6, 7, 8 and 13 through the Python client: every noun over REST and both forms of frames."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from greenroom_client import (
    Forbidden,
    Form,
    Goods,
    GreenroomError,
    NotFound,
    Present,
    Refused,
    Status,
    direct_channel,
    guild_channel,
    present,
)
from tests.acceptance.clients import Door, User, fresh_name
from tests.acceptance.gamers import WAYS, Gamer, Gamers, until
from tests.acceptance.journey import prepare
from tests.acceptance.server import Server


@pytest_asyncio.fixture(params=WAYS)
async def gamers(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Gamers]:
    gamers = Gamers(server, request.param)
    async with gamers.opened:
        yield gamers


@pytest_asyncio.fixture
async def ann(gamers: Gamers) -> Gamer:
    return await gamers.guest()


@pytest_asyncio.fixture
async def ben(gamers: Gamers) -> Gamer:
    return await gamers.guest()


@pytest_asyncio.fixture
async def giver(gamers: Gamers, studio: User) -> Gamer:
    """The studio's game server."""
    return await gamers.known(studio)


async def test_gs_02_gs_13_the_character_through_the_python_client(ann: Gamer, ben: Gamer, giver: Gamer) -> None:
    grown = await giver.game.studio.award_experience(ann.id, 260, "test")
    assert (grown.experience, grown.level) == (260, 3)
    assert await giver.game.studio.grant_currency(ann.id, "gems", 3, "test") == 3
    sheet = await ann.game.character.sheet()
    assert (sheet.user_id, sheet.level, sheet.experience, sheet.next_level_at) == (ann.id, 3, 260, 450)
    assert (sheet.stats["strength"].base, sheet.resources["health"].full_at) == (7, None)
    assert (sheet.wallet["gems"], sheet.bag.used, sheet.guild) == (3, 0, None)
    public = await ben.game.character.of(ann.id)
    assert (public.user_id, public.level, public.equipment) == (ann.id, 3, {})
    wallet = await ann.game.character.wallet(limit=1)
    assert [(line.currency, line.change, line.balance, line.reason) for line in wallet.ledger] == [
        ("gems", 3, 3, "test")
    ]


async def test_gs_04_gs_05_items_and_equipment_through_the_python_client(ann: Gamer, giver: Gamer) -> None:
    given = await giver.game.studio.award_items(ann.id, {"coal": 20, "herbal_tea": 2, "wooden_club": 1}, "test")
    assert (given.items["coal"], given.waiting) == (20, 0)
    assert (await giver.game.studio.award_items(ann.id, {"oak_log": 38 * 50}, "test")).waiting == 50
    bag = ann.game.bag
    inventory = await bag.inventory()
    assert [made.how for made in inventory.first("wooden_club").history] == ["test"]
    assert sum(lot.quantity for lot in inventory.waiting) == 50
    coal = inventory.first("coal").id
    await bag.discard(inventory.first("oak_log").id)
    claimed = await bag.claim()
    assert (claimed.items, claimed.waiting) == ({"oak_log": 50}, 0)
    await bag.discard((await bag.inventory()).first("oak_log").id)
    part = await bag.split(coal, 5)
    await bag.move(part.stack_id, 0)
    await bag.lock(part.stack_id)
    with pytest.raises(Refused, match="item_locked"):
        await bag.discard(part.stack_id)
    await bag.lock(part.stack_id, locked=False)
    merged = await bag.merge(part.stack_id, onto=coal)
    assert (merged.moved, merged.left) == (5, 0)
    await bag.discard(coal, 19)
    assert (await bag.inventory()).count("coal") == 1
    tea = (await bag.inventory()).first("herbal_tea").id
    used = await bag.use(tea, op=fresh_name("tea"))
    assert used.item == "herbal_tea"
    club = (await bag.inventory()).first("wooden_club").id
    put = await ann.game.equipment.equip(club)
    assert (put.slot, put.unequipped) == ("weapon", None)
    assert (await bag.inventory()).equipment["weapon"].id == club
    assert (await ann.game.equipment.unequip("weapon")).stack_id == club
    first = await bag.catalog(limit=2)
    second = await bag.catalog(after=first.next, limit=100)
    assert (len(first.items), first.items[-1].item < second.items[0].item) == (2, True)


async def test_gs_06_crafting_through_the_python_client(ann: Gamer, giver: Gamer) -> None:
    await giver.game.studio.award_items(ann.id, {"oak_log": 3, "saw": 1, "iron_ore": 2, "coal": 1}, "test")
    page = await ann.game.crafting.recipes(limit=100)
    [planks] = [recipe for recipe in page.recipes if recipe.recipe == "oak_planks"]
    assert (planks.ingredients, planks.tools, planks.enough) == ({"oak_log": 1}, ["saw"], True)
    ingot = await ann.game.crafting.craft("iron_ingot")
    assert await ann.game.crafting.cancel(ingot.id) == {"coal": 1, "iron_ore": 2}
    first, second = [await ann.game.crafting.craft("oak_planks") for _ in range(2)]
    assert second.starts_at == first.ready_at
    assert first.ready_at - first.starts_at == timedelta(seconds=planks.takes_s)
    await until("the work is done", ann.game.crafting.jobs, lambda jobs: jobs == [])
    inventory = await ann.game.bag.inventory()
    assert inventory.count("oak_plank") == 2 * planks.outputs["oak_plank"]
    assert inventory.count("oak_log") == 1
    with pytest.raises(Refused, match="recipe_unknown"):
        await ann.game.crafting.craft("nothing")


async def test_gs_22_trades_and_gifts_through_the_python_client(ann: Gamer, ben: Gamer, giver: Gamer) -> None:
    await giver.game.studio.award_items(ben.id, {"iron_sword": 1, "coal": 2}, "test")
    sword = (await ben.game.bag.inventory()).first("iron_sword").id
    key = fresh_name("trade")
    await ann.game.trade(key).open(ben.id)
    await ann.game.trade(key).offer(Goods(currencies={"gold": 30}))
    revision = await ben.game.trade(key).offer(Goods(ids=[sword], items={"coal": 1}))
    assert await ann.game.trade(key).confirm(revision) == [ann.id]
    await ben.game.trade(key).confirm(revision)
    terms = await until("the trade is done", ann.game.trade(key).terms, lambda terms: terms.standing == "completed")
    assert (terms.offers[ben.id].ids, terms.sides, terms.gift) == ([sword], [ann.id, ben.id], False)
    assert (terms.things[sword].item, terms.things[sword].quantity) == ("iron_sword", 1)
    bag = await until("it arrives", ann.game.bag.inventory, lambda bag: bag.count("iron_sword") == 1)
    assert bag.first("iron_sword").id == sword
    gift = await ann.game.trade(fresh_name("gift")).give(ben.id, Goods(items={"coal": 1}))
    assert gift.settled is None or gift.settled.delivered
    await until("the gift arrives", ben.game.bag.inventory, lambda bag: bag.count("coal") == 2)
    await until("the price too", ben.game.character.wallet, lambda wallet: wallet.balances["gold"] == 130)
    other = ann.game.trade(fresh_name("trade"))
    await other.open(ben.id)
    await other.cancel()
    with pytest.raises(Refused, match="trade_closed"):
        await other.offer(Goods(currencies={"gold": 1}))


async def test_qa_01_to_05_quests_and_achievements_through_the_python_client(
    server: Server, door: Door, gamers: Gamers, alice: User
) -> None:
    await prepare(door, server, alice)
    hero = await gamers.known(alice)
    quests = hero.game.quests
    await quests.start("try_two_wins")
    await quests.abandon("try_two_wins")
    started = await quests.start("try_turn_in")
    assert (started.state, started.objectives["win"].progress, started.turn_in) == ("active", 0, True)
    with pytest.raises(Refused) as early:
        await quests.turn_in("try_turn_in")
    assert early.value.code == "quest_unfinished"
    await door.play(alice, "try_win")
    [ready] = (await quests.log()).active
    assert (ready.quest, ready.state) == ("try_turn_in", "ready")
    done = await quests.turn_in("try_turn_in", op=fresh_name("turn"))
    assert (done.state, done.times, done.opens) == ("completed", 1, ["try_chained"])
    log = await quests.log()
    assert [quest.quest for quest in log.completed] == ["try_turn_in"]
    assert "try_chained" in [quest.quest for quest in log.available]
    await until("its reward follows", hero.game.character.wallet, lambda wallet: wallet.balances["gold"] == 107)
    await door.play(alice, "try_win")
    listed = await hero.game.achievements.listed()
    [wins] = [feat for feat in listed.achievements if feat.achievement == "try_wins"]
    assert (wins.progress, [tier.unlocked_at is not None for tier in wins.tiers]) == (2, [True, False])
    assert len((await hero.game.achievements.holders("try_wins")).holders) == 2
    told = await until("a notification", hero.game.inbox.messages, lambda inbox: inbox.unread >= 2)
    assert {"quest_completed", "achievement_unlocked"} <= {message.template for message in told.messages}


async def test_gs_08_guild_membership_through_the_python_client(ann: Gamer, ben: Gamer, gamers: Gamers) -> None:
    key = fresh_name("guild-").lower()
    hers, his = ann.game.guild(key), ben.game.guild(key)
    assert (await hers.found(key, open=False, description="We test.")).guild == key
    await until("it stands", ann.game.guilds.own, lambda own: own.guild is not None and own.guild.guild == key)
    assert (await his.join()).status == "requested"
    assert [asking.user_id for asking in (await hers.candidates()).requests] == [ben.id]
    await his.cancel_request()
    await his.join()
    await hers.decline_request(ben.id)
    assert (await hers.invite(ben.id)).status == "invited"
    await hers.revoke_invitation(ben.id)
    await hers.invite(ben.id)
    await until("he knows", ben.game.guilds.own, lambda own: [one.guild for one in own.invitations] == [key])
    await his.decline_invitation()
    await hers.invite(ben.id)
    await his.accept_invitation()
    await until("he belongs to it", hers.profile, lambda profile: profile.members == 2)
    assert await hers.promote(ben.id) == "officer"
    assert await hers.demote(ben.id) == "member"
    assert (await hers.describe("We still test.", open=True)).open is True
    await hers.transfer_leadership(ben.id)
    assert (await hers.profile()).leader == ben.id
    await hers.leave()
    third = await gamers.guest()
    await third.game.guild(key).join()
    await until("a third comes", his.profile, lambda profile: profile.members == 2)
    await his.kick(third.id)
    found = await ann.game.guilds.search(name=key, level_min=1, level_max=9, open=True)
    assert [listing.guild for listing in found.guilds] == [key]
    await his.disband()
    with pytest.raises(NotFound, match="guild_unknown"):
        await hers.profile()


async def test_gs_09_gs_10_what_a_guild_holds_through_the_python_client(ann: Gamer, giver: Gamer) -> None:
    key = fresh_name("guild-").lower()
    guild = ann.game.guild(key)
    await guild.found(key)
    await until("it stands", ann.game.guilds.own, lambda own: own.guild is not None)
    await giver.game.studio.grant_currency(ann.id, "gold", 50, "test")
    await giver.game.studio.award_items(ann.id, {"oak_log": 5}, "test")
    await guild.bank.deposit("gold", 40)
    await until("it is paid in", guild.bank.account, lambda account: account.balances == {"gold": 40})
    assert (await guild.bank.withdraw("gold", 15)).balance == 25
    account = await guild.bank.account(limit=1)
    assert [(line.by, line.change, line.balance) for line in account.ledger] == [(ann.id, -15, 25)]
    await guild.storage.store({"oak_log": 3})
    room = await until("it is stored", guild.storage.room, lambda room: len(room.stored) == 1)
    assert (room.slots, room.stored[0].quantity, room.log[0].change) == (200, 3, 3)
    assert await guild.storage.take_out({"oak_log": 2}) == {"oak_log": 2}
    await giver.game.studio.claim_territory(key, "old_mill")
    await giver.game.studio.contest_territory(key, "old_mill", by="others")
    assert (await guild.profile()).territories["old_mill"].contested_by == "others"
    await giver.game.studio.lose_territory(key, "old_mill")
    assert (await guild.profile()).territories == {}


async def test_gs_07_chat_through_the_python_client(ann: Gamer, ben: Gamer, gamers: Gamers, moderator: User) -> None:
    rooms = [gamer.game.channel("trade") for gamer in (ann, ben)]
    for room in rooms:
        assert await room.join() >= 1
    bad = await rooms[0].send("something bad", mentions=[ben.id])
    told = await until("ben is told", ben.game.inbox.messages, lambda inbox: inbox.unread == 1)
    assert told.messages[0].template == "mention"
    await rooms[1].report(bad.message, "rude")
    staff = await gamers.known(moderator)
    cases = await until(
        "it is on the desk",
        staff.client.moderation.reports,
        lambda cases: any(case["author"] == ann.id for case in cases),
    )
    [case] = [case for case in cases if case["author"] == ann.id]
    await staff.client.moderation.remove_message("trade", bad.message, "rude")
    await staff.client.moderation.silence("trade", ann.id, 1, "rude")
    with pytest.raises(Forbidden, match="silenced"):
        await rooms[0].send("but why?")
    await staff.client.moderation.expel("trade", ann.id, "rude")
    await staff.client.moderation.close_report(case["id"], upheld=True, note="out")
    direct = [gamer.game.channel(direct_channel(ann.id, ben.id)) for gamer in (ann, ben)]
    helo = await direct[0].send("helo", op=fresh_name("said"))
    oops = await direct[0].send("oops")
    await direct[0].edit(helo.message, "hello")
    await direct[0].delete(oops.message)
    page = await direct[1].history(limit=10)
    assert [(said.text, said.deleted) for said in page.messages] == [("", True), ("hello", False)]
    assert (await direct[1].history(before=oops.message)).messages[0].edited_at is not None
    assert {who.user_id for who in (await direct[0].members()).members} == {ann.id, ben.id}
    await direct[1].mark_read()
    await rooms[1].leave()
    with pytest.raises(GreenroomError, match="not_a_member"):
        await rooms[1].history()
    assert guild_channel("x") == "guild.x"


async def test_gs_19_notifications_and_friends_through_the_python_client(ann: Gamer, ben: Gamer) -> None:
    chosen = await ben.game.inbox.set_notices(language="de", off=["guild"], mail=False)
    assert (chosen.language, chosen.off) == ("de", ["guild"])
    assert "friends" in [kind.kind for kind in (await ben.game.inbox.notices()).kinds]
    assert await ann.game.friends.request(ben.id) is False
    inbox = await until("ben is asked", ben.game.inbox.messages, lambda inbox: inbox.unread == 1)
    assert inbox.messages[0].title == "Eine Freundschaftsanfrage"
    await ben.game.inbox.mark_read(inbox.messages[0].id)
    assert (await ben.game.inbox.messages(unread=True)).messages == []
    await ben.game.inbox.delete(inbox.messages[0].id)
    await ben.game.friends.decline(ann.id)
    await until("ann knows", ann.game.friends.circle, lambda circle: circle.requested == [])
    await ann.game.friends.request(ben.id)
    await until("ben is asked again", ben.game.friends.circle, lambda circle: len(circle.asking) == 1)
    assert await ben.game.friends.accept(ann.id) is True
    await until(
        "both agree", ann.game.friends.circle, lambda circle: [one.user_id for one in circle.friends] == [ben.id]
    )
    await ben.game.friends.mute(ann.id)
    assert (await ben.game.friends.circle()).muted == [ann.id]
    await ben.game.friends.unmute(ann.id)
    await ben.game.friends.remove(ann.id)
    await until("it is over", ann.game.friends.circle, lambda circle: circle.friends == [])
    await ben.game.friends.block(ann.id)
    assert (await ben.game.friends.circle()).blocked == [ann.id]
    await ben.game.friends.unblock(ann.id)
    assert (await ben.game.friends.circle()).blocked == []


@pytest.mark.parametrize("form", list(Form))
async def test_gs_19_ws_07_presence_through_the_python_client(server: Server, form: Form) -> None:
    gamers = Gamers(server, "rest")
    async with gamers.opened:
        ann, ben = (await gamers.guest()).client, (await gamers.guest()).client
        await ann.friends.request(ben.user_id)
        await until("ben is asked", ben.friends.circle, lambda circle: len(circle.asking) == 1)
        await ben.friends.accept(ann.user_id)
        await until("both agree", ann.friends.circle, lambda circle: len(circle.friends) == 1)
        async with ann.connect(form) as hers, ben.connect(form) as his:
            watched = await hers.presence.watch()
            assert watched.initial is not None
            assert [who.user_id for who in present(watched.initial)] == [ben.user_id]
            for status in (Status.AWAY, Status.ONLINE):
                expected = Present(user_id=ben.user_id, status=status)
                await his.presence.say(status)
                async with asyncio.timeout(30):
                    while present(await anext(watched)) != [expected]:
                        pass
                assert await ann.presence.of_friends() == [expected]
            channel = direct_channel(ann.user_id, ben.user_id)
            await ann.channel(channel).send("are you there?")
            there = await ann.presence.in_channel(channel)
            assert {who.user_id: who.status for who in there} == dict.fromkeys((ann.user_id, ben.user_id), "online")

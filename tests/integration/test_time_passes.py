"""What days do to guilds, channels and inboxes, on real hosts and Postgres, by a clock that the test moves."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from actors.channel.history import History
from actors.channel.members import Join as JoinRoom
from actors.channel.moderation import Silence
from actors.channel.talk import Edit, Send
from actors.core import Address, Command, Query
from actors.guild.bank import Bank
from actors.guild.founding import Create as Found
from actors.guild.invitations import AcceptInvitation, Invite
from actors.guild.joining import AcceptRequest, Join
from actors.guild.members import Candidates, Profile
from actors.guild.territory import ClaimTerritory, ContestTerritory, LoseTerritory
from actors.player.guild import OwnGuild
from actors.player.inbox import Inbox
from actors.player.profile import Create
from actors.times import DAY_S, SECOND_MS
from schemas.address import player
from schemas.messages import Caller, Reply
from tests.harness import Greenroom, Servers, eventually
from tests.harness.clock import clock_of
from tests.integration.played import delivered, verified

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUILD, ROOM = Address("guild", "reds"), Address("channel", "lobby")
LEADER, FRIEND, ASKING = "ann", "bea", "cleo"
_ops = itertools.count(1)


class Days:
    """A Greenroom, and how far its clock was put forward."""

    def __init__(self, greenroom: Greenroom, set_clock: Callable[[str], Awaitable[object]]) -> None:
        self.greenroom = greenroom
        self._set_clock = set_clock
        self._by_s = 0

    async def pass_(self, *, days: int = 0, minutes: int = 0) -> None:
        """So much time is over, and every host knows it."""
        before = [home.host.lease.now_ms() for home in self.greenroom.homes]
        more_s = days * DAY_S + minutes * 60
        self._by_s += more_s
        await self._set_clock(f"{self._by_s} seconds")
        expected = [at + more_s * SECOND_MS for at in before]
        await eventually(
            lambda: all(
                home.host.lease.now_ms() >= at for home, at in zip(self.greenroom.homes, expected, strict=True)
            ),
            30,
        )

    async def say(self, who: str, to: Address, command: Command[Any], *roles: str) -> Reply:
        """As a patient client does: again, under the same op id, for as long as the answer is 503."""
        op = f"days-{next(_ops)}"

        async def answer() -> Reply | None:
            reply = await self.greenroom.command(to, command, op=op, caller=Caller(who, roles))
            return None if reply.status == 503 or reply.data.get("code") == "OP_IN_PROGRESS" else reply

        reply: Reply = await eventually(answer, 30)
        return reply

    async def done(self, who: str, to: Address, command: Command[Any], *roles: str) -> Any:
        reply = await self.say(who, to, command, *roles)
        assert reply.status == 200, (command, reply)
        return reply.data

    async def refused(self, who: str, to: Address, command: Command[Any]) -> str:
        reply = await self.say(who, to, command)
        assert reply.status in (403, 404, 409), reply
        return str(reply.data["code"])

    async def asked(self, who: str, to: Address, query: Query[Any]) -> Any:
        async def answer() -> Reply | None:
            reply = await self.greenroom.query(to, query, Caller(who))
            return reply if reply.status == 200 else None

        return (await eventually(answer, 30)).data

    async def texts(self, before: int | None = None) -> list[str]:
        """A page of what is to be read in the room."""
        query = History() if before is None else History(before=before)
        return [message["text"] for message in (await self.asked(LEADER, ROOM, query))["messages"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def days(servers: Servers) -> AsyncIterator[Days]:
    async with Greenroom(servers, hosts=2) as greenroom, clock_of(greenroom) as set_clock:
        days = Days(greenroom, set_clock)
        for key in (LEADER, FRIEND, ASKING):
            sql = "INSERT INTO account (id, external_id, display_name, player_made) VALUES ($1, $1, $1, true)"
            await greenroom.database.execute(sql, key)
            await days.done(key, player(key), Create(name=key), "server")
            await days.done(key, ROOM, JoinRoom())
        await days.done(LEADER, GUILD, Found(name="Reds", open=False))

        async def stands() -> bool:
            return (await greenroom.query(GUILD, Profile(), Caller(LEADER))).status == 200

        await eventually(stands)
        yield days
        await delivered(greenroom)
        async with greenroom.database.transaction() as connection:
            assert (await verified(connection)).findings == []


async def test_invitations_and_requests_are_open_for_seven_days(days: Days) -> None:
    """Also when nobody was there to be reminded; and not a moment of it is left at the player or the guild."""
    await days.done(LEADER, GUILD, Invite(player=FRIEND))
    await days.done(ASKING, GUILD, Join())
    await days.pass_(days=6, minutes=23 * 60)
    own = await days.asked(FRIEND, player(FRIEND), OwnGuild())
    assert [row["guild"] for row in own["invitations"]] == ["reds"]
    candidates = await days.asked(LEADER, GUILD, Candidates())
    assert [len(candidates[name]) for name in ("invitations", "requests")] == [1, 1]
    await days.pass_(minutes=61)
    assert await days.refused(FRIEND, GUILD, AcceptInvitation()) in ("invitation_expired", "invitation_unknown")
    assert await days.refused(LEADER, GUILD, AcceptRequest(player=ASKING)) == "request_unknown"
    assert (await days.asked(FRIEND, player(FRIEND), OwnGuild()))["invitations"] == []
    assert await days.asked(LEADER, GUILD, Candidates()) == {"invitations": [], "requests": []}
    left = "SELECT count(*) = 0 FROM reminder WHERE kind = 'guild'"
    await eventually(lambda: days.greenroom.database.fetch_value(left), 30)


async def test_a_territory_pays_each_day_and_for_days_that_nobody_saw(days: Days) -> None:
    async def holds(gold: int) -> None:
        async def rich() -> bool:
            bank = await days.asked(LEADER, GUILD, Bank())
            return bool(bank["balances"].get("gold", 0) == gold)

        await eventually(rich, 30)

    await days.done("zone", GUILD, ClaimTerritory(territory="old_mill"), "server")
    await days.pass_(minutes=23 * 60)
    assert (await days.asked(LEADER, GUILD, Bank()))["balances"] == {}
    await days.pass_(minutes=61)
    await holds(40)
    await days.pass_(days=3)
    await holds(160)
    await days.done("zone", GUILD, ContestTerritory(territory="old_mill", by="blues"), "server")
    await days.pass_(days=2)
    paid = "SELECT (data ->> 'due')::bigint > $1 FROM reminder WHERE kind = 'guild'"
    now_ms = days.greenroom.home_of(GUILD).host.lease.now_ms()
    await eventually(lambda: days.greenroom.database.fetch_value(paid, now_ms), 30)
    await holds(160)
    await days.done("zone", GUILD, LoseTerritory(territory="old_mill"), "server")


async def test_silence_ends_by_itself_and_what_was_said_cannot_be_changed_for_ever(days: Days) -> None:
    said = (await days.done(LEADER, ROOM, Send(text="helo")))["message"]
    await days.done("mod", ROOM, Silence(player=FRIEND, minutes=5, reason="rude"), "moderator")
    await days.pass_(minutes=4)
    assert await days.refused(FRIEND, ROOM, Send(text="but why?")) == "silenced"
    await days.pass_(minutes=1)
    await days.done(FRIEND, ROOM, Send(text="at last"))
    await days.done(LEADER, ROOM, Edit(message=said, text="hello"))
    await days.pass_(minutes=11)
    assert await days.refused(LEADER, ROOM, Edit(message=said, text="hullo")) == "too_late"
    assert (await days.texts())[:2] == ["at last", "hello"]


async def test_messages_are_shown_for_thirty_days_and_the_journal_keeps_them(days: Days) -> None:
    """From the state and from the journal alike, before and after the channel was told to forget them."""
    old = [(await days.done(who, ROOM, Send(text=f"old {who}")))["message"] for who in (LEADER, FRIEND)]
    await days.pass_(days=29, minutes=23 * 60)
    assert (await days.texts())[:2] == ["old bea", "old ann"]
    new = (await days.done(ASKING, ROOM, Send(text="new")))["message"]
    assert (await days.texts())[:3] == ["new", "old bea", "old ann"]
    assert await days.texts(before=old[1]) != []
    await days.pass_(minutes=61)
    assert await days.texts() == ["new"]
    assert await days.texts(before=new) == await days.texts(before=old[1]) == []

    def forgotten() -> bool:
        home = days.greenroom.home_of(ROOM)
        state: Any = days.greenroom.awake(ROOM) if ROOM in home.host.cells else None
        return state is not None and [message.number for message in state.messages] == [new]

    # The daily reminder takes them out of the state too; whoever listens, or reads pages, sees no more of them.
    await days.pass_(days=1)
    await days.asked(LEADER, ROOM, History())
    await eventually(forgotten, 30)
    await days.greenroom.put_to_sleep(ROOM)
    assert await days.texts() == ["new"]
    assert await days.texts(before=new) == []
    rows = await days.greenroom.journal(ROOM)
    assert all(any(f"old {who}" in str(row["events"]) for row in rows) for who in (LEADER, FRIEND))


async def test_notifications_are_gone_when_they_are_out_of_date(days: Days) -> None:
    await days.done(ASKING, GUILD, Join())

    async def told() -> list[str]:
        inbox = await days.asked(LEADER, player(LEADER), Inbox())
        return [message["template"] for message in inbox["messages"]]

    await eventually(told, 30)
    await days.pass_(days=29)
    assert await told() == ["guild_join_request"]
    await days.pass_(days=1)
    assert await told() == []
    assert (await days.asked(LEADER, player(LEADER), Inbox()))["unread"] == 0

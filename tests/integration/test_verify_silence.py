"""`greenroom verify` tells a message that rightly had no effect from a lost one, also when it would have one now."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from actors.channel.members import Join as JoinRoom
from actors.channel.talk import Send
from actors.core import Address, Command
from actors.player.chat import BlockPlayer, MutePlayer, UnblockPlayer, UnmutePlayer
from actors.player.friends import RemoveFriend, RequestFriend
from actors.player.inbox import Inbox, MarkRead
from actors.player.notices import SetNotices
from actors.player.profile import Create
from schemas.address import player
from schemas.messages import Caller, Reply
from tests.harness import Greenroom, Servers, eventually
from tests.integration.played import delivered, newest, remove_turn, tampered, verified

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN, BEA, ROOM = player("ann"), player("bea"), Address("channel", "lobby")


async def done(greenroom: Greenroom, who: Address, to: Address, command: Command[Any], *roles: str) -> Reply:
    reply = await greenroom.persist(to, command, caller=Caller(who.key, roles))
    assert reply.status == 200, (command, reply)
    return reply


async def mentioned(greenroom: Greenroom, text: str) -> None:
    """Ann mentions Bea, and that has come to her, or came to nothing."""
    await done(greenroom, ANN, ROOM, Send(text=text, mentions=[BEA.key]))
    await delivered(greenroom)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers) as greenroom:
        for who in (ANN, BEA):
            sql = "INSERT INTO account (id, external_id, display_name, player_made) VALUES ($1, $1, $1, true)"
            await greenroom.database.execute(sql, who.key)
            await done(greenroom, who, who, Create(name=who.key), "server")
            await done(greenroom, who, ROOM, JoinRoom())
        yield greenroom


async def test_what_came_to_nothing_while_somebody_was_muted_blocked_or_unwanted_is_not_lost(
    greenroom: Greenroom,
) -> None:
    await done(greenroom, BEA, BEA, MutePlayer(player=ANN.key))
    await mentioned(greenroom, "while muted")
    await done(greenroom, BEA, BEA, UnmutePlayer(player=ANN.key))
    await done(greenroom, BEA, BEA, SetNotices(off=["chat"]))
    await mentioned(greenroom, "while switched off")
    await done(greenroom, BEA, BEA, SetNotices(off=[]))
    await done(greenroom, BEA, BEA, BlockPlayer(player=ANN.key))
    await delivered(greenroom)
    await done(greenroom, ANN, ANN, RequestFriend(player=BEA.key))
    await delivered(greenroom)
    await done(greenroom, BEA, BEA, UnblockPlayer(player=ANN.key))
    await delivered(greenroom)
    assert (await greenroom.query(BEA, Inbox(), Caller(BEA.key))).data["messages"] == []
    async with greenroom.database.transaction() as connection:
        assert (await verified(connection)).findings == []


async def test_what_was_told_once_until_it_was_read_is_not_lost(greenroom: Greenroom) -> None:
    """Asked, taken back, and asked again: the second time tells nothing, for the first is unread."""
    for command in (RemoveFriend(player=BEA.key), RequestFriend(player=BEA.key)) * 2:
        await done(greenroom, ANN, ANN, command)
        await delivered(greenroom)

    async def told() -> list[str]:
        inbox = (await greenroom.query(BEA, Inbox(), Caller(BEA.key))).data["messages"]
        return [message["id"] for message in inbox if message["template"] == "friend_request"]

    [message] = await eventually(told)
    await done(greenroom, BEA, BEA, MarkRead(ids=[message]))
    async with greenroom.database.transaction() as connection:
        assert (await verified(connection)).findings == []


async def test_what_had_an_effect_to_bring_and_is_nowhere_is_lost(greenroom: Greenroom) -> None:
    """Whoever was muted long before is not by now."""
    await done(greenroom, BEA, BEA, MutePlayer(player=ANN.key))
    await mentioned(greenroom, "muted again")
    await done(greenroom, BEA, BEA, UnmutePlayer(player=ANN.key))
    # All of this was an hour ago.
    await greenroom.database.execute("UPDATE journal SET at = at - 3600000")
    await mentioned(greenroom, "heard")
    async with tampered(greenroom) as connection:
        await remove_turn(connection, await newest(connection, BEA, '%"mention"%'))
        findings = (await verified(connection)).findings
        assert [finding.invariant for finding in findings] == ["K9"]
        assert "(notify) to player:bea was sent, and is neither played" in findings[0].what
    async with greenroom.database.transaction() as connection:
        assert (await verified(connection)).findings == []

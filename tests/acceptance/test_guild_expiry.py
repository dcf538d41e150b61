"""SPEC section 7 (GS-08): invitations and requests end in time, also while somebody answers them, on a server where
they are short."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from tests.acceptance.clients import API, Answer, Door, Sockets, User
from tests.acceptance.guildhall import crowd, done, found, guild, member, no_member, say
from tests.acceptance.spare import Spare

OPEN_S = 2
AROUND_MS = range(-120, 120, 20)
"""When answers leave, before and after the end of what they answer."""


def until(answer: Any) -> datetime:
    return datetime.fromisoformat(answer["expiresAt"])


async def short(door: Door, server: Spare) -> None:
    """Invitations and requests are open for two seconds from now on."""
    leader, player = await crowd(door, 2)
    key = await found(door, leader, open=False)
    server.edit_content("guilds", {"invitation_days": OPEN_S / 86_400})

    async def again() -> Answer:
        answer = await say(door, leader, key, "invite", player=player.id)
        if answer.status == 200 and until(answer.body["data"]) > datetime.now(UTC) + timedelta(minutes=1):
            await say(door, leader, key, "revoke_invitation", player=player.id)
        return answer

    await door.until(
        "they are short",
        again,
        lambda answer: answer.status == 200 and until(answer.body["data"]) < datetime.now(UTC) + timedelta(minutes=1),
        within_s=30,
    )


@pytest_asyncio.fixture
async def here(spare: Spare, spare_door: Door) -> Door:
    await short(spare_door, spare)
    return spare_door


@pytest_asyncio.fixture
async def wires(spare: Spare, session: aiohttp.ClientSession) -> AsyncIterator[Sockets]:
    sockets = Sockets(spare, session)
    yield sockets
    await sockets.close()


async def at(moment: datetime) -> None:
    """Wait until then, by the clock that the server has too."""
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        await asyncio.sleep(left)


async def agree(door: Door, leader: User, key: str, user: User, *, entered: bool) -> None:
    """The guild and the player say the same: it belongs there, or not, and nothing is open between them."""
    await (member if entered else no_member)(door, leader, key, user)
    await door.until(
        "nothing is open",
        lambda: door.get(f"{guild(key)}/candidates", as_=leader),
        lambda answer: user.id not in {row["userId"] for rows in answer.body["data"].values() for row in rows},
    )
    await door.until(
        "the player has no invitation",
        lambda: door.get(f"{API}/actors/player/me/own_guild", as_=user),
        lambda answer: key not in {row["guild"] for row in answer.body["data"]["invitations"]},
    )


async def test_gs_08_an_invitation_that_ends_while_it_is_accepted_is_accepted_or_over_for_both(
    here: Door, wires: Sockets
) -> None:
    """Each answer leaves a little before or after the end, over REST or as a frame: all of it or nothing."""
    leader, *players = await crowd(here, 1 + len(AROUND_MS))
    key = await found(here, leader, open=False)
    sockets = [await wires.open(player, binary=True) for player in players[1::2]]

    async def race(number: int, around_ms: int) -> tuple[int, str]:
        player = players[number]
        ends = until(await done(here, leader, key, "invite", player=player.id))
        await at(ends + timedelta(milliseconds=around_ms))
        if number % 2:
            frame = await sockets[number // 2].command("guild", key, "accept_invitation")
            return frame["meta"]["code"], frame.get("error", {}).get("code", "")
        answer = await say(here, player, key, "accept_invitation")
        return answer.status, "" if answer.status == 200 else answer.code

    outcomes = await asyncio.gather(*(race(number, around) for number, around in enumerate(AROUND_MS)))
    assert set(outcomes) <= {(200, ""), (409, "invitation_expired"), (404, "invitation_unknown")}
    for player, (status, _) in zip(players, outcomes, strict=True):
        await agree(here, leader, key, player, entered=status == 200)


async def test_gs_08_an_invitation_is_over_after_its_time_and_may_be_made_again(here: Door, wires: Sockets) -> None:
    leader, player = await crowd(here, 2)
    key = await found(here, leader, open=False)
    wire = await wires.open(leader)
    await wire.subscribe(f"guild:{key}")
    ends = until(await done(here, leader, key, "invite", player=player.id))
    # It ends by itself: nobody asks for it, and those who listen are told.
    ended = await wire.until(lambda frame: (frame.get("data") or {}).get("invitations") == {player.id: None}, 30)
    assert ended["meta"]["topic"] == f"guild:{key}"
    assert datetime.now(UTC) > ends - timedelta(seconds=1)
    for command in ("accept_invitation", "decline_invitation"):
        assert (await say(here, player, key, command)).code == "invitation_unknown"
    await agree(here, leader, key, player, entered=False)

    async def both_want_it() -> Answer:
        await done(here, player, key, "join")
        return await say(here, leader, key, "invite", player=player.id)

    # As if there had never been one; and whoever has asked, and is invited before that ends, is in.
    await here.until(
        "the player is let in", both_want_it, lambda answer: answer.body["data"]["status"] in ("entering", "member")
    )
    await agree(here, leader, key, player, entered=True)


async def test_gs_08_a_request_that_ends_while_it_is_accepted_is_accepted_or_over_for_both(here: Door) -> None:
    leader, *players = await crowd(here, 1 + len(AROUND_MS))
    key = await found(here, leader, open=False)

    async def race(player: User, around_ms: int) -> tuple[int, str]:
        ends = until(await done(here, player, key, "join"))
        await at(ends + timedelta(milliseconds=around_ms))
        answer = await say(here, leader, key, "accept_request", player=player.id)
        return answer.status, "" if answer.status == 200 else answer.code

    outcomes = await asyncio.gather(*(race(*pair) for pair in zip(players, AROUND_MS, strict=True)))
    assert set(outcomes) <= {(200, ""), (404, "request_unknown")}
    for player, (status, _) in zip(players, outcomes, strict=True):
        await agree(here, leader, key, player, entered=status == 200)

"""SPEC section 7 (GS-08): a guild has 100 places, and no hundred-and-first, however somebody comes to it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from tests.acceptance.clients import Door, Sockets, User
from tests.acceptance.guildhall import (
    all_join,
    asked,
    crowd,
    done,
    found,
    member,
    no_member,
    own_guild,
    roster,
    say,
)
from tests.acceptance.server import Server

PLACES = 100


class Hall:
    """A closed guild whose places are all taken."""

    def __init__(self, key: str, leader: User) -> None:
        self.key = key
        self.leader = leader

    async def fill(self, door: Door) -> None:
        """Somebody new in every place that is free."""
        await done(door, self.leader, self.key, "describe", open=True)
        free = PLACES - len(await roster(door, self.leader, self.key))
        await all_join(door, self.key, await crowd(door, free))
        await done(door, self.leader, self.key, "describe", open=False)
        assert len(await roster(door, self.leader, self.key)) == PLACES

    async def others(self, door: Door) -> list[str]:
        """The members that do not lead, those who are longer here first."""
        return [player for player, role in (await roster(door, self.leader, self.key)).items() if role != "leader"]

    async def let_go(self, door: Door) -> None:
        """A place is free."""
        await done(door, self.leader, self.key, "kick", player=(await self.others(door))[-1])


class _Built:
    """A hundred players take seconds to come: tests of one server share them, and each fills up what is missing."""

    hall: Hall | None = None
    at = ""


@pytest_asyncio.fixture
async def hall(server: Server, door: Door) -> Hall:
    leader = await door.guest()
    if _Built.hall is None or _Built.at != server.url:
        _Built.hall, _Built.at = Hall(await found(door, leader, open=True), leader), server.url
    await _Built.hall.fill(door)
    return _Built.hall


async def told_full(sockets: Sockets, door: Door, user: User, key: str, command: str, **fields: str) -> None:
    """Both ways refuse it with the one code, and leave everything as it was."""
    answer = await say(door, user, key, command, **fields)
    assert (answer.status, answer.code) == (409, "guild_full")
    wire = await sockets.open(user, binary=True)
    frame = await wire.command("guild", key, command, dict(fields))
    assert (frame["meta"]["code"], frame["error"]["code"]) == (409, "guild_full")
    await wire.socket.close()


async def test_gs_08_a_full_guild_refuses_the_hundred_and_first_however_it_comes(
    door: Door, sockets: Sockets, hall: Hall
) -> None:
    leader, key = hall.leader, hall.key
    invited, asking, late = await crowd(door, 3)
    await hall.let_go(door)
    await done(door, leader, key, "invite", player=invited.id)
    assert (await done(door, asking, key, "join"))["status"] == "requested"
    await hall.fill(door)

    await told_full(sockets, door, late, key, "join")
    await told_full(sockets, door, invited, key, "accept_invitation")
    await told_full(sockets, door, invited, key, "join")
    await told_full(sockets, door, leader, key, "accept_request", player=asking.id)
    await told_full(sockets, door, leader, key, "invite", player=asking.id)
    await told_full(sockets, door, leader, key, "invite", player=late.id)
    await done(door, leader, key, "describe", open=True)
    await told_full(sockets, door, late, key, "join")
    await done(door, leader, key, "describe", open=False)

    profile = await asked(door, late, key, "profile")
    assert (profile["members"], len(profile["roster"])) == (PLACES, PLACES)
    assert [await own_guild(door, user) for user in (invited, asking, late)] == [None, None, None]
    candidates = await asked(door, leader, key, "candidates")
    assert invited.id in {row["userId"] for row in candidates["invitations"]}, "it is good still"
    assert asking.id in {row["userId"] for row in candidates["requests"]}


async def test_gs_08_a_place_that_becomes_free_is_taken_by_whoever_was_refused(door: Door, hall: Hall) -> None:
    """By leaving and by being kicked; the invitation and the request that came too early are good then."""
    leader, key = hall.leader, hall.key
    leaver, invited, asking = await crowd(door, 3)
    await hall.let_go(door)
    await done(door, leader, key, "invite", player=leaver.id)
    await done(door, leader, key, "invite", player=invited.id)
    await done(door, asking, key, "join")
    await done(door, leaver, key, "accept_invitation")
    await member(door, leader, key, leaver)
    for user, command, fields in (
        (invited, "accept_invitation", {}),
        (leader, "accept_request", {"player": asking.id}),
    ):
        assert (await say(door, user, key, command, **fields)).code == "guild_full"

    await done(door, leaver, key, "leave")
    await no_member(door, leader, key, leaver)
    await done(door, invited, key, "accept_invitation")
    await member(door, leader, key, invited)
    assert (await say(door, leader, key, "accept_request", player=asking.id)).code == "guild_full"

    await hall.let_go(door)
    await done(door, leader, key, "accept_request", player=asking.id)
    await member(door, leader, key, asking)
    assert len(await roster(door, leader, key)) == PLACES


Way = Callable[[User], Awaitable[tuple[int, str]]]


@pytest.mark.parametrize("ways", ["join", "accept_invitation", "accept_request", "invitation_and_request"])
async def test_gs_08_of_two_who_race_for_the_last_place_exactly_one_gets_it(
    door: Door, sockets: Sockets, hall: Hall, ways: str
) -> None:
    """One over REST, one over WebSocket; whoever is refused belongs to no guild, by its own word and the guild's."""
    leader, key = hall.leader, hall.key
    one, other = await crowd(door, 2)
    await hall.let_go(door)
    for user, in_this_way in ((one, ways), (other, "accept_request" if "_and_" in ways else ways)):
        if in_this_way in ("accept_invitation", "invitation_and_request"):
            await done(door, leader, key, "invite", player=user.id)
        elif in_this_way == "accept_request":
            await done(door, user, key, "join")
    if ways == "join":
        await done(door, leader, key, "describe", open=True)

    async def by_rest() -> tuple[int, str]:
        accepting = ways == "accept_request"
        fields = {"player": one.id} if accepting else {}
        command = "accept_invitation" if "_and_" in ways else ways
        answer = await say(door, leader if accepting else one, key, command, **fields)
        return answer.status, "" if answer.status == 200 else answer.code

    async def by_frame() -> tuple[int, str]:
        accepting = ways in ("accept_request", "invitation_and_request")
        fields = {"player": other.id} if accepting else {}
        command = "accept_request" if accepting else ways
        wire = await sockets.open(leader if accepting else other)
        frame = await wire.command("guild", key, command, fields)
        return frame["meta"]["code"], frame.get("error", {}).get("code", "")

    outcomes = await asyncio.gather(by_rest(), by_frame())
    assert sorted(outcomes) == [(200, ""), (409, "guild_full")]
    inside, outside = (one, other) if outcomes[0][0] == 200 else (other, one)
    await member(door, leader, key, inside)
    await no_member(door, leader, key, outside)
    assert len(await roster(door, leader, key)) == PLACES
    await done(door, leader, key, "describe", open=False)


async def test_gs_08_of_ten_who_race_for_three_places_three_get_in(door: Door, sockets: Sockets, hall: Hall) -> None:
    leader, key = hall.leader, hall.key
    people = await crowd(door, 10)
    for _ in range(3):
        await hall.let_go(door)
    await done(door, leader, key, "describe", open=True)
    wires = [await sockets.open(user) for user in people[5:]]
    answers, frames = await asyncio.gather(
        asyncio.gather(*(say(door, user, key, "join") for user in people[:5])),
        asyncio.gather(*(wire.command("guild", key, "join") for wire in wires)),
    )
    statuses = [answer.status for answer in answers] + [frame["meta"]["code"] for frame in frames]
    assert sorted(statuses) == [200] * 3 + [409] * 7
    for user, status in zip(people, statuses, strict=True):
        await (member if status == 200 else no_member)(door, leader, key, user)
    await done(door, leader, key, "describe", open=False)
    assert len(await roster(door, leader, key)) == PLACES

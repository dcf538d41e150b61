"""SPEC section 7 (GS-08): who leads, who invites, and what becomes of a guild whose leader goes."""

import asyncio

from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.guildhall import (
    DIRECTORY,
    all_join,
    asked,
    crowd,
    done,
    found,
    free,
    fresh_key,
    guild,
    member,
    no_member,
    own_guild,
    roster,
    say,
)


async def notices(door: Door, user: User, template: str) -> list[dict[str, str]]:
    """What the inbox says of this kind, newest first."""
    answer = await door.get(f"{API}/notifications", as_=user)
    assert answer.status == 200, answer
    return [message["data"] for message in answer.body["messages"] if message["template"] == template]


async def told(door: Door, user: User, template: str) -> dict[str, str]:
    """Wait until the inbox has something of this kind; there is one only."""
    await door.until(
        f"a notification {template}",
        lambda: door.get(f"{API}/notifications", as_=user),
        lambda answer: template in {message["template"] for message in answer.body["messages"]},
    )
    [data] = await notices(door, user, template)
    return data


async def test_gs_08_a_leader_leaves_by_handing_over_or_by_disbanding(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    """Over both ways the same; the new leader leads, and the old one may go, and come back as a member."""
    key = await found(door, alice)
    await all_join(door, key, [bob])
    wire = await sockets.open(alice)
    frame = await wire.command("guild", key, "leave")
    assert (frame["meta"]["code"], frame["error"]["code"]) == (409, "leader_cannot_leave")
    stays = await say(door, alice, key, "demote", player=alice.id)
    assert (stays.status, stays.code) == (409, "leader_cannot_step_down")
    assert (await say(door, bob, key, "kick", player=alice.id)).code == "role_too_low"
    assert (await say(door, bob, key, "transfer_leadership", player=bob.id)).code == "role_too_low"
    stranger = await say(door, alice, key, "transfer_leadership", player="nobody")
    assert (stranger.status, stranger.code) == (404, "member_unknown")

    frame = await wire.command("guild", key, "transfer_leadership", {"player": bob.id})
    assert frame["data"] == {"leader": bob.id}
    assert await roster(door, alice, key) == {bob.id: "leader", alice.id: "officer"}
    assert (await told(door, bob, "guild_role"))["role"] == "leader"
    assert (await say(door, alice, key, "disband")).code == "role_too_low"
    frame = await wire.command("guild", key, "leave")
    assert frame["data"]["status"] == "left"
    await no_member(door, bob, key, alice)
    await done(door, alice, key, "join")
    await member(door, bob, key, alice)
    assert await roster(door, alice, key) == {bob.id: "leader", alice.id: "member"}
    await done(door, bob, key, "disband")
    await free(door, alice, bob)


async def test_gs_08_while_a_leader_hands_over_to_somebody_who_leaves_one_leads(
    door: Door, sockets: Sockets, alice: User
) -> None:
    """Either the heir was gone before, or it leads and must stay: never a guild that nobody leads, nor two."""
    key = await found(door, alice)
    heirs = await crowd(door, 6)
    await all_join(door, key, heirs)
    leader = alice
    for heir in heirs:
        wire = await sockets.open(heir, binary=True)
        handed, frame = await asyncio.gather(
            say(door, leader, key, "transfer_leadership", player=heir.id), wire.command("guild", key, "leave")
        )
        outcome = (handed.status, frame["meta"]["code"])
        assert outcome in ((200, 409), (404, 200)), (handed, frame)
        roles = await roster(door, alice, key)
        leader = heir if handed.status == 200 else leader
        assert [player for player, role in roles.items() if role == "leader"] == [leader.id]
        assert (heir.id in roles) == (handed.status == 200)


async def test_gs_08_two_officers_who_invite_at_once_over_both_ways_make_one_invitation_and_tell_once(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    key = await found(door, alice, open=True)
    officers = await crowd(door, 2)
    await all_join(door, key, officers)
    for officer in officers:
        await done(door, alice, key, "promote", player=officer.id)
    await done(door, alice, key, "describe", open=False)
    wires = [await sockets.open(officers[0]), await sockets.open(officers[1], binary=True)]
    fields = {"player": bob.id}
    *frames, one, other = await asyncio.gather(
        *(wire.command("guild", key, "invite", fields) for wire in wires),
        *(done(door, officer, key, "invite", **fields) for officer in officers),
    )
    assert {frame["meta"]["code"] for frame in frames} == {200}
    assert len({answer["expiresAt"] for answer in (one, other, *(frame["data"] for frame in frames))}) == 1
    [open_one] = (await asked(door, alice, key, "candidates"))["invitations"]
    assert open_one["userId"] == bob.id
    assert open_one["by"] in {officer.id for officer in officers}
    assert (await told(door, bob, "guild_invitation"))["guild"] == key
    await done(door, officers[0], key, "revoke_invitation", **fields)
    gone = await say(door, officers[1], key, "revoke_invitation", **fields)
    assert (gone.status, gone.code) == (404, "invitation_unknown")


async def test_gs_08_who_is_invited_by_two_guilds_and_accepts_both_at_once_is_in_one(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    keys = [await found(door, leader, open=False) for leader in (alice, bob)]
    for player in await crowd(door, 4):
        for leader, key in zip((alice, bob), keys, strict=True):
            await done(door, leader, key, "invite", player=player.id)
        wire = await sockets.open(player)
        answer, frame = await asyncio.gather(
            say(door, player, keys[0], "accept_invitation"), wire.command("guild", keys[1], "accept_invitation")
        )
        assert 200 in (answer.status, frame["meta"]["code"])
        assert {answer.status, frame["meta"]["code"]} <= {200, 409}
        await door.until(
            "the player belongs to one",
            lambda player=player: door.get(f"{API}/actors/player/me/own_guild", as_=player),
            lambda answer: answer.body["data"]["guild"] is not None,
        )
        inside = await own_guild(door, player)
        [other] = set(keys) - {inside}
        assert inside is not None
        await member(door, alice, inside, player)
        await door.until(
            "the other one has it not",
            lambda player=player, other=other: door.get(f"{guild(other)}/profile", as_=player),
            lambda answer, player=player: player.id not in {row["userId"] for row in answer.body["data"]["roster"]},
        )


async def test_gs_08_join_on_a_closed_guild_step_by_step_as_in_the_seed(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    """Client, gateway, guild, notification and back: the request stands before the reply, officers are told once."""
    key = await found(door, alice, open=True)
    officer, plain = await crowd(door, 2)
    await all_join(door, key, [officer, plain])
    await done(door, alice, key, "promote", player=officer.id)
    await done(door, alice, key, "describe", open=False)
    wires = {user.id: await sockets.open(user, binary=user is officer) for user in (alice, officer, plain)}
    for wire in wires.values():
        await wire.subscribe("player:me")

    reply = await done(door, bob, key, "join")
    assert reply["status"] == "requested"
    rows = (await asked(door, plain, key, "candidates"))["requests"]
    assert [(row["userId"], row["expiresAt"]) for row in rows] == [(bob.id, reply["expiresAt"])], "before the reply"
    for user in (alice, officer):
        pushed = await wires[user.id].until(lambda frame: "notifications" in (frame.get("data") or {}))
        [notice] = [one for one in pushed["data"]["notifications"] if one["template"] == "guild_join_request"]
        assert (notice["data"]["guild"], notice["data"]["player"]) == (key, bob.id)
    assert await done(door, bob, key, "join") == reply, "asking again changes nothing"
    assert [len(await notices(door, user, "guild_join_request")) for user in (alice, officer, plain)] == [1, 1, 0]
    assert (await say(door, plain, key, "accept_request", player=bob.id)).code == "role_too_low"

    await done(door, officer, key, "decline_request", player=bob.id)
    assert (await told(door, bob, "guild_request_declined"))["guild"] == key
    assert (await say(door, alice, key, "accept_request", player=bob.id)).code == "request_unknown"
    assert await own_guild(door, bob) is None
    await done(door, bob, key, "join")
    await done(door, bob, key, "cancel_request")
    assert (await say(door, alice, key, "accept_request", player=bob.id)).code == "request_unknown"
    await done(door, bob, key, "join")
    frame = await wires[officer.id].command("guild", key, "accept_request", {"player": bob.id})
    assert frame["meta"]["code"] == 200
    await member(door, alice, key, bob)
    assert (await asked(door, alice, key, "candidates")) == {"invitations": [], "requests": []}


async def test_gs_08_what_a_disbanded_guild_leaves_behind_is_a_free_name_and_free_players(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    key = await found(door, alice, open=True)
    invited, asking = await crowd(door, 2)
    await all_join(door, key, [bob])
    await done(door, alice, key, "describe", open=False)
    await done(door, alice, key, "invite", player=invited.id)
    await done(door, asking, key, "join")
    wire = await sockets.open(bob)
    await wire.subscribe(f"guild:{key}")
    await done(door, alice, key, "disband")
    last = await wire.until(lambda frame: "departed" in (frame.get("data") or {}))
    assert last["data"]["departed"][bob.id] == "disbanded"
    await wire.until(lambda frame: frame["type"] == "error" and frame["meta"]["code"] == 403)
    assert (await told(door, bob, "guild_disbanded"))["guild"] == key
    await free(door, alice, bob)
    await door.until(
        "the invitation is gone",
        lambda: door.get(f"{API}/actors/player/me/own_guild", as_=invited),
        lambda answer: answer.body["data"]["invitations"] == [],
    )
    for user, command in ((invited, "accept_invitation"), (asking, "cancel_request"), (bob, "join"), (bob, "leave")):
        gone = await say(door, user, key, command)
        assert (gone.status, gone.code) == (404, "guild_unknown")
    await door.until(
        "nobody finds it",
        lambda: door.get(f"{DIRECTORY}/search", as_=bob, name=key),
        lambda answer: answer.body["data"]["guilds"] == [],
    )
    assert (await say(door, bob, key, "create", name=fresh_key())).code == "guild_key_taken"
    other = fresh_key()
    await done(door, bob, other, "create", name=key)
    await member(door, alice, other, bob)

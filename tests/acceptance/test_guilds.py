"""SPEC section 7, guilds: founding, membership, bank, storage and search over REST, topics over WebSocket."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.guildhall import DIRECTORY, asked, balance, done, found, fresh_key, guild, member, say


async def test_gs_08_a_guild_is_founded_paid_for_and_found(door: Door, alice: User, bob: User) -> None:
    key = fresh_key()
    data = await done(door, alice, key, "create", name=key, description="We breathe fire.")
    assert (data["guild"], data["name"]) == (key, key)
    await member(door, bob, key, alice)
    assert await balance(door, alice) == 0
    sheet = (await door.get(f"{API}/players/me", as_=alice)).body
    assert sheet["guild"]["guild"] == key
    profile = await asked(door, bob, key, "profile")
    assert (profile["leader"], profile["members"], profile["level"]) == (alice.id, 1, 1)
    again = await say(door, bob, key, "create", name=fresh_key())
    assert (again.status, again.code) == (409, "guild_key_taken")
    lookalike = await say(door, bob, fresh_key(), "create", name=key.upper())
    assert (lookalike.status, lookalike.code) == (409, "guild_name_taken")
    second = await say(door, alice, fresh_key(), "create", name=fresh_key())
    assert (second.status, second.code) == (409, "already_in_guild")
    rows = await door.until(
        "the directory lists it",
        lambda: door.get(f"{DIRECTORY}/search", as_=bob, name=key, open="true", levelMin="1"),
        lambda answer: answer.status == 200 and answer.body["data"]["guilds"],
    )
    assert rows.body["data"]["guilds"] == [{"guild": key, "name": key, "level": 1, "open": True, "members": 1}]


async def test_gs_08_a_founding_costs_and_the_same_request_founds_once(door: Door, alice: User) -> None:
    key = fresh_key()
    answers = [
        await door.post(f"{guild(key)}/create", {"name": key}, as_=alice, op="founding-of-mine") for _ in range(2)
    ]
    assert answers[0].status == 200
    assert answers[0].body == answers[1].body
    await member(door, alice, key, alice)
    await done(door, alice, key, "disband")
    poor = await say(door, alice, fresh_key(), "create", name=fresh_key())
    assert (poor.status, poor.code) in ((409, "balance_too_low"), (409, "already_in_guild"))
    assert await balance(door, alice) == 0


async def test_gs_08_join_on_a_closed_guild_makes_a_request_and_a_notification(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    """The sequence "Join Guild": the player asks, the guild notes it and tells its officers, the player is answered."""
    key = await found(door, alice, open=False)
    wire = await sockets.open(alice)
    await wire.subscribe("player:me")
    data = await done(door, bob, key, "join")
    assert data["status"] == "requested"
    assert data["expiresAt"] > (await asked(door, bob, key, "profile"))["foundedAt"]
    told = await wire.until(lambda frame: "notifications" in (frame.get("data") or {}))
    [notice] = told["data"]["notifications"]
    assert (notice["template"], notice["data"]["player"]) == ("guild_join_request", bob.id)
    assert [row["userId"] for row in (await asked(door, alice, key, "candidates"))["requests"]] == [bob.id]
    await done(door, alice, key, "accept_request", player=bob.id)
    await member(door, alice, key, bob)


async def test_gs_08_invitations_are_accepted_declined_and_revoked(door: Door, alice: User, bob: User) -> None:
    key = await found(door, alice, open=False)
    for end, by, fields in (("decline_invitation", bob, {}), ("revoke_invitation", alice, {"player": bob.id})):
        await done(door, alice, key, "invite", player=bob.id)
        await done(door, by, key, end, **fields)
        gone = await say(door, bob, key, "accept_invitation")
        assert (gone.status, gone.code) == (404, "invitation_unknown")
    await done(door, alice, key, "invite", player=bob.id)
    own = await door.until(
        "the player sees the invitation",
        lambda: door.get(f"{API}/actors/player/me/own_guild", as_=bob),
        lambda answer: answer.body["data"]["invitations"],
    )
    assert own.body["data"]["invitations"][0]["guild"] == key
    await done(door, bob, key, "accept_invitation")
    await member(door, alice, key, bob)
    nobody = await say(door, alice, key, "invite", player="nobody")
    assert (nobody.status, nobody.code) == (404, "player_unknown")


async def test_gs_08_two_officers_who_invite_at_once_make_one_invitation_good_for_seven_days(
    door: Door, alice: User, bob: User
) -> None:
    key = await found(door, alice, open=True)
    officer = await door.guest()
    await done(door, officer, key, "join")
    await member(door, alice, key, officer)
    await done(door, alice, key, "promote", player=officer.id)
    await done(door, alice, key, "describe", open=False)
    answers = await asyncio.gather(*(done(door, who, key, "invite", player=bob.id) for who in (alice, officer)))
    assert answers[0] == answers[1]
    open_for = datetime.fromisoformat(answers[0]["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < open_for <= timedelta(days=7, minutes=1)
    assert len((await asked(door, alice, key, "candidates"))["invitations"]) == 1
    accepted = await asyncio.gather(*(say(door, bob, key, "accept_invitation") for _ in range(3)))
    assert {answer.status for answer in accepted} == {200}
    await member(door, alice, key, bob)
    assert (await asked(door, bob, key, "profile"))["members"] == 3


async def test_gs_08_join_guild_the_flow_of_the_seed_over_websocket(
    sockets: Sockets, door: Door, alice: User, bob: User
) -> None:
    """Join -> an invitation request is made -> officers are told -> it is pushed, and answered, in frames."""
    key = await found(door, alice, open=False)
    leader, newcomer = await sockets.open(alice), await sockets.open(bob, binary=True)
    await leader.subscribe(f"guild:{key}")
    await newcomer.subscribe("player:me")
    reply = await newcomer.command("guild", key, "join")
    assert (reply["meta"]["code"], reply["data"]["status"]) == (200, "requested")
    asked_for = await leader.until(lambda frame: bob.id in (frame.get("data") or {}).get("requests", {}))
    assert asked_for["meta"]["topic"] == f"guild:{key}"
    assert (await leader.command("guild", key, "accept_request", {"player": bob.id}))["meta"]["code"] == 200
    entered = await newcomer.until(lambda frame: (frame.get("data") or {}).get("guild") is not None)
    assert entered["data"]["guild"]["guild"] == key
    joined = await leader.until(lambda frame: (frame.get("data") or {}).get("members") == {bob.id: "member"})
    assert joined["meta"]["seq"] > asked_for["meta"]["seq"]
    assert (await newcomer.query("guild", key, "profile"))["data"]["members"] == 2


async def test_gs_08_ranks_decide_who_may_do_what(door: Door, alice: User, bob: User) -> None:
    key = await found(door, alice)
    stranger = await say(door, bob, key, "disband")
    assert (stranger.status, stranger.code) == (403, "not_a_member")
    await done(door, bob, key, "join")
    await member(door, alice, key, bob)
    low = await say(door, bob, key, "kick", player=alice.id)
    assert (low.status, low.code) == (403, "role_too_low")
    assert await done(door, alice, key, "promote", player=bob.id) == {"role": "officer"}
    stays = await say(door, alice, key, "leave")
    assert (stays.status, stays.code) == (409, "leader_cannot_leave")
    assert await done(door, alice, key, "transfer_leadership", player=bob.id) == {"leader": bob.id}
    await done(door, alice, key, "leave")
    profile = await asked(door, alice, key, "profile")
    assert [(row["userId"], row["role"]) for row in profile["roster"]] == [(bob.id, "leader")]


async def test_gs_08_two_who_found_under_one_name_at_once_make_one_guild(door: Door, alice: User, bob: User) -> None:
    name, keys = fresh_key(), [fresh_key(), fresh_key()]
    answers = await asyncio.gather(
        *(say(door, user, key, "create", name=name) for user, key in zip((alice, bob), keys, strict=True))
    )
    assert {answer.status for answer in answers} <= {200, 409}

    await door.until(
        "one of them stands",
        lambda: door.get(f"{DIRECTORY}/search", as_=alice, name=name),
        lambda answer: answer.status == 200 and len(answer.body["data"]["guilds"]) == 1,
    )
    profiles = [await door.get(f"{guild(key)}/profile", as_=alice) for key in keys]
    assert sorted(profile.status for profile in profiles) == [200, 404]
    assert sorted([await balance(door, alice), await balance(door, bob)]) == [0, 100]


async def test_gs_09_the_bank_takes_deposits_and_pays_by_permission(door: Door, alice: User, bob: User) -> None:
    key = await found(door, alice)
    await done(door, bob, key, "join")
    await member(door, alice, key, bob)
    data = await done(door, bob, key, "deposit", currency="gold", amount=40)
    if data["payment"] is not None and data["payment"]["bank"] is not None:
        assert data["payment"]["bank"] == {"accepted": True, "currency": "gold", "balance": 40}
    await door.until(
        "the bank has it",
        lambda: door.get(f"{guild(key)}/bank", as_=bob),
        lambda answer: answer.body["data"]["balances"] == {"gold": 40},
    )
    much = await say(door, bob, key, "deposit", currency="gold", amount=61)
    assert (much.status, much.code) == (409, "balance_too_low")
    low = await say(door, bob, key, "withdraw", currency="gold", amount=1)
    assert (low.status, low.code) == (403, "role_too_low")
    assert (await done(door, alice, key, "withdraw", currency="gold", amount=15))["balance"] == 25
    ledger = (await asked(door, alice, key, "bank"))["ledger"]
    assert [(line["by"], line["change"], line["balance"]) for line in ledger] == [(alice.id, -15, 25), (bob.id, 40, 40)]
    await done(door, alice, key, "disband")
    await door.until(
        "the bank is paid out",
        lambda: door.get(f"{API}/actors/player/me/wallet", as_=alice),
        lambda answer: answer.body["data"]["balances"]["gold"] == 40,
    )
    assert await balance(door, bob) == 60


async def test_gs_09_storage_takes_items_and_gives_them_back(door: Door, studio: User, alice: User) -> None:
    key = await found(door, alice)
    given = {"items": {"oak_log": 5}, "reason": "test"}
    answer = await door.post(f"{API}/actors/player/{alice.id}/award_items", given, as_=studio)
    assert answer.status == 200, answer
    await done(door, alice, key, "store_items", items={"oak_log": 3})
    kept = await door.until(
        "the storage has them",
        lambda: door.get(f"{guild(key)}/storage", as_=alice),
        lambda answer: answer.body["data"]["stored"],
    )
    assert [(lot["item"], lot["quantity"]) for lot in kept.body["data"]["stored"]] == [("oak_log", 3)]
    stays = await say(door, alice, key, "disband")
    assert (stays.status, stays.code) == (409, "storage_not_empty")
    assert (await done(door, alice, key, "take_out_items", items={"oak_log": 3}))["items"] == {"oak_log": 3}
    bag = await door.until(
        "the bag has them",
        lambda: door.get(f"{API}/actors/player/me/inventory", as_=alice),
        lambda answer: sum(stack["quantity"] for stack in answer.body["data"]["stacks"]) == 5,
    )
    assert bag.status == 200


async def test_gs_10_deeds_and_donations_raise_the_guild_and_its_rank(door: Door, studio: User, alice: User) -> None:
    key = await found(door, alice)
    await door.award(studio, alice.id, 500)
    profile = await door.until(
        "the guild has grown",
        lambda: door.get(f"{guild(key)}/profile", as_=alice),
        lambda answer: answer.body["data"]["experience"] == 100,
    )
    assert profile.body["data"]["roster"][0]["earned"] == 100
    row = await door.until(
        "the guild is ranked",
        lambda: door.get(f"{API}/leaderboard/users/{key}", as_=alice, board="guilds"),
        lambda answer: answer.status == 200,
    )
    assert (row.body["userId"], row.body["score"]) == (key, 100)


async def test_gs_10_territories_are_won_contested_and_lost(door: Door, studio: User, alice: User) -> None:
    key = await found(door, alice)
    closed = await say(door, alice, key, "claim_territory", territory="old_mill")
    assert (closed.status, closed.code) == (403, "FORBIDDEN")
    await done(door, studio, key, "claim_territory", territory="old_mill")
    await done(door, studio, key, "contest_territory", territory="old_mill", by="others")
    held = (await asked(door, alice, key, "profile"))["territories"]
    assert held["old_mill"]["contestedBy"] == "others"
    await done(door, studio, key, "lose_territory", territory="old_mill")
    assert (await asked(door, alice, key, "profile"))["territories"] == {}


@pytest.mark.parametrize("end", ["leave", "kick"])
async def test_ws_15_a_guilds_topic_is_for_members_and_ends_with_membership(
    door: Door, sockets: Sockets, alice: User, bob: User, end: str
) -> None:
    key = await found(door, alice)
    topic = f"guild:{key}"
    wire = await sockets.open(bob)
    refused = await wire.subscribe(topic)
    assert (refused["type"], refused["meta"]["code"]) == ("error", 403)
    await done(door, bob, key, "join")
    await member(door, alice, key, bob)
    initial = await wire.subscribe(topic)
    assert (initial["type"], initial["data"]["members"]) == ("guild.initial", 2)
    await done(door, alice, key, "describe", description="first")
    seen = await wire.push(topic)
    while "description" not in seen["data"]:
        seen = await wire.push(topic)
    if end == "leave":
        await done(door, bob, key, "leave")
    else:
        await done(door, alice, key, "kick", player=bob.id)
    last = await wire.push(topic)
    while "departed" not in last["data"]:
        last = await wire.push(topic)
    ended = await wire.push(topic)
    assert (ended["type"], ended["meta"]["code"]) == ("error", 403)
    await done(door, alice, key, "describe", description="second")
    again = await wire.subscribe(topic)
    assert (again["type"], again["meta"]["code"]) == ("error", 403)
    pushed = [frame for frame in wire.frames if frame.get("meta", {}).get("topic") == topic]
    assert [frame for frame in pushed if "description" in (frame.get("data") or {})] == []

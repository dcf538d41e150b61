"""SPEC section 8 (GS-07): who is silenced, expelled, muted or blocked, and what ends with it, over both ways."""

from tests.acceptance.chatter import channel, direct, do, say, texts
from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.harness.waiting import eventually

ROOM, OTHER = "trade", "help"


async def told(door: Door, user: User) -> list[str]:
    """The kinds of notifications that the player has, newest first."""
    answer = await door.get(f"{API}/notifications", as_=user)
    assert answer.status == 200, answer
    return [message["template"] for message in answer.body["messages"]]


async def until_told(door: Door, user: User, *templates: str) -> None:
    await door.until(
        f"told {templates}",
        lambda: door.get(f"{API}/notifications", as_=user),
        lambda answer: [message["template"] for message in answer.body["messages"]] == [*templates],
    )


async def test_gs_07_whoever_is_silenced_says_and_edits_nothing_here_and_everything_elsewhere_until_it_ends(
    door: Door, sockets: Sockets, moderator: User, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        for room in (ROOM, OTHER):
            await do(door, room, user, "join")
    before = (await say(door, ROOM, alice, fresh_name("before "))).body["message"]
    wire, listener = await sockets.open(alice, binary=True), await sockets.open(bob)
    await listener.subscribe(f"channel:{ROOM}")
    refused = await door.post(f"{channel(ROOM)}/silence", {"player": alice.id, "minutes": 5, "reason": "no"}, as_=bob)
    assert refused.status == 403

    until = (await do(door, ROOM, moderator, "silence", player=alice.id, minutes=5, reason="rude"))["until"]
    pushed = await listener.until(lambda frame: "silenced" in (frame.get("data") or {}))
    assert pushed["data"]["silenced"] == {alice.id: until}
    answer = await say(door, ROOM, alice, "but why?")
    assert (answer.status, answer.code) == (403, "silenced")
    assert until in answer.text
    for name, data in (("send", {"text": "why?"}), ("edit", {"message": before, "text": "why?"})):
        frame = await wire.command("channel", ROOM, name, data)
        assert (frame["meta"]["code"], frame["error"]["code"]) == (403, "silenced")
    assert (await say(door, OTHER, alice, fresh_name("elsewhere "))).status == 201
    assert (await say(door, ROOM, bob, fresh_name("not me "))).status == 201
    await do(door, ROOM, alice, "leave")
    await do(door, ROOM, alice, "join")
    assert (await say(door, ROOM, alice, "again")).code == "silenced", "coming back does not help"

    assert (await do(door, ROOM, moderator, "silence", player=alice.id, minutes=0, reason="enough"))["until"] is None
    await listener.until(lambda frame: (frame.get("data") or {}).get("silenced") == {alice.id: None})
    frame = await wire.command("channel", ROOM, "send", {"text": fresh_name("after ")})
    assert frame["meta"]["code"] == 200


async def test_gs_07_whoever_is_put_out_of_a_room_hears_no_more_of_it(
    door: Door, sockets: Sockets, moderator: User, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        await do(door, ROOM, user, "join")
    wire = await sockets.open(alice)
    await wire.subscribe(f"channel:{ROOM}")
    path, fields = f"{channel(ROOM)}/expel", {"player": alice.id, "reason": "rude"}
    assert (await door.post(path, fields, as_=bob)).status == 403
    await do(door, ROOM, moderator, "expel", **fields)
    await wire.until(lambda frame: alice.id in (frame.get("data") or {}).get("departed", {}))
    await wire.until(lambda frame: frame["type"] == "error" and frame["meta"]["code"] == 403)
    secret = fresh_name("she is gone ")
    assert (await say(door, ROOM, bob, secret)).status == 201
    assert (await say(door, ROOM, alice, "hello?")).code == "not_a_member"
    assert (await door.get(f"{API}/channels/{ROOM}/messages", as_=alice)).code == "not_a_member"
    assert (await wire.subscribe(f"channel:{ROOM}"))["error"]["code"] == "FORBIDDEN"
    assert not [frame for frame in wire.frames if secret in str(frame)]
    elsewhere = await door.post(f"{channel(direct(alice, bob))}/expel", fields, as_=moderator)
    assert (elsewhere.status, elsewhere.code) == (409, "not_a_room")


async def test_gs_07_of_whoever_is_muted_nothing_is_told_until_it_is_unmuted(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        await do(door, ROOM, user, "join")
    wire = await sockets.open(bob)
    await wire.subscribe(f"channel:{ROOM}")
    muted = await door.post(f"{API}/actors/player/me/mute_player", {"player": alice.id}, as_=bob)
    assert muted.status == 200
    assert (await door.get(f"{API}/friends", as_=bob)).body["muted"] == [alice.id]
    text = fresh_name("bob! ")
    assert (await say(door, ROOM, alice, text, mentions=[bob.id])).status == 201
    assert (await say(door, direct(alice, bob), alice, "bob!")).status == 201
    # It is said: who listens hears it, and the client hides it.
    await wire.until(lambda frame: text in str(frame.get("data")))
    assert await texts(door, direct(alice, bob), bob) == ["bob!"]
    unmuted = await door.post(f"{API}/actors/player/me/unmute_player", {"player": alice.id}, as_=bob)
    assert unmuted.status == 200
    assert (await door.get(f"{API}/friends", as_=bob)).body["muted"] == []
    assert (await say(door, ROOM, alice, fresh_name("bob again "), mentions=[bob.id])).status == 201
    # The one that came last is there: so those before it never came.
    await until_told(door, bob, "mention")


async def test_gs_07_whoever_is_unblocked_is_heard_again_and_what_was_said_meanwhile_is_not(
    door: Door, alice: User, bob: User
) -> None:
    key = direct(alice, bob)
    assert (await say(door, key, alice, "before")).status == 201
    blocked = await door.post(f"{API}/actors/player/me/block_player", {"player": alice.id}, as_=bob)
    assert blocked.status == 200
    assert (await door.post(f"{API}/actors/player/me/request_friend", {"player": bob.id}, as_=alice)).status == 200
    sent = 0

    async def said() -> str:
        """Something that the author reads itself; empty when it was too soon."""
        nonlocal sent
        answer = await say(door, key, alice, f"word {sent + 1}")
        if answer.status == 429:
            return ""
        assert answer.status == 201, "who is blocked is not told so"
        sent += 1
        assert (await texts(door, key, alice))[0] == f"word {sent}"
        return f"word {sent}"

    async def unheard() -> str:
        text = await said()
        return "" if text in (await texts(door, key, bob)) else text

    async def heard() -> bool:
        text = await said()
        return text in (await texts(door, key, bob))

    # The channel learns of both by messages.
    kept_back = await eventually(unheard, 40)
    unblocked = await door.post(f"{API}/actors/player/me/unblock_player", {"player": alice.id}, as_=bob)
    assert unblocked.status == 200
    await eventually(heard, 40)
    assert kept_back not in await texts(door, key, bob)
    assert (await door.get(f"{API}/friends", as_=bob)).body["asking"] == [], "what was asked meanwhile never came"

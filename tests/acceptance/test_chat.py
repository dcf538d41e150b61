"""SPEC section 8 (GS-07): rooms and direct channels over REST, WebSocket and the Python client."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from greenroom_client import Client, NotFound
from tests.acceptance.chatter import direct, published, say, texts
from tests.acceptance.clients import API, Answer, Door, Sockets, User, Wire, fresh_name
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server

ROOM = f"{API}/actors/channel/trade"


async def join(door: Door, *users: User, channel: str = "trade") -> None:
    for user in users:
        answer = await door.post(f"{API}/actors/channel/{channel}/join", as_=user)
        assert answer.status == 200, answer


@pytest_asyncio.fixture
async def carol(door: Door) -> User:
    return await door.guest()


async def test_gs_07_s4_send_chat_message_is_acknowledged_and_recipients_are_notified(
    door: Door, sockets: Sockets, alice: User, bob: User, carol: User
) -> None:
    """The flow of S4: client -> chat -> recipients -> message delivered. Bob listens; carol is not there."""
    await join(door, alice, bob, carol)
    wire = await sockets.open(bob)
    initial = await wire.subscribe("channel:trade")
    assert initial["type"] == "channel.initial"
    sent = await say(door, "trade", alice, "who wants to trade?", mentions=[carol.id])
    assert sent.status == 201
    push = await wire.push("channel:trade")
    assert push["data"]["said"] == {
        "message": sent.body["message"],
        "userId": alice.id,
        "username": push["data"]["said"]["username"],
        "text": "who wants to trade?",
        "mentions": [carol.id],
        "at": sent.body["at"],
    }
    inbox = await door.until(
        "carol is told", lambda: door.get(f"{API}/notifications", as_=carol), lambda answer: answer.body["unread"]
    )
    [message] = inbox.body["messages"]
    assert (message["template"], message["body"]) == ("mention", "who wants to trade?")
    assert (await door.get(f"{API}/notifications", as_=bob)).body["unread"] == 0


async def test_gs_07_the_acknowledgement_comes_after_the_commit(server: Server, door: Door, alice: User) -> None:
    await join(door, alice)
    sent = (await say(door, "trade", alice, "in the journal")).body["message"]
    rows = await server.sql(
        "SELECT events FROM journal WHERE kind = 'channel' AND key = 'trade' AND version = $1", sent
    )
    assert len(rows) == 1
    assert "in the journal" in rows[0]["events"]


async def test_gs_07_a_repeated_request_says_it_once(door: Door, alice: User, bob: User) -> None:
    channel = direct(alice, bob)
    first = await say(door, channel, alice, "once", op="say-once")
    again = await say(door, channel, alice, "once", op="say-once")
    assert (first.status, first.text) == (again.status, again.text)
    assert await texts(door, channel, bob) == ["once"]


async def test_gs_07_edits_and_deletes_reach_those_who_listen_and_those_who_read_later(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    channel = direct(alice, bob)
    wire = await sockets.open(bob)
    await wire.subscribe(f"channel:{channel}")
    first = (await say(door, channel, alice, "helo")).body["message"]
    second = (await say(door, channel, alice, "a secret")).body["message"]
    path = f"{API}/actors/channel/{channel}"
    assert (await door.post(f"{path}/edit", {"message": first, "text": "hello"}, as_=alice)).status == 200
    assert (await door.post(f"{path}/delete", {"message": second}, as_=bob)).status == 403
    assert (await door.post(f"{path}/delete", {"message": second}, as_=alice)).status == 200
    pushes = [(await wire.push(f"channel:{channel}"))["data"] for _ in range(4)]
    assert pushes[2]["edited"]["text"] == "hello"
    assert pushes[3]["deleted"] == second
    assert await texts(door, channel, bob) == ["", "hello"]


async def test_gs_07_pages_of_history_come_from_the_journal_with_what_became_of_them(
    door: Door, sockets: Sockets, studio: User, moderator: User, alice: User
) -> None:
    """More than the state keeps: said by many, ten each, over one socket each."""
    people = [await door.guest() for _ in range(27)]
    await join(door, alice, *people, channel="help")
    start = (await say(door, "help", alice, "start")).body["message"]
    wires = [await sockets.open(person) for person in people]

    async def chatter(wire: Wire, name: int) -> list[int]:
        replies = [await wire.command("channel", "help", "send", {"text": f"{name}.{n}"}) for n in range(10)]
        return [reply["data"]["message"] for reply in replies]

    said = sorted(number for numbers in await asyncio.gather(*map(chatter, wires, range(27))) for number in numbers)
    removed = said[5]
    path = f"{API}/actors/channel/help/remove_message"
    assert (await door.post(path, {"message": removed, "reason": "rude"}, as_=moderator)).status == 200
    found: list[dict[str, Any]] = []
    before: str | None = None
    while not found or found[-1]["message"] > start:
        more = {"before": before} if before else {}
        page = await door.get(f"{API}/channels/help/messages", as_=alice, limit="60", **more)
        found += page.body["messages"]
        before = str(page.body["next"])
    shown = {message["message"]: message for message in found}
    assert [message["message"] for message in found] == sorted(shown, reverse=True)
    assert set(said) <= set(shown)
    assert shown[removed]["deleted"] is True
    assert shown[removed]["text"] == ""
    assert sum(bool(message.get("deleted")) for message in found if message["message"] in said) == 1


async def test_gs_07_pushes_end_with_membership(door: Door, sockets: Sockets, alice: User, bob: User) -> None:
    await join(door, alice, bob)
    wire = await sockets.open(bob)
    await wire.subscribe("channel:trade")
    assert (await door.post(f"{ROOM}/leave", as_=bob)).status == 200
    assert (await wire.push("channel:trade"))["data"]["departed"] == {bob.id: "left"}
    ended = await wire.push("channel:trade")
    assert (ended["type"], ended["meta"]["code"]) == ("error", 403)
    await say(door, "trade", alice, "bob has left")
    assert (await wire.subscribe("channel:trade"))["error"]["code"] == "FORBIDDEN"
    assert (await door.get(f"{API}/channels/trade/messages", as_=bob)).code == "not_a_member"
    assert not [frame for frame in wire.frames if "bob has left" in str(frame)]


async def test_gs_07_a_guilds_channel_is_its_members(door: Door, sockets: Sockets, alice: User, bob: User) -> None:
    key = fresh_name("guild")
    guild, channel = f"{API}/actors/guild/{key}", f"guild.{key}"
    assert (await door.post(f"{guild}/create", {"name": key}, as_=alice)).status == 200

    async def said(user: User, text: str) -> None:
        await door.until(text, lambda: say(door, channel, user, text), lambda answer: answer.status == 201)

    await said(alice, "is anybody here?")
    assert (await say(door, channel, bob, "let me in")).code == "not_a_member"
    assert (await door.post(f"{guild}/join", {}, as_=bob)).status == 200
    await said(bob, "now I am")
    wire = await sockets.open(bob)
    assert (await wire.subscribe(f"channel:{channel}"))["type"] == "channel.initial"
    assert (await door.post(f"{guild}/leave", {}, as_=bob)).status == 200
    await wire.until(lambda frame: frame["type"] == "error" and frame["meta"]["code"] == 403)
    assert await texts(door, channel, alice) == ["now I am", "is anybody here?"]
    assert (await door.get(f"{API}/channels/{channel}/messages", as_=bob)).code == "not_a_member"


async def test_gs_07_a_direct_channel_is_for_its_two_and_for_players_that_exist(
    door: Door, sockets: Sockets, alice: User, bob: User, carol: User
) -> None:
    channel = direct(alice, bob)
    assert (await say(door, channel, alice, "hello, bob")).status == 201
    assert (await say(door, channel, carol, "hello, you two")).status == 403
    assert (await door.get(f"{API}/channels/{channel}/messages", as_=carol)).status == 403
    wire = await sockets.open(carol)
    assert (await wire.subscribe(f"channel:{channel}"))["meta"]["code"] == 403
    nobody = User("00000000-0000-4000-8000-000000000000", "")
    assert (await say(door, direct(alice, nobody), alice, "hello?")).code == "player_unknown"
    assert (await say(door, "cellar", alice, "hello?")).code == "channel_unknown"


async def test_gs_07_an_offline_player_finds_one_notification_until_it_has_read(
    door: Door, alice: User, bob: User
) -> None:
    channel = direct(alice, bob)
    for text in ("bob?", "are you there?"):
        await say(door, channel, alice, text)
    told = await door.until(
        "bob is told", lambda: door.get(f"{API}/notifications", as_=bob), lambda answer: answer.body["unread"]
    )
    assert [message["template"] for message in told.body["messages"]] == ["direct_message"]
    assert (await door.post(f"{API}/actors/channel/{channel}/mark_read", as_=bob)).status == 200
    await door.until(
        "all is read", lambda: door.get(f"{API}/notifications", as_=bob), lambda answer: answer.body["unread"] == 0
    )


async def test_gs_07_whoever_is_blocked_is_not_told_so_and_not_heard(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    channel = direct(alice, bob)
    assert (await say(door, channel, alice, "before")).status == 201
    blocked = await door.post(f"{API}/actors/player/me/block_player", {"player": alice.id}, as_=bob)
    assert blocked.status == 200
    mine, others = await sockets.open(alice), await sockets.open(bob)
    for wire in (mine, others):
        await wire.subscribe(f"channel:{channel}")

    # The channel learns of it by a tell: until then a message is heard.
    heard = []
    end = time.monotonic() + 10
    while await texts(door, channel, bob) == (heard := await texts(door, channel, alice)):
        assert time.monotonic() < end
        assert (await say(door, channel, alice, f"after {len(heard)}")).status == 201
    assert await texts(door, channel, alice) == heard
    last = await mine.until(lambda frame: frame.get("data", {}).get("said", {}).get("text") == heard[0])
    assert last["type"] == "channel.update"
    assert not [frame for frame in others.frames if heard[0] in str(frame)]


async def test_gs_07_se_17_the_limit_holds_over_two_sockets_rest_and_three_aliases(
    door: Door, sockets: Sockets, gateways: list[Pinned], alice: User
) -> None:
    await join(door, alice)
    first, second = await sockets.open(alice), await sockets.open(alice, binary=True)
    statuses = []
    for number in range(4):
        texts_ = [f"{way} {number}" for way in ("socket", "other socket", "rest", "generic", "other gateway")]
        for wire, text in zip((first, second), texts_[:2], strict=True):
            statuses.append((await wire.command("channel", "trade", "send", {"text": text}))["meta"]["code"])
        statuses.append((await say(door, "trade", alice, texts_[2])).status)
        statuses.append((await door.post(f"{ROOM}/send", {"text": texts_[3]}, as_=alice)).status)
        statuses.append((await say(gateways[number % 2], "trade", alice, texts_[4])).status)
    assert statuses.count(429) == 10
    assert 429 not in statuses[:10]
    limited = await say(door, "trade", alice, "one more")
    assert 1 <= int(limited.headers["Retry-After"]) <= 10


async def test_gs_07_se_17_the_limit_of_a_player_holds_over_all_channels(gateways: list[Pinned], alice: User) -> None:
    """None of these channels is there: whoever is refused for that has not been too fast, for any one of them."""
    door = gateways[0]
    answers = await asyncio.gather(*(say(door, f"cellar-{number}", alice, f"{number}") for number in range(150)))
    codes = [answer.code for answer in answers]
    assert set(codes) == {"channel_unknown", "RATE_LIMITED"}
    assert codes.count("channel_unknown") >= 30


async def test_gs_07_se_17_the_same_text_and_a_bomb_of_mentions_are_refused_and_bad_words_hidden(
    door: Door, alice: User, bob: User
) -> None:
    channel = direct(alice, bob)
    codes = [(await say(door, channel, alice, "BUY gold")).status for _ in range(3)]
    assert codes == [201, 201, 201]
    assert (await say(door, channel, alice, "buy göld")).code == "text_repeated"
    bomb = await say(door, channel, alice, "all of you!", mentions=[f"user{number}" for number in range(6)])
    assert bomb.code == "mentions_too_many"
    assert (await say(door, channel, alice, "x", mentions=["u"] * 21)).status == 400
    assert (await say(door, channel, alice, "x" * 501)).status == 400
    assert (await say(door, channel, alice, "bell \x07")).status == 400
    assert (await say(door, channel, alice, "you 1d10t")).body["text"] == "you *****"


async def test_gs_07_moderators_see_reports_remove_messages_and_silence(
    door: Door, moderator: User, alice: User, bob: User
) -> None:
    await join(door, alice, bob)
    message = (await say(door, "trade", alice, "something bad")).body["message"]
    reported = await door.post(f"{ROOM}/report_message", {"message": message, "reason": "rude"}, as_=bob)
    assert reported.status == 200
    cases = await door.until(
        "a case is on the desk",
        lambda: door.get(f"{API}/moderation/reports", as_=moderator),
        lambda answer: any(case["author"] == alice.id for case in answer.body),
    )
    [case] = [case for case in cases.body if case["author"] == alice.id]
    assert (case["text"], case["reports"]) == ("something bad", [{"by": bob.id, "reason": "rude"}])
    assert (await door.get(f"{API}/moderation/reports", as_=bob)).status == 403
    reason = {"reason": "rude"}
    assert (await door.post(f"{ROOM}/remove_message", {"message": message, **reason}, as_=bob)).status == 403
    assert (await door.post(f"{ROOM}/remove_message", {"message": message, **reason}, as_=moderator)).status == 200
    silence = {"player": alice.id, "minutes": 5, **reason}
    assert (await door.post(f"{ROOM}/silence", silence, as_=moderator)).status == 200
    assert (await say(door, "trade", alice, "but why?")).code == "silenced"
    closed = {"caseId": case["id"], "verdict": "upheld", "note": "silenced"}
    assert (await door.post(f"{API}/actors/desk/chat/close_case", closed, as_=moderator)).status == 200


async def test_gs_07_a_message_to_many_members_is_published_once(
    server: Server, door: Door, sockets: Sockets, alice: User
) -> None:
    people = [await door.guest() for _ in range(25)]
    await join(door, alice, *people)
    wires = [await sockets.open(person) for person in people]
    for wire in wires:
        await wire.subscribe("channel:trade")

    def heard(frame: dict[str, Any]) -> bool:
        return bool(frame.get("data", {}).get("said", {}).get("text") == "to all of you")

    async with published(server) as seen:
        await say(door, "trade", alice, "to all of you")
        await asyncio.gather(*(wire.until(heard) for wire in wires))
        assert len([push for push in seen if push[2] and "to all of you" in str(push[2])]) == 1


async def test_gs_07_who_is_present_among_the_members(door: Door, sockets: Sockets, alice: User, bob: User) -> None:
    await join(door, alice, bob)
    await sockets.open(alice)

    async def presence() -> Answer:
        return await door.get(f"{API}/channels/trade/members", as_=bob, limit="1000")

    def there(answer: Answer) -> bool:
        found = {member["userId"]: member["presence"] for member in answer.body["members"]}
        return (found[alice.id], found[bob.id]) == ("online", "offline")

    await door.until("alice is there and bob is not", presence, there)


async def test_gs_07_a_direct_channel_tells_neither_strangers_nor_the_blocked_who_is_there(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    channel, me = direct(alice, bob), f"{API}/actors/player/me"

    async def members(of: str = channel) -> Answer:
        return await door.get(f"{API}/channels/{of}/members", as_=alice, limit="1000")

    def bob_is(status: str) -> Callable[[Answer], bool]:
        return lambda answer: (bob.id, status) in {(who["userId"], who["presence"]) for who in answer.body["members"]}

    async def accept() -> Answer:
        return await door.post(f"{me}/accept_friend", {"player": alice.id}, as_=bob)

    await join(door, alice, bob)
    await sockets.open(bob)
    await door.until("bob is seen in the room", lambda: members("trade"), bob_is("online"))
    assert (await say(door, channel, alice, "are you there?")).status == 201
    await door.post(f"{me}/request_friend", {"player": bob.id}, as_=alice)
    assert bob_is("offline")(await members()), "to open a channel and to ask for friendship is not enough"
    await door.until("bob accepts", accept, lambda answer: answer.status == 200)
    await door.until("a friend sees bob", members, bob_is("online"))
    await door.post(f"{me}/block_player", {"player": alice.id}, as_=bob)
    await door.until("alice sees bob no more", members, bob_is("offline"))
    assert bob_is("online")(await members("trade")), "he is there still"


async def test_gs_07_with_the_python_client(server: Server, door: Door, bob: User) -> None:
    async with Client(server.url) as client:
        await client.guest(f"chat-{time.monotonic_ns()}-client")
        await client.command("channel", "trade", "join")
        told = await client.command("channel", "trade", "send", {"text": "from the client"})
        await join(door, bob)
        page = await client.query("channel", "trade", "history", limit=100)
        assert told.data["message"] in [message["message"] for message in page.data["messages"]]
        with pytest.raises(NotFound, match="channel_unknown"):
            await client.command("channel", "cellar", "send", {"text": "hello?"})

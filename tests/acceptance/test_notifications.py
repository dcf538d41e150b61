"""SPEC section 13 (GS-19): the inbox in the player's words, what it may switch off, and what leaves by mail or push."""

import json
from typing import Any

from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.acceptance.server import Server, until_sql, wait_until

ME = f"{API}/actors/player/me"


async def ask_to_be_friends(door: Door, one: User, other: User) -> None:
    assert (await door.post(f"{ME}/request_friend", {"player": other.id}, as_=one)).status == 200


async def inbox(door: Door, user: User, count: int = 1) -> list[dict[str, Any]]:
    """The inbox, once it holds so many."""
    answer = await door.until(
        f"{count} messages are there",
        lambda: door.get(f"{API}/notifications", as_=user),
        lambda answer: len(answer.body["messages"]) == count,
    )
    messages: list[dict[str, Any]] = answer.body["messages"]
    return messages


async def set_notices(door: Door, user: User, **fields: Any) -> Any:
    answer = await door.post(f"{ME}/set_notices", fields, as_=user)
    assert answer.status == 200, answer
    return answer.body["data"]


async def test_gs_19_a_message_is_pushed_read_counted_and_deleted(
    door: Door, sockets: Sockets, alice: User, bob: User
) -> None:
    wire = await sockets.open(bob)
    await wire.subscribe("player:me")
    await ask_to_be_friends(door, alice, bob)
    pushed = await wire.until(lambda frame: "notifications" in (frame.get("data") or {}))
    [message] = await inbox(door, bob)
    assert pushed["data"]["notifications"][0]["id"] == message["id"]
    assert (await door.post(f"{ME}/mark_read", {"ids": [message["id"]]}, as_=bob)).body["data"] == {"read": 1}
    assert (await door.get(f"{API}/notifications", as_=bob)).body["unread"] == 0
    assert (await door.post(f"{ME}/delete_messages", {"ids": [message["id"]]}, as_=bob)).status == 200
    assert await inbox(door, bob, 0) == []


async def test_gs_19_messages_are_worded_in_the_readers_language(door: Door, alice: User) -> None:
    bob = await door.register(fresh_name("bob"))
    await ask_to_be_friends(door, bob, alice)
    [message] = await inbox(door, alice)
    assert message["body"] == f"{bob.name} wants to be your friend."
    await set_notices(door, alice, language="de-AT")
    [message] = await inbox(door, alice)
    assert message["body"] == f"{bob.name} möchte mit dir befreundet sein."
    assert message["title"] == "Eine Freundschaftsanfrage"


async def test_gs_19_what_is_switched_off_does_not_come(door: Door, alice: User, bob: User) -> None:
    told = await set_notices(door, alice, off=["friends"])
    assert told["off"] == ["friends"]
    kinds = {
        kind["kind"]: kind["optional"] for kind in (await door.get(f"{ME}/notices", as_=alice)).body["data"]["kinds"]
    }
    assert kinds["friends"] is True
    assert kinds["account"] is False
    refused = await door.post(f"{ME}/set_notices", {"off": ["account"]}, as_=alice)
    assert refused.code == "notice_kind_fixed"
    await ask_to_be_friends(door, bob, alice)
    await door.until(
        "the request is there",
        lambda: door.get(f"{API}/friends", as_=alice),
        lambda answer: [entry["userId"] for entry in answer.body["asking"]] == [bob.id],
    )
    assert await inbox(door, alice, 0) == []


async def mailed(server: Server, address: str) -> list[dict[str, Any]]:
    """What the log shows in place of mail to this address; without a mail server it goes there."""
    lines = [line for text in server.logs().values() for line in text.splitlines() if address in line]
    return [entry for entry in map(_entry, lines) if entry.get("event") == "mail_not_sent"]


def _entry(line: str) -> dict[str, Any]:
    start = line.find("{")
    try:
        found: dict[str, Any] = json.loads(line[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return found


async def test_gs_19_mail_leaves_for_whoever_chose_it_and_is_not_there(
    server: Server, door: Door, alice: User, bob: User
) -> None:
    name = fresh_name("carol")
    address = f"{name}@example.com"
    body = {"username": name, "password": "correct horse battery", "email": address}
    answer = await door.post(f"{API}/auth/register", body)
    assert answer.status == 201, answer
    server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    carol = User(answer.body["userId"], answer.body["accessToken"])
    await ask_to_be_friends(door, alice, carol)
    await inbox(door, carol)
    await set_notices(door, carol, mail=True, push=True)
    await ask_to_be_friends(door, bob, carol)
    await inbox(door, carol, 2)
    await until_sql(server, "SELECT count(*) = 0 AS holds FROM notice WHERE user_id = $1", carol.id, within_s=20)

    def has_left() -> bool:
        text = "".join(text for text in server.logs().values())
        return text.count(address) > 0

    wait_until(has_left, "the mail is in the log", 20)
    mails = await mailed(server, address)
    assert len({entry.get("text") for entry in mails}) == 1, mails
    assert mails[0]["subject"] == "A friend request"


async def test_gs_19_no_mail_leaves_for_whoever_is_there(
    server: Server, door: Door, sockets: Sockets, alice: User
) -> None:
    name = fresh_name("dave")
    address = f"{name}@example.com"
    body = {"username": name, "password": "correct horse battery", "email": address}
    answer = await door.post(f"{API}/auth/register", body)
    server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    dave = User(answer.body["userId"], answer.body["accessToken"])
    await set_notices(door, dave, mail=True)
    wire = await sockets.open(dave)
    await wire.ask("ping", timestamp="1")
    await door.until(
        "dave is counted",
        lambda: door.get(f"{API}/friends", as_=dave),
        lambda answer: answer.status == 200,
    )
    await ask_to_be_friends(door, alice, dave)
    await inbox(door, dave)
    await until_sql(server, "SELECT count(*) = 0 AS holds FROM notice WHERE user_id = $1", dave.id, within_s=20)
    assert await mailed(server, address) == []

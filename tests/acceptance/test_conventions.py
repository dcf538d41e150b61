"""SPEC section 0: what holds for every request, whatever it asks."""

import asyncio
import json
import re
import unicodedata
from typing import Any

import msgpack
import pytest

from tests.acceptance.clients import API, REQUEST_ID, RFC3339_UTC, Door, Sockets, User, fresh_name

START = f"{API}/actions"


async def test_co_bodies_are_json_with_camel_case_members_and_utc_times(door: Door, alice: User) -> None:
    answer = await door.get(f"{API}/players/me", as_=alice)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert RFC3339_UTC.fullmatch(answer.body["createdAt"])
    assert not re.search(r'"[a-z]+_[a-z]+":', answer.text)
    assert isinstance(answer.body["userId"], str)


async def test_co_every_public_command_is_reachable_generically(door: Door, alice: User) -> None:
    answer = await door.post(f"{API}/actors/player/me/start_action", {"type": "practice"}, as_=alice)
    assert answer.status == 200
    assert set(answer.body) == {"ok", "version", "data"}
    assert answer.body["ok"] is True
    assert isinstance(answer.body["version"], int)
    assert set(answer.body["data"]) == {"id", "actionToken", "expectedScore", "expiresAt"}
    by_key = await door.post(f"{API}/actors/player/{alice.id}/start_action", {"type": "practice"}, as_=alice)
    assert by_key.body["version"] > answer.body["version"]


async def test_co_every_public_query_is_reachable_generically(door: Door, alice: User) -> None:
    answer = await door.get(f"{API}/actors/player/me/profile", as_=alice)
    assert answer.status == 200
    assert set(answer.body) == {"ok", "version", "data"}
    assert answer.body["data"]["userId"] == alice.id
    with_fields = await door.get(f"{API}/actors/leaderboard/main/top", as_=alice, limit="3")
    assert len(with_fields.body["data"]) <= 3


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nowhere", "NOT_FOUND"),
        ("POST", "/api/v1/nowhere", "NOT_FOUND"),
        ("POST", "/api/v1/actors/dragon/me/roar", "UNKNOWN_KIND"),
        ("POST", "/api/v1/actors/player/me/roar", "UNKNOWN_COMMAND"),
        ("GET", "/api/v1/actors/player/me/roar", "UNKNOWN_QUERY"),
        # Internal commands look like none at all.
        ("POST", "/api/v1/actors/player/me/create", "UNKNOWN_COMMAND"),
    ],
)
async def test_co_what_is_not_there_is_404_before_anything_else(door: Door, method: str, path: str, code: str) -> None:
    answer = await door.ask(method, path, data=b"x" * 10)
    assert (answer.status, answer.code) == (404, code)


async def test_co_errors_have_one_form_with_the_request_id_in_header_and_body(door: Door) -> None:
    answer = await door.get(f"{API}/players/me")
    assert answer.status == 401
    assert set(answer.body) == {"error", "code", "message", "requestId"}
    assert answer.body["requestId"] == answer.headers["X-Request-Id"]
    assert answer.body["requestId"].startswith("req_")
    other = await door.get(f"{API}/players/me")
    assert other.body["requestId"] != answer.body["requestId"]


async def test_co_too_large_comes_before_authentication(door: Door) -> None:
    answer = await door.ask("POST", START, data=b" " * (64 * 1024 + 1))
    assert (answer.status, answer.code) == (413, "TOO_LARGE")
    exactly = json.dumps({"type": "practice"}).encode().ljust(64 * 1024)
    assert (await door.ask("POST", START, data=exactly)).status == 401


async def test_co_a_chunked_body_is_too_large_as_well(door: Door, alice: User) -> None:
    async def endless() -> Any:
        for _ in range(70):
            yield b" " * 1024

    headers = {"Authorization": alice.bearer, "Content-Type": "application/json"}
    async with door.session.post(door.server.url + START, data=endless(), headers=headers) as response:
        assert response.status == 413


async def test_co_not_allowed_comes_before_invalid(door: Door, alice: User) -> None:
    answer = await door.post(f"{API}/scores/award", {"nonsense": True}, as_=alice)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    answer = await door.post(f"{API}/actors/player/somebody-else/start_action", {"nonsense": 1}, as_=alice)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


async def test_co_over_the_limit_comes_before_a_rule_and_says_when_to_come_back(door: Door, alice: User) -> None:
    for _ in range(10):
        assert (await door.post(f"{API}/actions/token", as_=alice)).status == 200
    answer = await door.post(f"{API}/actions/token", as_=alice)
    assert (answer.status, answer.code) == (429, "RATE_LIMITED")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"practice"',
        b"{}",
        b'{"type": 7}',
        b'{"type": null}',
        b'{"type": ""}',
        b'{"type": "practice", "more": 1}',
        b'{"type": "practice\\u0000"}',
        b'{"type": "\\ud800"}',
        b"\xff\xfe",
        b'{"type": "practice", "attributes": {"a": NaN}}',
        b'{"type": "practice", "attributes": {"a": Infinity}}',
        b'{"type": "practice", "attributes": {"a": 9007199254740993}}',
        b'{"type": "practice", "attributes": {"a": 1e400}}',
        b'{"type": ' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
async def test_co_invalid_bodies_are_400(door: Door, alice: User, body: bytes) -> None:
    answer = await door.ask("POST", START, data=body, as_=alice)
    assert (answer.status, answer.code) == (400, "INVALID")


async def test_co_a_field_that_is_wrong_is_named(door: Door, alice: User) -> None:
    answer = await door.post(START, {"type": "practice", "role": "admin"}, as_=alice)
    assert answer.status == 400
    assert "role" in answer.body["message"]
    assert "admin" not in answer.body["message"]


async def test_co_a_refusal_of_a_rule_is_409_with_the_fact_as_its_code(door: Door) -> None:
    user = await door.register()
    answer = await door.post(
        f"{API}/auth/upgrade", {"username": fresh_name(), "password": "another password"}, as_=user
    )
    assert answer.status == 409
    assert re.fullmatch(r"[a-z_]+", answer.code)


async def test_co_the_same_key_has_one_effect_and_the_same_answer(door: Door, alice: User) -> None:
    first = await door.post(START, {"type": "practice"}, as_=alice, op="once")
    again = await door.post(START, {"type": "practice"}, as_=alice, op="once")
    assert first.status == again.status == 201
    assert first.text == again.text
    completed = await door.complete(alice, first.body, op="done")
    repeated = await door.complete(alice, first.body, op="done")
    assert completed.status == repeated.status == 200
    assert completed.text == repeated.text
    assert (await door.score(alice.id, alice, "practice"))["score"] == 1


async def test_co_the_same_key_with_another_payload_is_422(door: Door, alice: User) -> None:
    assert (await door.post(START, {"type": "practice"}, as_=alice, op="mine")).status == 201
    answer = await door.post(START, {"type": "quick_win"}, as_=alice, op="mine")
    assert (answer.status, answer.code) == (422, "OP_REUSED")


async def test_co_keys_of_different_callers_have_nothing_to_do_with_each_other(
    door: Door, alice: User, bob: User
) -> None:
    first = await door.post(START, {"type": "practice"}, as_=alice, op="shared key")
    other = await door.post(START, {"type": "quick_win"}, as_=bob, op="shared key")
    assert (first.status, other.status) == (201, 201)
    assert first.body["id"] != other.body["id"]


async def test_co_a_repeat_while_the_first_is_running_is_409_or_the_same_answer(door: Door, alice: User) -> None:
    answers = await asyncio.gather(
        *(door.post(START, {"type": "practice"}, as_=alice, op="at once") for _ in range(20))
    )
    done = [answer for answer in answers if answer.status == 201]
    assert done
    assert len({answer.text for answer in done}) == 1
    assert {(answer.status, answer.code) for answer in answers if answer.status != 201} <= {(409, "OP_IN_PROGRESS")}


async def test_co_a_key_survives_from_rest_to_frames(door: Door, sockets: Sockets, alice: User) -> None:
    first = await door.post(START, {"type": "practice"}, as_=alice, op="either way")
    async with await sockets.open(alice, binary=True) as wire:
        again = await wire.command("player", "me", "start_action", {"type": "practice"}, op="either way")
        assert again["data"] == first.body
        other = await wire.command("player", "me", "start_action", {"type": "quick_win"}, op="either way")
        assert (other["meta"]["code"], other["error"]["code"]) == (422, "OP_REUSED")


async def test_co_texts_are_kept_in_nfc(door: Door, studio: User) -> None:
    item = {"externalId": fresh_name("nfc"), "displayName": "Zoe\u0301"}
    made = await door.post(f"{API}/players/provision", {"items": [item]}, as_=studio)
    profile = await door.get(f"{API}/players/{made.body['items'][0]['userId']}", as_=studio)
    assert profile.body["username"] == unicodedata.normalize("NFC", item["displayName"])


async def test_co_names_are_unique_whatever_their_case_or_look(door: Door) -> None:
    name = fresh_name("paula")
    await door.register(name)
    for same in (name.upper(), name.replace("l", "I")):
        answer = await door.post(f"{API}/auth/register", {"username": same, "password": "correct horse"})
        assert (answer.status, answer.code) == (409, "username_taken")


async def test_co_a_collection_of_more_than_a_thousand_is_refused(door: Door, studio: User) -> None:
    for size, problem in ((1_001, "1000"), (501, "500")):
        items = [{"op": str(n), "userId": "x", "points": 1} for n in range(size)]
        answer = await door.post(f"{API}/scores/award-batch", {"items": items}, as_=studio)
        assert (answer.status, answer.code) == (400, "INVALID")
        assert problem in answer.body["message"]


async def test_co_headers_have_a_bound(door: Door) -> None:
    for headers in ({"X-Long": "a" * 17_000}, {f"X-{number}": "a" * 1_000 for number in range(17)}):
        answer = await door.ask("GET", f"{API}/players/me", headers=headers)
        assert (answer.status, answer.code) == (431, "TOO_LARGE")


async def test_co_a_member_that_is_no_field_of_the_command_is_named_too(door: Door, studio: User) -> None:
    for body, field in (({"points": 1}, "userId"), ({"userId": 7, "points": 1}, "userId")):
        answer = await door.post(f"{API}/scores/award", body, as_=studio)
        assert (answer.status, answer.code) == (400, "INVALID")
        assert [fault["field"] for fault in answer.body["fields"]] == [field]
    answer = await door.post(f"{API}/scores/award-batch", {"items": []}, as_=studio)
    assert [fault["field"] for fault in answer.body["fields"]] == ["items"]


async def test_co_a_handshake_is_answered_with_a_request_id_and_no_version_of_anything(door: Door) -> None:
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **key}
    for path, headers, status in ((f"{API}/ws", upgrade, 101), ("/health/live", {}, 200), ("/nope", {}, 404)):
        async with door.session.get(door.server.url + path, headers=headers) as response:
            assert response.status == status
            assert REQUEST_ID.fullmatch(response.headers["X-Request-Id"])
            assert response.headers["Server"] == "Greenroom"
            response.close()


async def test_co_bodies_may_be_msgpack_too(door: Door, alice: User) -> None:
    answer = await door.ask(
        "POST",
        START,
        data=msgpack.packb({"type": "practice"}),
        as_=alice,
        headers={"Content-Type": "application/msgpack"},
    )
    assert answer.status == 201


async def test_co_a_method_that_a_path_does_not_know_is_405(door: Door) -> None:
    answer = await door.ask("DELETE", START)
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert "POST" in answer.headers["Allow"]


async def test_co_no_more_than_64_commands_are_outstanding_on_a_connection(sockets: Sockets, alice: User) -> None:
    async with await sockets.open(alice) as wire:
        for number in range(500):
            await wire.send(
                {"type": "command", "id": f"c{number}", "kind": "player", "key": "me", "name": "start_action"}
                | {"data": {"type": "quick_win"}}
            )
        frames = [await wire.receive() for _ in range(500)]
    codes = [frame["meta"]["code"] for frame in frames]
    assert codes.count(200) == 30
    assert set(codes) == {200, 429}
    refused = {frame["error"]["code"] for frame in frames if frame["type"] == "error"}
    assert refused <= {"RATE_LIMITED", "TOO_MANY_OUTSTANDING"}


async def test_co_a_user_has_twenty_connections_and_no_more(sockets: Sockets, alice: User) -> None:
    wires = [await sockets.open(alice) for _ in range(20)]
    one_more = await sockets.raw()
    await one_more.send({"type": "auth", "id": "late", "auth": alice.bearer})
    refused = await one_more.receive()
    assert (refused["meta"]["code"], refused["error"]["code"]) == (429, "too_many_connections")
    assert await one_more.closed() == 4429
    assert (await wires[0].query("player", "me", "profile"))["meta"]["code"] == 200

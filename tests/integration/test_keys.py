"""`Idempotency-Key` on the routes of accounts: one effect, one answer, at any gateway."""

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import struct
import time
from typing import Any

import pytest

from gateway.accounts import store
from gateway.accounts.operations import KEPT_S
from schemas.shape import Shape
from tests.integration.place import (
    PASSWORD,
    Gateway,
    Place,
    gateway,
    named,
    own_place,
    place,
    registered,
    servers,
    with_role,
)

__all__ = ["gateway", "own_place", "place", "servers"]

ADMIN_ROUTES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ban": ("/api/v1/moderation/users/{id}/ban", {"reason": "cheats"}, {"reason": "shouts"}),
    "suspend": (
        "/api/v1/moderation/users/{id}/suspend",
        {"reason": "cheats", "until": "2100-01-01T00:00:00Z"},
        {"reason": "cheats", "until": "2100-01-02T00:00:00Z"},
    ),
    "reinstate": ("/api/v1/moderation/users/{id}/reinstate", {"reason": "mistake"}, {"reason": "pardon"}),
    "set_role": (
        "/api/v1/admin/users/{id}/roles",
        {"role": "server", "grant": True},
        {"role": "server", "grant": False},
    ),
    "reset_mfa": ("/api/v1/admin/users/{id}/mfa/reset", {"reason": "lost phone"}, {"reason": "lost"}),
    "provision": (
        "/api/v1/players/provision",
        {"items": [{"externalId": "e1", "displayName": "Zoe"}, {"externalId": "e2", "displayName": "Yan"}]},
        {"items": [{"externalId": "e3", "displayName": "Zoe"}]},
    ),
}
EVERY_ROUTE = pytest.mark.parametrize("action", ADMIN_ROUTES)


class Keyed:
    """Sends requests under keys, as one user."""

    def __init__(self, gateway: Gateway, token: str = "") -> None:
        self.gateway = gateway
        self.token = token

    async def post(self, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.gateway.post(path, body, self.token, **headers)


async def done(place: Place, action: str) -> int:
    """How often it was done, by the audit log."""
    database = await place.database()
    return int(await database.fetch_value("SELECT count(*) FROM audit WHERE action = $1", action))


@EVERY_ROUTE
async def test_a_repeat_has_no_effect_and_gets_the_same_answer_at_any_gateway(
    place: Place, gateway: Gateway, action: str
) -> None:
    admin, target = await with_role(place, gateway, "admin"), await registered(gateway)
    path, body, other = ADMIN_ROUTES[action]
    path = path.format(id=target["userId"])
    here, there = (Keyed(door, admin["accessToken"]) for door in (gateway, await place.gateway()))
    first = await here.post(path, body, "k1")
    assert first[0] == 200, first
    assert await here.post(path, body, "k1") == first
    assert await there.post(path, body, "k1") == first
    assert await done(place, action) == 1
    for changed in (other, {**body, "nonsense": 1}):
        status, answer = await there.post(path, changed, "k1")
        assert (status, answer["code"]) == ((422, "OP_REUSED") if changed is other else (400, "INVALID"))
    assert (await here.post(path, body, "k2"))[0] == (await here.post(path, body, None))[0] == 200
    assert await done(place, action) == 3


async def test_a_key_is_for_one_route_and_one_user_that_is_meant(place: Place, gateway: Gateway) -> None:
    admin, target, another = (
        await with_role(place, gateway, "admin"),
        await registered(gateway),
        await registered(gateway),
    )
    keyed = Keyed(gateway, admin["accessToken"])
    users = "/api/v1/moderation/users"
    assert (await keyed.post(f"{users}/{target['userId']}/ban", {"reason": "x"}, "k"))[0] == 200
    for path in (f"{users}/{another['userId']}/ban", f"{users}/{target['userId']}/reinstate"):
        status, answer = await keyed.post(path, {"reason": "x"}, "k")
        assert (status, answer["code"]) == (422, "OP_REUSED")
    other_admin = await with_role(place, gateway, "admin")
    answer = await Keyed(gateway, other_admin["accessToken"]).post(
        f"{users}/{another['userId']}/ban", {"reason": "x"}, "k"
    )
    assert answer[0] == 200, "keys of different callers have nothing to do with each other"


async def test_what_was_refused_is_decided_anew(place: Place, gateway: Gateway) -> None:
    admin = await with_role(place, gateway, "admin")
    keyed = Keyed(gateway, admin["accessToken"])
    path = "/api/v1/moderation/users/{}/ban"
    assert (await keyed.post(path.format("nobody"), {"reason": "x"}, "k"))[0] == 404
    target = await registered(gateway)
    assert (await keyed.post(path.format(target["userId"]), {"reason": "x"}, "k"))[0] == 200


async def test_at_once_it_is_done_once_and_the_others_wait_or_hear_the_same(place: Place, gateway: Gateway) -> None:
    admin, target = await with_role(place, gateway, "admin"), await registered(gateway)
    doors = [Keyed(door, admin["accessToken"]) for door in (gateway, await place.gateway())]
    path = f"/api/v1/moderation/users/{target['userId']}/ban"
    answers = await asyncio.gather(*(doors[n % 2].post(path, {"reason": "x"}, "k") for n in range(20)))
    assert await done(place, "ban") == 1
    refused = [answer for status, answer in answers if status != 200]
    assert {answer["code"] for answer in refused} <= {"OP_IN_PROGRESS"}
    assert len(refused) < len(answers)
    assert len({json.dumps(answer) for status, answer in answers if status == 200}) == 1


async def test_while_the_first_is_running_here_or_elsewhere_a_repeat_is_told_so(place: Place, gateway: Gateway) -> None:
    admin, target = await with_role(place, gateway, "admin"), await registered(gateway)
    keyed = Keyed(gateway, admin["accessToken"])
    path, body, _ = ADMIN_ROUTES["ban"]
    path = path.format(id=target["userId"])
    async with gateway.access.operations.begun(admin["userId"], "k", "something that takes long", Shape()):
        assert (await keyed.post(path, body, "k"))[1]["code"] == "OP_IN_PROGRESS"
        assert (await keyed.post(path, body, "another"))[0] == 200
    database = await place.database()
    async with database.transaction() as elsewhere:
        assert await store.lock_operation(elsewhere, admin["userId"], hashlib.sha256(b"k").digest())
        status, answer = await keyed.post(path, body, "k")
        assert (status, answer["code"]) == (409, "OP_IN_PROGRESS")
    assert (await keyed.post(path, body, "k"))[0] == 200


async def test_a_suspension_that_is_over_is_still_the_answer_to_its_repeat(
    place: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, target = await with_role(place, gateway, "admin"), await registered(gateway)
    keyed = Keyed(gateway, admin["accessToken"])
    ends = gateway.access.sessions.now_ms() // 1000 + 120
    body = {"reason": "x", "until": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))}
    path = f"/api/v1/moderation/users/{target['userId']}/suspend"
    first = await keyed.post(path, body, "k")
    assert first[0] == 200
    monkeypatch.setattr(gateway.access.sessions, "now_ms", lambda: (ends + 60) * 1000)
    assert await keyed.post(path, body, "k") == first
    assert (await keyed.post(path, body, None))[0] == 400


async def test_players_that_could_not_be_made_are_made_by_the_repeat(place: Place, gateway: Gateway) -> None:
    studio = await with_role(place, gateway, "server")
    keyed = Keyed(gateway, studio["accessToken"])
    path, body, _ = ADMIN_ROUTES["provision"]
    place.players.down = True
    assert (await keyed.post(path, body, "k"))[0] == 503
    place.players.down = False
    status, answer = await keyed.post(path, body, "k")
    assert status == 200
    assert [item["created"] for item in answer["items"]] == [True, True]
    assert {item["userId"] for item in answer["items"]} <= set(place.players.names)
    assert await done(place, "provision") == 1


# Accounts and their passwords


async def test_a_registration_that_is_sent_again_comes_in_to_the_same_account(place: Place, gateway: Gateway) -> None:
    keyed, there = Keyed(gateway), Keyed(await place.gateway())
    body = {"username": named(), "password": PASSWORD, "email": f"{named()}@example.test"}
    status, first = await keyed.post("/auth/register", body, "k")
    assert status == 201
    for door in (keyed, there):
        status, again = await door.post("/api/v1/auth/register", body, "k")
        assert (status, again["userId"], set(again)) == (201, first["userId"], set(first))
        assert (await gateway.me(again["accessToken"]))[1]["userId"] == first["userId"]
        assert (await gateway.post("/auth/refresh", {"refreshToken": again["refreshToken"]}))[0] == 200
    for changed in ({"password": PASSWORD + "!"}, {"email": f"{named()}@example.test"}):
        status, answer = await there.post("/auth/register", {**body, **changed}, "k")
        assert (status, answer["code"]) == (422, "OP_REUSED")
    for key in (None, "k2"):
        status, answer = await keyed.post("/auth/register", body, key)
        assert (status, answer["code"]) == (409, "username_taken")
    database = await place.database()
    assert await database.fetch_value("SELECT count(*) FROM account") == 1


async def test_the_key_of_a_registration_opens_nothing_that_its_password_does_not(
    place: Place, gateway: Gateway
) -> None:
    """Guesses count as failed logins, and a ban or a second factor stand in the way as at any login."""
    body = {"username": named(), "password": PASSWORD}
    keyed = Keyed(gateway)
    _, first = await keyed.post("/auth/register", body, "k")
    told = [await keyed.post("/auth/register", {**body, "password": f"guess number {n}"}, "k") for n in range(6)]
    assert [status for status, _ in told] == [422] * 5 + [429]

    body = {"username": named(), "password": PASSWORD}
    _, first = await keyed.post("/auth/register", body, "k")
    secret = (await gateway.post("/auth/mfa/totp/enrol", {}, first["accessToken"]))[1]["secret"]
    assert (await gateway.post("/auth/mfa/totp/confirm", {"code": _code(secret)}, first["accessToken"]))[0] == 200
    status, answer = await keyed.post("/auth/register", body, "k")
    assert (status, answer.get("mfaRequired")) == (201, True)
    assert "accessToken" not in answer
    database = await place.database()
    await store.add_sanction(database, first["userId"], "banned", None, "x", "somebody")
    assert (await keyed.post("/auth/register", body, "k"))[1]["code"] == "BANNED"


def _code(secret: str) -> str:
    """What an authenticator app shows now (RFC 6238)."""
    digest = hmac.digest(
        base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", int(time.time()) // 30), "sha1"
    )
    offset = digest[-1] & 0xF
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


async def test_a_registration_sent_many_times_at_once_makes_one_account(place: Place, gateway: Gateway) -> None:
    doors = [Keyed(gateway), Keyed(await place.gateway())]
    body = {"username": named(), "password": PASSWORD}
    answers = await asyncio.gather(*(doors[n % 2].post("/auth/register", body, "k") for n in range(10)))
    made = {answer["userId"] for status, answer in answers if status == 201}
    assert len(made) == 1
    assert {answer["code"] for status, answer in answers if status != 201} <= {"OP_IN_PROGRESS"}


async def test_a_guest_is_upgraded_once_and_told_so_again(place: Place, gateway: Gateway) -> None:
    _, guest = await gateway.post("/auth/guest", {"deviceId": named()})
    keyed = Keyed(gateway, guest["accessToken"])
    body = {"username": named(), "password": PASSWORD}
    first = await keyed.post("/auth/upgrade", body, "k")
    assert first[0] == 200
    assert await keyed.post("/auth/upgrade", body, "k") == first
    for changed, key, told in (
        ({"password": PASSWORD + "!"}, "k", "OP_REUSED"),
        ({"username": named()}, "k", "OP_REUSED"),
        ({}, "k2", "already_upgraded"),
    ):
        assert (await keyed.post("/auth/upgrade", {**body, **changed}, key))[1]["code"] == told


async def test_a_password_is_changed_once_and_told_so_again(place: Place, gateway: Gateway) -> None:
    user = await registered(gateway)
    keyed = Keyed(gateway, user["accessToken"])
    body = {"password": PASSWORD, "newPassword": PASSWORD + " two"}
    first = await keyed.post("/auth/password", body, "k")
    assert first == (200, {"ok": True})
    assert await keyed.post("/auth/password", body, "k") == first
    status, answer = await keyed.post("/auth/password", {**body, "newPassword": PASSWORD + " three"}, "k")
    assert (status, answer["code"]) == (422, "OP_REUSED")
    assert (await keyed.post("/auth/password", body, None))[0] == 403
    assert await done(place, "change_password") == 1


async def test_what_is_kept_holds_no_secret_and_is_forgotten_in_time(place: Place, gateway: Gateway) -> None:
    body = {"username": named(), "password": PASSWORD}
    _, first = await Keyed(gateway).post("/auth/register", body, "a key of mine")
    database = await place.database()
    kept = [value for row in await database.fetch("SELECT * FROM operation") for value in row.values()]
    text = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in kept)
    for secret in (PASSWORD, first["accessToken"], first["refreshToken"], "a key of mine"):
        assert secret.encode() not in text
    await store.forget_operations(database, KEPT_S)
    assert await database.fetch_value("SELECT count(*) FROM operation") == 1
    await database.execute("UPDATE operation SET at = now() - interval '49 hours'")
    await store.forget_operations(database, KEPT_S)
    assert await database.fetch_value("SELECT count(*) FROM operation") == 0


async def test_many_requests_at_once_with_a_token_that_is_new_here_are_one_question(
    place: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await registered(gateway)
    elsewhere = await place.gateway()
    asked: list[str] = []
    session = store.session

    async def counted(sql: store.Sql, session_id: str) -> Any:
        asked.append(session_id)
        return await session(sql, session_id)

    monkeypatch.setattr(store, "session", counted)
    accepted = await asyncio.gather(*(elsewhere.access.authenticate(user["accessToken"]) for _ in range(50)))
    assert {identity.user_id for identity in accepted} == {user["userId"]}
    assert len(asked) == 1


async def test_a_token_that_was_refused_is_refused_again_without_asking_postgres(
    place: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, banned = await registered(gateway), await registered(gateway)
    assert (await gateway.post("/auth/logout", token=ended["accessToken"]))[0] == 200
    await store.add_sanction(await place.database(), banned["userId"], "banned", None, "x", "somebody")
    elsewhere = await place.gateway()
    told = [(await elsewhere.me(user["accessToken"]))[0] for user in (ended, banned)]

    async def unexpected(*_: Any) -> None:
        raise AssertionError("Postgres was asked again")

    monkeypatch.setattr(store, "session", unexpected)
    gc.collect()
    again = [(await elsewhere.me(user["accessToken"]))[0] for user in (ended, banned)]
    assert told == again == [401, 403]

"""Accounts over HTTP on real Postgres and Redis, with two gateways that know nothing of each other."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from actors.runtime.database import Refused
from gateway.accounts import limits, passwords, tokens
from gateway.accounts.first import ensure_admin, secret
from schemas.address import Address
from schemas.messages import Caller
from schemas.problems import Refusal
from tests.integration.place import (
    PASSWORD,
    Gateway,
    Place,
    gateway,
    has_role,
    named,
    place,
    registered,
    servers,
    until,
    with_role,
)

__all__ = ["gateway", "place", "servers"]

HOUR_MS = 3_600_000


# Registering and logging in


@pytest.mark.parametrize("prefix", ["/api/v1/auth", "/auth", "/api/auth"])
async def test_registering_makes_an_account_a_player_and_tokens(place: Place, gateway: Gateway, prefix: str) -> None:
    status, body = await gateway.post(
        f"{prefix}/register", {"username": "Alice", "password": PASSWORD, "email": "Alice@example.com"}
    )
    assert status == 201
    assert set(body) == {"accessToken", "refreshToken", "userId", "expiresIn"}
    assert body["expiresIn"] == 900
    assert place.players.names == {body["userId"]: "Alice"}
    assert await gateway.me(body["accessToken"]) == (
        200, {"userId": body["userId"], "roles": ["player"], "username": "Alice"}
    )  # fmt: skip


async def test_a_name_that_looks_like_a_taken_one_is_taken(gateway: Gateway) -> None:
    await registered(gateway, "PayPal")
    for name in ("paypal", "PayPaI", "ｐａｙｐａｌ"):  # noqa: RUF001
        status, body = await gateway.post("/auth/register", {"username": name, "password": PASSWORD})
        assert (status, body["code"]) == (409, "username_taken")


async def test_one_of_many_who_register_a_name_at_once_gets_it(gateway: Gateway) -> None:
    body = {"username": "wanted", "password": PASSWORD}
    answers = await asyncio.gather(*(gateway.post("/auth/register", body) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("change", "field_named"),
    [
        ({"username": "a"}, "username"),
        ({"username": "admin"}, "username"),
        ({"username": 7}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 65}, "password"),
        ({"email": "nobody"}, "email"),
        ({"roles": ["admin"]}, "roles"),
        ({"role": "admin"}, "role"),
    ],
)
async def test_what_is_wrong_with_a_registration_is_named(gateway: Gateway, change: Any, field_named: str) -> None:
    status, body = await gateway.post("/auth/register", {"username": "alice", "password": PASSWORD, **change})
    assert (status, body["code"]) == (400, "INVALID")
    assert [problem["field"] for problem in body["fields"]] == [field_named]
    assert PASSWORD not in str(body)


async def test_login_by_name_or_email_in_any_case_gives_tokens_and_the_user(gateway: Gateway) -> None:
    body = {"username": "Alice", "password": PASSWORD, "email": "Alice@example.com"}
    _, made = await gateway.post("/auth/register", body)
    for login in ({"username": "ALICE"}, {"email": "alice@EXAMPLE.com"}, {"username": "alice@example.com"}):
        status, body = await gateway.post("/auth/login", {**login, "password": PASSWORD})
        assert status == 200
        assert set(body) == {"accessToken", "refreshToken", "expiresIn", "user"}
        assert (body["user"]["userId"], body["user"]["username"]) == (made["userId"], "Alice")
        assert body["user"]["lastLoginAt"] >= body["user"]["createdAt"]


async def test_a_wrong_password_and_an_unknown_user_look_the_same(gateway: Gateway) -> None:
    await registered(gateway, "alice")
    wrong = await gateway.post("/auth/login", {"username": "alice", "password": "wrong password"})
    unknown = await gateway.post("/auth/login", {"username": "nobody-x", "password": "wrong password"})
    assert wrong == unknown
    assert (wrong[0], wrong[1]["code"]) == (401, "CREDENTIALS_INVALID")


async def test_a_hash_of_lower_cost_is_made_anew_at_login(place: Place, gateway: Gateway) -> None:
    made = await registered(gateway, "alice")
    dearer = await place.gateway(cost=5)
    assert (await dearer.post("/auth/login", {"username": "alice", "password": PASSWORD}))[0] == 200
    database = await place.database()
    stored = await database.fetch_value("SELECT password FROM account WHERE id = $1", made["userId"])
    assert stored.startswith("v1$$2b$05$")
    assert (await dearer.post("/auth/login", {"username": "alice", "password": PASSWORD}))[0] == 200


async def test_a_flood_of_logins_is_shed_and_does_not_keep_the_loop_busy(place: Place) -> None:
    gateway = await place.gateway(cost=10)
    await registered(gateway, "alice")
    credentials = {"username": "alice", "password": PASSWORD}
    loop_began_s, all_began_s = time.thread_time(), time.process_time()
    answers = await asyncio.gather(*(gateway.post("/auth/login", credentials) for _ in range(120)))
    # CPU time, so that other processes on the machine do not count. Hashing is most of it, and not on the loop.
    loop_s, all_s = time.thread_time() - loop_began_s, time.process_time() - all_began_s
    assert loop_s < all_s / 2
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 503}
    assert passwords.WORKERS <= statuses.count(200) <= 120 - passwords.QUEUE_MAX


# Limits


async def test_five_failures_lock_an_account_but_not_its_owner(place: Place) -> None:
    proxied = await place.gateway(trusted_proxies="127.0.0.0/8")
    at_home, elsewhere = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "198.51.100.7"}
    await proxied.post("/auth/register", {"username": "victim", "password": PASSWORD}, **at_home)
    for _ in range(5):
        status, _ = await proxied.post("/auth/login", {"username": "victim", "password": "guess-guess"}, **elsewhere)
        assert status == 401
    right = {"username": "victim", "password": PASSWORD}
    status, body = await proxied.post("/auth/login", right, **elsewhere)
    assert (status, body["code"]) == (429, "RATE_LIMITED")
    assert 0 < body["retryAfter"] <= limits.WINDOW_S
    assert (await proxied.post("/auth/login", right, **at_home))[0] == 200


async def test_failures_at_one_gateway_count_at_the_other(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    for _ in range(5):
        await gateway.post("/auth/login", {"username": "unknown-x", "password": "guess-guess"})
    assert (await other.post("/auth/login", {"username": "unknown-x", "password": "guess-guess"}))[0] == 429


async def test_without_redis_the_gateway_counts_by_itself(place: Place, tmp_path: Path) -> None:
    alone = await place.gateway(redis_url=f"unix://{tmp_path}/nothing")
    statuses = [
        (await alone.post("/auth/login", {"username": named("none"), "password": "guess-guess"}))[0] for _ in range(21)
    ]
    assert statuses == [401] * 20 + [429]


async def test_many_guesses_at_once_are_not_more_guesses(place: Place) -> None:
    gateway = await place.gateway(redis_url="unix:///nothing/there")
    await registered(gateway, "victim")
    guess = {"username": "victim", "password": "guess-guess"}
    database = await place.database()
    await database.execute("DELETE FROM known_address")
    answers = await asyncio.gather(*(gateway.post("/auth/login", guess) for _ in range(30)))
    statuses = [status for status, _ in answers]
    assert 5 <= statuses.count(401) <= 5 + passwords.WORKERS - 1
    # 503 where passwords queue for longer than anyone may wait.
    assert {401, 429} <= set(statuses) <= {401, 429, 503}


async def test_a_forged_forwarding_header_does_not_help(place: Place) -> None:
    alone = await place.gateway(redis_url="unix:///nothing/there")
    statuses = []
    for at in range(21):
        guess = {"username": named("none"), "password": "guess-guess"}
        status, _ = await alone.post("/auth/login", guess, **{"X-Forwarded-For": f"192.0.2.{at}"})
        statuses.append(status)
    assert statuses == [401] * 20 + [429]


# Sessions


async def test_a_refresh_token_works_once_and_reuse_ends_the_session(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    made = await registered(gateway)
    status, fresh = await gateway.post("/auth/refresh", {"refreshToken": made["refreshToken"]})
    assert status == 200
    assert set(fresh) == {"accessToken", "refreshToken", "expiresIn"}
    assert (await other.me(fresh["accessToken"]))[0] == 200
    status, body = await gateway.post("/auth/refresh", {"refreshToken": made["refreshToken"]})
    assert (status, body["code"]) == (401, "UNAUTHENTICATED")
    assert (await gateway.post("/auth/refresh", {"refreshToken": fresh["refreshToken"]}))[0] == 401
    for token in (made["accessToken"], fresh["accessToken"]):
        assert (await gateway.me(token))[0] == 401
        await until(lambda token=token: _refused(other, token), within_s=1.0)  # type: ignore[misc]


async def _refused(gateway: Gateway, token: str, status: int = 401) -> bool:
    return (await gateway.me(token))[0] == status


async def _closed(gateway: Gateway, sockets: tuple[str, str | None, int]) -> bool:
    return sockets in gateway.revoked


async def test_two_refreshes_at_once_are_reuse(gateway: Gateway) -> None:
    made = await registered(gateway)
    body = {"refreshToken": made["refreshToken"]}
    answers = await asyncio.gather(*(gateway.post("/auth/refresh", body) for _ in range(2)))
    assert sorted(status for status, _ in answers) == [200, 401]
    assert (await gateway.me(made["accessToken"]))[0] == 401


async def test_a_made_up_refresh_token_ends_nothing(gateway: Gateway) -> None:
    made = await registered(gateway)
    session_id, _, _ = made["refreshToken"].partition(".")
    for junk in (f"{session_id}.{'a' * 43}.{'b' * 22}", session_id, made["accessToken"]):
        assert (await gateway.post("/auth/refresh", {"refreshToken": junk}))[0] == 401
    assert (await gateway.me(made["accessToken"]))[0] == 200


async def test_the_refresh_token_is_no_access_token(gateway: Gateway) -> None:
    made = await registered(gateway)
    assert (await gateway.me(made["refreshToken"]))[0] == 401


@pytest.mark.parametrize("redis", [True, False])
async def test_logout_reaches_every_gateway_within_a_second(place: Place, gateway: Gateway, redis: bool) -> None:
    other = await place.gateway(redis_url=None if redis else "unix:///nothing/there")
    made = await registered(gateway)
    session_id = jwt.decode(made["accessToken"], options={"verify_signature": False})["sid"]
    kept = await registered(gateway)
    assert (await other.me(made["accessToken"]))[0] == 200
    assert (await gateway.post("/auth/logout", token=made["accessToken"]))[0] == 200
    assert (await gateway.me(made["accessToken"]))[0] == 401
    took_s = await until(lambda: _refused(other, made["accessToken"]), within_s=1.5)
    assert took_s < (0.5 if redis else 1.3)
    for seen in (gateway, other):
        await until(lambda seen=seen: _closed(seen, (made["userId"], session_id, 4401)), within_s=1.5)  # type: ignore[misc]
    assert (await other.me(kept["accessToken"]))[0] == 200


async def test_logout_stands_after_a_restart_of_everything_and_a_flushed_redis(place: Place, gateway: Gateway) -> None:
    made = await registered(gateway)
    await gateway.post("/auth/logout", token=made["accessToken"])
    await gateway.bus.ask("FLUSHALL")
    restarted = await place.gateway()
    assert (await restarted.me(made["accessToken"]))[0] == 401
    assert (await restarted.post("/auth/refresh", {"refreshToken": made["refreshToken"]}))[0] == 401


async def test_logout_all_ends_every_session_and_sessions_are_listed(gateway: Gateway) -> None:
    made = await registered(gateway, "alice")
    _, second = await gateway.post(
        "/auth/login", {"username": "alice", "password": PASSWORD}, **{"User-Agent": "phone"}
    )
    status, listed = await gateway.ask("GET", "/auth/sessions", token=second["accessToken"])
    assert status == 200
    assert [(entry["userAgent"], entry["current"]) for entry in listed["sessions"][:1]] == [("phone", True)]
    assert len(listed["sessions"]) == 2
    assert (await gateway.post("/auth/logout-all", token=second["accessToken"]))[1] == {"ok": True, "sessions": 2}
    for token in (made["accessToken"], second["accessToken"]):
        assert (await gateway.me(token))[0] == 401


async def test_a_token_is_refused_once_its_time_is_over(place: Place, gateway: Gateway) -> None:
    made = await registered(gateway)
    assert (await gateway.me(made["accessToken"]))[0] == 200
    identity = gateway.access.identity_of(made["accessToken"])
    assert identity is not None
    identity.expires_at = gateway.access.sessions.now_ms()
    assert gateway.access.identity_of(made["accessToken"]) is None
    with pytest.raises(Refusal, match="expired"):
        await gateway.access.authenticate(made["accessToken"])


async def test_without_postgres_players_go_on_and_privileges_do_not(place: Place, gateway: Gateway) -> None:
    player, admin = await registered(gateway), await with_role(place, gateway, "admin")
    held = gateway.access.identity_of(admin["accessToken"])
    assert held is not None
    assert (await gateway.me(player["accessToken"]))[0] == 200
    await gateway.access.sessions._database.close()
    gateway.access.sessions._confirmed_at -= 60
    assert (await gateway.me(player["accessToken"]))[0] == 200
    status, body = await gateway.me(admin["accessToken"])
    assert (status, body["code"]) == (503, "UNAVAILABLE")
    assert held.roles == ("player",)


# Keys and secrets


async def test_rotating_the_key_fails_no_request(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    made = await registered(gateway)
    rotated = await tokens.rotate_keys(await place.database())
    began = time.monotonic()
    kids = set()
    while time.monotonic() - began < tokens.ACTIVATION_S + 1.0:
        status, fresh = await gateway.post("/auth/guest", {"deviceId": "device-of-sixteen"})
        assert status == 200
        kids.add(jwt.get_unverified_header(fresh["accessToken"])["kid"])
        assert (await other.me(fresh["accessToken"]))[0] == 200
        assert (await other.me(made["accessToken"]))[0] == 200
        # Below the rate that a gateway allows to one address.
        await asyncio.sleep(random.uniform(0.01, 0.03))
    assert rotated in kids
    assert len(kids) == 2
    status, keys = await other.ask("GET", "/.well-known/jwks.json")
    assert status == 200
    assert {key["kid"] for key in keys["keys"]} == kids


async def test_processes_that_start_at_once_share_one_key_and_one_secret(place: Place) -> None:
    databases = [await place.database() for _ in range(4)]
    await asyncio.gather(*(tokens.ensure_key(database) for database in databases))
    assert len(await databases[0].fetch("SELECT kid FROM signing_key")) == 1
    made = await asyncio.gather(*(secret(database, "action", 32) for database in databases))
    assert len(set(made)) == 1
    assert len(made[0]) == 32


# Bans and roles


async def test_a_ban_reaches_tokens_logins_and_sockets_everywhere(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    moderator, villain = await with_role(place, gateway, "moderator"), await registered(gateway, "villain")
    assert (await other.me(villain["accessToken"]))[0] == 200
    path = f"/api/v1/moderation/users/{villain['userId']}"
    status, _ = await gateway.post(f"{path}/ban", {"reason": "cheating"}, moderator["accessToken"])
    assert status == 200
    for seen in (gateway, other):
        await until(lambda seen=seen: _refused(seen, villain["accessToken"], 403), within_s=1.0)  # type: ignore[misc]
        await until(lambda seen=seen: _closed(seen, (villain["userId"], None, 4403)), within_s=1.0)  # type: ignore[misc]
        _, body = await seen.me(villain["accessToken"])
        assert (body["code"], body["message"]) == ("BANNED", "cheating")
    for login, status in ((PASSWORD, 403), ("wrong password", 401)):
        assert (await other.post("/auth/login", {"username": "villain", "password": login}))[0] == status
    assert (await other.post("/auth/refresh", {"refreshToken": villain["refreshToken"]}))[0] == 403

    assert (await gateway.post(f"{path}/reinstate", {"reason": "mistake"}, moderator["accessToken"]))[0] == 200
    await until(lambda: _refused(other, villain["accessToken"], 200), within_s=1.0)
    database = await place.database()
    rows = await database.fetch(
        "SELECT actor, role, action FROM audit WHERE subject = $1 ORDER BY id", villain["userId"]
    )
    assert [tuple(row) for row in rows] == [
        (moderator["userId"], "moderator", action) for action in ("ban", "reinstate")
    ]


async def test_a_suspension_says_until_when_and_ends_by_itself(place: Place, gateway: Gateway) -> None:
    moderator, villain = await with_role(place, gateway, "moderator"), await registered(gateway)
    path = f"/api/v1/moderation/users/{villain['userId']}/suspend"
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2.5))
    assert (await gateway.post(path, {"reason": "calm down", "until": ends}, moderator["accessToken"]))[0] == 200
    await until(lambda: _refused(gateway, villain["accessToken"], 403), within_s=1.0)
    _, body = await gateway.me(villain["accessToken"])
    assert (body["code"], body["until"]) == ("SUSPENDED", ends.replace("Z", ".000Z"))
    await until(lambda: _refused(gateway, villain["accessToken"], 200), within_s=4.0)


@pytest.mark.parametrize(
    "body", [{"reason": "x"}, {"reason": "x", "until": "2001-01-01T00:00:00Z"}, {"until": "soon", "reason": "x"}]
)
async def test_a_suspension_needs_an_end_in_the_future(place: Place, gateway: Gateway, body: Any) -> None:
    moderator, villain = await with_role(place, gateway, "moderator"), await registered(gateway)
    path = f"/api/v1/moderation/users/{villain['userId']}/suspend"
    status, told = await gateway.post(path, body, moderator["accessToken"])
    assert (status, told["fields"][0]["field"]) == (400, "until")


async def test_a_rule_that_clears_does_not_lift_a_moderators_ban(place: Place, gateway: Gateway) -> None:
    moderator, villain = await with_role(place, gateway, "moderator"), await registered(gateway)
    database = await place.database()
    insert = "INSERT INTO sanction (user_id, standing, until, reason, by, at) VALUES ($1, $2, $3, 'rule', 'fraud', 0)"
    await database.execute(insert, villain["userId"], "suspended", gateway.access.sessions.now_ms() + HOUR_MS)
    await until(lambda: _refused(gateway, villain["accessToken"], 403), within_s=1.3)
    await database.execute(insert, villain["userId"], "clear", None)
    await until(lambda: _refused(gateway, villain["accessToken"], 200), within_s=1.3)
    path = f"/api/v1/moderation/users/{villain['userId']}/ban"
    await gateway.post(path, {"reason": "manual"}, moderator["accessToken"])
    await database.execute(insert, villain["userId"], "clear", None)
    await gateway.access.sessions.poll()
    assert (await gateway.me(villain["accessToken"]))[1]["code"] == "BANNED"


async def test_a_role_counts_on_tokens_that_were_given_before(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    admin, user = await with_role(place, gateway, "admin"), await registered(gateway)
    held = await other.access.authenticate(user["accessToken"])
    path = f"/api/v1/admin/users/{user['userId']}/roles"
    status, body = await gateway.post(path, {"role": "designer", "grant": True}, admin["accessToken"])
    assert (status, body) == (200, {"roles": ["player", "designer"]})
    await until(lambda: has_role(other, user["accessToken"], "designer"), within_s=1.0)
    assert held.roles == ("player", "designer")
    status, body = await gateway.post(path, {"role": "designer", "grant": False}, admin["accessToken"])
    assert (status, body) == (200, {"roles": ["player"]})


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/api/v1/players/provision", "server"),
        ("/api/v1/moderation/users/x/ban", "moderator"),
        ("/api/v1/moderation/users/x/suspend", "moderator"),
        ("/api/v1/moderation/users/x/reinstate", "moderator"),
        ("/api/v1/admin/users/x/roles", "admin"),
    ],
)
async def test_privileged_paths_are_closed_to_others(place: Place, gateway: Gateway, path: str, role: str) -> None:
    assert (await gateway.post(path, {}))[0] == 401
    for held in ("player", "server", "moderator", "designer", "operator"):
        token = (await with_role(place, gateway, held))["accessToken"]
        status, body = await gateway.post(path, {}, token)
        assert (status, body["code"]) == ((400, "INVALID") if held == role else (403, "FORBIDDEN"))


async def test_moderators_cannot_bar_each_other(place: Place, gateway: Gateway) -> None:
    one, other = await with_role(place, gateway, "moderator"), await with_role(place, gateway, "moderator")
    path = f"/api/v1/moderation/users/{other['userId']}/ban"
    assert (await gateway.post(path, {"reason": "rival"}, one["accessToken"]))[0] == 403


async def test_sanctions_and_audit_cannot_be_rewritten(place: Place) -> None:
    database = await place.database()
    for statement in ("DELETE FROM audit", "UPDATE sanction SET reason = ''", "TRUNCATE audit"):
        with pytest.raises(Refused, match="append-only"):
            await database.execute(statement)


async def test_a_noted_call_is_written_to_the_audit_log(place: Place, gateway: Gateway) -> None:
    gateway.access.audit.note(Caller("u1", ("operator",)), "operator", Address("player", "p1"), "profile", "req_1")
    database = await place.database()

    async def written() -> bool:
        return bool(await database.fetch("SELECT FROM audit WHERE actor = 'u1' AND subject = 'player:p1'"))

    await until(written)


async def test_the_first_admin_is_made_once_and_never_out_of_another(place: Place, gateway: Gateway) -> None:
    database = await place.database()
    password = SecretStr(PASSWORD)
    assert await ensure_admin(database, "admin", password) is True
    assert await ensure_admin(database, "admin", password) is False
    status, body = await gateway.post("/auth/login", {"username": "admin", "password": PASSWORD})
    assert (status, body["user"]["roles"]) == (200, ["player", "admin"])
    await registered(gateway, "alice")
    with pytest.raises(ValueError, match="no administrator"):
        await ensure_admin(database, "alice", password)


async def test_no_secret_is_in_a_log_line(
    place: Place, gateway: Gateway, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    place.players.down = True
    made = await registered(gateway, "quiet")
    await gateway.post("/auth/login", {"username": "quiet", "password": "wrong-secret"})
    await gateway.post("/auth/refresh", {"refreshToken": made["refreshToken"]})
    await gateway.post("/auth/refresh", {"refreshToken": made["refreshToken"]})
    written = "".join(capsys.readouterr()) + caplog.text
    for hidden in (PASSWORD, "wrong-secret", made["accessToken"], made["refreshToken"]):
        assert hidden not in written

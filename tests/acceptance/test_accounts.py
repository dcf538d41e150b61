"""SPEC section 1: accounts, sessions and who may do what."""

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
import pytest
import redis.asyncio

from tests.acceptance.clients import API, PASSWORD, RFC3339_UTC, Door, Sockets, User, fresh_name
from tests.acceptance.crafted import claims_of
from tests.acceptance.ports import listening_elsewhere
from tests.acceptance.server import ADMIN, ADMIN_PASSWORD, Server

ALIASES = (f"{API}/auth", "/auth", "/api/auth")


def later(**time_: float) -> str:
    return (datetime.now(UTC) + timedelta(**time_)).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_address(address: str) -> aiohttp.ClientSession:
    """A client behind another loopback address: failed logins are counted by address."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address, 0)))


@pytest.mark.parametrize("base", ALIASES)
async def test_au_01_registering_gives_tokens(door: Door, base: str) -> None:
    name = fresh_name()
    body = {"username": name, "password": PASSWORD, "email": f"{name}@example.com"}
    answer = await door.post(f"{base}/register", body)
    assert answer.status == 201
    assert set(answer.body) == {"accessToken", "refreshToken", "userId", "expiresIn"}
    assert answer.body["expiresIn"] == 900
    door.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    sheet = await door.get(f"{API}/players/me", as_=answer.body["accessToken"])
    assert (sheet.status, sheet.body["userId"], sheet.body["username"]) == (200, answer.body["userId"], name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "ab"},
        {"username": "x" * 33},
        {"username": "has space"},
        {"username": "tab\tbed"},
        {"username": "administrator"},
        {"password": "short77"},
        {"password": "x" * 65},
        {"password": None},
        {"email": "nowhere"},
        {"roles": ["admin"]},
    ],
)
async def test_au_01_registering_refuses_what_cannot_be_an_account(door: Door, wrong: dict[str, object]) -> None:
    body = {"username": fresh_name(), "password": PASSWORD, **wrong}
    answer = await door.post(f"{API}/auth/register", body)
    assert (answer.status, answer.code) == (400, "INVALID")
    assert next(iter(wrong)) in answer.body["message"]


async def test_au_01_of_many_at_once_one_gets_the_name(door: Door) -> None:
    body = {"username": fresh_name(), "password": PASSWORD}
    answers = await asyncio.gather(*(door.post(f"{API}/auth/register", body) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409]
    assert {answer.code for answer in answers if answer.status == 409} == {"username_taken"}


async def test_au_02_passwords_of_any_script_are_told_apart_to_the_last_byte(door: Door, server: Server) -> None:
    long = "\N{GRINNING FACE}" * 63
    server.secrets.add(long)
    user = await door.register(password=long + "a")
    assert (await door.login(user.name, long + "a")).id == user.id
    async with from_address("127.0.2.1") as elsewhere:
        wrong = await door.ask(
            "POST", f"{API}/auth/login", {"username": user.name, "password": long + "b"}, session=elsewhere
        )
    assert wrong.status == 401
    [row] = await server.sql("SELECT password FROM account WHERE id = $1", user.id)
    tag, _, version, cost, _ = row["password"].split("$")
    assert (tag, version, cost) == ("v1", "2b", "12")


async def test_au_03_access_tokens_are_rs256_and_verify_with_the_published_keys(door: Door, alice: User) -> None:
    header, claims = jwt.get_unverified_header(alice.token), claims_of(alice.token)
    assert header["alg"] == "RS256"
    assert {"sub", "sid", "roles", "exp", "iat", "jti"} <= set(claims)
    assert claims["sub"] == alice.id
    assert claims["roles"] == ["player"]
    assert claims["exp"] - claims["iat"] == 900
    keys = (await door.get("/.well-known/jwks.json")).body["keys"]
    assert all("d" not in key for key in keys)
    key = next(key for key in keys if key["kid"] == header["kid"])
    assert jwt.decode(alice.token, jwt.PyJWK(key), algorithms=["RS256"])["sub"] == alice.id


@pytest.mark.parametrize("base", ALIASES)
async def test_au_04_logging_in_gives_tokens_and_the_user(door: Door, base: str) -> None:
    name = fresh_name()
    registered = await door.post(
        f"{API}/auth/register", {"username": name, "password": PASSWORD, "email": f"{name}@example.com"}
    )
    by_name = {"username": name, "password": PASSWORD}
    by_email = {"email": f"{name.upper()}@example.com", "password": PASSWORD}
    for answer in [await door.post(f"{base}/login", body) for body in (by_name, by_email)]:
        assert answer.status == 200
        assert {"accessToken", "refreshToken", "user"} <= set(answer.body)
        door.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
        user = answer.body["user"]
        assert (user["userId"], user["username"]) == (registered.body["userId"], name)
        assert RFC3339_UTC.fullmatch(user["lastLoginAt"])
        assert "password" not in answer.text.lower()


async def test_au_05_a_wrong_password_and_an_unknown_user_look_the_same(door: Door) -> None:
    user = await door.register()
    async with from_address("127.0.2.2") as elsewhere:
        bodies: dict[str, Any] = {}
        times: dict[str, float] = {}
        for who, name in (("known", user.name), ("unknown", fresh_name("nobody"))):
            tried = {"username": name, "password": "wrong one"}
            answers = [await door.ask("POST", f"{API}/auth/login", tried, session=elsewhere) for _ in range(4)]
            assert {(answer.status, answer.code) for answer in answers} == {(401, "CREDENTIALS_INVALID")}
            bodies[who] = {**answers[-1].body, "requestId": ""}
            times[who] = statistics.median(answer.seconds for answer in answers)
    assert bodies["known"] == bodies["unknown"]
    assert times["unknown"] > times["known"] / 3
    assert times["known"] > times["unknown"] / 3


async def test_au_05_five_failures_of_an_account_are_enough(door: Door) -> None:
    user = await door.register()
    async with from_address("127.0.2.3") as elsewhere:
        tried = {"username": user.name, "password": "wrong one"}
        codes = [(await door.ask("POST", f"{API}/auth/login", tried, session=elsewhere)).status for _ in range(6)]
        assert codes == [401] * 5 + [429]
        right = await door.ask(
            "POST", f"{API}/auth/login", {"username": user.name, "password": user.password}, session=elsewhere
        )
        assert (right.status, right.code) == (429, "RATE_LIMITED")
        assert 1 <= int(right.headers["Retry-After"]) <= 600


async def test_au_05_twenty_failures_of_an_address_are_enough(door: Door) -> None:
    async with from_address("127.0.2.4") as elsewhere:

        async def fail() -> int:
            tried = {"username": fresh_name("nobody"), "password": "wrong one"}
            return (await door.ask("POST", f"{API}/auth/login", tried, session=elsewhere)).status

        codes = [await fail() for _ in range(21)]
    assert codes == [401] * 20 + [429]


async def test_au_08_a_session_that_ended_is_refused_within_a_second_everywhere(door: Door) -> None:
    user = await door.guest()
    assert (await door.get(f"{API}/players/me", as_=user)).status == 200
    assert (await door.post("/auth/logout", as_=user)).status == 200
    ended = time.monotonic()
    answers = set()
    # Each connection may reach another gateway: after a second none accepts the token.
    while time.monotonic() < ended + 1.2:
        async with aiohttp.ClientSession() as fresh:
            answers.add((await door.ask("GET", f"{API}/players/me", as_=user, session=fresh)).status)
    for _ in range(10):
        async with aiohttp.ClientSession() as fresh:
            answer = await door.ask("GET", f"{API}/players/me", as_=user, session=fresh)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert answers <= {200, 401}


async def test_au_08_revocations_survive_a_flushed_redis(door: Door, server: Server) -> None:
    user = await door.guest()
    await door.post("/auth/logout", as_=user)
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        await client.flushall()
    for _ in range(6):
        async with aiohttp.ClientSession() as fresh:
            assert (await door.ask("GET", f"{API}/players/me", as_=user, session=fresh)).status == 401


@pytest.mark.parametrize("base", ALIASES)
async def test_au_09_refresh_tokens_rotate(door: Door, base: str) -> None:
    user = await door.guest()
    answer = await door.post(f"{base}/refresh", {"refreshToken": user.refresh})
    assert answer.status == 200
    assert {"accessToken", "refreshToken", "expiresIn"} <= set(answer.body)
    assert answer.body["refreshToken"] != user.refresh
    door.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    assert claims_of(answer.body["accessToken"])["sid"] == claims_of(user.token)["sid"]
    assert (await door.get(f"{API}/players/me", as_=answer.body["accessToken"])).status == 200


async def test_au_09_an_old_refresh_token_revokes_the_whole_family(door: Door) -> None:
    user = await door.guest()
    fresh = (await door.post("/auth/refresh", {"refreshToken": user.refresh})).body
    door.server.secrets |= {fresh["accessToken"], fresh["refreshToken"]}
    assert (await door.post("/auth/refresh", {"refreshToken": user.refresh})).status == 401
    assert (await door.post("/auth/refresh", {"refreshToken": fresh["refreshToken"]})).status == 401
    await door.until(
        "the family's access token is refused",
        lambda: door.get(f"{API}/players/me", as_=fresh["accessToken"]),
        lambda answer: answer.status == 401,
        2,
    )


async def test_au_09_refresh_tokens_are_stored_hashed(door: Door, server: Server) -> None:
    user = await door.guest()
    rows = await server.sql("SELECT * FROM session WHERE user_id = $1", user.id)
    assert user.refresh not in str(rows)
    assert len(rows[0]["refresh_hash"]) == 32
    lifetime = rows[0]["expires_at"] - rows[0]["created_at"]
    assert timedelta(days=29, hours=23) < lifetime <= timedelta(days=30)


async def test_au_09_sessions_are_listed_and_all_of_them_ended(door: Door, sockets: Sockets) -> None:
    user = await door.register()
    other = await door.login(user.name)
    listed = (await door.get("/auth/sessions", as_=user)).body["sessions"]
    assert len(listed) == 2
    assert [entry["current"] for entry in listed].count(True) == 1
    wire = await sockets.open(other)
    assert (await door.post("/auth/logout-all", as_=user)).status == 200
    assert await wire.closed(3) == 4401
    for token in (user, other):
        await door.until(
            "both are refused",
            lambda token=token: door.get(f"{API}/players/me", as_=token),
            lambda answer: answer.status == 401,
            2,
        )
    assert (await door.post("/auth/refresh", {"refreshToken": other.refresh})).status == 401


async def test_au_12_a_ban_closes_sockets_and_refuses_everything(door: Door, sockets: Sockets, moderator: User) -> None:
    user = await door.register()
    wire = await sockets.open(user)
    banned = await door.post(f"{API}/moderation/users/{user.id}/ban", {"reason": "cheating"}, as_=moderator)
    assert banned.status == 200
    assert await wire.closed(3) == 4403
    refused = await door.until(
        "every request is refused",
        lambda: door.get(f"{API}/players/me", as_=user),
        lambda answer: answer.status == 403,
        2,
    )
    assert refused.code == "BANNED"
    login = await door.post(f"{API}/auth/login", {"username": user.name, "password": user.password})
    assert (login.status, login.code) == (403, "BANNED")
    refresh = await door.post(f"{API}/auth/refresh", {"refreshToken": user.refresh})
    assert (refresh.status, refresh.code) == (403, "BANNED")
    late = await sockets.raw()
    await late.send({"type": "auth", "id": "1", "auth": user.bearer})
    assert (await late.receive())["error"]["code"] == "BANNED"
    assert await late.closed() == 4403
    lifted = await door.post(f"{API}/moderation/users/{user.id}/reinstate", {"reason": "appeal"}, as_=moderator)
    assert lifted.status == 200
    await door.until(
        "the account is back",
        lambda: door.get(f"{API}/players/me", as_=user),
        lambda answer: answer.status == 200,
        2,
    )


async def test_au_13_a_suspension_ends_by_itself(door: Door, sockets: Sockets, moderator: User) -> None:
    user = await door.guest()
    wire = await sockets.open(user)
    until = later(seconds=3)
    body = {"reason": "cool down", "until": until}
    assert (await door.post(f"{API}/moderation/users/{user.id}/suspend", body, as_=moderator)).status == 200
    assert await wire.closed(3) == 4403
    refused = await door.until(
        "requests are refused",
        lambda: door.get(f"{API}/players/me", as_=user),
        lambda answer: answer.status == 403,
        2,
    )
    assert refused.code == "SUSPENDED"
    assert "cool down" in refused.text
    await door.until(
        "the suspension is over",
        lambda: door.get(f"{API}/players/me", as_=user),
        lambda answer: answer.status == 200,
        6,
    )


async def test_au_13_a_suspension_needs_an_end_in_the_future_and_a_reason(
    door: Door, alice: User, moderator: User
) -> None:
    for body in ({"reason": "x"}, {"until": later(hours=1)}, {"reason": "x", "until": later(hours=-1)}):
        answer = await door.post(f"{API}/moderation/users/{alice.id}/suspend", body, as_=moderator)
        assert (answer.status, answer.code) == (400, "INVALID")
    answer = await door.post(f"{API}/moderation/users/nobody/ban", {"reason": "x"}, as_=moderator)
    assert (answer.status, answer.code) == (404, "player_unknown")


async def test_au_16_an_admin_grants_and_takes_back_roles(door: Door, alice: User, admin: User) -> None:
    path = f"{API}/admin/users/{alice.id}/roles"
    granted = await door.post(path, {"role": "server", "grant": True}, as_=admin)
    assert (granted.status, sorted(granted.body["roles"])) == (200, ["player", "server"])
    assert set(granted.body) == {"roles"}
    award = {"userId": alice.id, "points": 1, "board": "practice"}
    await door.until(
        "the role counts without a new login",
        lambda: door.post(f"{API}/scores/award", award, as_=alice),
        lambda answer: answer.status == 200,
        2,
    )
    taken = await door.post(path, {"role": "server", "grant": False}, as_=admin)
    assert taken.body["roles"] == ["player"]
    await door.until(
        "the role is gone",
        lambda: door.post(f"{API}/scores/award", award, as_=alice),
        lambda answer: answer.status == 403,
        2,
    )
    assert (await door.post(path, {"role": "emperor", "grant": True}, as_=admin)).status == 400
    assert (await door.post(path, {"role": "admin", "grant": True}, as_=alice)).status == 403


async def test_au_16_privileged_calls_are_in_the_audit_log(
    door: Door, server: Server, alice: User, moderator: User, studio: User, admin: User
) -> None:
    body = {"reason": "for the record", "until": later(seconds=2)}
    await door.post(f"{API}/moderation/users/{alice.id}/suspend", body, as_=moderator)
    await door.post(f"{API}/admin/users/{alice.id}/roles", {"role": "player", "grant": True}, as_=admin)
    await door.award(studio, alice.id, 1, board="practice")

    async def entries() -> set[tuple[str, str]]:
        rows = await server.sql("SELECT actor, role FROM audit_log WHERE subject LIKE '%' || $1", alice.id)
        return {(row["actor"], row["role"]) for row in rows}

    expected = {(moderator.id, "moderator"), (admin.id, "admin"), (studio.id, "server")}
    end = time.monotonic() + 5
    while not expected <= await entries():
        assert time.monotonic() < end, await entries()
        await asyncio.sleep(0.1)


async def test_au_16_the_first_admin_is_made_by_the_settings(door: Door) -> None:
    admin = await door.login(ADMIN, ADMIN_PASSWORD)
    assert "admin" in claims_of(admin.token)["roles"]


async def test_au_20_a_device_comes_back_to_its_player(door: Door) -> None:
    device = fresh_name("device-0123456789")
    door.server.secrets.add(device)
    answer = await door.post(f"{API}/auth/guest", {"deviceId": device})
    assert answer.status == 200
    assert {"accessToken", "refreshToken", "userId"} <= set(answer.body)
    back = await door.post(f"{API}/auth/guest", {"deviceId": device})
    other = await door.guest()
    assert back.body["userId"] == answer.body["userId"] != other.id


async def test_au_20_a_guest_becomes_an_account_and_keeps_everything(door: Door) -> None:
    guest = await door.guest()
    await door.play(guest)
    name = fresh_name("grown")
    answer = await door.post("/auth/upgrade", {"username": name, "password": PASSWORD}, as_=guest)
    assert answer.status == 200
    account = await door.login(name)
    assert account.id == guest.id
    assert (await door.score(account.id, account, "practice"))["score"] == 1
    assert (await door.get(f"{API}/players/me", as_=account)).body["username"] == name
    again = await door.post("/auth/upgrade", {"username": fresh_name(), "password": PASSWORD}, as_=account)
    assert again.status == 409


async def test_au_21_a_studio_provisions_players_once_by_external_id(door: Door, studio: User) -> None:
    external = [fresh_name("ext") for _ in range(500)]
    items = [{"externalId": id_, "displayName": "Same Name"} for id_ in external]
    first = await door.post(f"{API}/players/provision", {"items": items}, as_=studio)
    assert first.status == 200
    assert [item["externalId"] for item in first.body["items"]] == external
    assert all(set(item) == {"externalId", "userId", "created"} for item in first.body["items"])
    assert {item["created"] for item in first.body["items"]} == {True}
    again = await door.post(f"{API}/players/provision", {"items": items}, as_=studio)
    assert {item["created"] for item in again.body["items"]} == {False}
    assert [item["userId"] for item in again.body["items"]] == [item["userId"] for item in first.body["items"]]
    player = first.body["items"][0]["userId"]
    await door.award(studio, player, 7, board="practice")
    assert (await door.get(f"{API}/players/{player}", as_=studio)).body["username"] == "Same Name"
    row = (await door.get(f"{API}/leaderboard/users/{player}", as_=studio, board="practice")).body
    assert (row["username"], row["score"]) == ("Same Name", 7)


async def test_au_21_a_command_to_a_player_that_does_not_exist_is_404(door: Door, studio: User) -> None:
    answer = await door.post(f"{API}/scores/award", {"userId": "nobody", "points": 1}, as_=studio)
    assert (answer.status, answer.code) == (404, "player_unknown")
    for path in (f"{API}/players/nobody", f"{API}/players/nobody/score"):
        answer = await door.get(path, as_=studio)
        assert (answer.status, answer.code) == (404, "player_unknown")


async def test_au_17_everything_listens_on_loopback(server: Server) -> None:
    assert server.process is not None
    assert listening_elsewhere(server.process.pid) == []

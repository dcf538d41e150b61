"""SE-03, SE-04 and SE-26: access tokens that are forged, stale or revoked, and keys that change."""

import asyncio
import base64
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jwt
import pytest
import redis.asyncio
from cryptography.hazmat.primitives import serialization

from tests.acceptance.clients import API, Door, Sockets, User
from tests.acceptance.crafted import claims_of, foreign_pem, now_s, resigned, signing_key
from tests.acceptance.server import PROJECT, Server

Forge = Callable[[Server, Door, User], Awaitable[str]]


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def unsigned(server: Server, door: Door, user: User) -> str:
    header = {**jwt.get_unverified_header(user.token), "alg": "none"}
    return f"{encoded(header)}.{encoded(claims_of(user.token))}."


async def signed_with_the_public_key(server: Server, door: Door, user: User) -> str:
    _, pem = await signing_key(server)
    private = serialization.load_pem_private_key(pem.encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {**jwt.get_unverified_header(user.token), "alg": "HS256"}
    signed = f"{encoded(header)}.{encoded(claims_of(user.token))}"
    mac = hmac.digest(public, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


async def of_a_foreign_key(server: Server, door: Door, user: User) -> str:
    return jwt.encode(claims_of(user.token), foreign_pem(), "RS256", headers=jwt.get_unverified_header(user.token))


async def with_its_own_key_inside(server: Server, door: Door, user: User) -> str:
    pem = foreign_pem()
    private = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).prepare_key(pem)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))  # type: ignore[union-attr]
    header = {**jwt.get_unverified_header(user.token), "jwk": jwk, "jku": "http://127.0.0.1:1/keys"}
    return jwt.encode(claims_of(user.token), pem, "RS256", headers=header)


async def of_an_unknown_key_id(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, header={"kid": "../../etc/passwd"})


async def expired(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, exp=now_s() - 1)


async def not_valid_yet(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, nbf=now_s() + 3_600)


async def of_another_type(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, header={"typ": "refresh+jwt"})


async def without_a_session(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, sid=None)


async def of_somebody_elses_session(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, sid=claims_of((await door.guest()).token)["sid"])


async def that_never_expires(server: Server, door: Door, user: User) -> str:
    return await resigned(server, user, exp=None)


async def with_one_bit_flipped(server: Server, door: Door, user: User) -> str:
    head, _, signature = user.token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[7] ^= 1
    return f"{head}.{base64.urlsafe_b64encode(bytes(raw)).decode().rstrip('=')}"


async def the_refresh_token(server: Server, door: Door, user: User) -> str:
    return user.refresh


async def nonsense(server: Server, door: Door, user: User) -> str:
    return "a.b.c"


FORGED: list[Forge] = [
    unsigned,
    signed_with_the_public_key,
    of_a_foreign_key,
    with_its_own_key_inside,
    of_an_unknown_key_id,
    expired,
    not_valid_yet,
    of_another_type,
    without_a_session,
    of_somebody_elses_session,
    that_never_expires,
    with_one_bit_flipped,
    the_refresh_token,
    nonsense,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
async def test_se_03_tokens_that_are_not_ours_are_refused_everywhere(
    server: Server, door: Door, sockets: Sockets, alice: User, forge: Forge
) -> None:
    token = await forge(server, door, alice)
    assert token != alice.token
    answer = await door.get(f"{API}/players/me", as_=token)
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert token not in answer.text
    wire = await sockets.raw()
    await wire.send({"type": "auth", "id": "1", "auth": f"Bearer {token}"})
    assert (await wire.receive())["meta"]["code"] == 401
    assert await wire.closed() == 1008


async def test_se_03_roles_in_a_token_are_not_believed(server: Server, door: Door, alice: User) -> None:
    """Even rightly signed: what an account may is what Postgres says now."""
    token = await resigned(server, alice, roles=["player", "admin"])
    answer = await door.post(f"{API}/admin/users/{alice.id}/roles", {"role": "admin", "grant": True}, as_=token)
    assert answer.status in (401, 403)


async def test_se_03_a_huge_token_is_refused_at_once(server: Server, sockets: Sockets, door: Door) -> None:
    async with door.session.get(
        f"{server.url}{API}/players/me", headers={"Authorization": "Bearer " + "a" * 1_000_000}
    ) as response:
        assert response.status in (400, 401, 431)
    answer = await door.get(f"{API}/players/me", as_="a" * 8_000)
    assert answer.status == 401
    assert answer.seconds < 0.5
    wire = await sockets.raw()
    await wire.send({"type": "auth", "auth": "Bearer " + "a" * 60_000})
    assert (await wire.receive())["meta"]["code"] in (400, 401)
    assert await wire.closed() == 1008


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "bearer x y"])
async def test_se_03_headers_that_are_no_bearer_tokens_are_401(door: Door, header: str) -> None:
    answer = await door.ask("GET", f"{API}/players/me", headers={"Authorization": header})
    assert answer.status in (400, 401)


async def test_se_03_a_token_in_the_url_is_never_accepted(server: Server, door: Door, alice: User) -> None:
    for name in ("token", "access_token", "accessToken", "auth", "Authorization"):
        answer = await door.ask("GET", f"{API}/players/me", params={name: alice.token})
        assert answer.status == 401


async def test_se_04_an_open_socket_ends_with_its_session(door: Door, sockets: Sockets) -> None:
    user = await door.guest()
    wires = [await sockets.open(user) for _ in range(6)]
    began = time.monotonic()
    assert (await door.post("/auth/logout", as_=user)).status == 200
    assert {await wire.closed(3) for wire in wires} == {4401}
    assert time.monotonic() - began < 2.5


async def test_se_04_other_sessions_of_the_user_go_on(door: Door, sockets: Sockets) -> None:
    device = "a device that logs in twice"
    one, other = await door.guest(device), await door.guest(device)
    wire = await sockets.open(other)
    await door.post("/auth/logout", as_=one)
    await door.until(
        "the ended session is refused",
        lambda: door.get(f"{API}/players/me", as_=one),
        lambda answer: answer.status == 401,
        2,
    )
    assert (await wire.query("player", "me", "profile"))["meta"]["code"] == 200
    assert (await door.get(f"{API}/players/me", as_=other)).status == 200


async def test_se_04_a_revoked_token_stays_revoked_after_a_flush(server: Server, door: Door, moderator: User) -> None:
    banned, left = await door.guest(), await door.guest()
    await door.post(f"{API}/moderation/users/{banned.id}/ban", {"reason": "cheating"}, as_=moderator)
    await door.post("/auth/logout", as_=left)
    async with redis.asyncio.from_url(server.run["redis_url"]) as client:
        await client.flushall()
    for user, status in ((banned, 403), (left, 401)):
        await door.until(
            "it is refused",
            lambda user=user: door.get(f"{API}/players/me", as_=user),
            lambda answer, status=status: answer.status == status,
            2,
        )
        for _ in range(5):
            async with aiohttp.ClientSession() as fresh:
                assert (await door.ask("GET", f"{API}/players/me", as_=user, session=fresh)).status == status


async def test_se_26_the_signing_key_rotates_without_a_failed_request(server: Server, door: Door, alice: User) -> None:
    before = {key["kid"] for key in (await door.get("/.well-known/jwks.json")).body["keys"]}
    rotated = await asyncio.to_thread(server.tool, "admin", "rotate-keys")
    assert rotated.returncode == 0, rotated.stderr
    end = time.monotonic() + 20
    signed_by = jwt.get_unverified_header(alice.token)["kid"]
    while signed_by in before:
        assert (await door.get(f"{API}/players/me", as_=alice)).status == 200
        fresh = await door.guest()
        assert (await door.get(f"{API}/players/me", as_=fresh)).status == 200
        signed_by = jwt.get_unverified_header(fresh.token)["kid"]
        assert time.monotonic() < end, "nobody signs with the new key"
    keys = {key["kid"] for key in (await door.get("/.well-known/jwks.json")).body["keys"]}
    assert before < keys
    assert (await door.get(f"{API}/players/me", as_=alice)).status == 200


async def test_se_26_files_with_secrets_are_readable_by_their_owner_only(server: Server) -> None:
    for path in (server.data / "run.json", server.data / "ray_token"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_se_26_doctor_masks_secrets(server: Server) -> None:
    for arguments in (("doctor",), ("doctor", "--json")):
        told = await asyncio.to_thread(server.tool, *arguments)
        assert server.environment["GREENROOM_ADMIN_PASSWORD"] not in told.stdout + told.stderr


def test_se_26_the_repository_holds_no_secret() -> None:
    marks = ("-----BEGIN " + "RSA PRIVATE", "-----BEGIN " + "PRIVATE KEY", "AKIA" + "IOSF")
    for folder in ("actors", "gateway", "schemas", "scripts", "content", "deploy", "greenroom_client", "docs", "tests"):
        for path in (PROJECT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".yaml", ".yml", ".md", ".json", ".sql", ""):
                text = path.read_text(errors="replace")
                assert not any(mark in text for mark in marks), path

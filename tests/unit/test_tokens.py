"""Access tokens are believed only when we signed them, as they are, and in time; refresh tokens when we made them."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.accounts.tokens import ACCESS_S, Key, Keys, RefreshTokens
from schemas.problems import Refusal

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {"sub": "u1", "sid": "s1", "roles": ["player"], "iat": NOW_S, "exp": NOW_S + 900, "jti": "j1"}
HEADERS = {"kid": "k1", "typ": "at+jwt"}


@pytest.fixture
def keys() -> Keys:
    return Keys([Key.of("k1", PRIVATE)])


def signed(claims: dict[str, Any], headers: dict[str, Any] = HEADERS, key: rsa.RSAPrivateKey = PRIVATE) -> str:
    return jwt.encode(claims, key, "RS256", headers=headers)


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def by_hmac_with_the_public_key() -> str:
    public = PRIVATE.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = f"{encoded({'alg': 'HS256', **HEADERS})}.{encoded(CLAIMS)}"
    mac = hmac.digest(public, body.encode(), hashlib.sha256)
    return f"{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def test_our_own_token_says_who_it_is(keys: Keys) -> None:
    claims = keys.verify(keys.sign("u1", "s1", ("player", "admin"), NOW_MS), NOW_MS)
    assert (claims.user_id, claims.session_id, claims.roles) == ("u1", "s1", ("player", "admin"))
    assert claims.expires_at == NOW_MS + ACCESS_S * 1000


def test_a_token_carries_what_the_contract_names(keys: Keys) -> None:
    token = keys.sign("u1", "s1", ("player",), NOW_MS)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
    claims = jwt.decode(
        token, PRIVATE.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    assert set(claims) == {"sub", "sid", "roles", "exp", "iat", "jti"}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        f"{encoded({'alg': 'none', **HEADERS})}.{encoded(CLAIMS)}.",
        by_hmac_with_the_public_key(),
        signed(CLAIMS, key=OTHER),
        signed(CLAIMS, {"kid": "k2", "typ": "at+jwt"}),
        signed(CLAIMS, {"kid": "k2", "typ": "at+jwt", "jku": "http://127.0.0.1/keys"}, OTHER),
        signed(CLAIMS, {"kid": "k1", "typ": "at+jwt", "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, OTHER),
        signed(CLAIMS, {"kid": "k1", "typ": "JWT"}),
        signed(CLAIMS, {"typ": "at+jwt"}),
        signed({**CLAIMS, "exp": NOW_S}),
        signed({**CLAIMS, "exp": NOW_S - 30}),
        signed({**CLAIMS, "iat": NOW_S + 61}),
        signed({**CLAIMS, "nbf": NOW_S + 61}),
        signed({**CLAIMS, "roles": "admin"}),
        signed({**CLAIMS, "roles": [1]}),
        signed({**CLAIMS, "exp": True}),
        signed({**CLAIMS, "aud": "another"}),
        *(signed({name: value for name, value in CLAIMS.items() if name != missing}) for missing in CLAIMS),
        "a" * 1_000_000,
    ],
)
def test_any_other_token_is_refused_at_once(keys: Keys, token: str) -> None:
    # The thread's own time: what others do on the machine meanwhile is not the token's doing.
    began = time.thread_time()
    with pytest.raises(Refusal) as refused:
        keys.verify(token, NOW_MS)
    assert refused.value.code == "UNAUTHENTICATED"
    assert time.thread_time() - began < 0.005


def test_one_flipped_bit_anywhere_is_refused(keys: Keys) -> None:
    token = keys.sign("u1", "s1", ("player",), NOW_MS)
    for at in range(0, len(token), 7):
        flipped = token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :]
        with pytest.raises(Refusal, match="UNAUTHENTICATED"):
            keys.verify(flipped, NOW_MS)


def test_a_clock_that_is_a_minute_ahead_is_tolerated(keys: Keys) -> None:
    keys.verify(signed({**CLAIMS, "iat": NOW_S + 59, "nbf": NOW_S + 59}), NOW_MS)


def test_a_new_key_signs_from_its_time_and_the_old_one_verifies_until_its_end() -> None:
    keys = Keys([Key.of("old", PRIVATE, expires_at=NOW_MS + 5_000), Key.of("new", OTHER, active_at=NOW_MS + 3_000)])
    before = keys.sign("u1", "s1", (), NOW_MS)
    after = keys.sign("u1", "s1", (), NOW_MS + 3_000)
    assert jwt.get_unverified_header(before)["kid"] == "old"
    assert jwt.get_unverified_header(after)["kid"] == "new"
    keys.verify(before, NOW_MS + 4_999)
    with pytest.raises(Refusal, match="UNAUTHENTICATED"):
        keys.verify(before, NOW_MS + 5_000)
    assert [key["kid"] for key in keys.jwks(NOW_MS + 5_000)["keys"]] == ["new"]


def test_the_key_set_holds_public_parts_only(keys: Keys) -> None:
    (key,) = keys.jwks(NOW_MS)["keys"]
    assert set(key) - {"key_ops"} == {"kty", "n", "e", "kid", "use", "alg"}
    verified = jwt.PyJWK(key).key
    jwt.decode(keys.sign("u1", "s1", (), int(time.time() * 1000)), verified, algorithms=["RS256"])


def test_a_refresh_token_names_its_session_and_cannot_be_guessed() -> None:
    tokens = RefreshTokens(b"k" * 32)
    one, other = tokens.make("s1"), tokens.make("s1")
    assert one != other
    assert tokens.session_of(one) == tokens.session_of(other) == "s1"
    assert tokens.session_of(one.replace("s1", "s2")) is None
    assert RefreshTokens(b"x" * 32).session_of(one) is None
    assert [tokens.session_of(junk) for junk in ("", ".", "s1..", "s1.é.é", "a" * 100_000)] == [None] * 5

"""What an issuer signs and says of itself: each thing that can be wrong with it, and keys that rotate."""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.accounts import issuer as issuers
from scripts.embedded.raycluster import free_port
from tests.integration.issuer import CLIENT_ID, CLIENT_SECRET, LocalIssuer, serving
from tests.integration.place import Gateway, place, servers
from tests.integration.travels import PUBLIC, Travels, door, travels

__all__ = ["door", "place", "servers", "travels"]

NOW = int(time.time())


def public_pem(issuer: LocalIssuer) -> bytes:
    return issuer.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def by_nobody(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", "none", headers={"kid": issuer.kid})


def by_the_public_key(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    """HS256 keyed with what everybody knows, as a library that trusts `alg` would verify it."""
    whole = jwt.encode(claims, "x" * 32, "HS256", headers={"kid": issuer.kid})
    signed = whole.rpartition(".")[0].encode()
    algorithm = jwt.get_algorithm_by_name("HS256")
    signature = algorithm.sign(signed, public_pem(issuer))
    return f"{signed.decode()}.{jwt.utils.base64url_encode(signature).decode()}"


def by_the_client_secret(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, CLIENT_SECRET.ljust(32), "HS256", headers={"kid": issuer.kid})


def by_another_key(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, stranger, "RS256", headers={"kid": issuer.kid})


def by_a_key_it_brings_along(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = json.loads(RSAAlgorithm.to_jwk(stranger.public_key()))
    return jwt.encode(
        claims, stranger, "RS256", headers={"kid": "brought", "jwk": brought, "jku": f"{issuer.url}/jwks"}
    )


def by_an_unknown_key(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, issuer.private, "RS256", headers={"kid": "unknown"})


def with_a_bit_flipped(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    head, body, signature = issuer.signed(claims).split(".")
    middle = len(body) // 2
    return ".".join((head, body[:middle] + ("A" if body[middle] != "A" else "B") + body[middle + 1 :], signature))


def as_junk(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    return "a.b.c"


def without_end(issuer: LocalIssuer, claims: dict[str, Any]) -> str:
    return issuer.signed({**claims, "more": "x" * 40_000})


@pytest.mark.parametrize(
    "signs",
    [
        by_nobody,
        by_the_public_key,
        by_the_client_secret,
        by_another_key,
        by_a_key_it_brings_along,
        by_an_unknown_key,
        with_a_bit_flipped,
        as_junk,
        without_end,
    ],
)
async def test_only_the_issuers_own_signature_counts(
    travels: Travels, door: Gateway, signs: Callable[[LocalIssuer, dict[str, Any]], str]
) -> None:
    travels.one.signs = lambda claims: signs(travels.one, claims)
    status, body = await travels.login(door)
    assert (status, body["code"]) == (401, "ID_TOKEN_INVALID"), body
    travels.one.signs = travels.one.signed
    assert (await travels.login(door))[0] == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another-game"},
        {"aud": ["another-game"]},
        {"aud": [CLIENT_ID, "another-game"]},
        {"aud": [CLIENT_ID, "another-game"], "azp": "another-game"},
        {"azp": "another-game"},
        {"aud": None},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 7},
        {"exp": NOW - 120},
        {"exp": None},
        {"exp": "soon"},
        {"iat": NOW + 3600},
        {"iat": None},
        {"nbf": NOW + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "nul\x00"},
        {"sub": 7},
        {"name": "lone \ud800"},
    ],
    ids=str,
)
async def test_a_token_is_refused_when_a_claim_is_wrong(
    travels: Travels, door: Gateway, claims: dict[str, Any]
) -> None:
    travels.one.claims = claims
    status, body = await travels.login(door)
    assert (status, body["code"]) == (401, "ID_TOKEN_INVALID"), body


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another-game"], "azp": CLIENT_ID},
        {"exp": NOW + 10**6, "iat": NOW - 30},
        {"email": "alice@example.com", "email_verified": False, "more": {"nested": [1, 2.5]}},
    ],
    ids=str,
)
async def test_a_token_is_taken_when_all_is_right(travels: Travels, door: Gateway, claims: dict[str, Any]) -> None:
    travels.one.claims = claims
    assert (await travels.login(door))[0] == 200


async def test_other_algorithms_of_good_repute_are_fine(travels: Travels, door: Gateway) -> None:
    travels.one.signs = lambda claims: jwt.encode(
        claims, travels.one.private, "PS256", headers={"kid": travels.one.kid}
    )
    assert (await travels.login(door))[0] == 200


async def test_a_key_of_one_kind_verifies_no_other(travels: Travels, door: Gateway) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    assert json.loads(ECAlgorithm.to_jwk(curve.public_key()))["kty"] == "EC"
    travels.one.signs = lambda claims: jwt.encode(claims, curve, "ES256", headers={"kid": travels.one.kid})
    status, body = await travels.login(door)
    assert (status, body["code"]) == (401, "ID_TOKEN_INVALID")


# Keys


async def test_keys_rotate_without_a_restart(travels: Travels, door: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await travels.login(door))[0] == 200
    assert (await travels.login(door))[0] == 200
    assert travels.one.asked == ["metadata", "token", "jwks", "token"], "what is known is not asked again"
    former = travels.one.private, travels.one.kid
    travels.one.rotate()
    monkeypatch.setattr(issuers, "KEYS_AGAIN_S", 0.0)
    assert (await travels.login(door))[0] == 200
    travels.one.signs = lambda claims: jwt.encode(claims, former[0], "RS256", headers={"kid": former[1]})
    assert (await travels.login(door))[0] == 401, "a key that was taken back"


async def test_unknown_keys_are_not_looked_up_all_the_time(travels: Travels, door: Gateway) -> None:
    travels.one.signs = lambda claims: by_an_unknown_key(travels.one, claims)
    for _ in range(3):
        assert (await travels.login(door))[0] == 401
    assert travels.one.asked.count("jwks") == 1


# What the issuer says of itself


async def test_a_client_secret_may_travel_in_the_form(travels: Travels, door: Gateway) -> None:
    travels.one.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert (await travels.login(door))[0] == 200


async def test_a_wrong_client_secret_is_the_operators_trouble_and_not_told(travels: Travels) -> None:
    wrong = json.dumps({"one": travels.one.settings(clientSecret="wrong-secret")})
    gateway = await travels.gateway(oidc=wrong)
    status, body = await travels.login(gateway)
    assert (status, body["code"]) == (403, "LOGIN_REFUSED")
    assert "secret" not in str(body)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": 7},
        {"token_endpoint": "http://169.254.169.254/latest/meta-data"},
        {"token_endpoint": "https://10.0.0.1/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "http://192.0.2.1/jwks"},
        {"jwks_uri": "https://user:password@127.0.0.1/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
async def test_an_issuer_that_points_elsewhere_is_not_believed(
    travels: Travels, door: Gateway, metadata: dict[str, Any]
) -> None:
    travels.one.metadata = metadata
    status, body = await door.ask("GET", "/auth/oidc/one/start")
    assert (status, body["code"]) == (503, "UNAVAILABLE")
    travels.one.metadata = {}
    assert (await travels.login(door))[0] == 200, "it is asked again"


@pytest.mark.parametrize("path", ["moved", "large", "nowhere"])
async def test_answers_that_lead_elsewhere_or_have_no_end_are_not_taken(
    travels: Travels, door: Gateway, path: str
) -> None:
    travels.one.metadata["jwks_uri"] = f"{travels.one.url}/{path}"
    status, body = await travels.login(door)
    assert (status, body["code"]) == (503, "UNAVAILABLE")


async def test_an_issuer_that_is_away_holds_up_nobody_and_is_found_again(
    travels: Travels, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LocalIssuer(free_port())
    late.redirect_uris.add(f"{PUBLIC}/api/v1/auth/oidc/late/callback")
    gateway = await travels.gateway(oidc=json.dumps({"one": travels.one.settings(), "late": late.settings()}))
    for _ in range(3):
        status, body = await gateway.ask("GET", "/auth/oidc/late/start")
        assert (status, body["code"]) == (503, "UNAVAILABLE")
    assert (await travels.login(gateway))[0] == 200
    async with serving(late):
        assert (await gateway.ask("GET", "/auth/oidc/late/start"))[0] == 503
        assert late.asked == [], "it is left alone for a while"
        monkeypatch.setattr(issuers, "AWAY_S", 0.0)
        assert (await travels.login(gateway, "late"))[0] == 200

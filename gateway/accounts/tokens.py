"""Tokens: signed access tokens (RS256) and their keys, and opaque refresh tokens."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from actors.runtime.database import Database
from actors.times import DAY_S
from gateway.accounts import store
from gateway.accounts.store import Sql
from schemas.problems import Refusal

ACCESS_S = 15 * 60
REFRESH_S = 30 * DAY_S
TOLERANCE_S = 60
"""How far the clock that made a token may be ahead of ours; it does not lengthen a token's life."""
ACTIVATION_S = 3
"""A new key signs only after this long, when every gateway has heard of it."""
TOKEN_CHARS_MAX = 4096

_ALGORITHM = "RS256"
_TYPE = "at+jwt"
_CLAIMS = ["sub", "sid", "roles", "exp", "iat", "jti"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says. `expires_at` is in milliseconds since 1970 UTC."""

    user_id: str
    session_id: str
    roles: tuple[str, ...]
    expires_at: int


@dataclass(frozen=True, slots=True)
class Key:
    kid: str
    private: rsa.RSAPrivateKey
    active_at: int
    expires_at: int | None
    public: rsa.RSAPublicKey

    @classmethod
    def of(cls, kid: str, private: rsa.RSAPrivateKey, active_at: int = 0, expires_at: int | None = None) -> "Key":
        return cls(kid, private, active_at, expires_at, private.public_key())

    def verifies(self, now_ms: int) -> bool:
        return self.expires_at is None or self.expires_at > now_ms


class Keys:
    """The keys a gateway signs and verifies with, as they were last read from Postgres."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: dict[str, Key] = {key.kid: key for key in keys}

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    async def load(self, sql: Sql) -> None:
        """Read all keys that still verify; new ones are parsed off the event loop."""
        keys = {}
        for row in await store.signing_keys(sql):
            known = self._keys.get(row["kid"])
            private = known.private if known is not None else await asyncio.to_thread(_private, row["private_pem"])
            keys[row["kid"]] = Key.of(row["kid"], private, row["active_at"], row["expires_at"])
        self._keys = keys

    def sign(self, user_id: str, session_id: str, roles: Iterable[str], now_ms: int) -> str:
        """An access token that lives ACCESS_S from now."""
        key = self._signer(now_ms)
        now_s = now_ms // 1000
        claims = {
            "sub": user_id,
            "sid": session_id,
            "roles": list(roles),
            "iat": now_s,
            "exp": now_s + ACCESS_S,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, key.private, _ALGORITHM, headers={"kid": key.kid, "typ": _TYPE})

    def verify(self, token: str, now_ms: int) -> Claims:
        """What the token says, when one of our keys signed it and it lives; else refused as UNAUTHENTICATED."""
        header = header_of(token)
        key = self._keys.get(header["kid"])
        if key is None or not key.verifies(now_ms):
            raise Refusal("UNAUTHENTICATED", "The access token was signed with an unknown key.")
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[_ALGORITHM],
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError:
            raise _refused() from None
        return _checked(claims, now_ms)

    def jwks(self, now_ms: int) -> dict[str, Any]:
        """The public keys as RFC 7517 writes them."""
        return {
            "keys": [
                {**json.loads(RSAAlgorithm.to_jwk(key.public)), "kid": key.kid, "use": "sig", "alg": _ALGORITHM}
                for key in self._keys.values()
                if key.verifies(now_ms)
            ]
        }

    def _signer(self, now_ms: int) -> Key:
        active = [key for key in self._keys.values() if key.active_at <= now_ms]
        if not active:
            raise Refusal("UNAVAILABLE", "The signing keys are not loaded yet.", retry_after_s=1)
        return max(active, key=lambda key: key.active_at)


def header_of(token: str) -> Mapping[str, str]:
    """The token's header, before anything is verified; refused as UNAUTHENTICATED when it is none of ours."""
    if len(token) > TOKEN_CHARS_MAX:
        raise _refused()
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _refused() from None
    if header.get("alg") != _ALGORITHM or header.get("typ") != _TYPE or not isinstance(header.get("kid"), str):
        raise _refused()
    return header


def _checked(claims: dict[str, Any], now_ms: int) -> Claims:
    user_id, session_id, roles, exp, iat = (claims[name] for name in ("sub", "sid", "roles", "exp", "iat"))
    times = (exp, iat, claims.get("nbf", 0))
    well_formed = (
        isinstance(user_id, str)
        and isinstance(session_id, str)
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
        and all(isinstance(at, int) and not isinstance(at, bool) for at in times)
    )
    if not well_formed:
        raise _refused()
    if exp * 1000 <= now_ms:
        raise Refusal("UNAUTHENTICATED", "The access token has expired; refresh it.")
    if max(times[1:]) * 1000 > now_ms + TOLERANCE_S * 1000:
        raise Refusal("UNAUTHENTICATED", "The access token is not valid yet.")
    return Claims(user_id, session_id, tuple(roles), exp * 1000)


def _refused() -> Refusal:
    return Refusal("UNAUTHENTICATED", "The access token is not valid.")


async def ensure_key(database: Database) -> None:
    """Make the first signing key, when there is none; any number of processes may call it at once."""
    if await store.has_signing_key(database):
        return
    pem = await asyncio.to_thread(_fresh_pem)
    async with database.transaction() as connection:
        await store.add_first_key(connection, _fresh_kid(), pem)


async def rotate_keys(sql: Sql) -> str:
    """Add a key that signs from now on; the old ones verify until their last tokens have expired. Returns its kid."""
    kid, pem = _fresh_kid(), await asyncio.to_thread(_fresh_pem)
    await store.rotate_key(sql, kid, pem, ACTIVATION_S, ACTIVATION_S + ACCESS_S + TOLERANCE_S)
    return kid


def _fresh_kid() -> str:
    return time.strftime("%Y%m%d-", time.gmtime()) + secrets.token_hex(6)


def _fresh_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode("ascii")


def _private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a signing key is not an RSA key")
    return key


class RefreshTokens:
    """Opaque tokens `<session>.<256 random bits>.<mac>`, of which only the hash of the current one is stored.

    The mac tells a former token of the session, which means that one was stolen, from a guess, which means nothing.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, session_id: str) -> str:
        body = f"{session_id}.{secrets.token_urlsafe(32)}"
        return f"{body}.{self._mac(body)}"

    def session_of(self, token: str) -> str | None:
        """The session of a token that was made here, current or former; None for anything else."""
        body, _, mac = token.rpartition(".")
        if len(token) > TOKEN_CHARS_MAX or not token.isascii() or not hmac.compare_digest(self._mac(body), mac):
            return None
        return body.partition(".")[0]

    def _mac(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:16]).decode("ascii").rstrip("=")


def fingerprint(token: str) -> bytes:
    """What is stored of a refresh token or a device id."""
    return hashlib.sha256(token.encode()).digest()

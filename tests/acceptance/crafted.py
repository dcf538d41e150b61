"""Access tokens of any make: signed with the server's own key, or with anything else."""

import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.acceptance.clients import User
from tests.acceptance.server import Server


def claims_of(token: str) -> dict[str, Any]:
    """What the token says, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def signing_key(server: Server) -> tuple[str, str]:
    """The key that the server signs with: its id and its PEM."""
    [row] = await server.sql(
        "SELECT kid, private_pem FROM signing_key WHERE active_at <= now() ORDER BY active_at DESC LIMIT 1"
    )
    return row["kid"], row["private_pem"]


async def resigned(server: Server, user: User, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The user's token with other claims (None takes one away), rightly signed."""
    kid, pem = await signing_key(server)
    changed = {**claims_of(user.token), "jti": str(uuid.uuid4()), **claims}
    kept = {name: value for name, value in changed.items() if value is not None}
    original = jwt.get_unverified_header(user.token)
    token = jwt.encode(kept, pem, "RS256", headers={**original, "kid": kid, **(header or {})})
    server.secrets.add(token)
    return token


def now_s() -> int:
    return int(time.time())


def foreign_pem() -> str:
    """A key that the server has never seen."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

"""An OpenID issuer: what it says of itself, the codes it redeems, and the ID tokens that it signs."""

import asyncio
import base64
import hmac
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt
import structlog
from jwt.types import Options

from gateway import decode
from gateway.outside import Outside, refuse_unmeant
from schemas.problems import Refusal
from schemas.providers import Provider, is_loopback

METADATA_S = 3600.0
KEYS_S = 600.0
KEYS_AGAIN_S = 5.0
"""An unknown key is looked up at the issuer, but not more often than that."""
AWAY_S = 2.0
"""An issuer that does not answer is asked again only after so long: who waits behind one another is told at once."""
KEYS_MAX = 100
TOLERANCE_S = 60
ID_TOKEN_CHARS_MAX = 32 * 1024
SUBJECT_CHARS_MAX = 255
EMAIL_CHARS_MAX = 254

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures only: nothing that is keyed with what others know."""

_OPTIONS: Options = {
    "require": ["iss", "sub", "aud", "exp", "iat"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "enforce_minimum_key_length": True,
}

log = structlog.get_logger(__name__)


class Proven(NamedTuple):
    """Who an issuer says that somebody is. Only issuer and subject tell people apart."""

    issuer: str
    subject: str
    provider: str
    email: str | None
    """One that the issuer has verified."""


class Metadata(NamedTuple):
    """What the discovery document says, as far as it is used here."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    auth_methods: tuple[str, ...]
    names_itself: bool
    """Whether each of its answers to the browser carries `iss` (RFC 9207)."""


class Issuer:
    """One provider of the settings, asked when it is needed; what it says is kept for a while."""

    def __init__(self, name: str, provider: Provider, now_ms: Callable[[], int]) -> None:
        self.name = name
        self.provider = provider
        self._now_ms = now_ms
        loopback = is_loopback(urlsplit(provider.issuer).hostname)
        self._outside = Outside("loopback" if loopback else "private" if provider.private else "public")
        self._metadata: Metadata | None = None
        self._metadata_at = 0.0
        self._keys: list[dict[str, Any]] = []
        self._keys_at: float | None = None
        self._asking = asyncio.Lock()
        self._away_at: float | None = None

    async def close(self) -> None:
        await self._outside.close()

    async def authorize_url(self, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where the browser goes to log in."""
        metadata = await self._described()
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"

    async def is_from_here(self, said: str | None) -> bool:
        """Whether an answer to the browser that says (or does not say) who sends it is this issuer's."""
        if said is not None:
            return hmac.compare_digest(said.encode(), self.provider.issuer.encode())
        return not (await self._described()).names_itself

    async def redeem(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> Proven:
        """Who logged in, for the code that the browser brought; refused as LOGIN_REFUSED or ID_TOKEN_INVALID."""
        metadata = await self._described()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        client_id, secret = self.provider.client_id, self.provider.client_secret
        if secret is not None and "client_secret_basic" in metadata.auth_methods:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        else:
            fields["client_id"] = client_id
            if secret is not None:
                fields["client_secret"] = secret.get_secret_value()
        status, answer = await self._outside.post_form(metadata.token_endpoint, fields, headers)
        if status != 200:
            log.warning("code_not_redeemed", provider=self.name, status=status, error=str(answer.get("error"))[:40])
            raise Refusal("LOGIN_REFUSED", "The issuer does not accept this login; start again.")
        return await self._proven(answer.get("id_token"), nonce)

    async def _proven(self, token: Any, nonce: str) -> Proven:
        if not isinstance(token, str) or len(token) > ID_TOKEN_CHARS_MAX:
            raise _invalid("there is none")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise _invalid("its algorithm is not allowed")
            key = await self._key(header.get("kid"), algorithm)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.provider.client_id,
                issuer=self.provider.issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as wrong:
            raise _invalid(type(wrong).__name__) from None
        self._check(claims, nonce)
        verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        email = claims["email"] if verified and 0 < len(claims["email"]) <= EMAIL_CHARS_MAX else None
        return Proven(self.provider.issuer, claims["sub"], self.name, email)

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        """What the library leaves to us: the nonce, our clock, the party it is for, and texts that harm nobody."""
        try:
            decode.checked(claims)
        except Refusal:
            raise _invalid("its claims") from None
        said, subject, audience, party = (claims.get(name) for name in ("nonce", "sub", "aud", "azp"))
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise _invalid("nonce")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX:
            raise _invalid("sub")
        several = isinstance(audience, list) and len(audience) > 1
        if (party is not None or several) and party != self.provider.client_id:
            raise _invalid("azp")
        times = (claims["exp"], claims["iat"], claims.get("nbf", 0))
        if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in times):
            raise _invalid("its times")
        now_s = self._now_ms() / 1000
        if times[0] + TOLERANCE_S <= now_s or max(times[1:]) > now_s + TOLERANCE_S:
            raise _invalid("its times")

    # What the issuer says of itself

    async def _described(self) -> Metadata:
        async with self._asking:
            if self._metadata is None or time.monotonic() - self._metadata_at > METADATA_S:
                url = self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._metadata = self._understood(await self._get(url))
                self._metadata_at = time.monotonic()
            return self._metadata

    async def _get(self, url: str) -> dict[str, Any]:
        if self._away_at is not None and time.monotonic() - self._away_at < AWAY_S:
            raise Refusal("UNAVAILABLE", "The login's issuer does not answer; try again.", retry_after_s=5)
        try:
            answer = await self._outside.get(url)
        except Refusal:
            self._away_at = time.monotonic()
            raise
        self._away_at = None
        return answer

    def _understood(self, document: dict[str, Any]) -> Metadata:
        try:
            if document.get("issuer") != self.provider.issuer:
                raise ValueError("issuer")
            urls = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            authorization, token, keys = (_url(url) for url in urls)
            for url in (authorization, token, keys):
                refuse_unmeant(url, self._outside.reach)
            methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            names_itself = document.get("authorization_response_iss_parameter_supported") is True
        except (ValueError, OSError) as wrong:
            log.error("issuer_misdescribed", provider=self.name, reason=str(wrong)[:200])
            raise Refusal("UNAVAILABLE", "The issuer describes itself wrongly.", retry_after_s=60) from None
        return Metadata(authorization, token, keys, tuple(map(str, methods)), names_itself)

    async def _key(self, kid: Any, algorithm: str) -> jwt.PyJWK:
        """The issuer's key of this id; keys that are not known may have been made meanwhile."""
        uri = (await self._described()).jwks_uri
        async with self._asking:
            found = self._known(kid, algorithm)
            age_s = time.monotonic() - self._keys_at if self._keys_at is not None else KEYS_S
            if age_s >= KEYS_S or (found is None and age_s >= KEYS_AGAIN_S):
                keys = (await self._get(uri)).get("keys")
                self._keys = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
                self._keys = self._keys[:KEYS_MAX]
                self._keys_at = time.monotonic()
                found = self._known(kid, algorithm)
        if found is None:
            raise _invalid("its key is unknown")
        return jwt.PyJWK(found, algorithm)

    def _known(self, kid: Any, algorithm: str) -> dict[str, Any] | None:
        family = {"R": "RSA", "P": "RSA", "E": "OKP" if algorithm == "EdDSA" else "EC"}[algorithm[0]]
        suitable = [
            key
            for key in self._keys
            if key.get("kty") == family
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and (kid is None or key.get("kid") == kid)
        ]
        # Without an id in the token there must be no choice.
        return suitable[0] if len(suitable) == 1 else None


def _url(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("an endpoint is missing")
    return value


def _invalid(what: str) -> Refusal:
    return Refusal("ID_TOKEN_INVALID", f"The issuer's ID token is not valid ({what}).")

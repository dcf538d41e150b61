"""Logging in at an OpenID issuer: the way of the browser there and back, and the proof that it brings."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, ValidationError

from actors.runtime.database import Database
from gateway.accounts import identity_store as rows
from gateway.accounts.first import secret
from gateway.accounts.issuer import Issuer, Proven
from gateway.accounts.limits import Counter, Failures, network_of
from gateway.accounts.tokens import fingerprint
from schemas.problems import Refusal
from schemas.providers import is_return_url
from schemas.settings import Settings

FLOW_S = 600
"""How long somebody may take to log in at the issuer."""
PROOF_S = 60
FAILURES_MAX = 20
"""Logins of one address that an issuer may refuse in ten minutes."""
CALLBACK = "/api/v1/auth/oidc/{}/callback"


class Flow(BaseModel):
    """What the browser carries along, sealed; only it can come back with it."""

    provider: str
    state: str
    nonce: str
    verifier: str
    challenge: str | None = None
    return_to: str | None = None


class Begun(NamedTuple):
    """Where the browser goes, and what it carries along."""

    url: str
    sealed: str


class SignIn:
    """The same at every gateway: what a login needs is in the browser, what it proves in Postgres."""

    def __init__(self, database: Database, settings: Settings, failures: Failures, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._failures = failures
        self._now_ms = now_ms
        self._public_url = settings.public_address
        self._return_urls = settings.oidc_return_urls
        self._issuers = {name: Issuer(name, of, now_ms) for name, of in settings.oidc_providers.items()}
        self._seal = Fernet(Fernet.generate_key())

    async def open(self) -> None:
        self._seal = Fernet(base64.urlsafe_b64encode(await secret(self._database, "oidc", 32)))

    async def close(self) -> None:
        for issuer in self._issuers.values():
            await issuer.close()

    @property
    def over_https(self) -> bool:
        """Whether browsers come by HTTPS, so that cookies need not travel otherwise."""
        return self._public_url.startswith("https://")

    def providers(self) -> list[str]:
        """The names of the issuers."""
        return list(self._issuers)

    async def begin(self, provider: str, challenge: str | None, return_to: str | None) -> Begun:
        """Send the browser off. With a challenge the answer is a code for whoever knows what it was made of."""
        issuer = self._issuer(provider)
        if return_to is not None and not is_return_url(return_to, self._return_urls):
            raise _wrong("returnTo", "should be one of GREENROOM_OIDC_RETURN_URLS")
        if return_to is not None and challenge is None:
            raise _wrong("challenge", "should come with returnTo")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = Flow(
            provider=provider, state=state, nonce=nonce, verifier=verifier, challenge=challenge, return_to=return_to
        )
        url = await issuer.authorize_url(self._redirect_uri(provider), state, nonce, challenge_of(verifier))
        sealed = self._seal.encrypt_at_time(flow.model_dump_json().encode(), self._now_ms() // 1000)
        return Begun(url, sealed.decode("ascii"))

    def flow(self, provider: str, sealed: str | None, state: str | None) -> Flow:
        """What this browser began; refused as LOGIN_STATE_INVALID when another one did, or long ago."""
        self._issuer(provider)
        try:
            opened = self._seal.decrypt_at_time((sealed or "").encode(), FLOW_S, self._now_ms() // 1000)
            flow = Flow.model_validate_json(opened)
        except (InvalidToken, ValidationError):
            raise _not_begun() from None
        same = hmac.compare_digest(flow.state.encode(), (state or "").encode())
        if not same or flow.provider != provider:
            raise _not_begun()
        return flow

    async def proven(self, flow: Flow, answer: Mapping[str, str], address: str) -> Proven:
        """Who came back, by the issuer's `answer` to the browser."""
        issuer = self._issuer(flow.provider)
        counted = [Counter("issuer", network_of(address), FAILURES_MAX)]
        await self._failures.check(counted)
        if not await issuer.is_from_here(answer.get("iss")):
            raise Refusal("LOGIN_STATE_INVALID", "Another issuer answered than the one that was asked.")
        if "code" not in answer:
            said = answer.get("error", "")
            told = said if said.replace("_", "").isalpha() and said.isascii() and len(said) <= 40 else "no code"
            raise Refusal("LOGIN_REFUSED", f"The issuer did not let in ({told}).")
        try:
            return await issuer.redeem(answer["code"], self._redirect_uri(flow.provider), flow.verifier, flow.nonce)
        except Refusal as refusal:
            if refusal.status < 500:
                await self._failures.add(counted)
            raise

    async def prove(self, flow: Flow, proven: Proven) -> str:
        """A code that the client exchanges, once, with what its challenge was made of."""
        code = secrets.token_urlsafe(32)
        await rows.add_proof(self._database, fingerprint(code), proven, flow.challenge or "", PROOF_S)
        return code

    async def take(self, code: str, verifier: str) -> Proven:
        """Who logged in; refused as LOGIN_CODE_INVALID. The code is used up either way."""
        row = await rows.take_proof(self._database, fingerprint(code))
        challenge = row["challenge"] if row is not None else ""
        if not hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode()) or row is None:
            raise Refusal("LOGIN_CODE_INVALID", "The code was used, is too old, or is another's; start again.")
        return Proven(row["issuer"], row["subject"], row["provider"], row["email"])

    def _issuer(self, provider: str) -> Issuer:
        issuer = self._issuers.get(provider)
        if issuer is None:
            raise Refusal("provider_unknown", "No such issuer is set up here.")
        return issuer

    def _redirect_uri(self, provider: str) -> str:
        """Always this one, whatever the request says of itself."""
        return self._public_url + CALLBACK.format(provider)


def challenge_of(verifier: str) -> str:
    """PKCE's S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode("ascii").rstrip("=")


def returned(return_to: str, **answer: str) -> str:
    """The URL with the answer in its query."""
    joint = "&" if "?" in return_to else "?"
    return f"{return_to}{joint}{urlencode(answer)}"


def _not_begun() -> Refusal:
    return Refusal("LOGIN_STATE_INVALID", "This login was not begun in this browser, or took too long; start again.")


def _wrong(field: str, problem: str) -> Refusal:
    return Refusal("INVALID", f"{field}: {problem}.", fields=[{"field": field, "problem": problem}])

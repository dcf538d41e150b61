"""Who sends a request, from where, and whether they may send so much."""

from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.limits import ADDRESS_RATE, Limiter, rate_of
from schemas.messages import Caller
from schemas.problems import Refusal
from schemas.settings import Network, Settings


class Identity(Protocol):
    """A user whose token was accepted. `expires_at` is in milliseconds since 1970 UTC."""

    @property
    def user_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def roles(self) -> tuple[str, ...]: ...
    @property
    def in_doubt(self) -> bool: ...
    @property
    def expires_at(self) -> int: ...


class Access(Protocol):
    """Who decides about tokens (see gateway.accounts)."""

    def identity_of(self, token: str) -> Identity | None: ...
    async def authenticate(self, bearer: str) -> Identity: ...


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)
LIMITER: web.AppKey[Limiter] = web.AppKey("limiter", Limiter)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)

IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)
IDENTITY_REFUSAL: web.RequestKey[Refusal] = web.RequestKey("identity_refusal", Refusal)
OVER_LIMIT: web.RequestKey[Refusal] = web.RequestKey("over_limit", Refusal)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)

UNLIMITED = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
ASKING = ("/api/", "/auth/", "/scores/")
"""Paths that ask themselves who sends a request and whether that was too often, in the order of refusals. All others
are open to everybody, within the limit of an address."""


def bearer_of(header: str) -> str:
    """The token in `Bearer <token>`; refused as UNAUTHENTICATED when there is none."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise Refusal("UNAUTHENTICATED", "Send the access token as `Bearer <token>`.")
    return token


async def identified(access: Access, header: str) -> Identity:
    """The user whose token the header carries."""
    token = bearer_of(header)
    return access.identity_of(token) or await access.authenticate(token)


def caller_of(identity: Identity) -> Caller:
    """The user as actors know them."""
    return Caller(identity.user_id, tuple(identity.roles))


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who sends the request, and count it, whatever becomes of it: who floods the door with what is refused
    has less left for all else. What that comes to is told at its place among the refusals (see `identity`, `paced`)."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is not None:
        try:
            request[IDENTITY] = await identified(request.app[ACCESS], header)
        except Refusal as refusal:
            request[IDENTITY_REFUSAL] = refusal
    path = request.path
    if path not in UNLIMITED:
        known = request.get(IDENTITY)
        name = f"address {address_of(request)}" if known is None else f"user {known.user_id}"
        rate = ADDRESS_RATE if known is None else rate_of(tuple(known.roles))
        over = request.app[LIMITER].over(name, rate)
        if over is not None:
            request[OVER_LIMIT] = over
            if not path.startswith(ASKING) and request.match_info.http_exception is None:
                raise over
    return await handler(request)


def identity(request: web.Request) -> Identity:
    """Who sends the request; refused as UNAUTHENTICATED when nobody known, as BANNED or SUSPENDED when so."""
    known: Identity | None = request.get(IDENTITY)
    if known is None:
        raise request.get(IDENTITY_REFUSAL) or Refusal("UNAUTHENTICATED", "This needs an access token.")
    return known


def over_limit(request: web.Request) -> Refusal | None:
    """What a request that is one too many meets once it is clear that its sender may ask this at all."""
    over: Refusal | None = request.get(OVER_LIMIT)
    return over


def paced(request: web.Request) -> None:
    """Refused as RATE_LIMITED when it is one too many: of this user, or of this address where nobody is known."""
    over = over_limit(request)
    if over is not None:
        raise over


def request_id(request: web.Request) -> str:
    """The name of the request in answers, logs and audit."""
    name: str = request.get(REQUEST_ID, "")
    return name


def address_of(request: web.BaseRequest) -> str:
    """The address the request came from: the peer's, or what trusted proxies say before the first that is not ours."""
    peer = request.remote or ""
    trusted = request.app[SETTINGS].trusted_proxies if isinstance(request, web.Request) else ()
    if not trusted:
        return peer
    hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", ()) for hop in header.split(",")]
    for hop in reversed(hops):
        if not _within(peer, trusted):
            break
        if not _is_address(hop):
            break
        peer = hop
    return peer


def allowed_origin(request: web.Request) -> bool:
    """Whether the browser page that sends this may: its own origin, a listed one, or no browser at all."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return True
    settings = request.app[SETTINGS]
    if origin in settings.allowed_origins:
        return True
    return urlsplit(origin).scheme in ("http", "https") and urlsplit(origin).netloc == request.host


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    if not _is_address(address):
        return False
    known = ip_address(address)
    return any(known.version == network.version and known in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

"""The paths of logins at OpenID issuers, and of the identities that they leave."""

from typing import Annotated, Any

from aiohttp import hdrs, web
from pydantic import Field, SecretStr

from gateway import decode
from gateway.accounts.access import Access
from gateway.accounts.exchange import (
    Secretive,
    TriedPassword,
    entered,
    id_of,
    open_body,
    origin_of,
    secret_json,
    under_auth,
    user_of,
)
from gateway.accounts.issuer import Proven
from gateway.accounts.oidc import FLOW_S, PROOF_S, returned
from gateway.identity import paced
from schemas.limits import TEXT_CHARS_MAX
from schemas.problems import Refusal
from schemas.shape import Shape

CODE_CHARS_MAX = 100
ISSUERS_CODE_CHARS_MAX = 4_096
ANSWERED = ("code", "error", "iss")

LoginCode = Annotated[SecretStr, Field(min_length=1, max_length=CODE_CHARS_MAX)]
Challenge = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Verifier = Annotated[SecretStr, Field(min_length=43, max_length=128)]


class Start(Shape):
    """`challenge` is the client's own (PKCE, S256), for the code that it will get."""

    challenge: Challenge | None = None
    return_to: Annotated[str, Field(max_length=TEXT_CHARS_MAX)] | None = None


class Exchange(Secretive):
    code: LoginCode
    verifier: Verifier


class Link(Secretive):
    """The password stands in for a fresh login."""

    code: LoginCode
    verifier: Verifier
    password: TriedPassword | None = None


def routes(access: Access) -> list[web.RouteDef]:
    """All paths of identities, with their aliases."""
    handlers = OidcHandlers(access)
    return under_auth(
        [
            ("GET", "oidc", handlers.providers),
            ("GET", "oidc/{provider}/start", handlers.start),
            ("GET", "oidc/{provider}/callback", handlers.callback),
            ("POST", "oidc/exchange", handlers.exchange),
            ("GET", "identities", handlers.identities),
            ("POST", "identities", handlers.link),
            ("DELETE", "identities/{id}", handlers.unlink),
        ]
    )


class OidcHandlers:
    """The handlers, and what they ask."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._sign_in = access.sign_in
        # A browser takes a cookie of this name from this very host only, and only by HTTPS.
        self._cookie = "__Host-greenroom-login" if self._sign_in.over_https else "greenroom-login"

    async def providers(self, request: web.Request) -> web.Response:
        """`GET /api/v1/auth/oidc`"""
        paced(request)
        return secret_json({"providers": self._sign_in.providers()})

    async def start(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/v1/auth/oidc/{provider}/start`"""
        paced(request)
        asked = decode.shaped_texts(Start, dict(request.query))
        begun = await self._sign_in.begin(request.match_info["provider"], asked.challenge, asked.return_to)
        response = _sent_on(begun.url)
        response.set_cookie(
            self._cookie,
            begun.sealed,
            max_age=FLOW_S,
            path="/",
            secure=self._sign_in.over_https,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/v1/auth/oidc/{provider}/callback`"""
        paced(request)
        provider, origin = request.match_info["provider"], origin_of(request)
        answer: dict[str, str] = {
            name: decode.checked(request.query[name])
            for name in ANSWERED
            if 0 < len(request.query.get(name, "")) <= ISSUERS_CODE_CHARS_MAX
        }
        flow = self._sign_in.flow(provider, request.cookies.get(self._cookie), request.query.get("state"))
        response: web.StreamResponse
        try:
            proven = await self._sign_in.proven(flow, answer, origin.address)
            if flow.challenge is None:
                response = secret_json(await self._entered(proven, request))
            else:
                code = await self._sign_in.prove(flow, proven)
                if flow.return_to is None:
                    response = secret_json({"code": code, "expiresIn": PROOF_S})
                else:
                    response = _sent_on(returned(flow.return_to, code=code))
        except Refusal as refusal:
            if flow.return_to is None:
                raise
            response = _sent_on(returned(flow.return_to, error=refusal.code))
        response.del_cookie(self._cookie, path="/", secure=self._sign_in.over_https, httponly=True, samesite="Lax")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    async def exchange(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/oidc/exchange`"""
        body = await open_body(request, Exchange)
        proven = await self._sign_in.take(body.code.get_secret_value(), body.verifier.get_secret_value())
        return secret_json(await self._entered(proven, request))

    async def identities(self, request: web.Request) -> web.Response:
        """`GET /api/v1/auth/identities`"""
        return secret_json({"identities": await self._access.identities.of(user_of(request).user_id)})

    async def link(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/identities`"""
        user = user_of(request)
        body = await decode.body(request, Link)
        await self._access.confirmed(user, body.password, origin_of(request))
        proven = await self._sign_in.take(body.code.get_secret_value(), body.verifier.get_secret_value())
        await self._access.identities.link(user.user_id, proven)
        return secret_json({"identities": await self._access.identities.of(user.user_id)})

    async def unlink(self, request: web.Request) -> web.Response:
        """`DELETE /api/v1/auth/identities/{id}`"""
        user = user_of(request)
        await self._access.confirmed(user, None, origin_of(request))
        await self._access.identities.unlink(user.user_id, id_of(request))
        return secret_json({"identities": await self._access.identities.of(user.user_id)})

    async def _entered(self, proven: Proven, request: web.Request) -> dict[str, Any]:
        user_id, created = await self._access.identities.account_of(proven)
        entry = await self._access.enter(user_id, origin_of(request))
        return entered(entry, user=entry.user, created=created)


def _sent_on(url: str) -> web.Response:
    """A redirect to exactly this URL, which may be an app's; nobody keeps it."""
    headers = {hdrs.LOCATION: url, hdrs.CACHE_CONTROL: "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=302, headers=headers)

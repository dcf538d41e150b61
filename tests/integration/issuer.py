"""An OpenID issuer on loopback that checks what a good one checks, and can be told to do wrong."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT_ID, CLIENT_SECRET = "green room", "s3cret/of+the game"


class LocalIssuer:
    """Logs everybody in as `user`. `signs` may make the ID token otherwise; `claims` and `metadata` are laid on top."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.user: dict[str, Any] = {"sub": "alice-at-issuer"}
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.signs: Callable[[dict[str, Any]], str] = self.signed
        self.denies = ""
        self.asked: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.redirect_uris: set[str] = set()
        self._codes: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self.rotate()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def kid(self) -> str:
        return next(reversed(self._keys))

    @property
    def private(self) -> rsa.RSAPrivateKey:
        return self._keys[self.kid]

    def rotate(self) -> None:
        """Sign with a new key, and publish no other."""
        self._keys = {secrets.token_hex(4): rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """The claims as this issuer signs them."""
        return jwt.encode(claims, self.private, "RS256", headers={"kid": self.kid, **header})

    def settings(self, **more: Any) -> dict[str, Any]:
        """This issuer as a provider of Greenroom's settings."""
        return {"issuer": self.url, "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, **more}

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._describe),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/jwks", self._jwks),
                web.get("/moved", self._moved),
                web.get("/large", self._large),
            ]
        )
        return application

    async def _describe(self, request: web.Request) -> web.Response:
        self.asked.append("metadata")
        described = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return web.json_response({**described, **self.metadata})

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.seen.append(query)
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT_ID), query
        assert query["code_challenge_method"] == "S256", query
        assert "openid" in query["scope"].split(), query
        assert query["redirect_uri"] in self.redirect_uris, query
        answer = {"state": query["state"], "iss": self.url}
        if self.denies:
            answer["error"] = self.denies
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = {**query, "user": self.user}
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        form = await request.post()
        if not self._is_our_client(request.headers.get("Authorization", ""), form):
            return web.json_response({"error": "invalid_client"}, status=401)
        begun = self._codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            begun is None
            or form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != begun["redirect_uri"]
            or challenge != begun["code_challenge"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": begun["nonce"]}
        laid = {**claims, **begun["user"], **self.claims}
        token = self.signs({name: value for name, value in laid.items() if value is not None})
        return web.json_response({"access_token": "unused", "token_type": "Bearer", "id_token": token})

    def _is_our_client(self, header: str, form: Any) -> bool:
        if "client_secret_post" in self.metadata.get("token_endpoint_auth_methods_supported", ()):
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        pair = base64.b64decode(header.removeprefix("Basic ")).decode()
        return [unquote_plus(part) for part in pair.split(":")] == [CLIENT_ID, CLIENT_SECRET]

    async def _jwks(self, request: web.Request) -> web.Response:
        self.asked.append("jwks")
        keys = [
            {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}
            for kid, key in self._keys.items()
        ]
        return web.json_response({"keys": keys})

    async def _moved(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/jwks")

    async def _large(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [{"kid": "x" * 1000}] * 500})


@asynccontextmanager
async def serving(issuer: LocalIssuer) -> AsyncIterator[LocalIssuer]:
    """The issuer on its port, which it chooses at the first time."""
    runner = web.AppRunner(issuer.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", issuer.port).start()
        issuer.port = runner.addresses[0][1]
        yield issuer
    finally:
        await runner.cleanup()


class Browser:
    """Follows where it is sent, and keeps cookies. `public` is what it takes for the address of `door`."""

    def __init__(self, session: aiohttp.ClientSession, door: str, public: str) -> None:
        self.session = session
        self.door = door
        self.public = public
        self.cookie: Any = None

    async def get(self, url: str) -> aiohttp.ClientResponse:
        """The answer, without following it."""
        async with self.session.get(url.replace(self.public, self.door, 1), allow_redirects=False) as response:
            await response.read()
            return response

    async def start(self, provider: str, prefix: str = "/auth", **query: str) -> str:
        """Begin a login; where the issuer is."""
        begun = await self.get(f"{self.public}{prefix}/oidc/{provider}/start?{urlencode(query)}")
        assert begun.status == 302, await begun.text()
        [self.cookie] = begun.cookies.values()
        return begun.headers["Location"]

    async def consent(self, url: str) -> str:
        """Log in at the issuer; where it sends back to."""
        answered = await self.get(url)
        assert answered.status == 302, await answered.text()
        return answered.headers["Location"]

    async def login(self, provider: str, prefix: str = "/auth", **query: str) -> tuple[int, Any]:
        """The whole way; status and body of the last answer, or its address when it leads elsewhere."""
        answer = await self.get(await self.consent(await self.start(provider, prefix, **query)))
        if answer.status == 302:
            return 302, answer.headers["Location"]
        return answer.status, await answer.json()


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def pkce() -> tuple[str, str]:
    """A client's own verifier and challenge."""
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).decode().rstrip("=")

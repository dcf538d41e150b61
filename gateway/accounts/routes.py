"""The paths of accounts: each handler parses, asks Access, and renders."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Self

from aiohttp import hdrs, web
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import to_json

from actors.times import milliseconds
from gateway import decode
from gateway.accounts.access import Access, Origin, Tokens
from gateway.accounts.names import Username
from gateway.accounts.passwords import NewPassword
from gateway.accounts.sessions import Identity
from gateway.accounts.tokens import ACCESS_S, TOKEN_CHARS_MAX
from gateway.identity import address_of, identity, request_id
from schemas.limits import BATCH_ITEMS_MAX
from schemas.problems import Refusal
from schemas.shape import Key, Line, Shape, Text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

AUTH_PREFIXES = ("/api/v1/auth", "/auth", "/api/auth")
USER_AGENT_CHARS_MAX = 200
EMAIL_CHARS_MAX = 254
LOGIN_NAME_CHARS_MAX = 254
PASSWORD_TRIED_CHARS_MAX = 1_000
DEVICE_CHARS_MIN = 16
DEVICE_CHARS_MAX = 128

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("should be an e-mail address")
    return text


def _time(text: str) -> str:
    milliseconds(text)
    return text


Email = Annotated[str, Field(max_length=EMAIL_CHARS_MAX), AfterValidator(_email)]
Time = Annotated[str, Field(max_length=40), AfterValidator(_time)]
TriedPassword = Annotated[SecretStr, Field(max_length=PASSWORD_TRIED_CHARS_MAX)]
DeviceId = Annotated[SecretStr, Field(min_length=DEVICE_CHARS_MIN, max_length=DEVICE_CHARS_MAX)]
RefreshToken = Annotated[SecretStr, Field(min_length=1, max_length=TOKEN_CHARS_MAX)]


class Secretive(Shape):
    """A body that holds a secret: not even an error repeats what was sent."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Credentials(Secretive):
    """What register and upgrade take."""

    username: Username
    password: NewPassword
    email: Email | None = None


class Login(Secretive):
    username: Annotated[str, Field(min_length=1, max_length=LOGIN_NAME_CHARS_MAX)] | None = None
    email: Annotated[str, Field(min_length=1, max_length=LOGIN_NAME_CHARS_MAX)] | None = None
    password: TriedPassword

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise ValueError("needs either username or email")
        return self


class Guest(Secretive):
    device_id: DeviceId


class Refresh(Secretive):
    refresh_token: RefreshToken


class ProvisionItem(Shape):
    external_id: Key
    display_name: Line


class Provision(Shape):
    items: Annotated[list[ProvisionItem], Field(min_length=1, max_length=BATCH_ITEMS_MAX)]


class Ban(Shape):
    reason: Text
    until: Time | None = None


class Suspend(Shape):
    reason: Text
    until: Time


class Reinstate(Shape):
    reason: Text


class RoleChange(Shape):
    role: Literal["player", "server", "moderator", "designer", "operator", "admin"]
    grant: bool


def routes(access: Access) -> list[web.RouteDef]:
    """All paths of accounts, with their aliases."""
    handlers = Handlers(access)
    auth: list[tuple[str, str, Handler]] = [
        ("POST", "register", handlers.register),
        ("POST", "login", handlers.login),
        ("POST", "guest", handlers.guest),
        ("POST", "upgrade", handlers.upgrade),
        ("POST", "refresh", handlers.refresh),
        ("POST", "logout", handlers.logout),
        ("POST", "logout-all", handlers.logout_all),
        ("GET", "sessions", handlers.sessions),
    ]
    return [
        *(web.route(method, f"{prefix}/{path}", handler) for prefix in AUTH_PREFIXES for method, path, handler in auth),
        web.get("/.well-known/jwks.json", handlers.jwks),
        web.post("/api/v1/players/provision", handlers.provision),
        web.post("/api/v1/moderation/users/{id}/ban", handlers.ban),
        web.post("/api/v1/moderation/users/{id}/suspend", handlers.suspend),
        web.post("/api/v1/moderation/users/{id}/reinstate", handlers.reinstate),
        web.post("/api/v1/admin/users/{id}/roles", handlers.set_role),
    ]


class Handlers:
    """The handlers, and what they ask."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def register(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/register`"""
        body = await decode.body(request, Credentials)
        tokens = await self._access.register(body.username, body.password, body.email, _origin(request))
        return _secret_json({**_told(tokens), "userId": tokens.user_id}, status=201)

    async def login(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/login`"""
        body = await decode.body(request, Login)
        tokens, user = await self._access.login(body.username or body.email or "", body.password, _origin(request))
        return _secret_json({**_told(tokens), "user": user})

    async def guest(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/guest`"""
        body = await decode.body(request, Guest)
        tokens = await self._access.guest(body.device_id.get_secret_value(), _origin(request))
        return _secret_json({**_told(tokens), "userId": tokens.user_id})

    async def upgrade(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/upgrade`"""
        user = _identity(request)
        body = await decode.body(request, Credentials)
        described = await self._access.upgrade(user, body.username, body.password, body.email)
        return _secret_json({"userId": user.user_id, "user": described})

    async def refresh(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/refresh`"""
        body = await decode.body(request, Refresh)
        return _secret_json(_told(await self._access.refresh(body.refresh_token.get_secret_value())))

    async def logout(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/logout`"""
        await self._access.logout(_identity(request))
        return _secret_json({"ok": True})

    async def logout_all(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/logout-all`"""
        return _secret_json({"ok": True, "sessions": await self._access.logout_all(_identity(request).user_id)})

    async def sessions(self, request: web.Request) -> web.Response:
        """`GET /api/v1/auth/sessions`"""
        return _secret_json({"sessions": await self._access.sessions_of(_identity(request))})

    async def jwks(self, request: web.Request) -> web.Response:
        """`GET /.well-known/jwks.json`"""
        body = to_json(self._access.jwks())
        return web.Response(body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "max-age=60"})

    async def provision(self, request: web.Request) -> web.Response:
        """`POST /api/v1/players/provision`"""
        by, role = _privileged(request, "server")
        body = await decode.body(request, Provision)
        items = [(item.external_id, item.display_name) for item in body.items]
        return _secret_json({"items": await self._access.provision(by, role, items, request_id(request))})

    async def ban(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/ban`"""
        by, role = _privileged(request, "moderator")
        body = await decode.body(request, Ban)
        return await self._sanction(request, by, role, "banned", body.until, body.reason)

    async def suspend(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/suspend`"""
        by, role = _privileged(request, "moderator")
        body = await decode.body(request, Suspend)
        return await self._sanction(request, by, role, "suspended", body.until, body.reason)

    async def reinstate(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/reinstate`"""
        by, role = _privileged(request, "moderator")
        body = await decode.body(request, Reinstate)
        return await self._sanction(request, by, role, "clear", None, body.reason)

    async def set_role(self, request: web.Request) -> web.Response:
        """`POST /api/v1/admin/users/{id}/roles`"""
        by, _ = _privileged(request, "admin")
        body = await decode.body(request, RoleChange)
        user_id = _user_id(request)
        roles = await self._access.set_role(by, user_id, body.role, body.grant, request_id(request))
        return _secret_json({"roles": roles})

    async def _sanction(
        self, request: web.Request, by: Identity, role: str, standing: str, until: str | None, reason: str
    ) -> web.Response:
        until_ms = milliseconds(until) if until is not None else None
        if until_ms is not None and until_ms <= self._access.sessions.now_ms():
            problem = "should be in the future"
            raise Refusal("INVALID", f"until: {problem}.", fields=[{"field": "until", "problem": problem}])
        user_id = _user_id(request)
        await self._access.sanction(by, role, user_id, standing, until_ms, reason, request_id(request))
        return _secret_json({"ok": True, "userId": user_id, "standing": standing, "until": until})


def _identity(request: web.Request) -> Identity:
    user = identity(request)
    if not isinstance(user, Identity):
        raise TypeError("the gateway was given another Access than these routes")
    return user


def _privileged(request: web.Request, role: str) -> tuple[Identity, str]:
    """Who asks, and by which role; refused as FORBIDDEN without it. An admin may do everything."""
    user = _identity(request)
    for held in (role, "admin"):
        if held in user.roles:
            return user, held
    raise Refusal("FORBIDDEN", f"This needs the role {role}.")


def _user_id(request: web.Request) -> str:
    user_id: str = decode.checked(request.match_info["id"])
    return user_id


def _origin(request: web.Request) -> Origin:
    agent = request.headers.get(hdrs.USER_AGENT, "")[:USER_AGENT_CHARS_MAX]
    return Origin(address_of(request) or "local", "".join(part for part in agent if part.isprintable()))


def _told(tokens: Tokens) -> dict[str, Any]:
    return {"accessToken": tokens.access, "refreshToken": tokens.refresh, "expiresIn": ACCESS_S}


def _secret_json(value: Any, status: int = 200) -> web.Response:
    """A response that nobody may keep."""
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=status, body=to_json(value), content_type="application/json", headers=headers)

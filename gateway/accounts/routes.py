"""The paths of accounts: each handler parses, asks Access, and renders."""

from typing import Annotated, Literal, Self

from aiohttp import hdrs, web
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import to_json

from actors.times import milliseconds
from gateway import decode
from gateway.accounts import mfa_routes, oidc_routes
from gateway.accounts.access import Access
from gateway.accounts.exchange import (
    Email,
    Secretive,
    TriedPassword,
    entered,
    id_of,
    once,
    open_body,
    origin_of,
    privileged,
    secret_json,
    told,
    under_auth,
    user_of,
)
from gateway.accounts.names import Username, folded
from gateway.accounts.passwords import NewPassword
from gateway.accounts.sessions import Identity
from gateway.accounts.tokens import TOKEN_CHARS_MAX
from gateway.identity import request_id
from schemas.limits import BATCH_ITEMS_MAX
from schemas.shape import Key, Line, Shape, Text, holds_control_characters

LOGIN_NAME_CHARS_MAX = 254
DEVICE_CHARS_MAX = 128


def _time(text: str) -> str:
    milliseconds(text)
    return text


Time = Annotated[str, Field(max_length=40), AfterValidator(_time)]


def _device(given: SecretStr) -> SecretStr:
    device = given.get_secret_value()
    if not 1 <= len(device) <= DEVICE_CHARS_MAX or holds_control_characters(device):
        raise ValueError(f"should have 1 to {DEVICE_CHARS_MAX} characters, none of them a control character")
    return given


DeviceId = Annotated[SecretStr, AfterValidator(_device)]
"""What a client made up once and keeps. To a guest it is all that proves who it is: a random UUID is a good one."""
RefreshToken = Annotated[SecretStr, Field(min_length=1, max_length=TOKEN_CHARS_MAX)]


class Credentials(Secretive):
    """What register and upgrade take."""

    username: Username
    password: NewPassword
    email: Email | None = None


class Registration(Credentials):
    device_id: DeviceId | None = None


class Login(Secretive):
    username: Annotated[str, Field(min_length=1, max_length=LOGIN_NAME_CHARS_MAX)] | None = None
    email: Annotated[str, Field(min_length=1, max_length=LOGIN_NAME_CHARS_MAX)] | None = None
    password: TriedPassword
    device_id: DeviceId | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise ValueError("needs either username or email")
        return self


class PasswordChange(Secretive):
    password: TriedPassword
    new_password: NewPassword


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
    auth = [
        ("POST", "register", handlers.register),
        ("POST", "login", handlers.login),
        ("POST", "guest", handlers.guest),
        ("POST", "upgrade", handlers.upgrade),
        ("POST", "password", handlers.change_password),
        ("POST", "refresh", handlers.refresh),
        ("POST", "logout", handlers.logout),
        ("POST", "logout-all", handlers.logout_all),
        ("GET", "sessions", handlers.sessions),
    ]
    return [
        *under_auth(auth),
        *mfa_routes.routes(access),
        *oidc_routes.routes(access),
        web.get("/.well-known/jwks.json", handlers.jwks),
        web.post("/api/v1/players/provision", handlers.provision),
        web.post("/api/v1/moderation/users/{id}/ban", handlers.ban),
        web.post("/api/v1/moderation/users/{id}/suspend", handlers.suspend),
        web.post("/api/v1/moderation/users/{id}/reinstate", handlers.reinstate),
        web.post("/api/v1/admin/users/{id}/roles", handlers.set_role),
    ]


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()


class Handlers:
    """The handlers, and what they ask."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def register(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/register`"""
        body = await open_body(request, Registration)
        device = _secret(body.device_id)
        # Somebody unknown is whoever asks for this name.
        caller = f"name:{folded(body.username)}"
        async with once(self._access, request, caller, "register", body) as operation:
            entry = await self._access.register(
                operation, body.username, body.password, body.email, origin_of(request), device
            )
        return secret_json(entered(entry, userId=entry.user["userId"]), status=201)

    async def login(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/login`"""
        body = await open_body(request, Login)
        name, device = body.username or body.email or "", _secret(body.device_id)
        entry = await self._access.login(name, body.password, origin_of(request), device)
        return secret_json(entered(entry))

    async def guest(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/guest`"""
        body = await open_body(request, Guest)
        entry = await self._access.guest(body.device_id.get_secret_value(), origin_of(request))
        return secret_json(entered(entry, userId=entry.user["userId"]))

    async def upgrade(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/upgrade`"""
        user = user_of(request)
        body = await decode.body(request, Credentials)
        async with once(self._access, request, user.user_id, "upgrade", body) as operation:
            answer = await self._access.upgrade(
                operation, user, body.username, body.password, body.email, origin_of(request)
            )
        return secret_json(answer)

    async def change_password(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/password`"""
        user = user_of(request)
        body = await decode.body(request, PasswordChange)
        async with once(self._access, request, user.user_id, "password", body) as operation:
            answer = await self._access.change_password(
                operation, user, body.password, body.new_password, origin_of(request)
            )
        return secret_json(answer)

    async def refresh(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/refresh`"""
        body = await open_body(request, Refresh)
        return secret_json(told(await self._access.refresh(body.refresh_token.get_secret_value())))

    async def logout(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/logout`"""
        await self._access.logout(user_of(request))
        return secret_json({"ok": True})

    async def logout_all(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/logout-all`"""
        return secret_json({"ok": True, "sessions": await self._access.logout_all(user_of(request).user_id)})

    async def sessions(self, request: web.Request) -> web.Response:
        """`GET /api/v1/auth/sessions`"""
        return secret_json({"sessions": await self._access.sessions_of(user_of(request))})

    async def jwks(self, request: web.Request) -> web.Response:
        """`GET /.well-known/jwks.json`"""
        body = to_json(self._access.jwks())
        return web.Response(body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "max-age=60"})

    async def provision(self, request: web.Request) -> web.Response:
        """`POST /api/v1/players/provision`"""
        by, role = privileged(request, "server")
        body = await decode.body(request, Provision)
        items = [(item.external_id, item.display_name) for item in body.items]
        oversight = self._access.oversight
        async with once(self._access, request, by.user_id, "provision", body) as operation:
            return secret_json(await oversight.provision(operation, by, role, items, request_id(request)))

    async def ban(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/ban`"""
        by, role = privileged(request, "moderator")
        body = await decode.body(request, Ban)
        return await self._sanction(request, by, role, "banned", body, body.until)

    async def suspend(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/suspend`"""
        by, role = privileged(request, "moderator")
        body = await decode.body(request, Suspend)
        return await self._sanction(request, by, role, "suspended", body, body.until)

    async def reinstate(self, request: web.Request) -> web.Response:
        """`POST /api/v1/moderation/users/{id}/reinstate`"""
        by, role = privileged(request, "moderator")
        body = await decode.body(request, Reinstate)
        return await self._sanction(request, by, role, "clear", body)

    async def set_role(self, request: web.Request) -> web.Response:
        """`POST /api/v1/admin/users/{id}/roles`"""
        by, _ = privileged(request, "admin")
        body = await decode.body(request, RoleChange)
        user_id, oversight = id_of(request), self._access.oversight
        async with once(self._access, request, by.user_id, f"roles {user_id}", body) as operation:
            answer = await oversight.set_role(operation, by, user_id, body.role, body.grant, request_id(request))
        return secret_json(answer)

    async def _sanction(
        self,
        request: web.Request,
        by: Identity,
        role: str,
        standing: str,
        body: Ban | Suspend | Reinstate,
        until: str | None = None,
    ) -> web.Response:
        user_id, until_ms = id_of(request), None if until is None else milliseconds(until)
        async with once(self._access, request, by.user_id, f"{standing} {user_id}", body) as operation:
            answer = await self._access.oversight.sanction(
                operation, by, role, user_id, standing, until_ms, body.reason, request_id(request)
            )
        return secret_json(answer)

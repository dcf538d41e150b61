"""The paths of second factors."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, SecretStr

from gateway import decode
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
    under_auth,
    user_of,
)
from gateway.accounts.mfa import EMAIL, TOTP
from gateway.identity import request_id
from schemas.problems import Refusal
from schemas.shape import Shape, Text

CODE_CHARS_MAX = 40
MFA_TOKEN_CHARS_MAX = 100

Code = Annotated[SecretStr, Field(min_length=1, max_length=CODE_CHARS_MAX)]
MfaToken = Annotated[SecretStr, Field(min_length=1, max_length=MFA_TOKEN_CHARS_MAX)]


class Verify(Secretive):
    mfa_token: MfaToken
    code: Code


class EnrolTotp(Secretive):
    """The password stands in for a fresh login."""

    password: TriedPassword | None = None


class EnrolEmail(Secretive):
    """Without an address, the account's own."""

    password: TriedPassword | None = None
    email: Email | None = None


class Confirm(Secretive):
    code: Code


class SendCode(Secretive):
    """With the token of a login that waits, or logged in and without it."""

    mfa_token: MfaToken | None = None


class Disable(Secretive):
    """Without a method, all of them."""

    code: Code
    method: Literal["totp", "email"] | None = None


class ResetMfa(Shape):
    reason: Text


def routes(access: Access) -> list[web.RouteDef]:
    """All paths of second factors, with their aliases."""
    handlers = MfaHandlers(access)
    return [
        *under_auth(
            [
                ("GET", "mfa", handlers.status),
                ("POST", "mfa/verify", handlers.verify),
                ("POST", "mfa/totp/enrol", handlers.enrol_totp),
                ("POST", "mfa/totp/confirm", handlers.confirm_totp),
                ("POST", "mfa/email/enrol", handlers.enrol_email),
                ("POST", "mfa/email/confirm", handlers.confirm_email),
                ("POST", "mfa/email/send", handlers.send),
                ("POST", "mfa/recovery-codes", handlers.recovery_codes),
                ("POST", "mfa/disable", handlers.disable),
            ]
        ),
        web.post("/api/v1/admin/users/{id}/mfa/reset", handlers.reset),
    ]


class MfaHandlers:
    """The handlers, and what they ask."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._mfa = access.mfa

    async def status(self, request: web.Request) -> web.Response:
        """`GET /api/v1/auth/mfa`"""
        return secret_json(await self._mfa.status(user_of(request).user_id))

    async def verify(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/verify`"""
        body = await open_body(request, Verify)
        token, code = body.mfa_token.get_secret_value(), body.code.get_secret_value()
        return secret_json(entered(await self._access.verify(token, code, origin_of(request))))

    async def enrol_totp(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/totp/enrol`"""
        user = user_of(request)
        body = await decode.body(request, EnrolTotp)
        row = await self._access.confirmed(user, body.password, origin_of(request))
        return secret_json(await self._mfa.enrol_totp(user.user_id, row["display_name"]))

    async def confirm_totp(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/totp/confirm`"""
        return await self._confirm(request, TOTP)

    async def enrol_email(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/email/enrol`"""
        user, origin = user_of(request), origin_of(request)
        body = await decode.body(request, EnrolEmail)
        row = await self._access.confirmed(user, body.password, origin)
        address = body.email or row["email"]
        if address is None:
            raise Refusal("email_missing", "This account has no e-mail address; send one.")
        whence = await self._access.whence(user.user_id, origin)
        return secret_json(await self._mfa.enrol_email(user.user_id, address, whence))

    async def confirm_email(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/email/confirm`"""
        return await self._confirm(request, EMAIL)

    async def send(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/email/send`"""
        body = await open_body(request, SendCode)
        origin = origin_of(request)
        if body.mfa_token is None:
            user = user_of(request)
            await self._mfa.send_change(user.user_id, await self._access.whence(user.user_id, origin))
        else:
            token = body.mfa_token.get_secret_value()
            user_id = (await self._mfa.waiting(token))["user_id"]
            await self._mfa.send_again(token, await self._access.whence(user_id, origin))
        return secret_json({"ok": True})

    async def recovery_codes(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/recovery-codes`"""
        user = user_of(request)
        body = await decode.body(request, Confirm)
        codes = await self._mfa.fresh_recovery(user.user_id, body.code.get_secret_value())
        return secret_json({"recoveryCodes": codes})

    async def disable(self, request: web.Request) -> web.Response:
        """`POST /api/v1/auth/mfa/disable`"""
        user = user_of(request)
        body = await decode.body(request, Disable)
        await self._mfa.disable(user.user_id, body.method, body.code.get_secret_value())
        return secret_json(await self._mfa.status(user.user_id))

    async def reset(self, request: web.Request) -> web.Response:
        """`POST /api/v1/admin/users/{id}/mfa/reset`"""
        by, _ = privileged(request, "admin")
        body = await decode.body(request, ResetMfa)
        user_id, oversight = id_of(request), self._access.oversight
        async with once(self._access, request, by.user_id, f"reset_mfa {user_id}", body) as operation:
            return secret_json(await oversight.reset_mfa(operation, by, user_id, body.reason, request_id(request)))

    async def _confirm(self, request: web.Request, method: str) -> web.Response:
        user = user_of(request)
        body = await decode.body(request, Confirm)
        codes = await self._mfa.confirm(user.user_id, method, body.code.get_secret_value())
        return secret_json({"recoveryCodes": codes})

"""What the paths of accounts have in common: bodies with secrets, who asks from where, and answers nobody keeps."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, TypeVar

from aiohttp import hdrs, web
from pydantic import AfterValidator, ConfigDict, Field, SecretStr
from pydantic_core import to_json

from gateway import decode
from gateway.accounts.access import Access
from gateway.accounts.entry import Entry, Origin, Tokens
from gateway.accounts.mfa import CHALLENGE_S
from gateway.accounts.operations import Operation
from gateway.accounts.sessions import Identity
from gateway.accounts.tokens import ACCESS_S
from gateway.identity import address_of, identity, paced
from gateway.ops import key_of
from schemas.problems import Refusal
from schemas.shape import Shape

T = TypeVar("T", bound=Shape)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

AUTH_PREFIXES = ("/api/v1/auth", "/auth", "/api/auth")
USER_AGENT_CHARS_MAX = 200
EMAIL_CHARS_MAX = 254
PASSWORD_TRIED_CHARS_MAX = 1_000

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("should be an e-mail address")
    return text


Email = Annotated[str, Field(max_length=EMAIL_CHARS_MAX), AfterValidator(_email)]
TriedPassword = Annotated[SecretStr, Field(max_length=PASSWORD_TRIED_CHARS_MAX)]


class Secretive(Shape):
    """A body that holds a secret: not even an error repeats what was sent."""

    model_config = ConfigDict(hide_input_in_errors=True)


def under_auth(paths: Sequence[tuple[str, str, Handler]]) -> list[web.RouteDef]:
    """The routes of these methods and paths, under each of the prefixes."""
    return [
        web.route(method, f"{prefix}/{path}", handler) for prefix in AUTH_PREFIXES for method, path, handler in paths
    ]


async def open_body(request: web.Request, model: type[T]) -> T:
    """The body of a request that needs no token; refused as RATE_LIMITED before it is looked at."""
    paced(request)
    return await decode.body(request, model)


def user_of(request: web.Request) -> Identity:
    """Who asks; refused as UNAUTHENTICATED, or as RATE_LIMITED when too often."""
    user = _user_of(request)
    paced(request)
    return user


def _user_of(request: web.Request) -> Identity:
    user = identity(request)
    if not isinstance(user, Identity):
        raise TypeError("the gateway was given another Access than these routes")
    return user


def privileged(request: web.Request, role: str) -> tuple[Identity, str]:
    """Who asks, and by which role; refused as FORBIDDEN without it. An admin may do everything."""
    user = _user_of(request)
    for held in (role, "admin"):
        if held in user.roles:
            paced(request)
            return user, held
    raise Refusal("FORBIDDEN", f"This needs the role {role}.")


def id_of(request: web.Request) -> str:
    """The `{id}` of the path."""
    id_: str = decode.checked(request.match_info["id"])
    return id_


def origin_of(request: web.Request) -> Origin:
    """From where the request comes, as sessions show it."""
    agent = request.headers.get(hdrs.USER_AGENT, "")[:USER_AGENT_CHARS_MAX]
    return Origin(address_of(request) or "local", "".join(part for part in agent if part.isprintable()))


def told(tokens: Tokens) -> dict[str, Any]:
    return {"accessToken": tokens.access, "refreshToken": tokens.refresh, "expiresIn": ACCESS_S}


def entered(entry: Entry, **more: Any) -> dict[str, Any]:
    """The answer to a login. Who has yet to send a code is told nothing of the account."""
    if isinstance(entry.given, Tokens):
        return {**told(entry.given), **(more or {"user": entry.user})}
    token, methods = entry.given
    return {"mfaRequired": True, "mfaToken": token, "methods": methods, "expiresIn": CHALLENGE_S}


def secret_json(value: Any, status: int = 200) -> web.Response:
    """A response that nobody may keep."""
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=status, body=to_json(value), content_type="application/json", headers=headers)


def once(
    access: Access, request: web.Request, caller: str, what: str, body: Shape
) -> AbstractAsyncContextManager[Operation]:
    """The request as an operation, while it runs: what it does for this caller is done once under its key."""
    return access.operations.begun(caller, key_of(request), what, body)

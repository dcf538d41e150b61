"""Players with a second factor: an authenticator app on their phone, a mailbox, recovery codes on paper."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pyotp
import pytest
from pydantic import SecretStr

from tests.integration.place import PASSWORD, Gateway, Place, named
from tests.integration.postbox import Postbox, postbox


@pytest.fixture(autouse=True)
async def nothing_counted(gateway: Gateway) -> None:
    """Redis is shared by all tests, and they all come from one address."""
    await gateway.bus.ask("FLUSHALL")


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as box:
        yield box


@pytest.fixture
async def mailing(place: Place, box: Postbox) -> Gateway:
    """A gateway with a mail server."""
    return await place.gateway(smtp_url=SecretStr(box.url), trusted_proxies="127.0.0.0/8")


class Person:
    """A player with a name, a token and, when enrolled, an authenticator app."""

    def __init__(self, gateway: Gateway, name: str, body: Any) -> None:
        self.gateway, self.name, self.token, self.id = gateway, name, body["accessToken"], body["userId"]
        self.secret = ""
        self.recovery: list[str] = []

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.gateway.post(f"/auth/mfa/{path}", body or {}, self.token)

    async def login(self, at: Gateway | None = None, home: str = "") -> Any:
        status, body = await (at or self.gateway).post(
            "/auth/login", {"username": self.name, "password": PASSWORD}, **_from(home)
        )
        assert status == 200, body
        return body

    async def verify(self, challenge: Any, code: str, at: Gateway | None = None, home: str = "") -> tuple[int, Any]:
        body = {"mfaToken": challenge["mfaToken"], "code": code}
        return await (at or self.gateway).post("/auth/mfa/verify", body, **_from(home))

    def code(self, steps: int = 0) -> str:
        """The app's code, some steps from now."""
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=steps)

    def wrong(self) -> str:
        """A code that is not the app's around now."""
        right = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in right)

    async def enrol_app(self) -> None:
        status, body = await self.post("totp/enrol")
        assert status == 200, body
        self.secret = body["secret"]
        status, body = await self.post("totp/confirm", {"code": self.code(-1)})
        assert status == 200, body
        self.recovery = body["recoveryCodes"]


def _from(home: str) -> dict[str, str]:
    return {"X-Forwarded-For": home} if home else {}


async def person(gateway: Gateway, email: str | None = None) -> Person:
    name = named()
    status, body = await gateway.post("/auth/register", {"username": name, "password": PASSWORD, "email": email})
    assert status == 201
    return Person(gateway, name, body)


async def with_app(gateway: Gateway) -> Person:
    made = await person(gateway)
    await made.enrol_app()
    return made


async def with_mail(gateway: Gateway, box: Postbox) -> tuple[Person, str]:
    address = f"{named()}@example.com"
    made = await person(gateway, address)
    assert (await made.post("email/enrol"))[0] == 200
    status, body = await made.post("email/confirm", {"code": box.code(address)})
    assert status == 200, body
    made.recovery = body["recoveryCodes"]
    return made, address

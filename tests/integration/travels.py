"""Gateways with issuers, and the browsers that travel between them."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from tests.integration.issuer import Browser, LocalIssuer, serving
from tests.integration.place import Gateway, Place

PUBLIC = "http://127.0.0.1:7777"
RETURN_URLS = "https://play.example.com/done?from=greenroom,http://127.0.0.1/login,com.example.game:/login"


class Travels:
    """Two issuers, `one` and `two`, and as many gateways and browsers as a test wants."""

    def __init__(self, place: Place, stack: AsyncExitStack, one: LocalIssuer, two: LocalIssuer) -> None:
        self.place, self.stack, self.one, self.two = place, stack, one, two

    async def gateway(self, **settings: Any) -> Gateway:
        """A gateway that knows both issuers."""
        given = {"one": self.one.settings(), "two": self.two.settings()}
        oidc = SecretStr(json.dumps(given))
        gateway = await self.place.gateway(**{"oidc": oidc, "oidc_return_urls": RETURN_URLS, **settings})
        await gateway.bus.ask("FLUSHALL")
        return gateway

    async def browser(self, gateway: Gateway) -> Browser:
        """A browser with no past."""
        jar = aiohttp.CookieJar(unsafe=True)
        session = await self.stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        return Browser(session, str(gateway.client.make_url("/")).rstrip("/"), PUBLIC)

    async def login(self, gateway: Gateway, provider: str = "one", **query: str) -> tuple[int, Any]:
        """A login by a new browser."""
        return await (await self.browser(gateway)).login(provider, **query)

    async def code(self, gateway: Gateway, challenge: str, provider: str = "one") -> str:
        """The code that a client exchanges."""
        status, body = await self.login(gateway, provider, challenge=challenge)
        assert status == 200, body
        return str(body["code"])


@pytest.fixture
async def travels(place: Place) -> AsyncIterator[Travels]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(serving(LocalIssuer()))
        two = await stack.enter_async_context(serving(LocalIssuer()))
        for name, issuer in (("one", one), ("two", two)):
            issuer.redirect_uris.add(f"{PUBLIC}/api/v1/auth/oidc/{name}/callback")
        yield Travels(place, stack, one, two)


@pytest.fixture
async def door(travels: Travels) -> Gateway:
    """A gateway with both issuers."""
    return await travels.gateway()

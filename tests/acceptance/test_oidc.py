"""SPEC AU-11: logging in at an OpenID issuer, by a browser, at a server that knows two of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from scripts.embedded.raycluster import free_port
from tests.acceptance.clients import API, Door, User
from tests.acceptance.server import Server
from tests.integration.issuer import Browser, LocalIssuer, pkce, query_of, serving

RETURN_TO = "com.example.game:/login"


class Abroad:
    """The server, and the issuers that it trusts."""

    def __init__(self) -> None:
        self.one, self.two = LocalIssuer(free_port()), LocalIssuer(free_port())
        given = {
            "one": self.one.settings(),
            "two": self.two.settings(),
            "away": {"issuer": f"http://127.0.0.1:{free_port()}", "clientId": "x"},
        }
        environment = {
            "GREENROOM_OIDC": json.dumps(given),
            "GREENROOM_OIDC_RETURN_URLS": RETURN_TO,
            "GREENROOM_DASHBOARD": "false",
        }
        self.server = Server(environment=environment)
        for name, issuer in (("one", self.one), ("two", self.two)):
            issuer.redirect_uris.add(f"{self.server.url}{API}/auth/oidc/{name}/callback")


@pytest.fixture(scope="module")
def abroad() -> Iterator[Abroad]:
    made = Abroad()
    made.server.start()
    yield made
    code = made.server.stop()
    logs = "".join(made.server.logs().values())
    leaked = sum(secret in logs for secret in made.server.secrets)
    made.server.remove()
    assert (code, leaked) == (0, 0)


@pytest_asyncio.fixture
async def gate(abroad: Abroad, session: aiohttp.ClientSession) -> AsyncIterator[Door]:
    """The server's door, while the issuers are there."""
    async with serving(abroad.one), serving(abroad.two):
        yield Door(abroad.server, session)


@pytest_asyncio.fixture
async def browser(gate: Door) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, gate.server.url, gate.server.url)


async def entered(gate: Door, browser: Browser, provider: str = "one", prefix: str = f"{API}/auth") -> User:
    """Somebody who logged in at the issuer."""
    status, body = await browser.login(provider, prefix)
    assert status == 200, body
    gate.server.secrets |= {body["accessToken"], body["refreshToken"]}
    return User(body["user"]["userId"], body["accessToken"], body["refreshToken"])


async def linked(gate: Door, browser: Browser, user: User, provider: str) -> int:
    """The status of linking what the browser's user is there."""
    verifier, challenge = pkce()
    status, body = await browser.login(provider, f"{API}/auth", challenge=challenge)
    assert status == 200, body
    answer = await gate.post(f"{API}/auth/identities", {"code": body["code"], "verifier": verifier}, as_=user)
    return answer.status


@pytest.mark.parametrize("prefix", [f"{API}/auth", "/auth", "/api/auth"])
async def test_au_11_an_issuers_user_plays_and_comes_back_to_the_same_player(
    abroad: Abroad, gate: Door, browser: Browser, prefix: str
) -> None:
    abroad.one.user = {"sub": f"comes-back{prefix}"}
    user = await entered(gate, browser, prefix=prefix)
    assert (await gate.play(user, "quick_win"))["score"] == {"previous": 0, "current": 1}
    assert (await entered(gate, browser, prefix=prefix)).id == user.id


async def test_au_11_the_way_uses_pkce_state_and_nonce(abroad: Abroad, gate: Door, browser: Browser) -> None:
    at_issuer = query_of(await browser.start("one", f"{API}/auth"))
    assert at_issuer["response_type"] == "code"
    assert at_issuer["code_challenge_method"] == "S256"
    assert len({at_issuer[name] for name in ("state", "nonce", "code_challenge")}) == 3
    assert at_issuer["redirect_uri"] == f"{gate.server.url}{API}/auth/oidc/one/callback"
    for claims in ({"nonce": "another"}, {"aud": "another-game"}, {"iss": "https://evil.example"}):
        abroad.one.claims = claims
        status, body = await browser.login("one", f"{API}/auth")
        assert (status, body["code"]) == (401, "ID_TOKEN_INVALID")
    abroad.one.claims = {}
    back = await browser.consent(await browser.start("one", f"{API}/auth"))
    async with aiohttp.ClientSession() as other:
        refused = await Browser(other, browser.door, browser.public).get(back)
    assert (refused.status, (await refused.json())["code"]) == (400, "LOGIN_STATE_INVALID")


async def test_au_11_several_identities_lead_to_one_account(abroad: Abroad, gate: Door, browser: Browser) -> None:
    abroad.one.user, abroad.two.user = {"sub": "several"}, {"sub": "several"}
    user = await gate.register()
    for provider in ("one", "two"):
        assert await linked(gate, browser, user, provider) == 200
        assert (await entered(gate, browser, provider)).id == user.id
    listed = await gate.get(f"{API}/auth/identities", as_=user)
    assert [entry["provider"] for entry in listed.body["identities"]] == ["one", "two"]
    other = await gate.register()
    assert await linked(gate, browser, other, "one") == 409
    path = f"{API}/auth/identities/{listed.body['identities'][0]['id']}"
    assert (await gate.ask("DELETE", path, as_=other)).status == 404
    assert (await gate.ask("DELETE", path, as_=user)).status == 200
    assert (await entered(gate, browser)).id != user.id


async def test_au_11_the_last_identity_of_an_account_stays(abroad: Abroad, gate: Door, browser: Browser) -> None:
    abroad.one.user = {"sub": "only-one"}
    user = await entered(gate, browser)
    listed = await gate.get(f"{API}/auth/identities", as_=user)
    [identity] = listed.body["identities"]
    refused = await gate.ask("DELETE", f"{API}/auth/identities/{identity['id']}", as_=user)
    assert (refused.status, refused.code) == (409, "last_way_in")


async def test_au_11_a_game_is_given_a_code_for_which_it_gets_tokens(
    abroad: Abroad, gate: Door, browser: Browser
) -> None:
    abroad.one.user = {"sub": "in-a-game"}
    verifier, challenge = pkce()
    status, location = await browser.login("one", f"{API}/auth", challenge=challenge, returnTo=RETURN_TO)
    assert (status, location.partition("?")[0]) == (302, RETURN_TO)
    body = {"code": query_of(location)["code"], "verifier": verifier}
    gate.server.secrets |= set(body.values())
    answer = await gate.post(f"{API}/auth/oidc/exchange", body)
    assert answer.status == 200
    gate.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    assert (await gate.get(f"{API}/players/me", as_=answer.body["accessToken"])).status == 200
    assert (await gate.post(f"{API}/auth/oidc/exchange", body)).code == "LOGIN_CODE_INVALID"
    evil = await gate.get(f"{API}/auth/oidc/one/start", challenge=challenge, returnTo="https://evil.example")
    assert (evil.status, evil.code) == (400, "INVALID")


async def test_au_11_keys_of_the_issuer_rotate_and_an_issuer_may_be_away(
    abroad: Abroad, gate: Door, browser: Browser
) -> None:
    abroad.two.user = {"sub": "rotates"}
    user = await entered(gate, browser, "two")
    abroad.two.rotate()

    # Keys are asked for at most every 5 seconds, and refused logins are counted: so one login a second.
    end = time.monotonic() + 10
    while (answer := await browser.login("two", f"{API}/auth"))[0] != 200:
        assert (answer[0], answer[1]["code"]) == (401, "ID_TOKEN_INVALID")
        assert time.monotonic() < end, "the new key is not known"
        await asyncio.sleep(1)
    gate.server.secrets |= {answer[1]["accessToken"], answer[1]["refreshToken"]}
    assert answer[1]["user"]["userId"] == user.id
    away = await gate.get(f"{API}/auth/oidc/away/start")
    assert (away.status, away.code) == (503, "UNAVAILABLE")


async def test_au_11_secrets_of_issuers_are_shown_by_no_tool(abroad: Abroad, gate: Door) -> None:
    shown = abroad.server.tool("doctor", "--json")
    settings = {entry["name"]: entry["value"] for entry in json.loads(shown.stdout)["settings"]}
    assert settings["GREENROOM_OIDC"] == "********"
    listed = await gate.get(f"{API}/auth/oidc")
    assert listed.body == {"providers": ["one", "two", "away"]}

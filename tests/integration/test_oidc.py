"""Logins at OpenID issuers: there, back, and nowhere else. Real Postgres, Redis and issuers over loopback."""

import asyncio
from typing import Any

import pytest

from gateway.accounts import oidc
from tests.integration.issuer import CLIENT_SECRET, pkce, query_of
from tests.integration.phones import Person
from tests.integration.place import Gateway, Place, place, registered, servers, with_role
from tests.integration.travels import PUBLIC, Travels, door, travels

__all__ = ["door", "place", "servers", "travels"]


@pytest.mark.parametrize("prefix", ["/api/v1/auth", "/auth", "/api/auth"])
async def test_a_first_login_makes_an_account_and_the_next_comes_back_to_it(
    place: Place, travels: Travels, door: Gateway, prefix: str
) -> None:
    status, first = await (await travels.browser(door)).login("one", prefix)
    assert status == 200
    assert set(first) == {"accessToken", "refreshToken", "expiresIn", "user", "created"}
    assert first["created"] is True
    user_id = first["user"]["userId"]
    assert place.players.names == {user_id: f"player-{user_id[:8]}"}
    assert (await door.me(first["accessToken"]))[1]["userId"] == user_id
    status, again = await (await travels.browser(door)).login("one", prefix)
    assert (status, again["created"], again["user"]["userId"]) == (200, False, user_id)
    assert (await door.post("/auth/refresh", {"refreshToken": again["refreshToken"]}))[0] == 200
    status, listed = await door.ask("GET", f"{prefix}/oidc")
    assert listed == {"providers": ["one", "two"]}


async def test_subjects_are_told_apart_within_and_between_issuers(travels: Travels, door: Gateway) -> None:
    users = [(await travels.login(door))[1]["user"]["userId"], (await travels.login(door, "two"))[1]["user"]["userId"]]
    travels.one.user = {"sub": "bob-at-issuer"}
    users.append((await travels.login(door))[1]["user"]["userId"])
    assert len(set(users)) == 3


async def test_of_many_first_logins_at_once_one_makes_the_account(
    place: Place, travels: Travels, door: Gateway
) -> None:
    other = await travels.gateway()
    answers = await asyncio.gather(*(travels.login(at) for at in (door, other) * 3))
    assert {status for status, _ in answers} == {200}
    assert len({body["user"]["userId"] for _, body in answers}) == 1
    assert sum(body["created"] for _, body in answers) == 1
    assert await (await place.database()).fetch_value("SELECT count(*) FROM account") == 1


async def test_each_login_has_its_own_state_nonce_and_challenge(travels: Travels, door: Gateway) -> None:
    for _ in range(2):
        assert (await travels.login(door))[0] == 200
    first, second = travels.one.seen
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) == 43
        assert first[name] != second[name]
    assert first["redirect_uri"] == f"{PUBLIC}/api/v1/auth/oidc/one/callback"


async def test_a_login_may_begin_at_one_gateway_and_end_at_another(travels: Travels, door: Gateway) -> None:
    other = await travels.gateway()
    browser = await travels.browser(door)
    back = await browser.consent(await browser.start("one"))
    browser.door = str(other.client.make_url("/")).rstrip("/")
    assert (await browser.get(back)).status == 200


# The browser


async def test_the_cookie_is_for_this_host_and_no_script(travels: Travels, door: Gateway) -> None:
    browser = await travels.browser(door)
    at_issuer = await browser.start("one")
    assert (browser.cookie.key, browser.cookie["path"], browser.cookie["samesite"]) == ("greenroom-login", "/", "Lax")
    assert browser.cookie["httponly"]
    assert query_of(at_issuer)["state"] not in browser.cookie.value, "it is sealed"
    public = await travels.gateway(public_url="https://play.example.com/")
    travels.one.redirect_uris.add("https://play.example.com/api/v1/auth/oidc/one/callback")
    secure = await travels.browser(public)
    at_issuer = await secure.start("one")
    assert query_of(at_issuer)["redirect_uri"] == "https://play.example.com/api/v1/auth/oidc/one/callback"
    assert secure.cookie.key == "__Host-greenroom-login"
    assert (secure.cookie["secure"], secure.cookie["domain"]) == (True, "")


async def test_where_to_send_back_to_is_not_for_the_request_to_say(travels: Travels, door: Gateway) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    async with door.client.get("/auth/oidc/one/start", headers=headers, allow_redirects=False) as begun:
        assert query_of(begun.headers["Location"])["redirect_uri"].startswith(PUBLIC)


async def test_another_browser_cannot_end_the_login(travels: Travels, door: Gateway) -> None:
    mine, other = await travels.browser(door), await travels.browser(door)
    back = await mine.consent(await mine.start("one"))
    refused = await other.get(back)
    assert (refused.status, (await refused.json())["code"]) == (400, "LOGIN_STATE_INVALID")
    await other.start("one")
    assert (await other.get(back)).status == 400, "with a login of its own"
    assert "token" not in travels.one.asked
    assert (await mine.get(back)).status == 200


async def test_a_state_is_for_its_own_issuer(travels: Travels, door: Gateway) -> None:
    browser = await travels.browser(door)
    back = await browser.consent(await browser.start("one"))
    refused = await browser.get(back.replace("/oidc/one/", "/oidc/two/"))
    assert (refused.status, (await refused.json())["code"]) == (400, "LOGIN_STATE_INVALID")


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:1", ""])
async def test_an_answer_of_another_issuer_is_refused(travels: Travels, door: Gateway, issuer: str) -> None:
    travels.one.metadata["authorization_response_iss_parameter_supported"] = True
    browser = await travels.browser(door)
    back = await browser.consent(await browser.start("one"))
    head, _, _ = back.partition("&iss=")
    query = query_of(back)
    refused = await browser.get(f"{head.partition('?')[0]}?state={query['state']}&code={query['code']}&iss={issuer}")
    assert (refused.status, (await refused.json())["code"]) == (400, "LOGIN_STATE_INVALID")
    assert "token" not in travels.one.asked


async def test_a_login_cannot_be_ended_twice_or_late(
    travels: Travels, door: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await travels.browser(door)
    back = await browser.consent(await browser.start("one"))
    cookie = {"Cookie": f"{browser.cookie.key}={browser.cookie.value}"}
    assert (await browser.get(back)).status == 200
    assert (await browser.get(back)).status == 400, "the cookie is gone"
    async with door.client.get(back.replace(PUBLIC, ""), headers=cookie) as replayed:
        assert (replayed.status, (await replayed.json())["code"]) == (403, "LOGIN_REFUSED")
    back = await browser.consent(await browser.start("one"))
    monkeypatch.setattr(oidc, "FLOW_S", -61)
    late = await browser.get(back)
    assert (late.status, (await late.json())["code"]) == (400, "LOGIN_STATE_INVALID")


async def test_who_does_not_consent_is_not_let_in(travels: Travels, door: Gateway) -> None:
    travels.one.denies = "access_denied"
    status, body = await travels.login(door)
    assert (status, body["code"]) == (403, "LOGIN_REFUSED")
    assert "access_denied" in body["message"]
    travels.one.denies = "<script>alert(1)</script>"
    assert "script" not in str((await travels.login(door))[1])


async def test_nobody_makes_us_bother_an_issuer_without_end(travels: Travels, door: Gateway) -> None:
    browser = await travels.browser(door)
    back = await browser.consent(await browser.start("one"))
    wrong = back.replace(query_of(back)["code"], "guessed")
    cookie = {"Cookie": f"{browser.cookie.key}={browser.cookie.value}"}
    statuses = []
    for _ in range(22):
        async with door.client.get(wrong.replace(PUBLIC, ""), headers=cookie) as refused:
            statuses.append(refused.status)
    assert statuses == [403] * 20 + [429] * 2
    assert travels.one.asked.count("token") == 20


@pytest.mark.parametrize("path", ["start", "callback"])
async def test_an_issuer_that_is_not_set_up_is_unknown(door: Gateway, path: str) -> None:
    status, body = await door.ask("GET", f"/auth/oidc/nobody/{path}")
    assert (status, body["code"]) == (404, "provider_unknown")


# Back to the game


@pytest.mark.parametrize(
    ("return_to", "lands_at"),
    [
        ("https://play.example.com/done?from=greenroom", "https://play.example.com/done?from=greenroom&code="),
        ("http://127.0.0.1:51234/login", "http://127.0.0.1:51234/login?code="),
        ("com.example.game:/login", "com.example.game:/login?code="),
    ],
)
async def test_a_game_gets_a_code_that_only_it_can_exchange(
    travels: Travels, door: Gateway, return_to: str, lands_at: str
) -> None:
    verifier, challenge = pkce()
    status, location = await travels.login(door, challenge=challenge, returnTo=return_to)
    assert status == 302
    assert location.startswith(lands_at)
    body = {"code": location.partition("code=")[2], "verifier": verifier}
    status, entry = await door.post("/auth/oidc/exchange", body)
    assert (status, entry["created"]) == (200, True)
    assert (await door.me(entry["accessToken"]))[0] == 200
    status, again = await door.post("/auth/oidc/exchange", body)
    assert (status, again["code"]) == (401, "LOGIN_CODE_INVALID")


async def test_a_code_that_was_caught_is_worth_nothing_and_used_up(travels: Travels, door: Gateway) -> None:
    verifier, challenge = pkce()
    code = await travels.code(door, challenge)
    for tried in (pkce()[0], verifier):
        status, body = await door.post("/auth/oidc/exchange", {"code": code, "verifier": tried})
        assert (status, body["code"]) == (401, "LOGIN_CODE_INVALID")
    assert (await door.post("/auth/oidc/exchange", {"code": code}))[0] == 400


async def test_a_code_is_good_for_a_minute(place: Place, travels: Travels, door: Gateway) -> None:
    verifier, challenge = pkce()
    code = await travels.code(door, challenge)
    await (await place.database()).execute("UPDATE identity_proof SET expires_at = expires_at - interval '61 seconds'")
    assert (await door.post("/auth/oidc/exchange", {"code": code, "verifier": verifier}))[0] == 401


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/done",
        "https://play.example.com/done",
        "https://play.example.com/done?from=greenroom&x=1",
        "https://play.example.com:444/done?from=greenroom",
        "https://play.example.com@evil.example/done?from=greenroom",
        "http://127.0.0.1:80/other",
        "http://127.0.0.1@evil.example/login",
        "http://127.0.0.1\r\n:80/login",
        "http://127.0.0.1:0x50/login",
        "//127.0.0.1/login",
        "javascript:alert(1)",
        "",
    ],
)
async def test_nobody_is_sent_where_no_game_is(travels: Travels, door: Gateway, return_to: str) -> None:
    params = {"returnTo": return_to, "challenge": pkce()[1]}
    async with door.client.get("/auth/oidc/one/start", params=params, allow_redirects=False) as refused:
        body = await refused.json()
        assert (refused.status, body["code"], "Location" in refused.headers) == (400, "INVALID", False)


@pytest.mark.parametrize("query", [{"returnTo": "com.example.game:/login"}, {"challenge": "short"}, {"next": "/"}])
async def test_a_start_takes_nothing_else(door: Gateway, query: dict[str, str]) -> None:
    async with door.client.get("/auth/oidc/one/start", params=query, allow_redirects=False) as refused:
        assert refused.status == 400


async def test_a_refusal_leads_back_to_the_game_too(travels: Travels, door: Gateway) -> None:
    travels.one.denies = "access_denied"
    status, location = await travels.login(door, challenge=pkce()[1], returnTo="com.example.game:/login")
    assert (status, location) == (302, "com.example.game:/login?error=LOGIN_REFUSED")


# What holds for every login


async def test_a_second_factor_is_asked_for_here_too(travels: Travels, door: Gateway) -> None:
    _, entry = await travels.login(door)
    made = Person(door, "", {**entry, "userId": entry["user"]["userId"]})
    await made.enrol_app()
    status, challenge = await travels.login(door)
    assert (status, challenge["mfaRequired"]) == (200, True)
    assert "user" not in challenge
    assert (await made.verify(challenge, made.code(1)))[0] == 200


async def test_the_banned_stay_out(place: Place, travels: Travels, door: Gateway) -> None:
    moderator = await with_role(place, door, "moderator")
    user_id = (await travels.login(door))[1]["user"]["userId"]
    await door.post(f"/api/v1/moderation/users/{user_id}/ban", {"reason": "cheating"}, moderator["accessToken"])
    status, body = await travels.login(door)
    assert (status, body["code"]) == (403, "BANNED")


async def test_an_issuers_user_can_take_a_name_and_a_password(travels: Travels, door: Gateway) -> None:
    _, entry = await travels.login(door)
    upgrade = {"username": "Settled", "password": "correct horse battery"}
    assert (await door.post("/auth/upgrade", upgrade, entry["accessToken"]))[0] == 200
    assert (await door.post("/auth/login", upgrade))[1]["user"]["userId"] == entry["user"]["userId"]
    assert (await travels.login(door))[1]["user"]["username"] == "Settled"


async def test_no_secret_of_a_login_is_in_a_log_line_or_kept(
    place: Place,
    travels: Travels,
    door: Gateway,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier, challenge = pkce()
    code = await travels.code(door, challenge)
    kept = str(await (await place.database()).fetch("SELECT identity_proof::text FROM identity_proof"))
    await door.post("/auth/oidc/exchange", {"code": code, "verifier": verifier})
    travels.one.denies = "access_denied"
    await travels.login(door)
    travels.one.denies, travels.one.claims = "", {"nonce": "wrong"}
    await travels.login(door)
    await registered(door)
    written = "".join(capsys.readouterr()) + caplog.text + kept
    hidden: list[Any] = [CLIENT_SECRET, code, verifier, *(seen["nonce"] for seen in travels.one.seen)]
    assert not [secret for secret in hidden if secret in written]

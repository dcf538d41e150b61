"""Several identities of one account: linked by who is logged in, never by an address, and never the last one lost."""

import asyncio
from typing import Any

import pytest

from gateway.accounts import identities
from tests.integration.issuer import pkce
from tests.integration.place import PASSWORD, Gateway, Place, place, registered, servers
from tests.integration.travels import Travels, door, travels

__all__ = ["door", "place", "servers", "travels"]


async def link(travels: Travels, gateway: Gateway, token: str, provider: str = "one", **more: Any) -> tuple[int, Any]:
    verifier, challenge = pkce()
    body = {"code": await travels.code(gateway, challenge, provider), "verifier": verifier, **more}
    return await gateway.post("/auth/identities", body, token)


async def test_several_identities_lead_to_one_account(place: Place, travels: Travels, door: Gateway) -> None:
    made = await registered(door)
    travels.two.user = {"sub": "also-alice", "email": "alice@example.com", "email_verified": True}
    for provider in ("one", "two"):
        assert (await link(travels, door, made["accessToken"], provider))[0] == 200
    status, listed = await door.ask("GET", "/auth/identities", token=made["accessToken"])
    assert status == 200
    assert [(entry["provider"], entry["issuer"], entry["email"]) for entry in listed["identities"]] == [
        ("one", travels.one.url, None),
        ("two", travels.two.url, "alice@example.com"),
    ]
    assert set(listed["identities"][0]) == {"id", "provider", "issuer", "email", "linkedAt", "lastUsedAt"}
    for provider in ("one", "two"):
        status, entry = await travels.login(door, provider)
        assert (status, entry["created"], entry["user"]["userId"]) == (200, False, made["userId"])
    rows = await (await place.database()).fetch("SELECT action FROM audit WHERE subject = $1", made["userId"])
    assert [row["action"] for row in rows] == ["identity_link"] * 2


async def test_an_address_links_nothing(travels: Travels, door: Gateway) -> None:
    body = {"username": "alice", "password": PASSWORD, "email": "alice@example.com"}
    _, made = await door.post("/auth/register", body)
    users = [made["userId"]]
    for issuer, provider in ((travels.one, "one"), (travels.two, "two")):
        issuer.user = {"sub": provider, "email": "alice@example.com", "email_verified": True}
        users.append((await travels.login(door, provider))[1]["user"]["userId"])
    assert len(set(users)) == 3


async def test_linking_needs_somebody_who_is_logged_in(travels: Travels, door: Gateway) -> None:
    verifier, challenge = pkce()
    body = {"code": await travels.code(door, challenge), "verifier": verifier}
    assert (await door.post("/auth/identities", body))[0] == 401
    assert (await door.post("/auth/oidc/exchange", body))[0] == 200, "nothing was used up"
    for method, path in (("GET", "/auth/identities"), ("DELETE", "/auth/identities/x")):
        assert (await door.ask(method, path))[0] == 401


async def test_an_identity_of_another_account_is_taken(travels: Travels, door: Gateway) -> None:
    await travels.login(door)
    made = await registered(door)
    status, body = await link(travels, door, made["accessToken"])
    assert (status, body["code"]) == (409, "identity_taken")


async def test_of_two_accounts_that_link_at_once_one_gets_it(travels: Travels, door: Gateway) -> None:
    other = await travels.gateway()
    made = [await registered(door), await registered(other)]
    answers = await asyncio.gather(
        *(link(travels, at, one["accessToken"]) for at, one in zip((door, other), made, strict=True))
    )
    assert sorted(status for status, _ in answers) == [200, 409]


async def test_linking_again_changes_nothing(travels: Travels, door: Gateway) -> None:
    made = await registered(door)
    first = await link(travels, door, made["accessToken"])
    assert await link(travels, door, made["accessToken"]) == first
    assert first[0] == 200


async def test_an_account_has_a_bounded_number(
    travels: Travels, door: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "IDENTITIES_MAX", 1)
    made = await registered(door)
    await link(travels, door, made["accessToken"])
    status, body = await link(travels, door, made["accessToken"], "two")
    assert (status, body["code"]) == (409, "too_many_identities")


async def test_an_old_session_links_nothing_by_itself(place: Place, travels: Travels, door: Gateway) -> None:
    made = await registered(door)
    await link(travels, door, made["accessToken"])
    await (await place.database()).execute("UPDATE session SET created_at = created_at - interval '11 minutes'")
    status, body = await link(travels, door, made["accessToken"], "two")
    assert (status, body["code"]) == (403, "fresh_login_needed")
    status, body = await link(travels, door, made["accessToken"], "two", password=PASSWORD)
    assert status == 200
    path = f"/auth/identities/{body['identities'][0]['id']}"
    status, body = await door.ask("DELETE", path, token=made["accessToken"])
    assert (status, body["code"]) == (403, "fresh_login_needed")


async def test_an_identity_that_was_taken_away_lets_in_no_more(travels: Travels, door: Gateway) -> None:
    made = await registered(door)
    _, linked = await link(travels, door, made["accessToken"])
    path = f"/auth/identities/{linked['identities'][0]['id']}"
    status, body = await door.ask("DELETE", path, token=made["accessToken"])
    assert (status, body) == (200, {"identities": []})
    status, body = await door.ask("DELETE", path, token=made["accessToken"])
    assert (status, body["code"]) == (404, "identity_unknown")
    assert (await travels.login(door))[1]["user"]["userId"] != made["userId"]


async def test_nobody_takes_away_the_identity_of_another(travels: Travels, door: Gateway) -> None:
    made, other = await registered(door), await registered(door)
    _, linked = await link(travels, door, made["accessToken"])
    path = f"/auth/identities/{linked['identities'][0]['id']}"
    assert (await door.ask("DELETE", path, token=other["accessToken"]))[0] == 404
    assert (await travels.login(door))[1]["user"]["userId"] == made["userId"]


async def test_the_last_way_into_an_account_stays(travels: Travels, door: Gateway) -> None:
    _, entry = await travels.login(door)
    _, listed = await link(travels, door, entry["accessToken"], "two")
    one, two = (f"/auth/identities/{identity['id']}" for identity in listed["identities"])
    answers = await asyncio.gather(*(door.ask("DELETE", path, token=entry["accessToken"]) for path in (one, two)))
    assert sorted(status for status, _ in answers) == [200, 409]
    assert [body["code"] for status, body in answers if status == 409] == ["last_way_in"]
    upgrade = {"username": "Settled", "password": PASSWORD}
    assert (await door.post("/auth/upgrade", upgrade, entry["accessToken"]))[0] == 200
    _, listed = await door.ask("GET", "/auth/identities", token=entry["accessToken"])
    [left] = listed["identities"]
    assert (await door.ask("DELETE", f"/auth/identities/{left['id']}", token=entry["accessToken"]))[0] == 200

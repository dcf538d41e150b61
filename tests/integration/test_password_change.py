"""Changing a password: who may, and what ends with the old one."""

import pytest

from tests.integration.phones import nothing_counted, person, with_app
from tests.integration.place import PASSWORD, Gateway, Place, gateway, place, registered, servers, until

__all__ = ["gateway", "nothing_counted", "place", "servers"]

FRESH = "battery staple horse"


@pytest.mark.parametrize("prefix", ["/api/v1/auth", "/auth", "/api/auth"])
async def test_a_changed_password_ends_all_other_sessions_everywhere(
    place: Place, gateway: Gateway, prefix: str
) -> None:
    other = await place.gateway()
    made = await person(gateway)
    elsewhere = (await made.login(other))["accessToken"]
    refresh = (await made.login(other))["refreshToken"]
    assert (await other.me(elsewhere))[0] == 200
    body = {"password": PASSWORD, "newPassword": FRESH}
    assert await gateway.post(f"{prefix}/password", body, made.token) == (200, {"ok": True})

    async def ended() -> bool:
        return (await other.me(elsewhere))[0] == 401

    await until(ended, within_s=1.0)
    assert {user_id for user_id, _, code in other.revoked if code == 4401} == {made.id}
    assert (await other.post("/auth/refresh", {"refreshToken": refresh}))[0] == 401
    assert (await gateway.me(made.token))[0] == 200
    for password, status in ((PASSWORD, 401), (FRESH, 200)):
        assert (await other.post("/auth/login", {"username": made.name, "password": password}))[0] == status
    rows = await (await place.database()).fetch("SELECT action FROM audit WHERE subject = $1", made.id)
    assert [row["action"] for row in rows] == ["change_password"]


async def test_a_password_is_changed_by_who_knows_it(gateway: Gateway) -> None:
    made = await registered(gateway)
    change = {"password": "wrong password", "newPassword": FRESH}
    assert (await gateway.post("/auth/password", change))[0] == 401
    statuses = [(await gateway.post("/auth/password", change, made["accessToken"]))[0] for _ in range(6)]
    assert statuses == [403] * 5 + [429]


@pytest.mark.parametrize("fresh", ["short", "x" * 65, None])
async def test_a_new_password_is_held_to_the_same_rules(gateway: Gateway, fresh: str | None) -> None:
    made = await registered(gateway)
    body = {"password": PASSWORD, "newPassword": fresh}
    status, told = await gateway.post("/auth/password", body, made["accessToken"])
    assert (status, [problem["field"] for problem in told["fields"]]) == (400, ["newPassword"])


async def test_who_waits_with_the_old_password_has_to_begin_again(gateway: Gateway) -> None:
    made = await with_app(gateway)
    waiting = await made.login()
    body = {"password": PASSWORD, "newPassword": FRESH}
    assert (await gateway.post("/auth/password", body, made.token))[0] == 200
    status, told = await made.verify(waiting, made.code(1))
    assert (status, told["code"]) == (401, "MFA_TOKEN_INVALID")


async def test_a_guest_has_no_password_to_change(gateway: Gateway) -> None:
    _, guest = await gateway.post("/auth/guest", {"deviceId": "a-device-id-of-some-length"})
    body = {"password": PASSWORD, "newPassword": FRESH}
    status, told = await gateway.post("/auth/password", body, guest["accessToken"])
    assert (status, told["code"]) == (409, "no_password")

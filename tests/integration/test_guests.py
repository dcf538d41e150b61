"""Players who come without a name: guests by their device, and those that a studio provisions."""

import asyncio

from tests.integration.place import PASSWORD, Gateway, Place, gateway, place, registered, servers, with_role

__all__ = ["gateway", "place", "servers"]


async def test_a_device_comes_back_to_its_player_and_an_upgrade_keeps_it(place: Place, gateway: Gateway) -> None:
    device = {"deviceId": "a-device-id-of-some-length"}
    answers = await asyncio.gather(*(gateway.post("/auth/guest", device) for _ in range(4)))
    assert {status for status, _ in answers} == {200}
    (user_id,) = {body["userId"] for _, body in answers}
    assert place.players.names[user_id].startswith("guest-")
    token = answers[0][1]["accessToken"]
    upgrade = {"username": "Settled", "password": PASSWORD}
    status, body = await gateway.post("/auth/upgrade", upgrade, token)
    assert (status, body["userId"], body["user"]["username"]) == (200, user_id, "Settled")
    assert place.players.names[user_id] == "Settled"
    assert (await gateway.me(token))[1]["username"] == "Settled"
    assert (await gateway.post("/auth/login", upgrade))[1]["user"]["userId"] == user_id
    assert (await gateway.post("/auth/guest", device))[1]["userId"] == user_id
    status, body = await gateway.post("/auth/upgrade", {"username": "Again", "password": PASSWORD}, token)
    assert (status, body["code"]) == (409, "already_upgraded")


async def test_a_device_id_is_not_stored(place: Place, gateway: Gateway) -> None:
    await gateway.post("/auth/guest", {"deviceId": "a-device-id-of-some-length"})
    database = await place.database()
    rows = await database.fetch("SELECT account::text FROM account")
    assert "a-device-id" not in str(rows)
    assert (await gateway.post("/auth/guest", {"deviceId": ""}))[0] == 400


async def test_provisioning_is_idempotent_by_external_id(place: Place, gateway: Gateway) -> None:
    server = await with_role(place, gateway, "server")
    items = [{"externalId": f"e{at}", "displayName": "Twin"} for at in range(500)]
    status, body = await gateway.post("/api/v1/players/provision", {"items": items}, server["accessToken"])
    assert status == 200
    assert [(item["externalId"], item["created"]) for item in body["items"]] == [(f"e{at}", True) for at in range(500)]
    assert len({item["userId"] for item in body["items"]}) == 500
    assert all(place.players.names[item["userId"]] == "Twin" for item in body["items"])
    status, again = await gateway.post("/api/v1/players/provision", {"items": items[:3]}, server["accessToken"])
    assert again["items"] == [{**item, "created": False} for item in body["items"][:3]]
    twice = [{"externalId": "new", "displayName": "One"}] * 2
    _, body = await gateway.post("/api/v1/players/provision", {"items": twice}, server["accessToken"])
    assert [item["created"] for item in body["items"]] == [True, False]
    for count in (0, 501):
        some = [{"externalId": f"x{at}", "displayName": "x"} for at in range(count)]
        assert (await gateway.post("/api/v1/players/provision", {"items": some}, server["accessToken"]))[0] == 400


async def test_provisioning_that_was_cut_short_is_completed_by_the_repeat(place: Place, gateway: Gateway) -> None:
    server = await with_role(place, gateway, "server")
    body = {"items": [{"externalId": "e1", "displayName": "One"}]}
    place.players.down = True
    assert (await gateway.post("/api/v1/players/provision", body, server["accessToken"]))[0] == 503
    place.players.down = False
    status, told = await gateway.post("/api/v1/players/provision", body, server["accessToken"])
    assert (status, told["items"][0]["created"]) == (200, False)
    assert place.players.names[told["items"][0]["userId"]] == "One"


async def test_a_player_that_could_not_be_made_is_made_by_the_next_request(place: Place, gateway: Gateway) -> None:
    place.players.down = True
    made = await registered(gateway, "patient")
    assert place.players.names == {}
    place.players.down = False
    assert (await gateway.me(made["accessToken"]))[0] == 200
    assert place.players.names == {made["userId"]: "patient"}
    assert gateway.access.identity_of(made["accessToken"]) is not None

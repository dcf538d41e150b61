"""A new command is one class and a new kind one file: here is one, and a server that has never seen it before."""

import json
from typing import Any

import aiohttp
import pytest

from tests.acceptance.clients import API, Door, Sockets
from tests.acceptance.server import Server

pytestmark = pytest.mark.restarts


async def test_a_new_kind_is_one_file_and_reached_over_rest(spare_door: Door) -> None:
    user = await spare_door.guest()
    path = f"{API}/actors/lighthouse/cape-north"
    lit = await spare_door.post(f"{path}/light", {"oil": 2}, as_=user, op="once")
    assert lit.body == {"ok": True, "version": 1, "data": {"oilLeft": 1}}
    assert (await spare_door.post(f"{path}/light", {"oil": 2}, as_=user, op="once")).text == lit.text
    refused = await spare_door.post(f"{path}/light", {"oil": 2}, as_=user)
    assert (refused.status, refused.code) == (409, "oil_too_low")
    assert (await spare_door.post(f"{path}/light", {"oil": 0}, as_=user)).status == 400
    assert (await spare_door.post(f"{path}/light", {"oil": 1})).status == 401
    lamp = await spare_door.get(f"{path}/lamp", as_=user)
    assert lamp.body == {"ok": True, "version": 1, "data": {"keeper": user.id, "oil": 1}}


@pytest.mark.parametrize("binary", [False, True])
async def test_a_new_kind_is_reached_over_websocket_and_has_a_topic(
    spare: Server, spare_door: Door, session: aiohttp.ClientSession, binary: bool
) -> None:
    user = await spare_door.guest()
    sockets = Sockets(spare, session)
    key = f"cape-{binary}"
    wire = await sockets.open(user, binary=binary)
    initial = await wire.subscribe(f"lighthouse:{key}")
    assert (initial["type"], initial["data"]) == ("lighthouse.initial", {"keeper": "", "oil": 3})
    reply = await wire.command("lighthouse", key, "light", {"oil": 3})
    assert (reply["meta"]["version"], reply["data"]) == (1, {"oilLeft": 0})
    push = await wire.push(f"lighthouse:{key}", 5)
    assert (push["type"], push["meta"]["seq"]) == ("lighthouse.update", 1)
    assert push["data"]["oil"] == -3
    lamp = await wire.query("lighthouse", key, "lamp")
    assert lamp["data"] == {"keeper": user.id, "oil": 0}
    await sockets.close()


async def test_a_new_command_is_one_class(spare: Server, spare_door: Door) -> None:
    user = await spare_door.guest()
    answer = await spare_door.post(f"{API}/actors/player/me/wave", as_=user)
    assert answer.body["data"] == {"waved": True}
    rows = await spare.sql(
        "SELECT turn ->> 'command' AS command FROM journal WHERE kind = 'player' AND key = $1 ORDER BY version", user.id
    )
    assert [row["command"] for row in rows] == ["create", "wave"]


async def test_documents_and_journal_know_the_new_kind(spare: Server, spare_door: Door) -> None:
    documents: list[Any] = []
    for path in ("/openapi.json", "/asyncapi.json"):
        async with spare_door.session.get(spare.url + path) as response:
            documents.append(json.loads(await response.text()))
    assert f"{API}/actors/lighthouse/{{key}}/light" in documents[0]["paths"]
    assert "command_lighthouse_light" in documents[1]["components"]["messages"]
    rows = await spare.sql("SELECT key, events FROM journal WHERE kind = 'lighthouse' AND key = 'cape-north'")
    assert [json.loads(row["events"])[0][0] for row in rows] == ["lit"]

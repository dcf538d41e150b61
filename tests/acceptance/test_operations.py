"""SPEC section 16, and of the tools what players' backends meet first."""

import asyncio
import json
import re
import subprocess
import time
from typing import Any

import aiohttp
import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.acceptance.clients import API, RFC3339_UTC, Door, Sockets, User
from tests.acceptance.server import GREENROOM, Server
from tests.acceptance.spare import Spare


async def text_of(door: Door, path: str) -> str:
    async with door.session.get(door.server.url + path) as response:
        assert response.status == 200
        return await response.text()


async def test_op_01_health_is_told_exactly(door: Door) -> None:
    answer = await door.get("/health")
    assert answer.status == 200
    assert set(answer.body) == {"status", "redis", "database", "hosts", "uptime", "timestamp", "version"}
    assert answer.body["status"] == "healthy"
    assert isinstance(answer.body["uptime"], int)
    assert RFC3339_UTC.fullmatch(answer.body["timestamp"])


async def test_op_02_probes_need_no_token(door: Door) -> None:
    assert (await door.get("/health/live")).status == 200
    assert (await door.get("/health/ready")).status == 200


async def test_op_04_metrics_are_for_prometheus(door: Door, alice: User) -> None:
    await door.play(alice)
    text = await text_of(door, "/metrics")
    for line in text.splitlines():
        assert re.fullmatch(r"#.*|[a-zA-Z_:][\w:]*(\{.*\})? [-+.\deEnaNIf]+", line), line
    for name in ("requests", "sockets", "cache_hit_ratio", "loop_lag_seconds", "bus_connected"):
        assert f"greenroom_{name}" in text
    assert alice.id not in text


async def test_er_03_each_error_is_logged_with_its_request_id_and_counted_by_code(
    door: Door, server: Server, alice: User
) -> None:
    answer = await door.post(f"{API}/actions", {"type": "no-such-type"}, as_=alice)
    assert answer.code == "action_type_unknown"
    end = time.monotonic() + 5
    while not (lines := [text for text in server.logs().values() if answer.body["requestId"] in text]):
        assert time.monotonic() < end, "the request is not in the logs"
        await asyncio.sleep(0.1)
    assert lines
    counted = False
    while not counted:
        # Two gateways share the port, each with counters of its own.
        async with aiohttp.ClientSession() as fresh, fresh.get(f"{server.url}/metrics") as response:
            counted = 'code="action_type_unknown"' in await response.text()
        assert time.monotonic() < end, "the refusal is not counted"


async def test_op_09_logs_are_json_lines_on_channels(door: Door, server: Server, alice: User) -> None:
    answer = await door.get(f"{API}/players/me", as_=alice)
    request_id = answer.headers["X-Request-Id"]
    end = time.monotonic() + 5
    while not (found := [line for text in server.logs().values() for line in text.splitlines() if request_id in line]):
        assert time.monotonic() < end, "the request is not in the logs"
        await asyncio.sleep(0.1)
    entry = json.loads(found[0])
    assert entry["channel"] == "access"
    assert (entry["status"], entry["user"], entry["method"]) == (200, alice.id, "GET")
    assert entry["timestamp"].endswith("Z")


async def test_gs_02_a_player_sees_its_whole_sheet_and_others_the_public_part(
    door: Door, alice: User, bob: User
) -> None:
    own = (await door.get(f"{API}/players/me", as_=alice)).body
    assert {"userId", "username", "createdAt", "scores", "wallet", "inbox"} <= set(own)
    assert own["wallet"] == {"gold": 100}
    public = (await door.get(f"{API}/players/{alice.id}", as_=bob)).body
    assert set(public) == {"userId", "username", "createdAt", "scores", "level", "equipment"}
    assert {name: own[name] for name in public} == public
    assert (await door.get(f"{API}/actors/player/{alice.id}/profile", as_=bob)).status == 403


async def test_sdk_01_the_openapi_document_is_valid_and_knows_every_path(door: Door) -> None:
    document = json.loads(await text_of(door, "/openapi.json"))
    await asyncio.to_thread(validate, document)
    for path in (
        "/api/v1/actions",
        "/api/v1/actions/{id}/complete",
        "/api/v1/scores/award",
        "/api/v1/leaderboard/top",
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/players/provision",
        "/api/v1/moderation/users/{id}/ban",
        "/api/v1/admin/users/{id}/roles",
        "/api/v1/actors/player/{key}/start_action",
        "/health",
    ):
        assert path in document["paths"], path


async def test_sdk_01_the_asyncapi_document_is_whole(door: Door) -> None:
    document = json.loads(await text_of(door, "/asyncapi.json"))
    assert document["asyncapi"].startswith("3.")
    assert {"/api/v1/ws", "/api/v1/ws/leaderboard"} == {channel["address"] for channel in document["channels"].values()}
    for pointer in _references(document):
        _resolved(document, pointer)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert "command_player_start_action" in document["components"]["messages"]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [pointer for value in node.values() for pointer in _references(value)]
    if isinstance(node, list):
        return [pointer for value in node for pointer in _references(value)]
    return []


def _resolved(document: Any, pointer: str) -> Any:
    assert pointer.startswith("#/"), pointer
    for part in pointer[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


async def test_sdk_01_frames_are_what_the_asyncapi_document_says(door: Door, sockets: Sockets, alice: User) -> None:
    document = json.loads(await text_of(door, "/asyncapi.json"))
    schema = {"$ref": "#/components/schemas/ServerFrame", "components": document["components"]}
    wire = await sockets.open(alice)
    frames = [
        await wire.subscribe("leaderboard:main"),
        await wire.query("player", "me", "profile"),
        await wire.query("player", "me", "nothing"),
    ]
    for frame in frames:
        jsonschema.validate(frame, schema)


async def test_sdk_02_ray_lists_hosts_and_dedicated_actors_by_their_names(server: Server) -> None:
    url = f"{server.run['dashboard_url']}/api/v0/actors?detail=0&limit=100"
    headers = {"Authorization": f"Bearer {(server.data / 'ray_token').read_text()}"}
    listed: Any = None
    async with aiohttp.ClientSession() as session:
        end = time.monotonic() + 30
        while listed is None:
            try:
                async with session.get(url, headers=headers) as response:
                    listed = await response.json()
            except (aiohttp.ClientError, ValueError):
                assert time.monotonic() < end, "the dashboard does not answer"
                await asyncio.sleep(0.2)
    names = {actor["name"] for actor in listed["data"]["result"]["result"] if actor["state"] == "ALIVE"}
    assert {"host-1", "host-2", "gateway-1", "gateway-2"} <= names
    assert any(name.startswith("leaderboard:") for name in names), names


def test_cli_01_help_names_every_command(server: Server) -> None:
    told = server.tool("--help").stdout
    for name in ("serve", "doctor", "migrate", "admin", "inspect", "dead-letters", "bench", "demo", "import-scores"):
        assert name in told, name


async def test_cli_01_doctor_says_that_all_is_well_and_masks_secrets(server: Server) -> None:
    told = await asyncio.to_thread(server.tool, "doctor", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    json.loads(told.stdout)
    assert server.environment["GREENROOM_ADMIN_PASSWORD"] not in told.stdout


async def test_cli_01_a_second_serve_on_the_same_data_is_refused_and_harms_nothing(server: Server) -> None:
    second = await asyncio.create_subprocess_exec(
        *(str(GREENROOM), "serve"),
        env=server.environment | {"GREENROOM_BIND": "127.0.0.1:0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(second.communicate(), 60)
    assert second.returncode == 1
    assert b"another Greenroom" in said
    assert (server.data / "run.json").exists()


async def test_cli_01_a_wrong_use_is_2_and_a_failure_is_1(server: Server) -> None:
    assert (await asyncio.to_thread(server.tool, "inspect", "--nonsense")).returncode == 2
    unknown = await asyncio.to_thread(server.tool, "inspect", "show", "player", "nobody-at-all")
    assert unknown.returncode == 1
    assert "Traceback" not in unknown.stderr


async def test_cli_02_inspect_shows_an_actor_and_its_history_without_disturbing_it(
    door: Door, server: Server, alice: User
) -> None:
    await door.play(alice)
    version = (await door.score(alice.id, alice, "practice"))["version"]
    shown = await asyncio.to_thread(server.tool, "inspect", "show", "player", alice.id, "--json")
    assert shown.returncode == 0, shown.stderr
    assert f'"version": {version}' in shown.stdout or f'"version":{version}' in shown.stdout
    history = await asyncio.to_thread(server.tool, "inspect", "history", "player", alice.id, "--json")
    assert history.returncode == 0, history.stderr
    assert all(name in history.stdout for name in ("create", "start_action", "complete_action"))
    before = await asyncio.to_thread(server.tool, "inspect", "at", "player", alice.id, "1", "--json")
    assert before.returncode == 0, before.stderr
    assert (await door.score(alice.id, alice, "practice"))["version"] == version


async def test_sc_15_the_states_of_tokens_are_visible_in_the_inspection(
    door: Door, server: Server, alice: User
) -> None:
    await door.play(alice)
    open_one = await door.start(alice)
    shown = await asyncio.to_thread(server.tool, "inspect", "show", "player", alice.id)
    assert shown.returncode == 0, shown.stderr
    assert "consumed" in shown.stdout
    assert "active" in shown.stdout
    assert open_one["actionToken"] not in shown.stdout


@pytest.mark.restarts
async def test_ca_05_the_top_is_warm_before_the_first_request(spare: Spare) -> None:
    """The gateway asks for each board before it opens, so nobody's first read waits for an actor to wake."""
    entries = re.search(r"^greenroom_cache_entries(?:\{.*\})? ([\d.e+]+)", spare.first_metrics, re.MULTILINE)
    assert entries is not None
    assert float(entries[1]) >= 4


@pytest.mark.restarts
async def test_op_07_a_graceful_stop_tells_clients_and_loses_nothing(spare: Spare) -> None:
    """Stop under load, start again, and look."""
    server = spare
    async with aiohttp.ClientSession() as session:
        door, sockets = Door(server, session), Sockets(server, session)
        user = await door.guest()
        wire = await sockets.open(user)
        for number in range(40):
            frame = {"type": "command", "id": number, "kind": "player", "key": "me", "name": "start_action"}
            await wire.send({**frame, "data": {"type": "practice"}})
        await wire.receive()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        assert await wire.closed(30) == 1012
        [told] = [frame for frame in wire.frames if frame["type"] == "disconnect"]
        assert told["data"]["reconnectAfterS"] > 0
        acknowledged = 1 + sum(frame["type"] == "reply" for frame in wire.frames)
        assert await stopping == 0
    await asyncio.to_thread(server.start)
    rows = await server.sql(
        """SELECT count(*) AS started FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = $1 AND e ->> 0 = 'action_started'""",
        user.id,
    )
    assert acknowledged <= rows[0]["started"] <= 40
    async with aiohttp.ClientSession() as session:
        assert (await Door(server, session).get(f"{API}/players/me", as_=user)).status == 200

"""SPEC section 5: the WebSocket, in both of its forms."""

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest

from tests.acceptance.clients import API, RFC3339_UTC, Door, Sockets, User, fresh_name
from tests.acceptance.crafted import now_s, resigned
from tests.acceptance.server import ALLOWED_ORIGIN, Server, until_sql, wait_until
from tests.acceptance.waiting import Waiting

FORMS = pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])


@FORMS
async def test_ws_02_the_first_frame_says_who_it_is(sockets: Sockets, alice: User, binary: bool) -> None:
    wire = await sockets.raw(binary=binary)
    welcome = await wire.ask("auth", id="1", auth=alice.bearer)
    assert welcome["type"] == "welcome"
    assert welcome["meta"] == {"code": 200, "id": "1"}
    assert set(welcome["data"]) == {"userId", "serverTime", "heartbeatS", "limits"}
    assert welcome["data"]["userId"] == alice.id
    assert welcome["data"]["heartbeatS"] == 30
    assert RFC3339_UTC.fullmatch(welcome["data"]["serverTime"])


async def test_ws_02_a_header_says_who_it_is(sockets: Sockets, alice: User) -> None:
    wire = await sockets.raw(headers={"Authorization": alice.bearer})
    welcome = await wire.receive()
    assert (welcome["type"], welcome["data"]["userId"]) == ("welcome", alice.id)


@pytest.mark.parametrize("protocol", ["greenroom.json", "greenroom.msgpack"])
async def test_ws_02_a_subprotocol_says_who_it_is_and_is_not_echoed(
    sockets: Sockets, alice: User, protocol: str
) -> None:
    wire = await sockets.raw(protocols=(protocol, f"bearer.{alice.token}"))
    assert wire.socket.protocol == protocol
    message = await wire.socket.receive(timeout=5)
    expected = aiohttp.WSMsgType.BINARY if protocol.endswith("msgpack") else aiohttp.WSMsgType.TEXT
    assert message.type is expected


async def test_ws_02_browsers_of_other_origins_do_not_connect(server: Server, sockets: Sockets) -> None:
    for origin in ("https://evil.example.com", "null", f"{ALLOWED_ORIGIN}.evil.com", "http://127.0.0.1:1"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await sockets.raw(headers={"Origin": origin})
        assert refused.value.status == 403
    for origin in (ALLOWED_ORIGIN, server.url):
        wire = await sockets.raw(headers={"Origin": origin})
        await wire.socket.close()


@pytest.mark.parametrize("path", [f"{API}/ws", f"{API}/ws/leaderboard"])
async def test_ws_03_a_bad_token_is_401_and_closes_1008(sockets: Sockets, path: str) -> None:
    for frame in (
        {"type": "auth", "id": "1", "auth": "Bearer nonsense"},
        {"type": "subscribe", "id": "1", "topic": "leaderboard:main", "auth": "Bearer nonsense"},
        {"type": "subscribe", "id": "1", "topic": "leaderboard:main"},
        {"type": "query", "id": "1", "kind": "player", "key": "me", "name": "profile", "data": {}},
    ):
        wire = await sockets.raw(path)
        await wire.send(frame)
        answer = await wire.receive()
        assert (answer["meta"]["code"], answer["type"]) == (401, "error")
        assert answer["meta"]["id"] == "1"
        assert await wire.closed() == 1008


async def test_ws_03_a_bad_token_in_the_handshake_is_401_and_closes_1008(sockets: Sockets) -> None:
    wire = await sockets.raw(headers={"Authorization": "Bearer nonsense"})
    assert (await wire.receive())["meta"]["code"] == 401
    assert await wire.closed() == 1008


async def test_ws_03_a_token_that_runs_out_is_warned_of_and_closes_4401(
    server: Server, sockets: Sockets, alice: User
) -> None:
    short = await resigned(server, alice, exp=now_s() + 4)
    wire = await sockets.raw()
    assert (await wire.ask("auth", auth=f"Bearer {short}"))["type"] == "welcome"
    warning = await wire.until(lambda frame: frame["type"] == "auth.expiring", 5)
    assert warning["meta"]["code"] == 200
    assert RFC3339_UTC.fullmatch(warning["data"]["expiresAt"])
    assert await wire.closed(8) == 4401


async def test_ws_03_a_new_token_in_time_keeps_the_socket(server: Server, sockets: Sockets, alice: User) -> None:
    wire = await sockets.raw()
    expires_at = now_s() + 3
    short = await resigned(server, alice, exp=expires_at)
    await wire.ask("auth", auth=f"Bearer {short}")
    await wire.until(lambda frame: frame["type"] == "auth.expiring", 5)
    assert (await wire.ask("auth", auth=alice.bearer))["meta"]["code"] == 200
    # Once a second each socket's token is looked at; two seconds later this one would have been closed.
    passed = "SELECT clock_timestamp() > to_timestamp($1) AS holds"
    await until_sql(server, passed, float(expires_at + 2))
    assert (await wire.query("player", "me", "profile"))["meta"]["code"] == 200


async def test_ws_03_a_socket_belongs_to_one_user(sockets: Sockets, alice: User, bob: User) -> None:
    wire = await sockets.open(alice)
    answer = await wire.ask("auth", auth=bob.bearer)
    assert answer["type"] == "error"
    assert answer["meta"]["code"] in (401, 403)


@FORMS
async def test_ws_04_and_05_a_board_begins_with_its_top_and_tells_what_changes(
    door: Door, sockets: Sockets, alice: User, studio: User, binary: bool
) -> None:
    wire = await sockets.open(alice, binary=binary)
    initial = await wire.subscribe("leaderboard:main")
    assert initial["type"] == "leaderboard.initial"
    assert set(initial["meta"]) == {"code", "id", "topic", "seq"}
    assert initial["meta"]["topic"] == "leaderboard:main"
    rows = initial["data"]
    assert len(rows) <= 10
    assert all(set(row) == {"rank", "userId", "username", "score"} for row in rows)
    await door.award(studio, alice.id, (rows[0]["score"] if rows else 0) + 1)
    update = await wire.push("leaderboard:main", 5)
    assert update["type"] == "leaderboard.update"
    assert set(update) == {"meta", "type", "data", "changes"}
    assert set(update["meta"]) == {"code", "topic", "seq"}
    assert update["meta"]["seq"] > initial["meta"]["seq"]
    assert update["data"][0]["userId"] == alice.id


async def test_ws_04_the_board_path_subscribes_with_its_first_frame(sockets: Sockets, alice: User) -> None:
    wire = await sockets.raw(f"{API}/ws/leaderboard")
    await wire.send({"type": "auth", "auth": alice.bearer})
    initial = await wire.until(lambda frame: frame["type"] == "leaderboard.initial", 5)
    assert initial["meta"]["topic"] == "leaderboard:main"
    other = await sockets.raw(f"{API}/ws/leaderboard", binary=True)
    await other.send({"type": "subscribe", "id": 7, "auth": alice.bearer})
    initial = await other.until(lambda frame: frame["type"] == "leaderboard.initial", 5)
    assert initial["meta"]["id"] == 7


@FORMS
async def test_ws_10_commands_and_queries_are_answered_under_their_ids(
    sockets: Sockets, alice: User, binary: bool
) -> None:
    wire = await sockets.open(alice, binary=binary)
    started = await wire.command("player", "me", "start_action", {"type": "quick_win"}, id="2")
    assert started["type"] == "reply"
    assert set(started["meta"]) == {"code", "id", "version"}
    assert (started["meta"]["code"], started["meta"]["id"]) == (200, "2")
    assert set(started["data"]) == {"id", "actionToken", "expectedScore", "expiresAt"}
    sockets.server.secrets.add(started["data"]["actionToken"])
    body = {"actionId": started["data"]["id"], "actionToken": started["data"]["actionToken"]}
    done = await wire.command("player", "me", "complete_action", body)
    assert done["meta"]["version"] > started["meta"]["version"]
    assert done["data"]["score"] == {"previous": 0, "current": 1}
    sheet = await wire.query("player", "me", "profile")
    assert (sheet["type"], sheet["data"]["userId"]) == ("reply", alice.id)
    assert sheet["meta"]["version"] >= done["meta"]["version"]


@FORMS
async def test_ws_10_refusals_are_error_frames(sockets: Sockets, alice: User, binary: bool) -> None:
    wire = await sockets.open(alice, binary=binary)
    for frame, code, name in (
        ({"kind": "dragon", "key": "red", "name": "join"}, 404, "UNKNOWN_KIND"),
        ({"kind": "player", "key": "me", "name": "roar"}, 404, "UNKNOWN_COMMAND"),
        ({"kind": "player", "key": "me", "name": "award_score", "data": {"points": 1}}, 403, "FORBIDDEN"),
        ({"kind": "player", "key": "bob", "name": "start_action", "data": {"type": "practice"}}, 403, "FORBIDDEN"),
        ({"kind": "player", "key": "me", "name": "start_action", "data": {"type": 1}}, 400, "INVALID"),
        ({"kind": "player", "key": "me", "name": "start_action", "data": {"kind": "x"}}, 400, "INVALID"),
        ({"kind": "player", "key": "me", "name": "start_action", "extra": 1}, 400, "INVALID"),
        (
            {"kind": "player", "key": "me", "name": "complete_action", "data": {"actionId": "a", "actionToken": "a.b"}},
            401,
            "TOKEN_INVALID",
        ),
    ):
        id_ = f"{code} {name} {len(str(frame))}"
        await wire.send({"type": "command", "id": id_, "data": {}, **frame})
        answer = await wire.receive()
        assert answer["meta"]["id"] == id_
        assert (answer["type"], answer["meta"]["code"], answer["error"]["code"]) == ("error", code, name)
    assert (await wire.query("player", "me", "profile"))["meta"]["code"] == 200


async def test_ws_10_the_answer_comes_in_the_form_last_used(sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    for binary, expected in ((True, aiohttp.WSMsgType.BINARY), (False, aiohttp.WSMsgType.TEXT)):
        wire.binary = binary
        await wire.send({"type": "ping", "id": "p"})
        assert (await wire.socket.receive(timeout=5)).type is expected


async def test_ws_10_many_may_be_outstanding_and_each_actor_keeps_their_order(sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice, binary=True)
    for number in range(50):
        frame = {"type": "command", "id": number, "kind": "player", "key": "me", "name": "start_action"}
        await wire.send({**frame, "data": {"type": "practice"}})
    frames = [await wire.receive() for _ in range(50)]
    assert {frame["meta"]["code"] for frame in frames} == {200}
    versions = [frame["meta"]["version"] for frame in sorted(frames, key=lambda frame: frame["meta"]["id"])]
    assert all(before < after for before, after in itertools.pairwise(versions))


@FORMS
async def test_ws_15_player_me_tells_every_committed_turn(
    door: Door, sockets: Sockets, alice: User, binary: bool
) -> None:
    wire = await sockets.open(alice, binary=binary)
    initial = await wire.subscribe("player:me")
    assert (initial["type"], initial["meta"]["topic"]) == ("player.initial", "player:me")
    assert initial["data"]["userId"] == alice.id
    seqs = [initial["meta"]["seq"]]
    for number in range(1, 4):
        await door.play(alice)
        while True:
            update = await wire.push("player:me", 5)
            assert update["type"] == "player.update"
            seqs.append(update["meta"]["seq"])
            if update["data"].get("score") == {"practice": number}:
                break
    assert len(seqs) == 7
    assert all(before < after for before, after in itertools.pairwise(seqs))


async def test_ws_15_what_was_missed_is_replayed_from_the_journal(door: Door, sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    seq = (await wire.subscribe("player:me"))["meta"]["seq"]
    await wire.socket.close()
    for _ in range(3):
        await door.play(alice)
    back = await sockets.open(alice)
    answer = await back.subscribe("player:me", after=seq)
    assert answer["meta"]["seq"] > seq
    missed: list[dict[str, Any]] = []
    while not missed or missed[-1]["meta"]["seq"] < answer["meta"]["seq"]:
        missed.append(await back.push("player:me", 5))
    assert [frame["type"] for frame in missed] == ["player.update"] * 6
    scores = [frame["data"]["score"]["practice"] for frame in missed if "score" in frame["data"]]
    assert scores == [1, 2, 3]
    assert all(seq < frame["meta"]["seq"] for frame in missed)


async def test_ws_15_a_number_from_the_future_is_answered_with_reset_and_the_state(
    sockets: Sockets, alice: User
) -> None:
    wire = await sockets.open(alice)
    answer = await wire.subscribe("player:me", after=1_000_000)
    assert answer["meta"]["reset"] is True
    assert answer["data"]["userId"] == alice.id


async def test_ws_15_access_to_topics_is_checked(sockets: Sockets, alice: User, bob: User) -> None:
    wire = await sockets.open(alice)
    other = await wire.subscribe(f"player:{bob.id}")
    assert (other["meta"]["code"], other["error"]["code"]) == (403, "FORBIDDEN")
    for topic, code in (("dragon:1", 404), ("leaderboard:nowhere", 404), ("fraud:0", 404), ("nonsense", 400)):
        answer = await wire.subscribe(topic)
        assert (answer["type"], answer["meta"]["code"]) in (("error", code), ("error", 403)), answer
    own = await wire.subscribe(f"player:{alice.id}")
    assert own["meta"]["code"] == 200


async def test_ws_15_after_unsubscribing_nothing_more_comes(door: Door, sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    await wire.subscribe("player:me")
    answer = await wire.ask("unsubscribe", topic="player:me")
    assert answer["meta"]["code"] == 200
    await door.play(alice)
    await wire.query("player", "me", "profile")
    assert [frame for frame in wire.frames if frame["type"] == "player.update"] == []


async def test_ws_06_ping_frames_of_both_sides_are_answered(sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    await wire.send({"type": "ping", "timestamp": "2026-01-01T00:00:00Z"})
    pong = await wire.until(lambda frame: frame["type"] == "pong", 5)
    assert pong["timestamp"] == "2026-01-01T00:00:00Z"
    raw = await sockets.session.ws_connect(sockets.server.url.replace("http", "ws", 1) + f"{API}/ws", autoping=False)
    await raw.ping(b"are you there")
    message = await raw.receive(timeout=5)
    assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")
    await raw.close()


async def test_ws_08_connections_of_a_user_end_at_once_after_a_close(sockets: Sockets, alice: User) -> None:
    for _ in range(2):
        wires = [await sockets.open(alice) for _ in range(20)]
        await asyncio.gather(*(wire.socket.close() for wire in wires))


async def test_ws_11_a_thousand_readers_cost_one_publish(
    door: Door, sockets: Sockets, server: Server, studio: User
) -> None:
    """Fifty here: each gets the same push, whichever gateway it sits on."""
    users = [await door.guest() for _ in range(5)]
    wires = [await sockets.open(user, binary=bool(number % 2)) for number in range(10) for user in users]
    for wire in wires:
        await wire.subscribe("leaderboard:main")
    best = (await door.get(f"{API}/leaderboard/top", as_=studio, limit="1")).body[0]["score"]
    await door.award(studio, users[0].id, best + 10)
    updates = [
        await wire.until(
            lambda frame: frame["type"] == "leaderboard.update" and frame["data"][0]["score"] == best + 10, 5
        )
        for wire in wires
    ]
    assert len({update["meta"]["seq"] for update in updates}) == 1


async def test_ws_13_any_client_may_be_on_any_gateway(door: Door, sockets: Sockets, alice: User) -> None:
    """Two gateways share the port: of many connections each gets some, and all are told the same."""
    wires = [await sockets.open(alice) for _ in range(12)]
    for wire in wires:
        await wire.subscribe("player:me")
    await door.play(alice)
    for wire in wires:
        update = await wire.until(lambda frame: "score" in (frame.get("data") or {}), 5)
        assert update["type"] == "player.update"
    async with door.session.get(f"{door.server.url}/metrics") as response:
        assert "greenroom" in await response.text()


async def test_ws_03_who_never_says_who_it_is_is_closed_after_ten_seconds(waiting: Waiting) -> None:
    closed: Any = wait_until(lambda: waiting.anonymous.closed, "the anonymous socket is closed", 20)
    assert closed[1] == 1008
    assert 9 <= closed[0] <= 14
    assert waiting.anonymous.frames[0][1]["meta"]["code"] == 401


async def test_ws_06_pings_come_every_thirty_seconds_and_silence_ends_the_connection(waiting: Waiting) -> None:
    """These sockets were opened at the start of the session; by now most of the waiting is done."""
    pings = wait_until(lambda: waiting.polite.pings()[1:] and waiting.polite.pings(), "two pings", 70)
    assert pings[0] <= 31.5
    assert 28 <= pings[1] - pings[0] <= 33
    closed: Any = wait_until(lambda: waiting.silent.closed, "the silent socket is closed", 100)
    assert 60 <= closed[0] <= 95
    assert closed[1] >= 4000
    assert waiting.polite.closed is None


async def test_ws_15_a_topic_of_a_stranger_name_is_refused(sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    answer = await wire.subscribe(fresh_name("leaderboard:"))
    assert (answer["meta"]["code"], answer["error"]["code"]) == (404, "board_unknown")

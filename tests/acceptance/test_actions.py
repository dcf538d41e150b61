"""SPEC section 2: actions and score, in the three families, and trusted awards."""

import uuid
from typing import Any

import pytest

from tests.acceptance.clients import API, RFC3339_UTC, Door, Sockets, User, fresh_name
from tests.acceptance.server import Server, until_sql


async def test_sc_02_starting_an_action_gives_a_token(door: Door, alice: User) -> None:
    answer = await door.post(f"{API}/actions", {"type": "quick_win"}, as_=alice)
    assert answer.status == 201
    assert set(answer.body) == {"id", "actionToken", "expectedScore", "expiresAt"}
    assert answer.headers["Location"] == f"{API}/actions/{answer.body['id']}"
    assert answer.body["expectedScore"] == 1
    assert RFC3339_UTC.fullmatch(answer.body["expiresAt"])
    token_id, _, signature = answer.body["actionToken"].partition(".")
    assert uuid.UUID(token_id).version == 4
    assert len(bytes.fromhex(signature)) == 32


async def test_sc_15_an_action_tells_its_state_where_its_location_says(door: Door, alice: User) -> None:
    started = await door.post(f"{API}/actions", {"type": "quick_win"}, as_=alice)
    place = started.headers["Location"]
    open_ = await door.get(place, as_=alice)
    assert open_.status == 200
    assert (open_.body["state"], open_.body["type"]) == ("active", "quick_win")
    assert open_.body["expiresAt"] == started.body["expiresAt"]
    assert started.body["actionToken"] not in open_.text
    done = await door.complete(alice, started.body)
    assert done.body["links"]["self"] == place
    used = await door.get(place, as_=alice)
    assert (used.status, used.body["state"]) == (200, "consumed")
    assert RFC3339_UTC.fullmatch(used.body["completedAt"])
    for stranger, path in ((await door.guest(), place), (alice, f"{API}/actions/{uuid.uuid4()}")):
        answer = await door.get(path, as_=stranger)
        assert (answer.status, answer.code) == (404, "action_unknown")


async def test_sc_02_a_token_lives_for_ten_minutes(door: Door, server: Server, alice: User) -> None:
    action = await door.start(alice)
    [row] = await server.sql(
        "SELECT at, events FROM journal WHERE kind = 'player' AND key = $1 ORDER BY version DESC LIMIT 1", alice.id
    )
    assert f'"expires_at":{row["at"] + 600_000}' in row["events"]
    assert action["actionToken"] not in row["events"]


async def test_sc_02_an_unknown_type_is_refused(door: Door, alice: User) -> None:
    answer = await door.post(f"{API}/actions", {"type": "dragon"}, as_=alice)
    assert (answer.status, answer.code) == (400, "action_type_unknown")


async def test_sc_06_completing_an_action_scores(door: Door, alice: User) -> None:
    action = await door.start(alice, "quick_win")
    answer = await door.complete(alice, action)
    assert answer.status == 200
    assert set(answer.body) == {"score", "rank", "links"}
    assert answer.body["score"] == {"previous": 0, "current": 1}
    assert set(answer.body["rank"]) == {"previous", "current"}
    assert answer.body["rank"]["previous"] is None
    assert answer.body["rank"]["current"] >= 1
    assert all(link.startswith("/api/v1/") for link in answer.body["links"].values())
    assert (await door.get(answer.body["links"]["score"], as_=alice)).body["score"] == 1
    more = await door.start(alice, "quick_win")
    assert more["expectedScore"] == 2
    assert (await door.complete(alice, more)).body["score"] == {"previous": 1, "current": 2}


async def test_sc_10_without_a_token_of_the_user_nothing_is_looked_at(door: Door) -> None:
    answer = await door.post(f"{API}/actions/{uuid.uuid4()}/complete", {"actionToken": "x.y"})
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


async def test_sc_10_the_rate_limit_comes_before_the_token(door: Door, alice: User) -> None:
    for _ in range(6):
        answer = await door.post(f"{API}/scores/increment", {"actionToken": "unknown.0"}, as_=alice)
        assert (answer.status, answer.code) == (400, "TOKEN_INVALID")
    for _ in range(5):
        token = (await door.post(f"{API}/actions/token", as_=alice)).body["actionToken"]
        assert (await door.post(f"{API}/scores/increment", {"actionToken": token}, as_=alice)).status == 200
    answer = await door.post(f"{API}/scores/increment", {"actionToken": "unknown.0"}, as_=alice)
    assert (answer.status, answer.code) == (429, "RATE_LIMITED")


async def test_sc_10_an_unknown_token_is_401(door: Door, alice: User) -> None:
    action = await door.start(alice)
    unknown = str(uuid.uuid4())
    for id_, token in (
        (unknown, f"{unknown}.{'0' * 64}"),
        (action["id"], "nonsense"),
        (unknown, action["actionToken"]),
    ):
        answer = await door.post(f"{API}/actions/{id_}/complete", {"actionToken": token}, as_=alice)
        assert (answer.status, answer.code) == (401, "TOKEN_INVALID")
    assert (await door.complete(alice, action)).status == 200


async def test_sc_10_a_forged_signature_is_401_and_does_not_burn_the_token(door: Door, alice: User) -> None:
    action = await door.start(alice)
    signature = action["actionToken"].partition(".")[2]
    for forged in (signature[:-1] + ("0" if signature[-1] != "0" else "1"), signature.upper(), "", "0" * 64):
        body = {"actionToken": f"{action['id']}.{forged}"}
        answer = await door.post(f"{API}/actions/{action['id']}/complete", body, as_=alice)
        assert (answer.status, answer.code) == (401, "SIGNATURE_INVALID")
    assert (await door.complete(alice, action)).status == 200


async def test_sc_10_a_used_token_is_403(door: Door, alice: User) -> None:
    action = await door.start(alice)
    assert (await door.complete(alice, action)).status == 200
    answer = await door.complete(alice, action)
    assert (answer.status, answer.code) == (403, "TOKEN_USED")
    body = {"actionToken": f"{action['id']}.{'0' * 64}"}
    forged = await door.post(f"{API}/actions/{action['id']}/complete", body, as_=alice)
    assert (forged.status, forged.code) == (401, "SIGNATURE_INVALID")


async def test_sc_10_a_token_of_somebody_else_is_unknown(door: Door, alice: User, bob: User) -> None:
    action = await door.start(alice)
    answer = await door.complete(bob, action)
    assert (answer.status, answer.code) == (401, "TOKEN_INVALID")
    assert (await door.complete(alice, action)).status == 200


@pytest.mark.parametrize(
    ("token_path", "increment_path"),
    [
        (f"{API}/actions/token", f"{API}/scores/increment"),
        ("/api/actions/token", "/scores/increment"),
    ],
)
async def test_sc_01_and_05_the_second_family(door: Door, alice: User, token_path: str, increment_path: str) -> None:
    token = await door.post(token_path, as_=alice)
    assert token.status == 200
    assert set(token.body) == {"actionToken"}
    answer = await door.post(increment_path, token.body, as_=alice)
    assert answer.status == 200
    assert set(answer.body) == {"newScore", "newRank"}
    assert answer.body["newScore"] == 1
    assert answer.body["newRank"] >= 1
    used = await door.post(increment_path, token.body, as_=alice)
    assert (used.status, used.code) == (403, "TOKEN_USED")
    bad = await door.post(increment_path, {"actionToken": "bad"}, as_=alice)
    assert (bad.status, bad.code) == (400, "TOKEN_INVALID")


async def test_sc_05_a_token_of_the_second_family_expires(door: Door, server: Server, alice: User) -> None:
    """It lives for a minute in the starter content, for two seconds in this server's."""
    token = (await door.post(f"{API}/actions/token", as_=alice)).body
    expired = """SELECT max((e -> 1 ->> 'expires_at')::bigint) < extract(epoch FROM clock_timestamp()) * 1000 AS holds
                 FROM journal, json_array_elements(events) e WHERE kind = 'player' AND key = $1"""
    await until_sql(server, expired, alice.id)
    answer = await door.post(f"{API}/scores/increment", token, as_=alice)
    assert (answer.status, answer.code) == (400, "TOKEN_INVALID")


async def test_sc_15_a_token_of_one_family_is_none_of_another(door: Door, alice: User) -> None:
    action = await door.start(alice, "quick_win")
    answer = await door.post(f"{API}/scores/increment", {"actionToken": action["actionToken"]}, as_=alice)
    assert (answer.status, answer.code) == (400, "TOKEN_INVALID")
    assert (await door.complete(alice, action)).status == 200


async def test_sc_03_and_07_the_first_family(door: Door, alice: User) -> None:
    made = await door.post("/api/scoreboard/generate-action", as_=alice)
    assert made.status == 200
    assert set(made.body) == {"actionId", "hash", "timestamp", "points"}
    assert made.body["points"] == 1
    body = {name: made.body[name] for name in ("actionId", "hash", "timestamp")}
    for wrong in ({"hash": "0" * 64}, {"timestamp": body["timestamp"] + 1}, {"actionId": "unknown"}):
        answer = await door.post("/api/scoreboard/update", {**body, **wrong}, as_=alice)
        assert answer.status == 400
        assert answer.code in ("hash_invalid", "timestamp_invalid")
    answer = await door.post("/api/scoreboard/update", body, as_=alice)
    assert answer.status == 200
    assert answer.body["score"]["current"] == 1
    again = await door.post("/api/scoreboard/update", body, as_=alice)
    assert (again.status, again.code) == (403, "TOKEN_USED")


async def test_sc_04_and_08_each_family_has_limits_of_its_own(door: Door, alice: User) -> None:
    async def times(path: str, count: int) -> list[int]:
        body = {"type": "quick_win"} if path == f"{API}/actions" else {}
        return [(await door.post(path, body, as_=alice)).status for _ in range(count)]

    assert await times(f"{API}/actions/token", 11) == [200] * 10 + [429]
    assert await times("/api/scoreboard/generate-action", 11) == [200] * 10 + [429]
    assert await times(f"{API}/actions", 31) == [201] * 30 + [429]
    # A type may have limits of its own.
    assert (await door.post(f"{API}/actions", {"type": "practice"}, as_=alice)).status == 201


async def test_sc_04_a_limit_holds_over_all_connections_and_aliases(door: Door, sockets: Sockets, alice: User) -> None:
    wires = [await sockets.open(alice), await sockets.open(alice, binary=True)]
    for wire in wires:
        for number in range(10):
            frame = {"type": "command", "id": number, "kind": "player", "key": "me", "name": "request_token"}
            await wire.send(frame)
    answered = [(await wire.receive())["meta"]["code"] for wire in wires for _ in range(10)]
    answered += [(await door.post(path, as_=alice)).status for path in (f"{API}/actions/token", "/api/actions/token")]
    assert answered.count(200) == 10
    assert answered.count(429) == 12


async def test_sc_16_score_and_audit_record_are_one_commit(door: Door, server: Server, alice: User) -> None:
    for _ in range(3):
        await door.play(alice)
    rows = await server.sql(
        """SELECT version, length, op, turn ->> 'caller' AS caller, turn ->> 'command' AS command, e -> 1 AS fields
           FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = $1 AND e ->> 0 = 'action_completed' ORDER BY version""",
        alice.id,
    )
    assert len(rows) == 3
    assert {row["caller"] for row in rows} == {alice.id}
    assert {row["command"] for row in rows} == {"complete_action"}
    total = await server.sql(
        """SELECT sum((e -> 1 ->> 'points')::bigint) AS points FROM journal, json_array_elements(events) e
           WHERE kind = 'player' AND key = $1 AND e ->> 0 = 'action_completed'""",
        alice.id,
    )
    assert (await door.score(alice.id, alice, "practice"))["score"] == int(total[0]["points"]) == 3


async def test_sc_17_the_board_and_the_rank_follow_the_score(door: Door, alice: User) -> None:
    for points in range(1, 4):
        played = await door.play(alice, "arena_win")
        row = (await door.get(f"{API}/leaderboard/me", as_=alice, board="arena")).body
        assert row["score"] == played["score"]["current"] == 5 * points
        assert row["rank"] == played["rank"]["current"]


async def test_sc_18_topics_are_published_after_the_commit(door: Door, sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    await wire.subscribe("player:me")
    await door.play(alice)
    update = await wire.until(lambda frame: frame["type"] == "player.update" and "score" in frame["data"], within_s=5)
    assert update["data"]["score"]["practice"] == 1


async def test_sc_20_a_trusted_award_counts_once(door: Door, alice: User, studio: User) -> None:
    body = {
        "userId": alice.id,
        "points": 40,
        "board": "practice",
        "reason": "found a treasure",
        "attributes": {"team": "red", "level": 3, "secret": True},
        "at": "2020-02-02T02:02:02Z",
    }
    first = await door.post(f"{API}/scores/award", body, as_=studio, op=f"award-{alice.id}")
    assert first.status == 200
    assert first.body["score"] == {"previous": 0, "current": 40}
    assert set(first.body["rank"]) == {"previous", "current"}
    again = await door.post(f"{API}/scores/award", body, as_=studio, op=f"award-{alice.id}")
    assert again.text == first.text
    assert (await door.score(alice.id, alice, "practice"))["score"] == 40
    changed = await door.post(f"{API}/scores/award", {**body, "points": 41}, as_=studio, op=f"award-{alice.id}")
    assert (changed.status, changed.code) == (422, "OP_REUSED")


async def test_sc_20_awards_have_no_player_limits_and_no_fraud_rules(
    door: Door, sockets: Sockets, alice: User, studio: User
) -> None:
    wire = await sockets.open(studio, binary=True)
    frame: dict[str, Any] = {}
    for _ in range(40):
        frame = await wire.command("player", alice.id, "award_score", {"points": 1, "board": "practice"})
        assert frame["meta"]["code"] == 200
        assert "warning" not in frame["data"]
    assert frame["data"]["score"] == {"previous": 39, "current": 40}


async def test_sc_20_a_batch_answers_for_each_item(door: Door, alice: User, bob: User, studio: User) -> None:
    items = [
        {"op": fresh_name("a"), "userId": alice.id, "points": 3, "board": "practice"},
        {"op": fresh_name("b"), "userId": bob.id, "points": 4, "board": "practice"},
        {"op": fresh_name("c"), "userId": "nobody", "points": 1},
        {"op": fresh_name("d"), "userId": alice.id, "points": 0},
        {"op": fresh_name("e"), "userId": alice.id, "points": 1, "board": "no-such-board"},
        "nonsense",
    ]
    for _ in range(2):
        answer = await door.post(f"{API}/scores/award-batch", {"items": items}, as_=studio)
        assert answer.status == 200
        told = answer.body["items"]
        assert [item["status"] for item in told] == [200, 200, 404, 400, 404, 400]
        assert [item.get("op") for item in told[:5]] == [item["op"] for item in items[:5] if isinstance(item, dict)]
        assert [item["score"]["current"] for item in told[:2]] == [3, 4]
        assert [item["error"]["code"] for item in told[2:5]] == ["player_unknown", "INVALID", "board_unknown"]
    assert (await door.score(alice.id, alice, "practice"))["score"] == 3


async def test_sc_20_five_hundred_awards_fit_into_one_batch(door: Door, alice: User, studio: User) -> None:
    items = [{"op": f"{alice.id}-{n}", "userId": alice.id, "points": 1, "board": "practice"} for n in range(500)]
    answer = await door.post(f"{API}/scores/award-batch", {"items": items}, as_=studio)
    assert {item["status"] for item in answer.body["items"]} == {200}
    assert (await door.score(alice.id, alice, "practice"))["score"] == 500
    too_many = await door.post(f"{API}/scores/award-batch", {"items": [*items, items[0]]}, as_=studio)
    assert too_many.status == 400


async def test_sc_20_only_a_server_awards(door: Door, sockets: Sockets, staff: dict[str, User]) -> None:
    for role, user in staff.items():
        answer = await door.post(f"{API}/scores/award", {"userId": user.id, "points": 1, "board": "practice"}, as_=user)
        assert answer.status == (200 if role in ("server", "admin") else 403), role
    wire = await sockets.open(staff["player"])
    frame = await wire.command("player", "me", "award_score", {"points": 1})
    assert (frame["meta"]["code"], frame["error"]["code"]) == (403, "FORBIDDEN")


async def test_sc_21_anyone_reads_a_score(door: Door, alice: User, bob: User, studio: User) -> None:
    unplayed = await door.score(alice.id, bob)
    assert unplayed == {"score": 0, "rank": None, "version": unplayed["version"]}
    awarded = await door.award(studio, alice.id, 6, board="golf")
    score = await door.score(alice.id, bob, "golf")
    assert (score["score"], score["rank"]) == (6, awarded["rank"]["current"])
    assert score["version"] > unplayed["version"]
    unknown = await door.get(f"{API}/players/{alice.id}/score", as_=bob, board="no-such-board")
    assert (unknown.status, unknown.code) == (404, "board_unknown")

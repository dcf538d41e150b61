"""SE-12, SE-13 and SE-18: what a decoder may be fed, amounts that are none, and texts that want to be SQL."""

import ast
import asyncio
import json
import math
import struct
import time
from typing import Any, TypeGuard

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import decode
from schemas.problems import Refusal
from tests.acceptance.clients import API, Door, Sockets, User, Wire
from tests.acceptance.server import PROJECT

DEEP = 100_000
HOSTILE_JSON = {
    "deep lists": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "65,536 empty lists": b"[" + b"[]," * 21_800 + b"[]]",
    "NaN": b'{"type": NaN}',
    "Infinity": b'{"type": -Infinity}',
    "1e400": b'{"type": 1e400}',
    "2^70": b'{"type": 1180591620717411303424}',
    "10,000 digits": b'{"type": ' + b"9" * 10_000 + b"}",
    "NUL": b'{"type": "a\\u0000b"}',
    "a raw NUL": b'{"type": "a\0b"}',
    "a lone surrogate": b'{"type": "\\udc00"}',
    "no UTF-8": b'{"type": "\xc3\x28"}',
    "a comment": b'{"type": "auth" /* hello */}',
    "a trailing comma": b'{"type": "auth",}',
    "single quotes": b"{'type': 'auth'}",
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf{}[",
    "two values": b"{} {}",
}
HOSTILE_MSGPACK = {
    "deep lists": b"\x91" * 60_000 + b"\xc0",
    "deep maps": b"\x81\xa1a" * 20_000 + b"\xc0",
    "65,535 empty lists": b"\xdc\xff\xff" + b"\x90" * 62_000,
    "a list that is longer than it is": b"\xdd\xff\xff\xff\xff",
    "a text that is longer than it is": b"\xdb\xff\xff\xff\xff",
    "an extension": b"\x81\xa4type\xd4\x01\x00",
    "a timestamp": b"\x81\xa4type\xd6\xff\x00\x00\x00\x00",
    "bytes": b"\x81\xa4type\xc4\x01a",
    "NaN": b"\x81\xa4type\xcb" + struct.pack(">d", math.nan),
    "Infinity": b"\x81\xa4type\xcb" + struct.pack(">d", math.inf),
    "2^63": b"\x81\xa4type\xcf" + struct.pack(">Q", 2**63),
    "2^53": b"\x81\xa4type\xcf" + struct.pack(">Q", 2**53),
    "a key that is a number": b"\x81\x01\x01",
    "a key that is a list": b"\x81\x90\x01",
    "NUL": b"\x81\xa4type\xa3a\x00b",
    "no UTF-8": b"\x81\xa4type\xa2\xc3\x28",
    "a surrogate": b"\x81\xa4type\xa3\xed\xb0\x80",
    "the byte that is never used": b"\xc1",
    "two values": b"\x80\x80",
    "nothing": b"",
}


async def is_refused_and_lives_on(wire: Wire, data: bytes, *, binary: bool) -> None:
    if binary:
        await wire.socket.send_bytes(data)
    else:
        await wire.socket.send_str(data.decode())
    answer = await wire.receive()
    assert (answer["meta"]["code"], answer["error"]["code"]) == (400, "INVALID")
    assert (await wire.query("player", "me", "profile"))["meta"]["code"] == 200


@pytest.mark.parametrize("name", HOSTILE_JSON)
async def test_se_12_hostile_json_is_400_on_both_doors(door: Door, sockets: Sockets, alice: User, name: str) -> None:
    data = HOSTILE_JSON[name]
    if data:
        answer = await door.ask("POST", f"{API}/actions", data=data, as_=alice)
        assert (answer.status, answer.code) == (400, "INVALID")
    if name != "no UTF-8":  # which ends a WebSocket at once (see test_frames)
        await is_refused_and_lives_on(await sockets.open(alice), data, binary=False)


@pytest.mark.parametrize("name", HOSTILE_MSGPACK)
async def test_se_12_hostile_msgpack_is_400_on_both_doors(door: Door, sockets: Sockets, alice: User, name: str) -> None:
    data = HOSTILE_MSGPACK[name]
    if data:
        headers = {"Content-Type": "application/msgpack"}
        answer = await door.ask("POST", f"{API}/actions", data=data, as_=alice, headers=headers)
        assert (answer.status, answer.code) == (400, "INVALID")
    await is_refused_and_lives_on(await sockets.open(alice, binary=True), data, binary=True)


@pytest.mark.parametrize("data", [*HOSTILE_JSON.values()], ids=[*HOSTILE_JSON])
def test_se_12_hostile_json_costs_no_time(data: bytes) -> None:
    assert_cheap(decode.json_value, data)


@pytest.mark.parametrize("data", [*HOSTILE_MSGPACK.values()], ids=[*HOSTILE_MSGPACK])
def test_se_12_hostile_msgpack_costs_no_time(data: bytes) -> None:
    assert_cheap(decode.msgpack_value, data)


def assert_cheap(read: Any, data: bytes) -> None:
    """20 ms of this process' own time, at best of three: the machine may be busy with others."""
    took = []
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(Refusal) as refused:
            read(data)
        took.append(time.process_time() - began)
        assert refused.value.status == 400
    assert min(took) < 0.020


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


def verdict(read: Any, data: bytes) -> Any:
    """The value, or that it is refused."""
    try:
        return read(data)
    except Refusal as refusal:
        return "refused" if (refusal.status, refusal.code) == (400, "INVALID") else refusal


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_se_12_json_and_msgpack_accept_the_same(value: Any) -> None:
    try:
        packed = msgpack.packb(value)
    except (OverflowError, ValueError):
        # What msgpack cannot even say (beyond 64 bits, lone surrogates), JSON must not be allowed to.
        assert verdict(decode.json_value, json.dumps(value).encode()) == "refused"
        return
    assert verdict(decode.json_value, json.dumps(value).encode()) == verdict(decode.msgpack_value, packed)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_se_12_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    assert not isinstance(verdict(decode.json_value, data), Refusal)
    assert not isinstance(verdict(decode.msgpack_value, data), Refusal)


async def test_se_12_duplicate_keys_mean_the_same_everywhere(door: Door, alice: User) -> None:
    data = b'{"type": "practice", "type": "no-such-type"}'
    answer = await door.ask("POST", f"{API}/actions", data=data, as_=alice)
    assert answer.code in ("INVALID", "action_type_unknown")


AMOUNTS = [
    ("-1", False),
    ("0", False),
    ("9007199254740992", False),
    ("9223372036854775808", False),
    ('"1"', False),
    ("1.0", False),
    ("1.5", False),
    ("1e3", False),
    ("true", False),
    ("null", False),
    ("[1]", False),
    ("{}", False),
    ("9007199254740991", True),
    ("1", True),
]


@pytest.mark.parametrize(("amount", "accepted"), AMOUNTS, ids=[text for text, _ in AMOUNTS])
async def test_se_13_amounts_are_positive_whole_numbers(
    door: Door, sockets: Sockets, studio: User, amount: str, accepted: bool
) -> None:
    """On REST and in a frame, with the field's name in the refusal."""
    user = await door.guest()
    body = f'{{"userId": "{user.id}", "board": "practice", "points": {amount}}}'.encode()
    answer = await door.ask("POST", f"{API}/scores/award", data=body, as_=studio)
    frame = f'{{"type": "command", "id": "1", "kind": "player", "key": "{(await door.guest()).id}", '
    frame += f'"name": "award_score", "data": {{"board": "practice", "points": {amount}}}}}'
    wire = await sockets.open(studio)
    await wire.socket.send_str(frame)
    framed = await wire.receive()
    if accepted:
        assert (answer.status, framed["meta"]["code"]) == (200, 200)
        # Not one point more than 2^53 fits on top of it.
        assert answer.body["score"]["current"] == int(amount)
        return
    assert (answer.status, answer.code, framed["meta"]["code"]) == (400, "INVALID", 400)
    big = amount.isdigit() and int(amount) > 2**53 - 1
    assert big or "points" in answer.body["message"]
    assert big or "points" in framed["error"]["message"]
    assert (await door.score(user.id, user, "practice"))["score"] == 0


async def test_se_13_scores_do_not_overflow(door: Door, alice: User, studio: User) -> None:
    await door.award(studio, alice.id, 2**53 - 1, board="golf")
    answer = await door.post(f"{API}/scores/award", {"userId": alice.id, "points": 1, "board": "golf"}, as_=studio)
    assert (answer.status, answer.code) == (409, "score_too_high")
    assert (await door.score(alice.id, alice, "golf"))["score"] == 2**53 - 1


@pytest.mark.parametrize("extra", ["role", "roles", "score", "userId", "scores", "at", "points", "__proto__"])
async def test_se_13_extra_fields_are_refused_by_name(door: Door, alice: User, extra: str) -> None:
    for path, body in (
        (f"{API}/actions", {"type": "practice"}),
        (f"{API}/actions/token", {}),
        (f"{API}/auth/guest", {"deviceId": "some-device-or-other"}),
    ):
        answer = await door.post(path, {**body, extra: "admin"}, as_=alice)
        assert (answer.status, answer.code) == (400, "INVALID"), path
        assert extra in answer.body["message"]


@pytest.mark.parametrize("missing", ["userId", "points"])
async def test_se_13_missing_fields_are_named(door: Door, alice: User, studio: User, missing: str) -> None:
    body = {"userId": alice.id, "points": 1}
    del body[missing]
    answer = await door.post(f"{API}/scores/award", body, as_=studio)
    assert (answer.status, answer.code) == (400, "INVALID")
    assert missing in answer.body["message"]


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE journal; --",
    '" OR ""="',
    "1); DELETE FROM account; --",
    "\\'; SELECT pg_sleep(5); --",
    "$1",
    "%s%s%s",
    "{0.__class__}",
    "${jndi:ldap://127.0.0.1/a}",
    "../../etc/passwd",
    "*)(uid=*",
    "\u02bc OR 1=1",
    "Robert'); DROP TABLE players;--",
]


@pytest.mark.parametrize("payload", INJECTIONS)
async def test_se_18_texts_are_texts_wherever_they_go(
    door: Door, sockets: Sockets, alice: User, studio: User, moderator: User, payload: str
) -> None:
    """Every field that takes a text takes this one, or refuses it; nothing takes longer, and nothing breaks."""
    wire = await sockets.open(alice)
    asked = [
        door.post(f"{API}/auth/login", {"username": payload, "password": "not the one"}),
        door.post(f"{API}/auth/register", {"username": payload, "password": "long enough"}),
        door.post(f"{API}/auth/refresh", {"refreshToken": payload}),
        door.post(f"{API}/actions", {"type": payload}, as_=alice),
        door.post(f"{API}/scores/increment", {"actionToken": payload}, as_=alice),
        door.get(f"{API}/leaderboard/top", as_=alice, board=payload),
        door.get(f"{API}/leaderboard/around", as_=alice, board="main", window=payload),
        door.get(f"{API}/actors/leaderboard/main/rank", as_=alice, subject=payload),
        door.get(f"{API}/moderation/cases", as_=moderator, status=payload),
        door.post(
            f"{API}/scores/award",
            {"userId": alice.id, "points": 1, "board": "practice", "reason": payload, "attributes": {payload: payload}},
            as_=studio,
            op=payload if payload.isascii() else None,
        ),
        door.post(f"{API}/players/provision", {"items": [{"externalId": payload, "displayName": payload}]}, as_=studio),
    ]
    for answer in await asyncio.gather(*asked):
        assert answer.status < 500, answer
    for frame in (
        await wire.query("player", payload, "public_profile"),
        await wire.query(payload, "me", "profile"),
        await wire.subscribe(f"leaderboard:{payload}"),
    ):
        assert 400 <= frame["meta"]["code"] < 500
    assert (await door.score(alice.id, alice, "practice"))["score"] == 1


def test_se_18_no_statement_is_put_together_from_texts() -> None:
    """Whoever writes SQL writes it out: next to a call that runs it, only this program's own constants are joined."""
    suspects = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for folder in ("actors", "gateway")
        for path in (PROJECT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if _runs_sql(node) and not _is_constant(node.args[0])
    ]
    assert suspects == []


def _runs_sql(node: ast.AST) -> TypeGuard[ast.Call]:
    runs = ("execute", "fetch", "fetch_row", "fetch_value", "fetchrow", "fetchval", "executemany")
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in runs
        and bool(node.args)
    )


def _is_constant(made: ast.expr) -> bool:
    """A plain text, a variable that was made elsewhere, or a text with nothing but constants in it."""
    joined = isinstance(made, ast.JoinedStr | ast.BinOp | ast.Call)
    names = [node.id for node in ast.walk(made) if isinstance(node, ast.Name)]
    return not joined or all(name.isupper() for name in names)

"""The order of refusals: a request that is wrong in two ways meets the answer that stands higher on the ladder."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.identity import LIMITER, UNLIMITED
from gateway.limits import ADDRESS_RATE, TRUSTED_RATE, USER_RATE, Limiter, Rate
from schemas.limits import BODY_BYTES_MAX, KEY_CHARS_MAX, OUTSTANDING_COMMANDS_MAX
from tests.integration.door import User, admin, alice, frame, registered, room, session
from tests.integration.one_process import OneProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

__all__ = ["admin", "alice", "room", "session"]

AWARD = "/api/v1/scores/award"
ROLES = "/api/v1/admin/users/nobody/roles"
GENERIC = "/api/v1/actors/player/x/award_score"
NO_KEY = "x" * (KEY_CHARS_MAX + 1)
LADDER = (404, 413, 401, 403, 429, 400)
PAIRS = [pair for pair in itertools.combinations(LADDER, 2) if pair != (401, 403)]
"""Who is nobody cannot be somebody without a role as well: those two are one."""


class Drought:
    """The limits of one gateway with a clock that stands still: whoever is dry stays so."""

    def __init__(self, room: OneProcess) -> None:
        runner = room.gateway._runner
        assert runner is not None
        self._limiter: Limiter = runner.app[LIMITER]
        self._clock = self._limiter._clock
        now = self._clock()
        self._limiter._clock = lambda: now

    def dry(self, name: str, rate: Rate) -> None:
        self._limiter._buckets.pop(name, None)
        assert self._limiter.over(name, rate, rate.burst) is None
        assert self._limiter.over(name, rate) is not None

    def end(self) -> None:
        self._limiter._buckets.clear()
        self._limiter._clock = self._clock


@pytest.fixture
def drought(room: OneProcess) -> Iterator[Drought]:
    drought = Drought(room)
    yield drought
    drought.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mallory(room: OneProcess, session: aiohttp.ClientSession) -> User:
    return await registered(room, session)


async def sent(
    user: User, path: str, faults: set[int], *, method: str = "POST", chunked: bool = False
) -> tuple[int, dict[str, Any]]:
    """The answer to a request with these faults, but for what its sender is and has had."""
    body: Any = b"[" * (BODY_BYTES_MAX + 1) if 413 in faults else b"{}"
    if chunked:
        body = _in_parts(body)
    headers = {"Content-Type": "application/json"}
    if 401 not in faults:
        headers["Authorization"] = f"Bearer {user.token}"
    url = user.room.url + (path + "/nowhere/at/all" if 404 in faults else path)
    async with user.session.request(method, url, data=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def _in_parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 8_192):
        yield body[start : start + 8_192]


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
@pytest.mark.parametrize("path", [AWARD, GENERIC, ROLES])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_of_two_faults_the_higher_one_is_told(
    pair: tuple[int, int], path: str, chunked: bool, drought: Drought, mallory: User, admin: User
) -> None:
    faults = set(pair)
    # An admin may do all that is asked here, so that what is wrong is only what the pair says.
    user = mallory if 403 in faults else admin
    if 429 in faults:
        drought.dry(f"user {user.id}", TRUSTED_RATE if user is admin else USER_RATE)
        drought.dry("address 127.0.0.1", ADDRESS_RATE)
    status, answer = await sent(user, path, faults, chunked=chunked)
    assert status == min(pair, key=LADDER.index), answer


async def test_what_is_merely_too_much_or_merely_wrong_is_told_so(drought: Drought, mallory: User) -> None:
    assert (await sent(mallory, "/api/v1/actions", {400}))[0] == 400
    drought.dry(f"user {mallory.id}", USER_RATE)
    assert (await sent(mallory, "/api/v1/actions", {429}))[1]["code"] == "RATE_LIMITED"


async def test_a_key_that_is_none_is_told_after_who_may_ask_and_how_often(
    drought: Drought, mallory: User, admin: User
) -> None:
    """The key is too long for one, and only the owner or a role may look at a profile."""
    path = f"/api/v1/actors/player/{NO_KEY}/profile"
    assert (await admin.ask("GET", path))[0] == 400
    assert (await mallory.ask("GET", path))[0] == 403
    drought.dry(f"user {admin.id}", TRUSTED_RATE)
    assert (await admin.ask("GET", path))[0] == 429


async def test_who_floods_with_what_is_refused_has_less_left_for_all_else(drought: Drought, mallory: User) -> None:
    answers = await asyncio.gather(*(sent(mallory, AWARD, {403}) for _ in range(USER_RATE.burst)))
    assert {status for status, _ in answers} == {403}
    assert (await mallory.ask("GET", "/api/v1/players/me"))[0] == 429


async def test_every_route_asks_for_a_token_or_knows_the_limit_of_an_address(
    room: OneProcess, drought: Drought
) -> None:
    """No route is open to a flood of strangers: those that need no token are refused before anything is done."""
    runner = room.gateway._runner
    assert runner is not None
    answers: dict[tuple[str, str], int] = {}
    async with aiohttp.ClientSession() as session:
        for route in runner.app.router.routes():
            resource = route.resource
            if resource is None or route.method == "HEAD" or resource.canonical in UNLIMITED:
                continue
            path = resource.canonical.replace("{", "").replace("}", "")
            path = path.replace("/actors/kind/", "/actors/player/").replace("/key/name", "/me/")
            if path.endswith("/me/"):
                path += "start_action" if route.method == "POST" else "profile"
            drought.dry("address 127.0.0.1", ADDRESS_RATE)
            async with session.request(route.method, room.url + path, allow_redirects=False) as response:
                answers[route.method, path] = response.status
    assert set(answers.values()) == {401, 429}
    for open_ in ("/api/v1/auth/register", "/auth/login", "/api/v1/auth/guest", "/auth/refresh"):
        assert answers["POST", open_] == 429
    assert answers["GET", "/api/v1/ws"] == answers["GET", "/openapi.json"] == 429
    assert answers["POST", "/api/v1/actions"] == answers["POST", "/api/v1/actors/player/me/start_action"] == 401


# Frames


class Dry:
    """A bucket that is empty and stays so."""

    def take(self, _now: float, _cost: float = 1.0) -> float:
        return 0.001


FRAMES: list[tuple[set[int], dict[str, Any]]] = [
    ({404, 400}, {"type": "command", "kind": "player", "key": "me", "name": "roar", "data": {"x": 1}}),
    ({404, 400}, {"type": "query", "kind": "dragon", "key": "me", "name": "profile", "data": {"x": 1}}),
    ({404}, {"type": "subscribe", "topic": "dragon:main"}),
    ({403, 400}, {"type": "command", "kind": "player", "key": "x", "name": "award_score", "data": {"x": 1}}),
    ({403, 400}, {"type": "query", "kind": "player", "key": "x", "name": "profile", "data": {"x": 1}}),
    ({403}, {"type": "subscribe", "topic": "player:somebody-else"}),
    ({400}, {"type": "command", "kind": "player", "key": "me", "name": "start_action", "data": {"x": 1}}),
    ({400}, {"type": "query", "kind": "player", "key": "me", "name": "profile", "data": {"x": 1}}),
    ({400}, {"type": "subscribe", "topic": "nothing"}),
    ({400}, {"type": "subscribe"}),
]


@pytest.mark.parametrize("too_much", [None, "unanswered", "frames"])
@pytest.mark.parametrize(("faults", "told"), FRAMES, ids=[str(number) for number in range(len(FRAMES))])
async def test_frames_are_refused_in_the_same_order(
    alice: User, faults: set[int], told: dict[str, Any], too_much: str | None
) -> None:
    ws = await alice.socket()
    (socket,) = alice.room.gateway.presence.here(alice.id)
    if too_much == "unanswered":
        socket.outstanding += OUTSTANDING_COMMANDS_MAX
    elif too_much == "frames":
        socket.bucket = Dry()  # type: ignore[assignment]
    await ws.send_json({**told, "id": "1"})
    answer = await frame(ws)
    socket.outstanding = 0
    await ws.close()
    wrong = faults | ({429} if too_much else set())
    assert answer["meta"]["code"] == min(wrong, key=LADDER.index), answer
    assert answer["meta"]["id"] == "1"


@pytest.mark.parametrize("type_", ["command", "query", "unsubscribe", "ping", "presence"])
async def test_who_has_not_said_who_it_is_is_told_that_and_nothing_else(alice: User, type_: str) -> None:
    async with alice.connect() as ws:
        await ws.send_str(json.dumps({"type": type_, "id": "1", "nonsense": 1}))
        assert (await frame(ws))["meta"] == {"code": 401, "id": "1"}

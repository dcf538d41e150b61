"""The client's REST side against a small server that remembers what it was asked."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from greenroom_client import (
    Award,
    AwardOrder,
    Backoff,
    Client,
    GreenroomError,
    MfaRequired,
    RateLimited,
    Refused,
    ServerBug,
    Tokens,
    Unauthenticated,
    Unavailable,
    new_op,
)

Answer = Callable[["Door", web.Request], Awaitable[web.Response]]


class Door:
    """Remembers every request and answers by the function given."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str, Any]] = []
        self.ops: list[str | None] = []
        self.tokens: list[str | None] = []

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, body))
        self.ops.append(request.headers.get("Idempotency-Key"))
        self.tokens.append(request.headers.get("Authorization"))
        return await self.answer(self, request)


@asynccontextmanager
async def served(answer: Answer, tokens: Tokens | None = None) -> AsyncIterator[tuple[Door, Client]]:
    door = Door(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door.serve)
    backoff = Backoff(base_s=0.001, cap_s=0.002, attempts_max=3)
    async with TestServer(app) as server, Client(str(server.make_url("")), tokens=tokens, backoff=backoff) as client:
        yield door, client


def jwt(user_id: str, expires_in_s: float) -> str:
    claims = json.dumps({"sub": user_id, "exp": int(time.time() + expires_in_s)}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


def problem(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": "No", "code": code, "message": "because", "requestId": "req_7"}
    return web.json_response(body, status=status, headers=headers)


def always(body: Any, status: int = 200) -> Answer:
    async def answer(door: Door, request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


PLAYING = Tokens(access_token="good")


async def test_registering_logs_in() -> None:
    tokens = {"accessToken": jwt("u1", 900), "refreshToken": "r1", "userId": "u1", "expiresIn": 900}
    async with served(always(tokens, 201)) as (door, client):
        await client.register("alice", "correct horse")
        assert client.user_id == "u1"
        assert door.requests == [("POST", "/api/v1/auth/register", {"username": "alice", "password": "correct horse"})]


async def test_a_login_that_needs_a_second_factor_says_so() -> None:
    async with served(always({"mfaRequired": True, "mfaToken": "m1"})) as (_, client):
        with pytest.raises(MfaRequired) as needed:
            await client.login("alice", "correct horse")
        assert needed.value.mfa_token == "m1"


async def test_nobody_asks_without_having_logged_in() -> None:
    async with served(always({})) as (door, client):
        with pytest.raises(Unauthenticated):
            await client.profile()
        assert door.requests == []


async def test_an_old_token_is_refreshed_once_for_all_who_wait() -> None:
    async def answer(door: Door, request: web.Request) -> web.Response:
        if request.path.endswith("/auth/refresh"):
            return web.json_response({"accessToken": jwt("u1", 900), "refreshToken": "r2"})
        return web.json_response({"name": "alice"})

    async with served(answer, Tokens(access_token=jwt("u1", 5), refresh_token="r1")) as (door, client):
        await asyncio.gather(client.profile(), client.profile(), client.profile())
        refreshes = [body for _, path, body in door.requests if path.endswith("refresh")]
        assert refreshes == [{"refreshToken": "r1"}]
        assert client.tokens is not None
        assert client.tokens.refresh_token == "r2"


async def test_an_unavailable_server_is_asked_again_under_the_same_key() -> None:
    async def answer(door: Door, request: web.Request) -> web.Response:
        if len(door.requests) < 3:
            return problem(503, "DEPENDENCY_DOWN", {"Retry-After": "0"})
        return web.json_response({"score": {"previous": 0, "current": 5}, "rank": {"previous": 2, "current": 1}})

    async with served(answer, PLAYING) as (door, client):
        award = await client.award("u1", 5, attributes={"team": "Uruguay"})
        assert (award.score.current, award.rank.current) == (5, 1)
        assert len(door.ops) == 3
        assert len(set(door.ops)) == 1
        assert door.ops[0]


async def test_a_server_that_stays_unavailable_is_given_up_with_its_hint() -> None:
    async def answer(door: Door, request: web.Request) -> web.Response:
        return problem(503, "OVERLOADED", {"Retry-After": "0"})

    async with served(answer, PLAYING) as (door, client):
        with pytest.raises(Unavailable) as unavailable:
            await client.award("u1", 5, op="op-1")
        assert (unavailable.value.retry_after_s, unavailable.value.op) == (0.0, "op-1")
        assert len(door.requests) == 4


@pytest.mark.parametrize(("status", "kind"), [(409, Refused), (429, RateLimited), (401, Unauthenticated)])
async def test_an_answer_that_would_stay_the_same_is_not_asked_for_again(
    status: int, kind: type[GreenroomError]
) -> None:
    async def answer(door: Door, request: web.Request) -> web.Response:
        return problem(status, "FACT", {"Retry-After": "7"})

    async with served(answer, PLAYING) as (door, client):
        with pytest.raises(kind) as error:
            await client.start_action("quick_win")
        assert (error.value.code, error.value.status, error.value.message) == ("FACT", status, "because")
        assert (error.value.request_id, error.value.retry_after_s) == ("req_7", 7.0)
        assert len(door.requests) == 1


async def test_an_error_that_is_no_json_is_still_an_error() -> None:
    async def answer(door: Door, request: web.Request) -> web.Response:
        return web.Response(status=500, text="<html>oops")

    async with served(answer, PLAYING) as (_, client):
        with pytest.raises(ServerBug, match="oops"):
            await client.profile()


async def test_a_batch_answers_each_award_in_its_place() -> None:
    done = {"op": "a", "score": {"previous": 0, "current": 1}, "rank": {"previous": None, "current": 9}}
    unknown = {"op": "b", "status": 404, "error": {"code": "player_unknown", "message": "who?"}}
    async with served(always({"items": [done, unknown]}), PLAYING) as (door, client):
        first, second = await client.award_batch(
            [AwardOrder(op="a", user_id="u1", points=1), AwardOrder(op="b", user_id="u2", points=1, board="main")]
        )
        assert isinstance(first, Award)
        assert isinstance(second, GreenroomError)
        assert (second.code, second.status) == ("player_unknown", 404)
        assert door.requests[0][2] == {
            "items": [
                {"op": "a", "userId": "u1", "points": 1},
                {"op": "b", "userId": "u2", "points": 1, "board": "main"},
            ]
        }


async def test_provisioning_finds_players_by_their_external_ids() -> None:
    items = [{"externalId": "x:1", "userId": "u1", "created": True}]
    async with served(always({"items": items}), PLAYING) as (door, client):
        (player,) = await client.provision([("x:1", "José Piendibene")])
        assert (player.user_id, player.created) == ("u1", True)
        assert door.requests[0][2] == {"items": [{"externalId": "x:1", "displayName": "José Piendibene"}]}


async def test_boards_are_read_by_name() -> None:
    rows = [{"rank": 1, "userId": "u1", "username": "alice", "score": 7, "badge": "new field"}]
    async with served(always(rows), PLAYING) as (door, client):
        (first,) = await client.top("teams", limit=1)
        assert (first.rank, first.username, first.score) == (1, "alice", 7)
        assert door.requests[0][1] == "/api/v1/leaderboard/top?board=teams&limit=1"


async def test_a_name_of_any_kind_stays_one_part_of_the_path() -> None:
    async with served(always({"rank": 3, "userId": "a/b?c", "score": 7}), PLAYING) as (door, client):
        await client.standing("a/b?c ñ", "teams")
        assert door.requests[0][1] == "/api/v1/leaderboard/users/a%2Fb%3Fc%20%C3%B1?board=teams"


async def test_roles_are_granted_and_revoked() -> None:
    async with served(always({"roles": ["player", "server"]}), PLAYING) as (door, client):
        assert await client.admin.grant("u1", "server") == ["player", "server"]
        await client.admin.revoke("u1", "server")
        assert [body for _, _, body in door.requests] == [
            {"role": "server", "grant": True},
            {"role": "server", "grant": False},
        ]


def test_op_ids_are_unique_and_sort_by_time() -> None:
    ops = [new_op() for _ in range(1_000)]
    assert len(set(ops)) == 1_000
    assert {len(op) for op in ops} == {26}
    assert ops[0][:10] <= ops[-1][:10]


def test_a_wait_grows_to_its_cap_and_never_undercuts_the_hint() -> None:
    backoff = Backoff(base_s=0.1, cap_s=1.0)
    assert all(backoff.delay_s(attempt) <= min(1.0, 0.1 * 2**attempt) for attempt in range(50))
    assert all(3.0 <= backoff.delay_s(5, at_least_s=3.0) <= 4.0 for _ in range(50))


async def test_an_award_whose_rank_is_not_known_yet_is_an_award() -> None:
    async with served(always({"score": {"previous": 0, "current": 1}, "rank": None}), PLAYING) as (_, client):
        award = await client.award("u1", 1)
        assert (award.score.current, award.rank.current) == (1, None)

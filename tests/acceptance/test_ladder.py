"""SPEC section 0: refusals have an order. Of two that fit, the client meets the one that comes first."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.acceptance.clients import API, Answer, Door, Sockets, User
from tests.acceptance.server import Server

AWARD = f"{API}/scores/award"
BODY_BYTES_MAX = 64 * 1024
FLOOD = 600
"""More than a user may send at once to both gateways together."""
STRANGERS = 1_200
"""More than may come at once from one address."""


def too_large(*, chunked: bool) -> Any:
    async def parts() -> Any:
        for _ in range(BODY_BYTES_MAX // 1024 + 1):
            yield b"[" * 1024

    return parts() if chunked else b"[" * (BODY_BYTES_MAX + 1)


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_co_the_ladder_is_walked_from_the_top(door: Door, alice: User, studio: User, chunked: bool) -> None:
    async def answered(path: str, as_: User | None, *, big: bool, body: Any = None) -> int:
        data = too_large(chunked=chunked) if big else None
        return (await door.ask("POST", path, body, as_=as_, data=data)).status

    # Each is wrong in all that comes later, too.
    assert await answered("/api/v1/nowhere", None, big=True) == 404
    assert await answered(f"{API}/actors/player/me/roar", alice, big=False, body=[]) == 404
    assert await answered(AWARD, None, big=True) == 413
    assert await answered(AWARD, alice, big=True) == 413
    assert await answered(AWARD, studio, big=True) == 413
    assert await answered(AWARD, None, big=False, body=[]) == 401
    assert await answered(AWARD, alice, big=False, body=[]) == 403
    assert await answered(AWARD, studio, big=False, body=[]) == 400


async def flooded(door: Door, method: str, path: str, as_: User | str | None, times: int) -> list[Answer]:
    return await asyncio.gather(*(door.ask(method, path, as_=as_) for _ in range(times)))


async def test_co_a_flood_of_what_is_not_allowed_or_not_there_is_told_that_and_not_that_it_is_too_much(
    door: Door, alice: User
) -> None:
    for path, told in ((AWARD, {(403, "FORBIDDEN")}), (f"{API}/nowhere", {(404, "NOT_FOUND")})):
        answers = await flooded(door, "POST", path, alice, FLOOD)
        assert {(answer.status, answer.code) for answer in answers} == told


async def test_co_a_flood_of_strangers_is_told_401_and_slows_nobody(server: Server, alice: User, door: Door) -> None:
    """They come from an address of their own, which is all that is limited when there is no user."""
    connector = aiohttp.TCPConnector(limit=64, local_addr=("127.0.11.1", 0))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        outside = Door(server, session)
        for as_ in (None, "not.a.token"):
            answers = await flooded(outside, "GET", f"{API}/players/me", as_, STRANGERS)
            assert {(answer.status, answer.code) for answer in answers} == {(401, "UNAUTHENTICATED")}
    assert (await door.get(f"{API}/players/me", as_=alice)).status == 200


async def test_co_frames_walk_the_same_ladder(sockets: Sockets, alice: User) -> None:
    """More commands than may be unanswered: those that are not there, or not allowed, are told so none the less."""
    wire = await sockets.open(alice)
    for number in range(200):
        for name, key in (("roar", "me"), ("award_score", "somebody"), ("start_action", "me")):
            told = {"type": "command", "id": f"{name} {number}", "kind": "player", "key": key, "name": name}
            await wire.send({**told, "data": {"type": "quick_win"}})
    answers = [await wire.receive() for _ in range(600)]
    codes: dict[str, set[int]] = {}
    for answer in answers:
        codes.setdefault(answer["meta"]["id"].partition(" ")[0], set()).add(answer["meta"]["code"])
    assert codes["roar"] == {404}
    assert codes["award_score"] == {403}
    assert 200 in codes["start_action"]

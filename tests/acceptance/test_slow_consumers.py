"""SPEC WS-11: who does not read gets the latest instead of everything, then 4408; neighbours notice nothing."""

import asyncio
import itertools
import json
import socket
import time
from typing import Any, Self

from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server
from tests.security.raw import Raw, frame

BOARD = "arena"
TOPIC = f"leaderboard:{BOARD}"
ROWS = 100
TEXT, CLOSE = 1, 8


class Idler(Raw):
    """A WebSocket whose client reads when it is told to, with a receive buffer of almost nothing."""

    @classmethod
    async def of(cls, server: Server, user: User) -> Self:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", server.port))
        idler = cls(*await asyncio.open_connection(sock=connection, limit=8192))
        assert await idler.upgrade(f"Authorization: {user.bearer}") == 101
        assert (await idler.receive())["type"] == "welcome"
        return idler

    def say(self, value: Any, times: int = 1) -> None:
        """Send a frame, without waiting for anything."""
        self.writer.write(frame(TEXT, json.dumps(value).encode()) * times)

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def go_on_reading(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def receive(self, within_s: float = 10.0) -> dict[str, Any]:
        """The next frame; a close frame as `{"type": "close", "code": ..., "reason": ...}`."""
        async with asyncio.timeout(within_s):
            first, second = await self.reader.readexactly(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            payload = await self.reader.readexactly(size)
        if first & 15 == CLOSE:
            return {"type": "close", "code": int.from_bytes(payload[:2], "big"), "reason": payload[2:].decode()}
        told: dict[str, Any] = json.loads(payload)
        return told

    async def all_until(self, last: Any, within_s: float = 10.0) -> list[dict[str, Any]]:
        """All frames up to the one for which this holds, or a close frame."""
        self.go_on_reading()
        frames = [await self.receive(within_s)]
        while frames[-1]["type"] != "close" and not last(frames[-1]):
            frames.append(await self.receive(within_s))
        return frames


async def summed(gateways: list[Pinned], name: str) -> float:
    return sum([(await door.metrics())[name] for door in gateways])


async def leader(door: Door, studio: User) -> str:
    """A board of a hundred players with long names, so that its answer is long; the id of its first player."""
    name = fresh_name("slow").ljust(60, "w")
    items = [{"externalId": fresh_name("slow"), "displayName": f"{name} {number}"} for number in range(ROWS)]
    made = await door.post(f"{API}/players/provision", {"items": items}, as_=studio)
    players = [item["userId"] for item in made.body["items"]]
    best = (await door.get(f"{API}/leaderboard/top", as_=studio, board=BOARD, limit="1")).body
    points = (best[0]["score"] if best else 0) + 1
    awards = [{"op": f"{name} {player}", "userId": player, "points": points, "board": BOARD} for player in players]
    answer = await door.post(f"{API}/scores/award-batch", {"items": awards}, as_=studio)
    assert {item["status"] for item in answer.body["items"]} == {200}
    await door.award(studio, players[0], 1, board=BOARD)
    return str(players[0])


QUERY = {"type": "query", "id": "top", "kind": "leaderboard", "key": BOARD, "name": "top", "data": {"limit": ROWS}}


async def test_ws_11_who_does_not_read_is_closed_with_4408_and_may_come_back(
    door: Door, server: Server, sockets: Sockets, gateways: list[Pinned], alice: User, studio: User
) -> None:
    await leader(door, studio)
    idler = await Idler.of(server, alice)
    idler.say({"type": "subscribe", "id": "s", "topic": "player:me"})
    seq = (await idler.receive())["meta"]["seq"]
    # From now on its gateway answers from memory, as fast as it is asked.
    idler.say(QUERY)
    assert (await idler.receive())["meta"] | {"version": 0} == {"code": 200, "id": "top", "version": 0}
    idler.stop_reading()
    received = await summed(gateways, "greenroom_ws_frames_received_total")
    questions = 400
    idler.say(QUERY, questions)
    end = time.monotonic() + 10
    while await summed(gateways, "greenroom_ws_frames_received_total") < received + questions / 2:
        assert time.monotonic() < end, "the gateway does not take the frames"
        await asyncio.sleep(0.02)
    frames = await idler.all_until(lambda told: False)
    assert frames[-1] == {"type": "close", "code": 4408, "reason": "slow_consumer"}
    assert len(frames) < questions
    await idler.__aexit__()

    await door.play(alice)
    back = await sockets.open(alice)
    answer = await back.subscribe("player:me", after=seq)
    assert answer["meta"]["code"] == 200
    assert answer["meta"]["seq"] > seq
    assert (await back.push("player:me"))["type"] == "player.update"


async def test_ws_11_topics_conflate_before_a_slow_client_is_closed(
    door: Door, server: Server, sockets: Sockets, studio: User
) -> None:
    """How much the kernel takes is its own affair: of clients with backlogs of all sizes, some are just beyond it."""
    first = await leader(door, studio)
    neighbour = await sockets.open(await door.guest())
    await neighbour.subscribe(TOPIC)
    people = [await door.guest() for _ in range(2)]
    idlers = [await Idler.of(server, people[number % 2]) for number in range(24)]
    for backlog, idler in enumerate(idlers):
        idler.say({"type": "subscribe", "id": "s", "topic": TOPIC})
        assert (await idler.receive())["meta"]["id"] == "s"
        idler.stop_reading()
        idler.say(QUERY, 1 + backlog)

    latest = 0
    told: list[int] = []
    delays: list[float] = []
    for _ in range(20):
        latest = (await door.award(studio, first, 1, board=BOARD))["score"]["current"]
        began = time.monotonic()
        while not told or told[-1] < latest:
            update = await neighbour.push(TOPIC, 5)
            told.append(update["data"][0]["score"])
        delays.append(time.monotonic() - began)
    assert sorted(delays)[len(delays) // 2] < 0.25
    assert max(delays) < 2

    def is_latest(frame: dict[str, Any]) -> bool:
        return bool(frame["type"] == "leaderboard.update" and frame["data"][0]["score"] >= latest)

    seen = await asyncio.gather(*(idler.all_until(is_latest) for idler in idlers))
    updates = [[frame for frame in frames if frame["type"] == "leaderboard.update"] for frames in seen]
    whole = [len(found) for found, frames in zip(updates, seen, strict=True) if is_latest(frames[-1])]
    assert len(whole) > 0
    assert min(whole) < len(told) / 2 < max(whole), whole
    for found in updates:
        seqs = [frame["meta"]["seq"] for frame in found]
        assert all(before < after for before, after in itertools.pairwise(seqs))
    cut = [frames[-1] for frames in seen if frames[-1]["type"] == "close"]
    assert all(told["code"] == 4408 for told in cut)
    for idler in idlers:
        await idler.__aexit__()

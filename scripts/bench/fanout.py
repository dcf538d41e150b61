"""Figure 7: one topic to 1,000 sockets, ten times a second, against a plain loop of awaited sends."""

import asyncio
import itertools
from typing import Any

from greenroom_client import Form
from scripts.bench.figures import Results
from scripts.bench.harness import Accounts, BenchFailed, Loaded, Server, load, program, settled

KEYS = frozenset({"7"})
PER_SECOND = 10
TOPIC = "leaderboard:main"
_CHANGES_PER_SECOND = 15


async def measure(server: Server, accounts: Accounts, results: Results, *, sockets: int, seconds: float) -> None:
    """One round."""
    told = await _told_by_server(server, accounts, sockets, seconds)
    idle = await _idle(server, seconds)
    frame_bytes = round(told.result["bytesPerFrame"])
    plain = await _told_by_loop(sockets, seconds, frame_bytes, once=False)
    once = await _told_by_loop(sockets, seconds, frame_bytes, once=True)
    plain_rate = plain.count / plain.cpu.total
    once_rate = once.count / once.cpu.total
    gross = told.count / told.cpu.total
    net = told.count / max(0.01, told.cpu.total - idle * told.result["seconds"])
    results.add(
        "7",
        net / plain_rate,
        **{
            "deliveries a second": told.per_second,
            "deliveries a server-CPU-second": net,
            "idle processes included": gross,
            "ratio with idle processes": gross / plain_rate,
            "plain loop's deliveries a second": plain.per_second,
            "plain loop's a CPU-second": plain_rate,
            "loop's that sends one text": once_rate,
            "ratio to that": net / once_rate,
            "gateway CPU s": told.cpu["gateway"],
            "bytes a push": told.result["bytesPerFrame"],
        },
    )


async def _told_by_server(server: Server, accounts: Accounts, sockets: int, seconds: float) -> Loaded:
    await settled(server)
    job = _listening(server.socket_url, await accounts.guest_tokens(sockets), seconds)
    changing = asyncio.create_task(_change_the_top(accounts))
    try:
        return await load(server.pid, job)
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def _change_the_top(accounts: Accounts) -> None:
    # Two players who overtake each other: every award changes what everybody sees.
    async with accounts.trusted[0].connect(Form.MSGPACK) as connection:
        for player in itertools.cycle(accounts.players[:2]):
            await connection.command("player", player, "award_score", {"points": 100_000, "board": "main"})
            await asyncio.sleep(1 / _CHANGES_PER_SECOND)


async def _idle(server: Server, seconds: float) -> float:
    """CPU seconds a second that the server uses while nobody asks."""
    await settled(server)
    before = server.cpu_seconds()
    await asyncio.sleep(seconds)
    return server.cpu_seconds().since(before).total / seconds


async def _told_by_loop(sockets: int, seconds: float, frame_bytes: int, *, once: bool) -> Loaded:
    job = {"program": "broadcast", "bytes": frame_bytes, "per_second": PER_SECOND, "once": once}
    async with program("baseline", job) as loop:
        port = (await loop.line())["port"]
        plain = _listening(f"ws://127.0.0.1:{port}/api/v1/ws", ["-"] * sockets, seconds)
        told = await load(loop.process.pid, plain)
    if not told.count:
        raise BenchFailed("the plain loop told nobody anything")
    return told


def _listening(url: str, tokens: list[str], seconds: float) -> dict[str, Any]:
    return {
        "url": url,
        "mode": "listen",
        "form": "json",
        "topic": TOPIC,
        "tokens": tokens,
        "keys": [],
        "seconds": seconds,
        "warmup_s": 2.0,
    }

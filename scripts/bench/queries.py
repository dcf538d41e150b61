"""Figure 6: questions, through an actor and to the gateway itself, against a bare aiohttp echo of JSON."""

from typing import Any

from scripts.bench.figures import Results
from scripts.bench.harness import Accounts, Loaded, Server, load, program

SOCKETS = 64
KEYS = frozenset({"6a", "6b"})
_LIGHT = {"kind": "player", "name": "public_profile", "data": {}}
_TOP = {"kind": "leaderboard", "name": "top", "data": {"limit": 10}}


async def measure(server: Server, accounts: Accounts, results: Results, wanted: set[str], seconds: float) -> None:
    """One round."""
    echo = await _echo("echo", accounts, seconds)
    limit = await _echo("ceiling", accounts, seconds)
    if "6a" in wanted:
        players = accounts.players[: SOCKETS * 8]
        keys = [players[index * 8 : (index + 1) * 8] for index in range(SOCKETS)]
        light = await _queries(server, accounts, seconds, keys, _LIGHT)
        results.add("6a", light.per_second / echo.per_second, **_details(light, echo, limit))
    if "6b" in wanted:
        top = await _queries(server, accounts, seconds, [["main"]], _TOP)
        pings = await _queries(server, accounts, seconds, [["-"]], {"mode": "ping"})
        details = _details(top, echo, limit)
        ratio = {"pings a second": pings.per_second, "pings against the echo": pings.per_second / echo.per_second}
        results.add("6b", top.per_second / echo.per_second, **details, **ratio)


async def _queries(
    server: Server, accounts: Accounts, seconds: float, keys: list[list[str]], question: dict[str, Any]
) -> Loaded:
    job = {
        "url": server.socket_url,
        "mode": "query",
        "form": "json",
        "tokens": await accounts.tokens(SOCKETS),
        "keys": keys,
        "outstanding": 8,
        "seconds": seconds,
        **question,
    }
    return await load(server.pid, job)


async def _echo(name: str, accounts: Accounts, seconds: float) -> Loaded:
    async with program("baseline", {"program": name, "data": {"score": 7, "rank": 3, "version": 9}}) as echo:
        port = (await echo.line())["port"]
        job = {
            "url": f"ws://127.0.0.1:{port}/api/v1/ws",
            "mode": "query",
            "form": "json",
            "tokens": ["-"] * SOCKETS,
            "keys": [["-"]],
            "outstanding": 8,
            "seconds": seconds,
            **_LIGHT,
        }
        return await load(echo.process.pid, job)


def _details(loaded: Loaded, echo: Loaded, limit: Loaded) -> dict[str, float]:
    return {
        "a second": loaded.per_second,
        "echoes a second": echo.per_second,
        "load client's ceiling a second": limit.per_second,
        "p50 ms": loaded.result["p50Ms"],
        "p99 ms": loaded.result["p99Ms"],
        "a server-CPU-second": loaded.count / loaded.cpu.total,
        "echoes a CPU-second": echo.count / echo.cpu.total,
        "errors": float(sum(loaded.result["errors"].values())),
    }

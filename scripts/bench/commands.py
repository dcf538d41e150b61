"""Figures 1 to 5: durable commands, in bulk and alone, against single-row INSERTs on the same Postgres."""

from typing import Any

from scripts.bench.figures import Results
from scripts.bench.harness import CONSULTED, Accounts, Loaded, Server, baseline, load

SOCKETS = 64
BOARD = "practice"
"""One that no other board follows: a simple command updates one board."""
PLAYERS = SOCKETS * 8
KEYS = frozenset({"1", "2", "3", "4", "5"})
_AWARD = {"points": 1, "board": BOARD, "reason": "bench"}
_GRANT = {"currency": "gold", "amount": 1, "reason": "bench"}
"""A durable command of one actor alone: one commit, then the reply."""


async def measure(server: Server, accounts: Accounts, results: Results, wanted: set[str], seconds: float) -> None:
    """One round."""
    insert = await baseline(_inserts(server, 64, seconds)) if wanted & {"1", "2", "3", "4"} else {}
    if wanted & {"1", "4"}:
        bulk = await _awards(server, accounts, SOCKETS, 8, seconds)
        results.add("1", bulk.per_second / insert["perSecond"], **_details(bulk, insert))
        postgres_us = bulk.cpu["postgres"] / bulk.count * 1e6
        results.add("4", postgres_us, **{f"{part} us": bulk.cpu[part] / bulk.count * 1e6 for part in bulk.cpu.by_part})
    if "2" in wanted:
        single = await _awards(server, accounts, SOCKETS, 1, seconds)
        results.add("2", single.per_second / insert["perSecond"], **_details(single, insert))
    if "3" in wanted:
        flow = await load(
            server.pid,
            {
                "url": server.socket_url,
                "mode": "flow",
                "action": CONSULTED,
                "tokens": await accounts.guest_tokens(SOCKETS),
                "keys": [["me"]],
                "outstanding": 4,
                "seconds": seconds,
            },
        )
        results.add("3", flow.per_second / insert["perSecond"], **_details(flow, insert))
    if "5" in wanted:
        alone = await _commands(server, accounts, 1, 1, seconds, "grant_currency", _GRANT)
        award = await _awards(server, accounts, 1, 1, seconds)
        lone = await baseline(_inserts(server, 1, seconds))
        ratio = alone.result["p50Ms"] / lone["p50Ms"]
        results.add(
            "5",
            ratio,
            **{
                "p50 ms": alone.result["p50Ms"],
                "INSERT p50 ms": lone["p50Ms"],
                "award with rank p50 ms": award.result["p50Ms"],
            },
        )


async def _awards(server: Server, accounts: Accounts, sockets: int, outstanding: int, seconds: float) -> Loaded:
    """The simple score command: a commit of the player, then one of the board, then the reply with the rank."""
    return await _commands(server, accounts, sockets, outstanding, seconds, "award_score", _AWARD)


async def _commands(
    server: Server,
    accounts: Accounts,
    sockets: int,
    outstanding: int,
    seconds: float,
    name: str,
    data: dict[str, Any],
) -> Loaded:
    players = accounts.players
    job = {
        "url": server.socket_url,
        "mode": "command",
        "kind": "player",
        "name": name,
        "data": data,
        "tokens": await accounts.tokens(sockets),
        "keys": [players[index * outstanding : (index + 1) * outstanding] for index in range(sockets)],
        "outstanding": outstanding,
        "seconds": seconds,
    }
    return await load(server.pid, job)


def _inserts(server: Server, clients: int, seconds: float) -> dict[str, Any]:
    return {
        "program": "inserts",
        "database_url": server.run["database_url"],
        "clients": clients,
        "seconds": seconds,
        "warmup_s": 0.5,
    }


def _details(loaded: Loaded, insert: dict[str, Any]) -> dict[str, float]:
    return {
        "a second": loaded.per_second,
        "INSERTs a second": insert["perSecond"],
        "p50 ms": loaded.result["p50Ms"],
        "p99 ms": loaded.result["p99Ms"],
        "a server-CPU-second": loaded.count / loaded.cpu.total,
        "errors": float(sum(loaded.result["errors"].values())),
    }

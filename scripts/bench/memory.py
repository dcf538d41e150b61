"""Figure 8: what an idle authenticated session keeps in memory, its awake player included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from greenroom_client import Client
from scripts.bench.figures import Results
from scripts.bench.harness import Accounts, BenchFailed, Program, Server, program, settled

KEYS = frozenset({"8"})
_PARTS = ("gateway", "host")


async def measure(server: Server, accounts: Accounts, results: Results, *, sessions: int, rounds: int) -> None:
    """All rounds: each adds sessions to those that are held, so that no round lives on memory another gave back."""
    async with _held(server, await accounts.more_guests(sessions)):
        await _one_more(server, accounts, results, sessions, rounds)


async def _one_more(server: Server, accounts: Accounts, results: Results, sessions: int, rounds: int) -> None:
    if not rounds:
        return
    guests = await accounts.more_guests(sessions)
    await settled(server)
    before = server.pss_bytes()
    async with _held(server, guests):
        await settled(server)
        grown = server.pss_bytes().since(before)
        used = sum(grown[part] for part in _PARTS)
        details = {f"{part} KB": grown[part] / sessions / 1000 for part in grown.by_part}
        results.add("8", used / sessions / 1000, **details)
        await _one_more(server, accounts, results, sessions, rounds - 1)


@asynccontextmanager
async def _held(server: Server, guests: list[Client]) -> AsyncIterator[Program]:
    job = {
        "url": server.socket_url,
        "mode": "hold",
        "tokens": [await guest.access_token() for guest in guests],
        "keys": [],
        "seconds": 2.0,
        "warmup_s": 0.1,
    }
    async with program("load", job) as holding:
        await holding.line()
        await holding.send({"go": True})
        await holding.line()
        result = await holding.line()
        if result["errors"]:
            raise BenchFailed(f"players did not wake: {result['errors']}")
        yield holding

"""Figure 10: many players stored, few awake: how long it takes until a sleeping one answers."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

from greenroom_client import Client, Connection, Form
from scripts.bench.figures import Results
from scripts.bench.harness import Accounts, accounts, own_server, settled

KEYS = frozenset({"10a", "10b"})
_ALONE = 100
_TOGETHER = 1_000
_SOCKETS = 20


async def measure(results: Results, wanted: set[str], *, stored: int, rounds: int) -> None:
    """All rounds, each with players that nobody woke before."""
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        data.chmod(0o755)
        async with own_server(data) as server, accounts(server, players=0) as made:
            players = await made.provision(stored, "stored")
        random.Random(10).shuffle(players)
        # A new server: all of them sleep.
        async with own_server(data) as server, accounts(server, players=0) as made, _sockets(made) as sockets:
            await settled(server)
            for _ in range(rounds):
                alone, players = players[:_ALONE], players[_ALONE:]
                together, players = players[:_TOGETHER], players[_TOGETHER:]
                times_ms = [await _time_ms([sockets[0]], [player]) for player in alone]
                again_ms = [await _time_ms([sockets[0]], [player]) for player in alone]
                if "10a" in wanted:
                    details = {"p99 ms": sorted(times_ms)[-2], "awake p50 ms": median(again_ms)}
                    results.add("10a", median(times_ms), **details)
                if "10b" in wanted:
                    asleep_ms = await _time_ms(sockets, together)
                    awake_ms = await _time_ms(sockets, together)
                    results.add("10b", asleep_ms / 1e3, **{"the same awake s": awake_ms / 1e3})


async def _time_ms(sockets: list[Connection], players: list[str]) -> float:
    began = time.perf_counter()
    asked = (
        sockets[index % len(sockets)].query("player", player, "public_profile", {}, deadline_s=60.0)
        for index, player in enumerate(players)
    )
    await asyncio.gather(*asked)
    return (time.perf_counter() - began) * 1e3


@asynccontextmanager
async def _sockets(made: Accounts) -> AsyncIterator[list[Connection]]:
    async with AsyncExitStack() as stack:
        clients: list[Client] = [made.trusted[index % len(made.trusted)] for index in range(_SOCKETS)]
        yield [await stack.enter_async_context(client.connect(Form.MSGPACK)) for client in clients]

"""What it costs to find an actor's host: by the number of actors, and of hosts. `python -m scripts.bench.routing`.

The first table times the router alone, with links that answer at once; the second a whole Greenroom with 1, 2 and 4
hosts, whose load client shares the machine.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from actors.catalog import Catalog
from actors.runtime.content import ContentStore
from actors.runtime.database import Database
from actors.runtime.directory import Directory, Route
from actors.runtime.placement import Placement
from actors.runtime.router import Router, Waiting
from schemas.address import player
from schemas.messages import COMMAND, SYSTEM, Reply, Request
from scripts.bench.commands import BOARD, PLAYERS, SOCKETS
from scripts.bench.harness import accounts, load, own_server, settled

ACTORS = (1_000, 10_000, 100_000, 1_000_000)
HOSTS = (1, 2, 4)
ASKS = 100_000
ROUNDS = 3
_DONE = Reply(200, 1, None)


class Echo:
    """A link whose host answers at once."""

    def send(self, waiting: Waiting) -> bool:
        waiting.finish(_DONE)
        return True

    def expire(self, now: float) -> list[Waiting]:
        return []

    def silent_s(self, now: float) -> float:
        return 0.0

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        return []

    async def close(self) -> None:
        """There is nothing to close."""


class Table(Directory):
    """A directory whose slots are spread over so many hosts; it never asks Postgres."""

    def __init__(self, placement: Placement, hosts: int) -> None:
        super().__init__(Database("postgresql://nobody@localhost/none", size=1), placement)
        routes = [Route(run, f"unix:/{run}", "here", f"host-{run}") for run in range(hosts)]
        self._routes = {slot: routes[int(slot) % hosts] for slot in placement.shared_slots()}


async def asks_us(actors: int, hosts: int) -> float:
    """Microseconds for one ask, from the call to the reply's future, over so many actors in random order."""
    placement = Placement(Catalog(), {})
    directory = Table(placement, hosts)
    router = Router(directory, ContentStore(directory.database), lambda route, router: Echo())
    dice = random.Random(1)
    addresses = [player(f"user-{number}") for number in range(actors)]
    asked = [addresses[dice.randrange(actors)] for _ in range(ASKS)]
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for address in asked:
            router.ask(address, COMMAND, "award_score", b"", caller=SYSTEM, op="op")
        taken.append((time.process_time() - began) / ASKS * 1e6)
        await asyncio.sleep(0)
    return statistics.median(taken)


async def commands(hosts: int, seconds: float) -> dict[str, Any]:
    """The durable score command of a whole Greenroom with so many hosts."""
    async with own_server(GREENROOM_HOSTS=str(hosts)) as server, accounts(server, players=PLAYERS) as made:
        await settled(server)
        job = {
            "url": server.socket_url,
            "mode": "command",
            "kind": "player",
            "name": "award_score",
            "data": {"points": 1, "board": BOARD, "reason": "bench"},
            "tokens": await made.tokens(SOCKETS),
            "keys": [made.players[index * 8 : index * 8 + 8] for index in range(SOCKETS)],
            "outstanding": 8,
            "seconds": seconds,
        }
        rounds = [await load(server.pid, job) for _ in range(ROUNDS)]
    best = sorted(rounds, key=lambda one: one.per_second)[ROUNDS // 2]
    return {
        "hosts": hosts,
        "perSecond": round(best.per_second),
        "p50Ms": best.result["p50Ms"],
        "p99Ms": best.result["p99Ms"],
        "cpuUs": {part: round(best.cpu[part] / best.count * 1e6, 1) for part in best.cpu.by_part},
    }


async def measure(seconds: float = 4.0) -> dict[str, Any]:
    """Both tables."""
    routing = {
        str(actors): {str(hosts): round(await asks_us(actors, hosts), 2) for hosts in HOSTS} for actors in ACTORS
    }
    return {"askUs": routing, "commands": [await commands(hosts, seconds) for hosts in HOSTS]}


def main() -> int:
    """Measure, and print JSON."""
    print(json.dumps(uvloop.run(measure()), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A Greenroom on a Ray cluster of several nodes, players that load it meanwhile, and what they were told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic_core import from_json

from actors.runtime.database import Database
from schemas.settings import Settings
from scripts.chaos.faults import Struck
from scripts.chaos.history import Attempt, History
from scripts.chaos.measure import Measured, measure
from scripts.chaos.session import judge
from scripts.chaos.target import Target
from scripts.chaos.workload import Workload, workload
from scripts.connect import open_database
from tests.acceptance.clients import API, Door
from tests.acceptance.server import Server
from tests.harness import eventually
from tests.harness.raynodes import RayNodes

PLAYERS = 24
RATE_PER_S = 120.0
SETTLED_WITHIN_S = 90.0


@dataclass(slots=True)
class Game:
    """Players that load a Greenroom. `seen` tells, afterwards, what it cost them."""

    load: Workload
    history: History
    struck: list[Struck] = field(default_factory=list)
    verdict: Any = None

    def strikes(self, kind: str, slots: frozenset[str] = frozenset()) -> Struck:
        """Something happens now; its cost is measured by this name."""
        now = time.monotonic()
        self.struck.append(Struck(kind, kind, now, now, slots))
        return self.struck[-1]

    @property
    def seen(self) -> Measured:
        return measure(self.history.operations, self.struck)

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for operation in self.history.operations for attempt in operation.attempts]

    async def goes_on(self, operations: int = 100) -> None:
        """Wait until so many more operations were answered."""
        enough = len(self.history.operations) + operations
        await eventually(lambda: len(self.history.operations) >= enough, 60)

    def check(self) -> None:
        """Nothing acknowledged was lost, nothing refused but by the game, and nobody was left without an answer."""
        assert self.verdict.findings == []
        assert self.seen.errors == []
        last = [operation.attempts[-1] for operation in self.history.operations]
        assert [(one.status, one.code) for one in last if not (one.ok or one.by_the_game)] == []
        assert sum(one.ok for one in last) > 0.9 * len(last)

    @property
    def refused(self) -> list[tuple[int, str]]:
        """What any attempt was answered with, also where a repetition helped; except by the rules of the game."""
        return [
            (attempt.status, attempt.code)
            for attempt in self.attempts
            if attempt.status and not attempt.ok and not attempt.by_the_game
        ]


class Cluster:
    """`async with Cluster(hosts=1)`: a Ray head, and `greenroom serve` on it by RAY_ADDRESS."""

    def __init__(self, **settings: str) -> None:
        self.nodes = RayNodes()
        named = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
        defaults = {"GREENROOM_HOSTS": "1", "GREENROOM_GATEWAYS": "1"}
        self.server = Server(environment={**self.nodes.environment, **defaults, **named})

    async def __aenter__(self) -> "Cluster":
        await self.nodes.__aenter__()
        await asyncio.to_thread(self.server.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            assert await asyncio.to_thread(self.server.stop) == 0
        finally:
            await self.nodes.__aexit__(None, None, None)
            self.server.remove()

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, data=self.server.data)

    async def tool(self, *words: str) -> str:
        """Run `greenroom` with these words; what it printed."""
        done = await asyncio.to_thread(self.server.tool, *words, within_s=200.0)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def report(self) -> dict[str, Any]:
        """What the driver last said of the cluster."""
        rows = await self.server.sql("SELECT report FROM cluster_report WHERE at > now() - interval '10 seconds'")
        return dict(from_json(rows[0]["report"])) if rows else {"nodes": [], "hosts": [], "gateways": []}

    async def node(self, name: str) -> dict[str, Any] | None:
        """A node of that name with what runs on it."""
        report = await self.report()
        for node in report["nodes"]:
            if node["name"] == name:
                hosts = [host for host in report["hosts"] if host["node"] == node["id"] and not host["leaving"]]
                gateways = [gateway for gateway in report["gateways"] if gateway["node"] == node["id"]]
                return {**node, "hosts": hosts, "gateways": gateways}
        return None

    async def even(self, hosts: int) -> None:
        """Wait until so many shared hosts own about as many slots each."""

        async def is_even() -> bool:
            shared = [host for host in (await self.report())["hosts"] if host["pool"] == "shared"]
            return len(shared) == hosts and all(host["slots"] >= 256 // hosts // 2 for host in shared)

        await eventually(is_even, SETTLED_WITHIN_S)

    def gateway_pids(self) -> list[int]:
        """The processes of the gateways."""
        return [victim.pid for victim in Target(self.settings).gateways()]

    def has_other_driver(self, than: int) -> bool:
        """Whether another driver is at work."""
        return (self.server.data / "run.json").exists() and self.server.run["driver"] != than

    async def whole(self) -> None:
        """Wait until every node has its hosts and gateways, and all of them are ready."""

        async def is_whole() -> bool:
            report = await self.report()
            serving = [node["id"] for node in report["nodes"] if node["state"] == "serving"]
            shared = [host["node"] for host in report["hosts"] if host["pool"] == "shared" and host["slots"]]
            return sorted(serving) == sorted(shared) and len(self.gateway_pids()) == len(serving)

        await eventually(is_whole, SETTLED_WITHIN_S)

    async def slots_of(self, name: str) -> frozenset[str]:
        """What the hosts of a node own."""
        node = await self.node(name)
        assert node is not None
        sql = "SELECT slot FROM slot JOIN host USING (run) WHERE node = $1 AND NOT retired"
        return frozenset(row["slot"] for row in await self.server.sql(sql, node["id"]))

    @asynccontextmanager
    async def game(
        self, folder: Path, *, players: int = PLAYERS, rate_per_s: float = RATE_PER_S
    ) -> AsyncIterator[Game]:
        """Players play during the block; at its end `verify` judges what they were told."""
        async with open_database(self.settings) as database:
            path = folder / "history.jsonl"
            with History(path) as history:
                async with workload(
                    self.server.url, database, history, seed=1, players=players, rate_per_s=rate_per_s
                ) as load:
                    game = Game(load, history)
                    playing = asyncio.ensure_future(load.play())
                    try:
                        await game.goes_on()
                        yield game
                        await game.goes_on()
                    finally:
                        load.stop.set()
                        await playing
                    await load.look_back()
            await self._delivered(database)
            game.verdict = await judge(database, path)

    async def _delivered(self, database: Database) -> None:
        async def nothing_waits() -> bool:
            return not await database.fetch_value("SELECT count(*) FROM outbox")

        await eventually(nothing_waits, 60)


@dataclass(slots=True)
class Watcher:
    """A socket that only listens, and notes how it ended."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.frames.append(message.json())
        self.code = socket.close_code


@asynccontextmanager
async def watchers(server: Server, count: int) -> AsyncIterator[list[Watcher]]:
    """So many sockets of guests, each until it is closed from the other side."""
    async with aiohttp.ClientSession() as session:
        door = Door(server, session)
        found: list[Watcher] = []
        tasks = []
        sockets = []
        for _ in range(count):
            user = await door.guest()
            socket = await session.ws_connect(server.url.replace("http", "ws", 1) + f"{API}/ws")
            await socket.send_json({"type": "auth", "id": "1", "auth": user.bearer})
            assert (await socket.receive_json())["type"] == "welcome"
            found.append(Watcher())
            tasks.append(asyncio.ensure_future(found[-1].listen(socket)))
            sockets.append(socket)
        try:
            yield found
        finally:
            for socket in sockets:
                await socket.close()
            await asyncio.gather(*tasks)

"""The processes of a Greenroom on the nodes of its cluster: each node has its hosts and gateways."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import structlog

from actors.runtime import cluster
from actors.runtime.cluster import Node, Process
from actors.runtime.database import Database, Refused, Row
from actors.runtime.director import SHARED, Director
from schemas.problems import Refusal
from scripts.processes import Wiring

_log = structlog.get_logger("nodes")

LOOK_EVERY_S = 0.5
REPORT_EVERY_S = 2.0
ASK_RAY_WITHIN_S = 5.0
READY_WITHIN_S = 60.0
HOST_STOP_S = 30.0
DEDICATED_MAX = 64
"""Ray actors for dedicated addresses on each node; what comes beyond lives in the shared pool."""
DEDICATED_FROM_CPUS = 4
"""Smaller nodes have no cores to spare: there an actor that is told something by players is best where they are. Only
kinds that the settings call dedicated get processes of their own."""

_DRAINED = "SELECT node FROM drained_node"
_FORGET = "DELETE FROM drained_node WHERE NOT node = ANY($1)"
_ORDERS = "SELECT id, what FROM cluster_order WHERE done_at IS NULL ORDER BY id"
_DONE = "UPDATE cluster_order SET done_at = now(), outcome = $2 WHERE id = $1"
_REPORT = """
INSERT INTO cluster_report (at, report) VALUES (now(), $1)
ON CONFLICT (only_one) DO UPDATE SET at = now(), report = excluded.report
"""


class Pool:
    """Keeps so many hosts and gateways on every node as the settings say, and carries out what operators order."""

    def __init__(self, wiring: Wiring, director: Director, database: Database) -> None:
        self.wiring = wiring
        self.settings = wiring.settings
        self.director = director
        self.database = database
        self.hosts: list[Process] = []
        self.gateways: list[Process] = []
        self.dedicated: dict[str, Process] = {}
        self.going: list[Process] = []
        """Processes that were told to end and have not yet."""
        self.nodes: list[Node] = []
        self.drained: set[str] = set()
        self.stopping = False
        self._tasks: asyncio.TaskGroup | None = None
        self._asking: asyncio.Future[list[Node]] | None = None
        self._ordered: asyncio.Task[None] | None = None
        self._reported_at = 0.0

    async def run_forever(self) -> None:
        """Look until `stop` or cancellation. What cannot be reached now is asked again at the next look."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._adopt()
            while not self.stopping:
                try:
                    await self._look()
                except (Refusal, Refused, ConnectionError, TimeoutError) as trouble:
                    _log.warning("nodes_not_looked_at", reason=str(trouble)[:200] or type(trouble).__name__)
                await asyncio.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        """The end of everything: gateways first, then hosts; nobody takes over."""
        self.stopping = True
        within_s = self.settings.drain_timeout_s + 5
        await asyncio.gather(*(gateway.stop(within_s) for gateway in self.gateways))
        await asyncio.gather(*(host.stop(HOST_STOP_S) for host in (*self.hosts, *self.dedicated.values())))

    # -- what should run where --------------------------------------------------------------------------------------

    async def _look(self) -> None:
        self.nodes = await self._ask_ray()
        self.drained = {row["node"] for row in await self.database.fetch(_DRAINED)}
        alive = {node.id for node in self.nodes}
        if self.drained - alive:
            await self.database.execute(_FORGET, list(alive))
        await self._fill()
        self._leave(alive)
        await self._obey()
        await self._report()

    @property
    def staying(self) -> list[Node]:
        """The nodes that take processes. A cluster whose nodes are all drained, or want no work, uses them all."""
        working = [node for node in self.nodes if node.cpus > 0] or self.nodes
        return [node for node in working if node.id not in self.drained] or working

    async def _fill(self) -> None:
        for node in self.staying:
            for _ in range(self.settings.hosts - _on(self.hosts, node.id)):
                self.hosts.append(self._start("HostProcess", "host", node.id, pool=SHARED))
            for _ in range(self.settings.gateways - _on(self.gateways, node.id)):
                self.gateways.append(self._start("GatewayProcess", "gateway", node.id))

    def _leave(self, alive: set[str]) -> None:
        """Take back what runs on nodes that are drained or dead, as soon as others have what it takes to serve."""
        staying = {node.id for node in self.staying}
        ready = any(row["pool"] == SHARED and row["node"] in staying for row in self.director.hosts)
        for process in self._all():
            if process.node not in alive:
                self._take_back(process, within_s=1.0)
            elif process.node not in staying and ready:
                self._take_back(process, within_s=self._within_s(process))

    def _take_back(self, process: Process, within_s: float) -> None:
        _log.info("process_taken_back", process=process.name, node=process.node[:12])
        self._drop(process)
        self._spawn(self._go(process, within_s))

    async def _go(self, process: Process, within_s: float) -> None:
        self.going.append(process)
        await process.stop(within_s, **self._how(process))
        self.going.remove(process)

    def _how(self, process: Process) -> dict[str, bool]:
        return {"hand_over": True} if process.path.endswith("HostProcess") else {}

    def _within_s(self, process: Process) -> float:
        return HOST_STOP_S if self._how(process) else self.settings.drain_timeout_s + 5

    async def start_dedicated(self, slot: str) -> None:
        """Give a dedicated actor a process of its own, on the node with the fewest of them."""
        named = self.settings.placement.get(slot.partition(":")[0]) == "dedicated"
        staying = [node for node in self.staying if named or node.cpus >= DEDICATED_FROM_CPUS]
        if slot in self.dedicated or self.stopping or not staying:
            return
        counts = Counter(process.node for process in self.dedicated.values())
        node = min(staying, key=lambda node: counts[node.id])
        if counts[node.id] < DEDICATED_MAX:
            self.dedicated[slot] = self._start("HostProcess", slot, node.id, pool=slot)

    async def ready(self) -> bool:
        """Whether everything that this pool wants right now is there and answers."""
        if not self.nodes or not self.gateways:
            return False
        return all(await asyncio.gather(*(_answers(gateway) for gateway in self.gateways)))

    # -- processes ------------------------------------------------------------------------------------------------

    def _start(self, class_name: str, name: str, node: str, **arguments: str) -> Process:
        taken = {process.name for process in self._all()}
        if "pool" not in arguments or arguments["pool"] == SHARED:
            name = next(numbered for number in itertools.count(1) if (numbered := f"{name}-{number}") not in taken)
        told = {"wiring": self.wiring, "name": name, **arguments}
        process = Process(f"scripts.processes:{class_name}", name, told, node=node)
        self._spawn(process.keep())
        return process

    async def _adopt(self) -> None:
        """Keep what the driver before this one has started for the same `serve`; end what is left of another."""
        for actor_name in await asyncio.to_thread(cluster.names):
            name = actor_name.partition("~")[0]
            gateway = name.startswith("gateway-")
            pool = SHARED if name.startswith("host-") else name
            told: dict[str, Any] = {"wiring": self.wiring, "name": name, **({} if gateway else {"pool": pool})}
            class_name = "GatewayProcess" if gateway else "HostProcess"
            process = Process(f"scripts.processes:{class_name}", name, told, node="")
            try:
                described = await process.adopt(actor_name)
            except ConnectionError as trouble:
                _log.warning("process_not_adopted", process=actor_name, reason=str(trouble)[:200])
                continue
            if described["life"] != str(self.wiring.runtime):
                self._spawn(process.stop(self._within_s(process)))
                continue
            _log.info("process_adopted", process=actor_name)
            if gateway:
                self.gateways.append(process)
            elif pool == SHARED:
                self.hosts.append(process)
            else:
                self.dedicated[name] = process
            self._spawn(process.keep())

    def _all(self) -> list[Process]:
        return [*self.gateways, *self.hosts, *self.dedicated.values()]

    def _drop(self, process: Process) -> None:
        for processes in (self.hosts, self.gateways):
            if process in processes:
                processes.remove(process)
        if self.dedicated.get(process.name) is process:
            del self.dedicated[process.name]

    def _spawn(self, work: Awaitable[None]) -> "asyncio.Task[None]":
        assert self._tasks is not None  # noqa: S101 - set before anything is started
        return self._tasks.create_task(work)  # type: ignore[arg-type]

    async def _ask_ray(self) -> list[Node]:
        # While Ray's tables are away the question hangs: one is enough, and what was known goes on.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(asyncio.to_thread(cluster.nodes))
        async with asyncio.timeout(ASK_RAY_WITHIN_S):
            return await asyncio.shield(self._asking)

    # -- orders ---------------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        if self._ordered is not None and not self._ordered.done():
            return
        for row in await self.database.fetch(_ORDERS):
            self._ordered = self._spawn(self._carry_out(row))
            return

    async def _carry_out(self, order: Row) -> None:
        if order["what"] == "rebalance":
            self.director.rebalance = True
            outcome = "slots are evened out"
        else:
            outcome = await self._restart()
        with contextlib.suppress(Refusal):
            await self.database.execute(_DONE, order["id"], outcome)

    async def _restart(self) -> str:
        """Replace every process by a fresh one, one after the other; each is ready before the old one goes."""
        replaced = 0
        for old in [*self.gateways, *self.hosts]:
            if old not in self._all():
                continue
            gateway = old in self.gateways
            fresh = (
                self._start("GatewayProcess", "gateway", old.node)
                if gateway
                else self._start("HostProcess", "host", old.node, pool=SHARED)
            )
            (self.gateways if gateway else self.hosts).append(fresh)
            if not await self._until_ready(fresh):
                self._take_back(fresh, within_s=1.0)
                return f"{replaced} processes were replaced, then {fresh.name} did not become ready"
            self._drop(old)
            await self._go(old, self._within_s(old))
            replaced += 1
        for old in list(self.dedicated.values()):
            # Its slot goes to a shared host; then the director asks for a process again.
            self._drop(old)
            await self._go(old, self._within_s(old))
            replaced += 1
        return f"{replaced} processes were replaced"

    async def _until_ready(self, process: Process) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                while not await _answers(process):
                    await asyncio.sleep(0.05)
                return True
        return False

    # -- the report -----------------------------------------------------------------------------------------------

    async def _report(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = now
        await self.database.execute(_REPORT, json.dumps(self.report()))

    def report(self) -> dict[str, Any]:
        """Nodes, hosts and gateways, and how busy they are."""
        director, load = self.director, self.director.load
        owned = Counter(director.slots.values())
        staying = {node.id for node in self.staying}
        busiest = sorted(load.by_slot.items(), key=lambda item: item[1], reverse=True)[:10]
        of_host: Counter[int | None] = Counter()
        for slot, share in load.by_slot.items():
            of_host[director.slots.get(slot)] += share  # type: ignore[assignment]
        return {
            "nodes": [
                {"id": node.id, "name": node.name, "address": node.address, "state": self._state(node, staying)}
                for node in self.nodes
            ],
            "gateways": [{"name": process.name, "node": process.node} for process in self.gateways],
            "hosts": [
                {
                    "name": row["name"],
                    "node": row["node"],
                    "pool": row["pool"],
                    "pid": row["pid"],
                    "leaving": row["leaving"],
                    "slots": owned[row["run"]],
                    "turns": round(float(of_host[row["run"]]), 4),
                    "cpu": round(load.cpu.get(row["run"], 0.0), 4),
                }
                for row in director.hosts
            ],
            "busiest": [{"slot": slot, "turns": round(share, 4)} for slot, share in busiest],
        }

    def _state(self, node: Node, staying: set[str]) -> str:
        if node.id in self.drained:
            return "drained" if node.id not in {process.node for process in (*self._all(), *self.going)} else "draining"
        return "serving" if node.id in staying else "idle"


def _on(processes: Iterable[Process], node: str) -> int:
    return sum(process.node == node for process in processes)


async def _answers(process: Process) -> bool:
    try:
        return bool(await process.call("ready"))
    except ConnectionError:
        return False

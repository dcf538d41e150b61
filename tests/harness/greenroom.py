"""A whole Greenroom without Ray and gateways in one process: hosts, a router and a director on real servers."""

import asyncio
import contextlib
import itertools
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from actors.core import SYSTEM, Actor, Caller, Command, Query, pack_fields
from actors.runtime.database import Database, Row
from actors.runtime.director import SHARED, Director
from actors.runtime.directory import Route
from actors.runtime.host import Host
from actors.runtime.router import Waiting
from schemas.address import Address
from schemas.messages import COMMAND, QUERY, Reply, Request
from schemas.settings import PROJECT, Settings
from scripts.processes import HostProcess, Parts, Wiring
from tests.harness.kinds import kinds_known
from tests.harness.servers import Servers
from tests.harness.waiting import eventually

NODE = "here"
TESTER = Caller("tester")
Answer = asyncio.Future[Reply]
_ops = itertools.count(1)


@dataclass(slots=True)
class Home:
    """A host of the harness. `host` is there once it is ready."""

    process: HostProcess
    task: "asyncio.Task[None]"

    @property
    def host(self) -> Host:
        assert self.process.host is not None
        return self.process.host

    @property
    def run(self) -> int:
        return self.host.lease.run


class Greenroom:
    """`async with Greenroom(servers, hosts=2)`: everything runs and every slot has its host.

    `through` is the folder of a Proxy by which hosts reach Postgres. Options are settings; kinds that are dedicated
    by default live in the shared hosts.
    """

    def __init__(self, servers: Servers, *, hosts: int = 1, through: Path | None = None, **options: Any) -> None:
        self.servers = servers
        self.through = through
        self.hosts_wanted = hosts
        shared = {"leaderboard": "shared", "fraud": "shared", **options.pop("placement", {})}
        options = {"active_hosts": 1_000, **options}
        self.settings = Settings(_env_file=None, data=servers.path, placement=shared, log_level="warning", **options)
        self.homes: list[Home] = []
        """The hosts of the shared pool."""
        self.dedicated: dict[str, Home] = {}
        """The hosts of dedicated actors, by slot."""
        self._endpoints: dict[int, str] = {}
        self._processes: list[asyncio.subprocess.Process] = []
        self._names = itertools.count(1)
        self._background: list[asyncio.Task[None]] = []
        self._stack = ExitStack()

    async def __aenter__(self) -> "Greenroom":
        self._stack.enter_context(kinds_known())
        self.database_name = await self.servers.new_database()
        self.parts = Parts(self.wiring(), "tests", pool_size=3)
        await self.parts.open()
        self.database: Database = self.parts.database
        self.director = self.new_director()
        await self.director.prepare()
        self.router = self.parts.router
        for work in (self.router.run_forever, self.parts.directory.run_forever, self.director.run_forever):
            self.background(work())
        await asyncio.gather(*(self.start_host() for _ in range(self.hosts_wanted)))
        if self.hosts_wanted:
            await self.spread()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self.stop_host(home) for home in (*self.homes, *self.dedicated.values())))
        await asyncio.gather(*(self._kill_process(process) for process in self._processes))
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.parts.close()
        await self.servers.drop_database(self.database_name)
        self._stack.close()

    def wiring(self, through: Path | None = None) -> Wiring:
        dsn = self.servers.dsn(self.database_name, through)
        return Wiring(self.settings, dsn, self.servers.redis.url, self.servers.runtime, tcp=False, node=NODE)

    def new_director(self) -> Director:
        async def start(slot: str) -> None:
            if slot not in self.dedicated or self.dedicated[slot].task.done():
                process = HostProcess(self.wiring(self.through), slot, slot)
                self.dedicated[slot] = Home(process, asyncio.ensure_future(process.run()))

        parts = self.parts
        return Director(parts.database, parts.router, node=NODE, token=parts.token, start_dedicated=start)

    def background(self, work: Any) -> "asyncio.Task[None]":
        """Run it until the end of the block."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._background.append(task)
        return task

    # -- hosts ----------------------------------------------------------------------------------------------------

    async def start_host(self) -> Home:
        """One more host, ready to be given slots."""
        process = HostProcess(self.wiring(self.through), f"host-{next(self._names)}", SHARED)
        home = Home(process, asyncio.ensure_future(process.run()))
        self.homes.append(home)
        await eventually(lambda: home.task.done() or (process.host is not None and process.host.lease.run))
        assert not home.task.done()
        sql = "SELECT endpoint FROM host WHERE run = $1"
        self._endpoints[home.run] = await self.database.fetch_value(sql, home.run)
        return home

    async def start_process(self) -> asyncio.subprocess.Process:
        """One more host, as a process of its own; it ends with this one at the latest."""
        wiring = self.wiring()
        arguments = [f"process-{next(self._names)}", wiring.database_url, wiring.redis_url, str(wiring.runtime), NODE]
        program = (sys.executable, "-m", "tests.harness.host", *arguments)
        process = await asyncio.create_subprocess_exec(*program, stdin=asyncio.subprocess.PIPE, cwd=PROJECT)
        self._processes.append(process)
        return process

    async def _kill_process(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def stop_host(self, home: Home) -> None:
        """Let the host finish what is under way, as at a rolling restart."""
        await home.process.stop()
        await self._end(home)

    async def kill_host(self, home: Home) -> None:
        """End the host between two steps of its program: its links break, what it had in memory is gone."""
        home.task.cancel()
        await self._end(home)

    async def _end(self, home: Home) -> None:
        if home in self.homes:
            self.homes.remove(home)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            async with asyncio.timeout(20):
                await home.task
        if home.process.host is not None:
            await asyncio.sleep(0)
            home.host.statements.drop()

    async def spread(self) -> None:
        """Wait until the slots are spread over all hosts, and the hosts know it."""
        share = 256 // len(self.homes)

        def settled() -> bool:
            return all(len(home.host.lease.owned) in (share, share + 1) for home in self.homes)

        await eventually(settled, 30)

    async def heal(self) -> None:
        """Start hosts in the place of those that died."""
        for home in [home for home in self.homes if home.task.done()]:
            await self._end(home)
        while len(self.homes) < self.hosts_wanted:
            await self.start_host()
        await self.spread()

    async def restart_hosts(self) -> None:
        """Replace every host by a fresh one, in order."""
        for home in list(self.homes):
            await self.stop_host(home)
        await self.heal()

    def home_of(self, address: Address) -> Home:
        return next(home for home in self.homes if home.host.lease.owns_address(address))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a counter over all hosts."""
        registries = [home.process.metrics.registry for home in self.homes]
        return sum(registry.get_sample_value(name, labels) or 0 for registry in registries)

    async def put_to_sleep(self, address: Address) -> None:
        """Let the actor leave memory, its checkpoint stored."""
        host = self.home_of(address).host
        await eventually(lambda: address in host.cells and host.cells[address].quiet)
        await host.passivate([host.cells[address]])
        assert address not in host.cells

    def awake(self, address: Address) -> Actor:
        """The actor's state in memory."""
        actor = self.home_of(address).host.cells[address].actor
        assert actor is not None
        return actor

    def ask_at(self, home: Home, address: Address, message: Command[Any] | Query[Any], op: str = "") -> Answer:
        """Ask one host, whether or not the actor is its own."""
        answer: Answer = asyncio.get_running_loop().create_future()
        verb = COMMAND if isinstance(message, Command) else QUERY
        request = Request(verb, *address, message.wire_name, op, TESTER, pack_fields(message))
        row = Route(home.run, self._endpoints[home.run], NODE, home.process.name)
        assert self.router.link_to(row).send(Waiting(request, answer, time.monotonic() + 10))
        return answer

    # -- asking ---------------------------------------------------------------------------------------------------

    def command(
        self, address: Address, command: Command[Any], *, op: str = "", caller: Caller = TESTER, **more: Any
    ) -> Answer:
        """Ask as a user does; commands that are not public go as Greenroom itself."""
        caller = caller if command.public else SYSTEM
        return self.router.command(address, command, caller, op=op or f"op-{next(_ops)}", **more)

    def query(self, address: Address, query: Query[Any], caller: Caller = SYSTEM) -> Answer:
        return self.router.query(address, query, caller)

    async def persist(self, address: Address, command: Command[Any], *, op: str = "", **more: Any) -> Reply:
        """Ask as a patient client does: again, under the same op id, for as long as the answer is 503."""
        op = op or f"op-{next(_ops)}"
        while True:
            reply = await self.command(address, command, op=op, **more)
            if reply.status not in (503, 409):
                return reply
            await asyncio.sleep(0.02)

    async def journal(self, address: Address) -> list[Row]:
        """The actor's turns, checked to be contiguous."""
        rows = await self.database.fetch(
            "SELECT version, length, op, run, turn, events FROM journal WHERE kind = $1 AND key = $2 ORDER BY version",
            address.kind,
            address.key,
        )
        version = 1
        for row in rows:
            assert row["version"] == version
            version += row["length"]
        return rows

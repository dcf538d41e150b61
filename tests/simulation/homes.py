"""The processes of a world: hosts as scripts.processes builds them, and gateways that have only a router."""

import asyncio
import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any

from actors.catalog import Catalog
from actors.runtime.content import ContentStore
from actors.runtime.directory import Directory, Route
from actors.runtime.host import Host
from actors.runtime.journal import Journal
from actors.runtime.lease import Lease
from actors.runtime.links import DirectLink, LinkServer, LocalLink
from actors.runtime.metrics import HostMetrics
from actors.runtime.placement import Placement
from actors.runtime.router import Link, Router
from actors.runtime.sweeper import Sweeper
from actors.runtime.topics import Topics
from schemas.address import Address
from schemas.problems import Refusal
from schemas.settings import Settings
from tests.simulation.loop import Process
from tests.simulation.store import Store
from tests.simulation.wires import Network, Postgres, Pushes, SimulatedDatabase, SimulatedStatements

TOKEN = b"token"
NODE = "here"


class WorldPlacement(Placement):
    """Tells the table of slots which are needed."""

    def __init__(self, catalog: Catalog, settings: Settings, store: Store) -> None:
        super().__init__(catalog, settings.placement)
        self._store = store

    def place(self, address: Address) -> tuple[str, int]:
        slot, bucket = super().place(address)
        self._store.reach(slot)
        self._store.reach(str(bucket))
        return slot, bucket


class Shared:
    """What all processes of a world have in common."""

    def __init__(
        self, settings: Settings, catalog: Catalog, postgres: Postgres, network: Network, pushes: Pushes, random: Random
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.placement = WorldPlacement(catalog, settings, postgres.store)
        self.postgres = postgres
        self.network = network
        self.pushes = pushes
        self.random = random
        self.metrics = METRICS


METRICS = HostMetrics()
"""Counters take long to make; nobody reads these."""


class Parts:
    """A process with its way to the actors; see scripts.processes.Parts."""

    def __init__(self, shared: Shared, process: Process) -> None:
        self.shared = shared
        self.process = process
        self.database = SimulatedDatabase(shared.postgres, process)
        self.content = ContentStore(self.database)
        self.directory = Directory(self.database, shared.placement)
        self.router = Router(self.directory, self.content, self._link, ask_timeout_s=shared.settings.ask_timeout_s)
        self.local: tuple[int, Host] | None = None

    def _link(self, route: Route, router: Router) -> Link:
        if self.local is not None and self.local[0] == route.run:
            return LocalLink(route, router, self.local[1])
        return DirectLink(route, router, TOKEN, NODE)

    async def patiently(self, step: Any) -> Any:
        while True:
            try:
                return await step()
            except Refusal:
                await asyncio.sleep(0.2)

    async def serve_gateway(self) -> None:
        """Live until cancelled or killed."""
        await self.patiently(self.content.poll)
        await self.directory.refresh()
        async with asyncio.TaskGroup() as tasks:
            for work in (self.router.run_forever, self.directory.run_forever, self.content.run_forever):
                tasks.create_task(work())


class Home:
    """A host process; `host` is there once it is ready."""

    def __init__(self, shared: Shared, name: str) -> None:
        self.shared = shared
        random = shared.random
        self.process = Process(name, clock_s=random.random() * 1_000)
        self.parts = Parts(shared, self.process)
        self.host: Host | None = None
        self.lease: Lease | None = None
        self.task: asyncio.Task[None] | None = None
        self.draining = False
        self.resumed_at = 0.0

    @property
    def run(self) -> int:
        return self.lease.run if self.lease is not None else 0

    async def serve(self) -> None:
        """As scripts.processes.HostProcess.run."""
        shared, parts = self.shared, self.parts
        await parts.patiently(parts.content.poll)
        await parts.directory.refresh()
        lease = Lease(parts.database, shared.placement)
        topics = Topics(shared.pushes)
        server = LinkServer(self, TOKEN)
        path = f"/{self.process.name}"
        shared.network.listen(self.process, path, server._end)
        await parts.patiently(
            lambda: lease.register(name=self.process.name, endpoint=f"unix:{path}", node=NODE, pool="shared")
        )
        host = Host(
            settings=shared.settings,
            catalog=shared.catalog,
            journal=Journal(parts.database),
            content=parts.content,
            lease=lease,
            statements=SimulatedStatements(shared.postgres, self.process),
            router=parts.router,
            topics=topics,
            secret=shared.postgres.store.secret,
            metrics=shared.metrics,
            mark_turn=lambda address: None,
        )
        host.turns._seeds = _seeds(shared.random.getrandbits(64))
        parts.local = (lease.run, host)
        sweeper = Sweeper(host, parts.database, parts.router, shared.settings)
        self.host, self.lease = host, lease
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(work())
                    for work in (
                        host.run_forever,
                        parts.router.run_forever,
                        parts.directory.run_forever,
                        parts.content.run_forever,
                        sweeper.run_forever,
                    )
                ]
                await lease.run_forever()
                for task in running:
                    task.cancel()
        finally:
            with contextlib.suppress(Exception):
                await parts.router.close()

    def receive(self, session: Any, requests: Any) -> None:
        if self.host is not None:
            self.host.receive(session, requests)

    def accept(self, delivery: Any) -> None:
        if self.host is not None:
            self.host.accept(delivery)


def _seeds(seed: int) -> Iterator[int]:
    random = Random(seed)
    while True:
        yield random.getrandbits(63)

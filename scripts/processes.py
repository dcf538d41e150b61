"""The processes of a Greenroom, built out of their parts: hosts and gateways. Ray makes actors of these classes."""

import asyncio
import contextlib
import functools
import gc
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog

from actors.catalog import Catalog
from actors.content import Content
from actors.fraud.places import sightings
from actors.runtime import cluster
from actors.runtime.bus import Bus
from actors.runtime.content import ContentStore
from actors.runtime.database import Database, Statements
from actors.runtime.directory import Directory, Route
from actors.runtime.host import Host
from actors.runtime.journal import Journal
from actors.runtime.lastturn import LastTurn
from actors.runtime.lease import Lease
from actors.runtime.links import DirectLink, LinkServer, LocalLink, RayLink, RaySessions
from actors.runtime.metrics import HostMetrics
from actors.runtime.placement import Placement
from actors.runtime.router import Link, Router
from actors.runtime.sweeper import Sweeper
from actors.runtime.topics import Topics
from gateway import logs
from gateway.accounts import store
from schemas.messages import SYSTEM
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.metrics import Backlog, MetricsEndpoint, folder_of, watch_process

_log = structlog.get_logger("process")

RETRY_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Wiring:
    """What every process of one Greenroom is told: the settings, where its servers are, and where sockets go."""

    settings: Settings
    database_url: str
    redis_url: str
    runtime: Path
    tcp: bool
    """Whether other nodes must reach the hosts."""
    node: str = ""
    """The node that all processes are on, where that is known without Ray."""


async def patiently(step: Callable[[], Awaitable[Any]]) -> Any:
    """Try until the step succeeds: a process that starts while Postgres is away must wait, not die."""
    while True:
        try:
            return await step()
        except Refusal as refusal:
            _log.warning("waiting", reason=refusal.message)
            await asyncio.sleep(RETRY_PAUSE_S)


async def _secret(database: Database, name: str) -> bytes:
    return await store.get_or_add_secret(database, name, secrets.token_bytes(32))


def collect_rarely() -> None:
    """Let the cycle collector leave alone what was made so far, and look at the rest less often: messages are freed by
    their reference counts, and with Python's own thresholds the collector takes a third of a host's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


class Parts:
    """What hosts, gateways and the director have in common: connections, content, and the way to the actors."""

    def __init__(self, wiring: Wiring, name: str, *, pool_size: int) -> None:
        self.wiring = wiring
        self.name = name
        self.node = wiring.node or cluster.node_id()
        self.settings = wiring.settings
        self.catalog = Catalog()
        self.placement = Placement(self.catalog, self.settings.placement)
        self.database = Database(wiring.database_url, size=pool_size)
        self.bus = Bus(wiring.redis_url)
        self.content = ContentStore(self.database, self._amend)
        self.directory = Directory(self.database, self.placement)
        self.router = Router(self.directory, self.content, self._link, ask_timeout_s=self.settings.ask_timeout_s)
        self.token = b""
        self.local: tuple[int, Host] | None = None

    def _amend(self, content: Content) -> Content:
        """What the operator's settings say over the content."""
        if not self.settings.fraud_fail_closed:
            return content
        return content.model_copy(update={"fraud": content.fraud.model_copy(update={"fail_closed": True})})

    def _link(self, route: Route, router: Router) -> Link:
        if self.local is not None and self.local[0] == route.run:
            return LocalLink(route, router, self.local[1])
        if self.settings.link == "ray":
            return RayLink(route, router, cluster.exchange_with(route.name))
        return DirectLink(route, router, self.token, self.node)

    async def open(self) -> None:
        """Connect to everything, waiting for what is not there yet."""
        await patiently(self.database.open)
        self.token = await patiently(lambda: _secret(self.database, "link"))
        await self.bus.open()
        await patiently(self.content.poll)
        await self.directory.refresh()

    def metrics_endpoint(self, role: str, render: Callable[[], bytes]) -> MetricsEndpoint:
        """Where Prometheus finds the metrics of this process."""
        host = cluster.node_address() if self.wiring.tcp else "127.0.0.1"
        return MetricsEndpoint(folder_of(self.settings.data), self.name, role, render, host)

    async def close(self) -> None:
        await self.router.close()
        await self.bus.close()
        await self.database.close()


class HostProcess:
    """A host as a Ray actor: `shared` in the pool, or the home of one dedicated address (then named by it)."""

    def __init__(self, wiring: Wiring, name: str, pool: str) -> None:
        self.wiring = wiring
        self.name = name
        self.pool = pool
        self.metrics = HostMetrics()
        watch_process(self.metrics.registry)
        self.host: Host | None = None
        self._ended: asyncio.Event | None = None
        self._rays: RaySessions | None = None

    def __repr__(self) -> str:
        return self.name

    async def run(self) -> None:
        """Serve until stopped, or until this run is retired; then the process should be replaced."""
        logs.set_up(self.wiring.settings.log_level, self.name)
        self._ended = asyncio.Event()
        parts = Parts(self.wiring, self.name, pool_size=4)
        await parts.open()
        actions = await patiently(lambda: _secret(parts.database, "actions"))
        lease = Lease(parts.database, parts.placement)
        topics = Topics(parts.bus)
        path = str(self.wiring.runtime / f"h{abs(hash((self.name, id(self)))) % 10**10}")
        last_turn = LastTurn(Path(path + ".turn"))
        server = LinkServer(self, parts.token)
        endpoint = await server.open(path, cluster.node_address() if self.wiring.tcp else "")
        name = self.name if self.wiring.node else cluster.own_name()
        await patiently(lambda: lease.register(name=name, endpoint=endpoint, node=parts.node, pool=self.pool))
        self.host = Host(
            settings=parts.settings,
            catalog=parts.catalog,
            journal=Journal(parts.database),
            content=parts.content,
            lease=lease,
            statements=Statements(self.wiring.database_url),
            router=parts.router,
            topics=topics,
            secret=actions,
            metrics=self.metrics,
            mark_turn=last_turn.mark,
        )
        self._rays = RaySessions(self.host)
        parts.local = (lease.run, self.host)
        topics.open()
        sweeper = Sweeper(self.host, parts.database, parts.router, parts.settings)
        metrics = parts.metrics_endpoint("host", self.metrics.render)
        await metrics.open()
        collect_rarely()
        _log.info("host_ready", run=lease.run, pool=self.pool)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(work())
                    for work in (
                        self.host.run_forever,
                        parts.router.run_forever,
                        parts.directory.run_forever,
                        parts.content.run_forever,
                        sweeper.run_forever,
                    )
                ]
                leasing = tasks.create_task(lease.run_forever())
                ending = tasks.create_task(self._ended.wait())
                await asyncio.wait({leasing, ending}, return_when=asyncio.FIRST_COMPLETED)
                if self._ended.is_set():
                    await self.host.drain_all()
                    with contextlib.suppress(Refusal):
                        await parts.database.execute("UPDATE host SET retired = true WHERE run = $1", lease.run)
                for task in (*running, leasing, ending):
                    task.cancel()
        finally:
            await metrics.close()
            await server.close()
            await parts.close()

    def receive(self, session: Any, requests: Any) -> None:
        if self.host is not None:
            self.host.receive(session, requests)

    def accept(self, delivery: Any) -> None:
        if self.host is not None:
            self.host.accept(delivery)

    async def exchange(self, session: str, frame: bytes) -> bytes:
        """One step of a link of actor calls."""
        if self._rays is None:
            raise RuntimeError("the host is not ready yet")
        return await self._rays.exchange(session, frame)

    async def stop(self) -> None:
        """Finish what is under way, store what is worth storing, and let `run` return."""
        if self._ended is not None:
            self._ended.set()


def _tell_detectors(parts: Parts, user_id: str, address: str, device: str) -> None:
    """Let fraud detectors know from where a player came; nobody waits for it, and a lost one harms nothing."""
    if address == "local" or any(ip_address(address) in network for network in parts.settings.trusted_proxies):
        address = ""
    for detector, sight in sightings(user_id, parts.content.current, address=address, device=device):
        parts.router.command(detector, sight, SYSTEM, op=f"sight:{uuid.uuid4()}")


class GatewayProcess:
    """A gateway as a Ray actor: the door that clients knock on, one of several on the same port."""

    def __init__(self, wiring: Wiring, name: str) -> None:
        self.wiring = wiring
        self.name = name
        self._ended: asyncio.Event | None = None
        self._ready = False
        self._gateway: Any = None

    def __repr__(self) -> str:
        return self.name

    async def run(self) -> None:
        """Serve until stopped."""
        from gateway.accounts.access import Access
        from gateway.app import Gateway

        settings = self.wiring.settings
        logs.set_up(settings.log_level, self.name)
        self._ended = asyncio.Event()
        parts = Parts(self.wiring, self.name, pool_size=6)
        await parts.open()
        access = Access(parts.database, parts.bus, settings, parts.router)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(work())
                for work in (parts.router.run_forever, parts.directory.run_forever, parts.content.run_forever)
            ]
            await patiently(access.open)
            access.on_opened.append(functools.partial(_tell_detectors, parts))
            running.append(tasks.create_task(access.keep()))
            self._gateway = Gateway(
                settings, parts.database, parts.bus, parts.router, access, parts.content, parts.catalog, name=self.name
            )
            backlog = Backlog(parts.database, parts.bus)
            running.append(tasks.create_task(backlog.run_forever()))
            self._gateway.metrics.watch(backlog.readings)
            watch_process(self._gateway.metrics.registry)
            metrics = parts.metrics_endpoint("gateway", self._gateway.metrics.render)
            await metrics.open()
            await self._gateway.start(settings.host, settings.port, reuse_port=True)
            collect_rarely()
            self._ready = True
            _log.info("gateway_ready", bind=settings.bind)
            await self._ended.wait()
            await self._gateway.stop(grace_s=settings.drain_timeout_s)
            await metrics.close()
            for task in running:
                task.cancel()
        await access.close()
        await parts.close()

    async def ready(self) -> bool:
        return self._ready

    async def stop(self) -> None:
        if self._ended is not None:
            self._ended.set()

"""The processes of a Greenroom, built out of their parts: hosts and gateways. Ray makes actors of these classes."""

import asyncio
import contextlib
import functools
import gc
import os
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
from actors.runtime.links import DirectLink, LinkServer, LocalLink
from actors.runtime.metrics import HostMetrics, SlotSeconds
from actors.runtime.placement import Placement
from actors.runtime.raylinks import RayLink, RaySessions
from actors.runtime.router import Link, Router
from actors.runtime.sweeper import Sweeper
from actors.runtime.topics import Topics
from gateway import logs
from gateway.accounts import store
from schemas.messages import SYSTEM
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.door import Place
from scripts.metrics import Backlog, MetricsEndpoint, folder_of, watch_process

_log = structlog.get_logger("process")

RETRY_PAUSE_S = 0.2
EMPTY_EVERY_S = 0.05
HAND_OVER_WITHIN_S = 15.0
HAND_OVER_PAUSE_S = 0.05
"""Between giving a place at the door away and closing it: whoever stands by has taken it by then."""
"""How long a host that is leaving waits for others to take its actors."""


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


def _own_folder(runtime: Path) -> Path:
    """The folder for sockets; nodes other than the one that made it get one of the same name."""
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    if runtime.stat().st_uid != os.getuid():
        raise PermissionError(f"{runtime} belongs to another user")
    return runtime


class Runner:
    """What hosts and gateways have in common as Ray actors: they run once, until they are told to stop."""

    def __init__(self, wiring: Wiring, name: str) -> None:
        self.wiring = wiring
        self.name = name
        self._ended = asyncio.Event()
        self._hand_over = False
        self._begun = False
        self._finished = asyncio.Event()

    def __repr__(self) -> str:
        return self.name

    async def run(self) -> None:
        """Serve until stopped; whoever calls it again, after the first caller has died, waits along."""
        if self._begun:
            await self._finished.wait()
            return
        self._begun = True
        logs.set_up(self.wiring.settings.log_level, self.name)
        if not self.wiring.node:
            cluster.on_sigterm(self._sigterm)
        try:
            await self._serve()
        finally:
            self._finished.set()

    async def _serve(self) -> None:
        raise TypeError("a subclass says what it does")

    def _sigterm(self) -> None:
        self._hand_over = True
        self._ended.set()

    async def stop(self, hand_over: bool = False) -> None:
        """Finish what is under way and let `run` return. `hand_over`: others stay, and take the actors first."""
        self._hand_over = hand_over
        self._ended.set()
        if self._begun:
            await self._finished.wait()

    async def leave(self) -> None:
        """End this process, with exit code 0."""
        cluster.leave()

    async def described(self) -> dict[str, str]:
        """Where this runs, and for which `serve`: what a driver must know that finds it."""
        return {"node": self.wiring.node or cluster.node_id(), "life": str(self.wiring.runtime)}


class HostProcess(Runner):
    """A host as a Ray actor: `shared` in the pool, or the home of one dedicated address (then named by it)."""

    def __init__(self, wiring: Wiring, name: str, pool: str) -> None:
        super().__init__(wiring, name)
        self.pool = pool
        self.metrics = HostMetrics()
        watch_process(self.metrics.registry)
        self.host: Host | None = None
        self._rays: RaySessions | None = None

    async def _serve(self) -> None:
        """Serve until stopped, or until this run is retired; then the process should be replaced."""
        parts = Parts(self.wiring, self.name, pool_size=4)
        await parts.open()
        actions = await patiently(lambda: _secret(parts.database, "actions"))
        lease = Lease(parts.database, parts.placement)
        topics = Topics(parts.bus)
        path = str(_own_folder(self.wiring.runtime) / f"h{secrets.token_hex(5)}")
        last_turn = LastTurn(Path(path + ".turn"))
        server = LinkServer(self, parts.token)
        endpoint = await server.open(path, cluster.node_address() if self.wiring.tcp else "")
        name = self.name if self.wiring.node else cluster.own_name()
        await patiently(
            functools.partial(
                lease.register,
                name=name,
                endpoint=endpoint,
                node=parts.node,
                pool=self.pool,
                active_hosts=parts.settings.at_work("hosts"),
            )
        )
        self.host = Host(
            settings=parts.settings,
            catalog=parts.catalog,
            journal=Journal(parts.database),
            content=parts.content,
            lease=lease,
            statements=Statements(self.wiring.database_url, run=lease.run),
            router=parts.router,
            topics=topics,
            secret=actions,
            metrics=self.metrics,
            mark_turn=last_turn.mark,
        )
        self.metrics.registry.register(SlotSeconds(self.host.spent_s))
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
                    if self._hand_over:
                        await self._until_empty(parts.database, lease)
                    await self.host.drain_all()
                    with contextlib.suppress(Refusal):
                        await parts.database.execute("UPDATE host SET retired = true WHERE run = $1", lease.run)
                for task in (*running, leasing, ending):
                    task.cancel()
        finally:
            await metrics.close()
            await server.close()
            await parts.close()
            for left in (path, path + ".turn"):
                with contextlib.suppress(OSError):
                    Path(left).unlink()

    async def _until_empty(self, database: Database, lease: Lease) -> None:
        """Serve on while the director moves our slots to others; without one, or without others, not for long."""
        with contextlib.suppress(TimeoutError, Refusal):
            async with asyncio.timeout(HAND_OVER_WITHIN_S):
                await database.execute("UPDATE host SET leaving = true WHERE run = $1", lease.run)
                while self._hand_over and lease.owned and not lease.retired.is_set():
                    await asyncio.sleep(EMPTY_EVERY_S)
                    await lease.renew()

    async def ready(self) -> bool:
        return self.host is not None and self.host.lease.valid

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


def _tell_detectors(parts: Parts, user_id: str, address: str, device: str) -> None:
    """Let fraud detectors know from where a player came; nobody waits for it, and a lost one harms nothing."""
    if address == "local" or any(ip_address(address) in network for network in parts.settings.trusted_proxies):
        address = ""
    for detector, sight in sightings(user_id, parts.content.current, address=address, device=device):
        parts.router.command(detector, sight, SYSTEM, op=f"sight:{uuid.uuid4()}")


class GatewayProcess(Runner):
    """A gateway as a Ray actor: the door that clients knock on, one of several on the same port."""

    def __init__(self, wiring: Wiring, name: str) -> None:
        super().__init__(wiring, name)
        self._ready = False
        self._gateway: Any = None

    async def _serve(self) -> None:
        from gateway.accounts.access import Access
        from gateway.app import Gateway

        settings = self.wiring.settings
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
            await self._gateway.open()
            collect_rarely()
            place = Place(_own_folder(self.wiring.runtime), settings.at_work("gateways"), parts.node)
            if await self._has(place):
                await self._gateway.listen(settings.host, settings.port)
                self._ready = True
                _log.info("gateway_ready", bind=settings.bind)
                await self._ended.wait()
            # Whoever stands by listens before we stop to.
            place.leave()
            await asyncio.sleep(HAND_OVER_PAUSE_S)
            await self._gateway.stop(grace_s=settings.drain_timeout_s)
            await metrics.close()
            for task in running:
                task.cancel()
        await access.close()
        await parts.close()

    async def _has(self, place: Place) -> bool:
        """Wait for a place at the door; False when this process is to end before it has one."""
        if place.take():
            return True
        _log.info("gateway_stands_by")
        self._ready = True
        waiting = asyncio.ensure_future(place.wait())
        ending = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ending.cancel()
        return not self._ended.is_set()

    async def ready(self) -> bool:
        return self._ready

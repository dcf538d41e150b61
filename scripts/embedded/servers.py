"""The servers a Greenroom runs on: the user's own where settings name them, embedded ones for the rest."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol, Self

import structlog
from pydantic import SecretStr

from schemas.settings import Settings
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.processes import Child, ServerFailed
from scripts.embedded.raycluster import RayHead
from scripts.embedded.redis import EmbeddedRedis

RESTART_PAUSE_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers are, and the environment that drivers and workers of the Ray cluster need."""

    database_url: str
    redis_url: str
    ray_address: str
    dashboard_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


class Servers:
    """`async with Servers(settings)` claims the data folder, starts what is missing, and stops it at the end.

    Enter it in the main thread: the kernel ends the servers when the thread that started them ends.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data)
        self.postgres: EmbeddedPostgres | None = None
        self.redis: EmbeddedRedis | None = None
        self.ray: RayHead | None = None
        self._endpoints: Endpoints | None = None

    @property
    def endpoints(self) -> Endpoints:
        if self._endpoints is None:
            raise RuntimeError("the servers are not started")
        return self._endpoints

    async def __aenter__(self) -> Self:
        await self.folder.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # Ray first: its workers hold connections to the other two.
        for server in (self.ray, self.redis, self.postgres):
            if server is not None:
                await server.stop()
        await self.folder.__aexit__()

    async def watch(self) -> str:
        """Restarts a Postgres or Redis that died, until cancelled; returns when Ray's head is gone, saying so."""
        async with asyncio.TaskGroup() as keeping:
            kept = [keeping.create_task(_keep(server)) for server in (self.postgres, self.redis) if server is not None]
            reason = await self._ray_ended()
            for task in kept:
                task.cancel()
        return reason

    async def _ray_ended(self) -> str:
        if self.ray is None or self.ray.child is None:
            await asyncio.Event().wait()
            return ""
        code = await self.ray.child.ended()
        return f"Ray's head ended with code {code}:\n{self.ray.child.last_words()}"

    async def _start(self) -> None:
        given = self.settings
        if given.database_url is None:
            self.postgres = EmbeddedPostgres(self.folder, unsafe=given.unsafe)
        if given.redis_url is None:
            self.redis = EmbeddedRedis(self.folder)
        if given.ray_address is None:
            self.ray = RayHead(self.folder, dashboard=given.dashboard)
        try:
            async with asyncio.TaskGroup() as starting:
                database_url = starting.create_task(_started(self.postgres, given.database_url))
                redis_url = starting.create_task(_started(self.redis, given.redis_url))
                ray_address = starting.create_task(_started(self.ray, given.ray_address))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        self._endpoints = Endpoints(
            database_url=database_url.result(),
            redis_url=redis_url.result(),
            ray_address=ray_address.result(),
            dashboard_url=self.ray.dashboard_url if self.ray else None,
            environment=self.ray.environment if self.ray else {},
        )


class _Server(Protocol):
    child: Child | None

    async def start(self) -> str: ...


async def _started(server: _Server | None, given: SecretStr | str | None) -> str:
    if server is not None:
        return await server.start()
    return given.get_secret_value() if isinstance(given, SecretStr) else given or ""


async def _keep(server: _Server) -> None:
    while True:
        if server.child is not None:
            await server.child.ended()
        try:
            await server.start()
        except ServerFailed as failure:
            log.error("server_not_restarted", reason=str(failure))
            await asyncio.sleep(RESTART_PAUSE_S)

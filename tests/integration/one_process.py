"""A whole Greenroom without Ray, in this process: real Postgres and Redis, a director, a host and gateways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from actors.runtime import content
from actors.runtime.database import Database
from actors.runtime.director import SHARED, Director
from actors.runtime.migrations import migrate
from gateway.accounts.first import ensure_admin
from gateway.app import Gateway
from schemas.settings import PROJECT, Settings
from scripts.content_files import load_content
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.raycluster import free_port
from scripts.embedded.redis import EmbeddedRedis
from scripts.processes import GatewayProcess, HostProcess, Parts, Wiring

ADMIN_PASSWORD = "an-admin-of-tests"
READY_WITHIN_S = 30.0


@dataclass
class OneProcess:
    """What tests may reach into."""

    wiring: Wiring
    database: Database
    redis: EmbeddedRedis
    postgres: EmbeddedPostgres
    url: str
    gateways: list[GatewayProcess]

    @property
    def gateway(self) -> Gateway:
        gateway: Gateway = self.gateways[0]._gateway
        return gateway


@asynccontextmanager
async def one_process(folder: Path, *, gateways: int = 1, **options: Any) -> AsyncIterator[OneProcess]:
    """A Greenroom on a free port of loopback, until the block ends."""
    data = DataFolder(folder)
    postgres, redis = EmbeddedPostgres(data), EmbeddedRedis(data)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(data)
        dsn = await postgres.start()
        stack.push_async_callback(postgres.stop)
        redis_url = await redis.start()
        stack.push_async_callback(redis.stop)
        database = Database(dsn, size=2)
        await database.open()
        stack.push_async_callback(database.close)
        await migrate(database)
        body = load_content(PROJECT / "content").model_dump(mode="json", exclude={"version"})
        await content.publish(database, body, by="tests")
        await ensure_admin(database, "admin", SecretStr(ADMIN_PASSWORD))
        port = free_port()
        shared = {"leaderboard": "shared", "fraud": "shared"}
        settings = Settings(
            _env_file=None, bind=f"127.0.0.1:{port}", data=folder, placement=shared, log_level="warning", **options
        )
        wiring = Wiring(settings, dsn, redis_url, data.runtime, tcp=False, node="here")
        async with asyncio.TaskGroup() as tasks:
            parts = Parts(wiring, "director", pool_size=2)
            await parts.open()
            director = Director(parts.database, parts.router, node="here", token=parts.token, start_dedicated=_nobody)
            await director.prepare()
            background = [
                tasks.create_task(work())
                for work in (parts.router.run_forever, parts.directory.run_forever, director.run_forever)
            ]
            host = HostProcess(wiring, "host", SHARED)
            doors = [GatewayProcess(wiring, f"gateway-{number}") for number in range(gateways)]
            processes = [tasks.create_task(host.run()), *(tasks.create_task(door.run()) for door in doors)]
            async with asyncio.timeout(READY_WITHIN_S):
                await director.ready.wait()
                for door in doors:
                    while not await door.ready():
                        await asyncio.sleep(0.01)
            try:
                yield OneProcess(wiring, database, redis, postgres, f"http://127.0.0.1:{port}", doors)
            finally:
                for door in doors:
                    await door.stop()
                await asyncio.gather(*processes[1:], return_exceptions=True)
                await host.stop()
                await asyncio.gather(processes[0], return_exceptions=True)
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
                await parts.close()


async def _nobody(slot: str) -> None:
    raise AssertionError(f"{slot} should live in the shared pool")

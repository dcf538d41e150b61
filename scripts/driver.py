"""The Ray driver of a Greenroom: owns its Ray actors, directs its hosts, and publishes its content.

It is a process of its own because Ray ends a driver whose head dies; `greenroom serve` then starts both anew.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
import uvloop

from actors.runtime import cluster, content
from actors.runtime.database import Database, Refused, UniqueConflict
from actors.runtime.director import Director
from actors.runtime.migrations import SchemaUnknown, migrate
from gateway import logs
from gateway.accounts.first import ensure_admin
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.content_files import ContentFaults, load_content
from scripts.metrics import forget_processes
from scripts.nodes import Pool
from scripts.processes import Parts, Wiring, patiently
from scripts.serve import HANDOVER

_log = structlog.get_logger("driver")

CONTENT_EVERY_S = 1.0


class Driver:
    """One running game: a director, hosts and gateways on a Ray cluster."""

    def __init__(self, settings: Settings, handover: dict[str, Any]) -> None:
        self.settings = settings
        self.handover = handover
        self.stopping = asyncio.Event()
        self.pool: Pool | None = None

    async def run(self) -> int:
        """Serve until SIGTERM; returns the exit code."""
        loop = asyncio.get_running_loop()
        settings, told = self.settings, self.handover
        database = Database(told["database_url"], size=3)
        await patiently(database.open)
        await migrate(database)
        await self._publish_content(database)
        if settings.admin_username and settings.admin_password:
            await ensure_admin(database, settings.admin_username, settings.admin_password)
        await asyncio.to_thread(cluster.connect, told["ray_address"])
        # After Ray, which sets a handler of its own.
        loop.add_signal_handler(signal.SIGTERM, self.stopping.set)
        wiring = Wiring(
            settings=settings,
            database_url=told["database_url"],
            redis_url=told["redis_url"],
            runtime=Path(told["runtime"]),
            tcp=settings.ray_address is not None,
        )
        parts = Parts(wiring, "director", pool_size=3)
        await parts.open()
        director = Director(
            parts.database, parts.router, node=parts.node, token=parts.token, start_dedicated=self._start_dedicated
        )
        await director.prepare()
        if not await asyncio.to_thread(cluster.names):
            forget_processes(settings.data)
        self.pool = Pool(wiring, director, database)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(work())
                for work in (
                    parts.router.run_forever,
                    parts.directory.run_forever,
                    director.run_forever,
                    self.pool.run_forever,
                )
            ]
            background.append(tasks.create_task(self._watch_content(database)))
            await self._unless_stopping(self._until_ready(director))
            if not self.stopping.is_set():
                self._announce()
            await self.stopping.wait()
            await self.pool.stop()
            for task in background:
                task.cancel()
        await parts.close()
        await database.close()
        cluster.disconnect()
        return 0

    async def _start_dedicated(self, slot: str) -> None:
        if self.pool is not None:
            await self.pool.start_dedicated(slot)

    async def _until_ready(self, director: Director) -> None:
        assert self.pool is not None  # noqa: S101 - set before anybody waits for it
        await director.ready.wait()
        while not await self.pool.ready():
            await asyncio.sleep(0.02)

    async def _unless_stopping(self, work: Any) -> None:
        waiting = {asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())}
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()

    def _announce(self) -> None:
        """Write down where everything is: `serve` waits for it, and the tools read it."""
        told = {name: self.handover[name] for name in ("database_url", "redis_url", "ray_address", "dashboard_url")}
        described = {"pid": self.handover["pid"], "driver": os.getpid(), "url": f"http://{self.settings.bind}", **told}
        path = self.settings.data / "run.json"
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(described))
        fresh.rename(path)

    # -- content --------------------------------------------------------------------------------------------------

    async def _publish_content(self, database: Database) -> None:
        body = load_content(self.settings.content).model_dump(mode="json", exclude={"version"})
        await content.publish(database, body, by="files")

    async def _watch_content(self, database: Database) -> None:
        """Publish the content files again when they change; a fault keeps the active version and is logged."""
        seen = _stamps(self.settings.content)
        while True:
            await asyncio.sleep(CONTENT_EVERY_S)
            try:
                stamps = _stamps(self.settings.content)
                if stamps == seen:
                    continue
                seen = stamps
                await self._publish_content(database)
            except (ContentFaults, Refusal, Refused, UniqueConflict, OSError, ValueError) as error:
                _log.error("content_not_published", reason=str(error))
            else:
                _log.info("content_published")


def _stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("*.yaml"))}


def main() -> int:
    """Run the driver that `greenroom serve` starts."""
    handover = json.loads(os.environ.pop(HANDOVER))
    settings = Settings(**handover.pop("settings"))
    logs.set_up(settings.log_level, "driver")
    try:
        return uvloop.run(Driver(settings, handover).run())
    except (ContentFaults, SchemaUnknown, Refusal, ValueError, ConnectionError) as failure:
        print(f"Greenroom does not start: {failure}", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            (settings.data / "run.failed").write_text(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())

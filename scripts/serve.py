"""`greenroom serve`: starts everything, says when it is ready, and takes it all down in order."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from actors.runtime import cluster, content
from actors.runtime.database import Database
from actors.runtime.director import SHARED, Director
from actors.runtime.migrations import SchemaUnknown, migrate
from gateway import logs
from gateway.accounts.first import ensure_admin
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.content_files import ContentFaults, load_content
from scripts.embedded.processes import ServerFailed
from scripts.embedded.servers import Servers
from scripts.processes import Parts, Wiring, patiently

_log = structlog.get_logger("serve")

HOST_STOP_S = 20.0
CONTENT_EVERY_S = 1.0
DEDICATED_MAX = 64
"""Ray actors for dedicated addresses; what comes beyond lives in the shared pool."""


class Serving:
    """One running Greenroom: its servers, its director and its processes."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings = settings
        self.console = console
        self.servers = Servers(settings)
        self.stopping = asyncio.Event()
        self.gateways: list[cluster.Process] = []
        self.hosts: list[cluster.Process] = []
        self.dedicated: dict[str, cluster.Process] = {}
        self._keeping: asyncio.TaskGroup | None = None
        self._wiring: Wiring | None = None

    async def run(self) -> int:
        """Serve until SIGTERM or Ctrl-C; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        with self.console.status("Starting Postgres, Redis and Ray ..."):
            await self.servers.__aenter__()
        try:
            return await self._serve()
        finally:
            cluster.disconnect()
            await self.servers.__aexit__()

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            # A second signal: at once. The servers end with us, and the journal has everything that was acknowledged.
            os._exit(130)
        self.console.print("Stopping: finishing what is in flight ...")
        self.stopping.set()

    async def _serve(self) -> int:
        ends = self.servers.endpoints
        database = Database(ends.database_url, size=3)
        await patiently(database.open)
        await migrate(database)
        await self._publish_content(database)
        if self.settings.admin_username and self.settings.admin_password:
            await ensure_admin(database, self.settings.admin_username, self.settings.admin_password)
        settings = self._with_port()
        await asyncio.to_thread(cluster.connect, ends.ray_address)
        self._wiring = Wiring(
            settings=settings,
            database_url=ends.database_url,
            redis_url=ends.redis_url,
            runtime=self.servers.folder.runtime,
            tcp=self.settings.ray_address is not None,
        )
        parts = Parts(self._wiring, "director", pool_size=3)
        await parts.open()
        director = Director(
            parts.database, parts.router, node=parts.node, token=parts.token, start_dedicated=self._start_dedicated
        )
        await director.prepare()
        async with asyncio.TaskGroup() as tasks:
            self._keeping = tasks
            background = [
                tasks.create_task(work())
                for work in (parts.router.run_forever, parts.directory.run_forever, director.run_forever)
            ]
            background.append(tasks.create_task(self._watch_content(database)))
            background_servers = tasks.create_task(self._watch_servers())
            for number in range(settings.hosts):
                arguments = {"wiring": self._wiring, "name": f"host-{number + 1}", "pool": SHARED}
                self.hosts.append(self._start("HostProcess", arguments))
            for number in range(settings.gateways):
                arguments = {"wiring": self._wiring, "name": f"gateway-{number + 1}"}
                self.gateways.append(self._start("GatewayProcess", arguments))
            await self._until_ready(director)
            if not self.stopping.is_set():
                self._announce(settings)
            await self.stopping.wait()
            background_servers.cancel()
            await asyncio.gather(*(gateway.stop(settings.drain_timeout_s + 5) for gateway in self.gateways))
            await asyncio.gather(*(host.stop(HOST_STOP_S) for host in (*self.hosts, *self.dedicated.values())))
            for task in background:
                task.cancel()
        await parts.close()
        await database.close()
        with contextlib.suppress(FileNotFoundError):
            (self.settings.data / "run.json").unlink()
        self.console.print("Greenroom has stopped.")
        return 0

    @property
    def _processes(self) -> list[cluster.Process]:
        return [*self.gateways, *self.hosts, *self.dedicated.values()]

    def _start(self, class_name: str, arguments: dict[str, Any]) -> cluster.Process:
        assert self._keeping is not None  # noqa: S101 - set before anything is started
        process = cluster.Process(f"scripts.processes:{class_name}", arguments["name"], arguments, spread=True)
        self._keeping.create_task(process.keep())
        return process

    async def _start_dedicated(self, slot: str) -> None:
        if slot not in self.dedicated and len(self.dedicated) < DEDICATED_MAX and not self.stopping.is_set():
            arguments = {"wiring": self._wiring, "name": slot, "pool": slot}
            self.dedicated[slot] = self._start("HostProcess", arguments)

    def _with_port(self) -> Settings:
        """Port 0 becomes a free one; a port that is taken is an error here, not in every gateway's log."""
        with socket.socket(socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.settings.host, self.settings.port))
            except OSError as error:
                raise SystemExit(
                    f"{self.settings.bind} is not free ({error.strerror}); set GREENROOM_BIND to another address."
                ) from None
            port = probe.getsockname()[1]
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return self.settings.model_copy(update={"bind": f"{host}:{port}"})

    async def _until_ready(self, director: Director) -> None:
        with self.console.status("Starting hosts and gateways ..."):
            await self._unless_stopping(director.ready.wait())
            for gateway in self.gateways:
                await self._unless_stopping(self._answers(gateway))

    async def _answers(self, gateway: cluster.Process) -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                if await gateway.call("ready"):
                    return
            await asyncio.sleep(0.02)

    async def _unless_stopping(self, work: Any) -> None:
        waiting = {asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())}
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()

    def _announce(self, settings: Settings) -> None:
        ends = self.servers.endpoints
        url = f"http://{settings.bind}"
        if self.servers.ray is not None:
            self.servers.ray.start_dashboard()
        described = {
            "pid": os.getpid(),
            "url": url,
            "database_url": ends.database_url,
            "redis_url": ends.redis_url,
            "ray_address": ends.ray_address,
            "dashboard_url": ends.dashboard_url,
        }
        path = self.settings.data / "run.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(described))
        print(f"Greenroom is ready at {url}", flush=True)
        self.console.print(
            f"""
  Try next, in another terminal:
    curl -s {url}/api/v1/auth/register -H 'content-type: application/json' \\
         -d '{{"username": "alice", "password": "correct horse"}}'
    .venv/bin/greenroom demo                  bots that play, and a live view of them
    .venv/bin/greenroom inspect list player   the actors, as designers see them
    .venv/bin/greenroom doctor                settings, and whether all is well
  API documents: {url}/openapi.json  {url}/asyncapi.json
  Ray dashboard: {ends.dashboard_url or "off"}  (Ray's own tools need RAY_AUTH_MODE=token)
  Ctrl-C stops everything; nothing that was acknowledged is lost.
""",
            highlight=False,
            soft_wrap=True,
        )

    # -- content and servers ---------------------------------------------------------------------------------------

    async def _publish_content(self, database: Database) -> None:
        body = load_content(self.settings.content).model_dump(mode="json", exclude={"version"})
        await content.publish(database, body, by="files")

    async def _watch_content(self, database: Database) -> None:
        """Publish the content files again when they change; a fault keeps the active version and is shown."""
        seen = _stamps(self.settings.content)
        while True:
            await asyncio.sleep(CONTENT_EVERY_S)
            stamps = _stamps(self.settings.content)
            if stamps == seen:
                continue
            seen = stamps
            try:
                await self._publish_content(database)
            except Exception as error:
                _log.warning("content_not_published", reason=str(error))
                self.console.print(f"Content was not published; the active version stays.\n{error}")
            else:
                self.console.print("Content published.")

    async def _watch_servers(self) -> None:
        """Keep the servers up. When Ray's head ends, all of its processes end with it: start them anew, on the same
        journal. A cluster of the user's own is theirs to keep."""
        while True:
            reason = await self.servers.watch()
            _log.error("ray_ended", reason=reason)
            self.console.print("Ray's head has ended; starting it again ...")
            ray_head = self.servers.ray
            assert ray_head is not None  # noqa: S101 - only an embedded head is watched
            cluster.disconnect()
            for process in self._processes:
                process.forget()
            await ray_head.stop()
            await asyncio.to_thread(cluster.connect, await ray_head.start())
            ray_head.start_dashboard()
            self.console.print("Ray runs again.")


def _stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("*.yaml"))}


def serve(settings: Settings) -> int:
    """Run a Greenroom in the foreground; returns the exit code."""
    logs.set_up(settings.log_level, "serve", stream=_log_file(settings))
    import uvloop

    try:
        return uvloop.run(Serving(settings, Console()).run())
    except (ServerFailed, ContentFaults, SchemaUnknown, Refusal, ValueError, ConnectionError) as failure:
        _log.error("serve_failed", reason=str(failure))
        print(f"Greenroom does not start: {failure}", file=sys.stderr)
        return 1


def _log_file(settings: Settings) -> Any:
    folder = settings.data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "serve.log").open("a", buffering=1)



"""`greenroom serve`: supervises Postgres, Redis, Ray and the driver, and takes them down in order."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

import structlog
from pydantic import SecretStr
from rich.console import Console

from gateway import logs
from schemas.settings import Settings
from scripts.embedded.processes import Child, ServerFailed
from scripts.embedded.servers import Servers

_log = structlog.get_logger("serve")

HANDOVER = "GREENROOM_HANDOVER"
"""The environment variable by which the driver is told the settings and where the servers are, as JSON."""

DRIVER_STOP_S = 60.0
RESTARTS_MAX = 5
"""Failed starts of the driver in a row, after which there is no point in trying again."""
POLL_S = 0.02


class Serving:
    """One Greenroom in the foreground: its servers and, on them, its driver. What dies is started again."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings = _with_port(settings)
        self.console = console
        self.servers = Servers(self.settings)
        self.stopping = asyncio.Event()
        self._driver: Child | None = None

    async def run(self) -> int:
        """Serve until SIGTERM or Ctrl-C; returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        self._say("Starting Postgres, Redis, Ray, hosts and gateways ...")
        async with self.servers:
            stopping = asyncio.ensure_future(self.stopping.wait())
            code = await self._keep_driving(stopping)
            if self._driver is not None:
                await self._driver.stop(signal.SIGTERM, DRIVER_STOP_S)
            (self.settings.data / "run.json").unlink(missing_ok=True)
        self._say("Greenroom has stopped.")
        return code

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            # A second signal: at once. Everything ends with us, and the journal has all that was acknowledged.
            os._exit(130)
        self._say("Stopping: finishing what is in flight ...")
        self.stopping.set()

    async def _keep_driving(self, stopping: "asyncio.Future[Any]") -> int:
        watching = asyncio.ensure_future(self.servers.watch())
        failures = 0
        try:
            while not stopping.done():
                ready = await self._start_driver(stopping)
                failures = 0 if ready else failures + 1
                if failures >= RESTARTS_MAX or (failures and self._refused()):
                    return 1
                assert self._driver is not None  # noqa: S101 - just started
                ended = asyncio.ensure_future(self._driver.ended())
                await asyncio.wait({stopping, watching, ended}, return_when=asyncio.FIRST_COMPLETED)
                if watching.done() and not stopping.done():
                    ended.cancel()
                    await self._restart_ray(watching.result())
                    watching = asyncio.ensure_future(self.servers.watch())
                elif not stopping.done():
                    _log.error("driver_ended", code=ended.result())
                    self._say("The driver has ended; starting it again ...")
            return 0
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _start_driver(self, stopping: "asyncio.Future[Any]") -> bool:
        """Start the driver; False when it ended before it was ready."""
        described = self.settings.data / "run.json"
        described.unlink(missing_ok=True)
        folder = self.servers.folder
        self._driver = Child(
            name="driver",
            command=[sys.executable, "-m", "scripts.driver"],
            record=folder.run / "driver.json",
            log=folder.logs / "driver.log",
            environment=os.environ | self.servers.endpoints.environment | {HANDOVER: self._handover()},
        )
        self._driver.spawn()
        while not described.exists() and self._driver.running and not stopping.done():
            await asyncio.sleep(POLL_S)
        if stopping.done():
            return True
        if not described.exists():
            _log.error("driver_not_ready", reason=self._driver.last_words())
            return False
        if self.servers.ray is not None:
            self.servers.ray.start_dashboard()
        self._announce()
        return True

    def _refused(self) -> bool:
        """Whether the driver said that it cannot start, and why: then that is the answer."""
        failed = self.settings.data / "run.failed"
        if not failed.exists():
            return False
        print(f"Greenroom does not start: {failed.read_text()}", file=sys.stderr)
        failed.unlink()
        return True

    async def _restart_ray(self, reason: str) -> None:
        """Ray's head has ended, and with it every process on it: begin again, on the same journal."""
        _log.error("ray_ended", reason=reason)
        self._say("Ray's head has ended; starting it again ...")
        if self._driver is not None:
            await self._driver.stop(signal.SIGKILL, 5.0)
        if self.servers.ray is not None:
            await self.servers.ray.stop(at_once=True)
            await self.servers.ray.start()

    def _handover(self) -> str:
        # Only what was set: what was left to us depends on the node (Settings.at_work).
        settings = {
            name: value.get_secret_value() if isinstance(value := getattr(self.settings, name), SecretStr) else dumped
            for name, dumped in self.settings.model_dump(mode="json", exclude_unset=True).items()
        }
        ends = self.servers.endpoints
        return json.dumps(
            {
                "settings": settings,
                "pid": os.getpid(),
                "database_url": ends.database_url,
                "redis_url": ends.redis_url,
                "ray_address": self.servers.ray.address if self.servers.ray is not None else ends.ray_address,
                "dashboard_url": ends.dashboard_url,
                "runtime": str(self.servers.folder.runtime),
            }
        )

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _announce(self) -> None:
        url = f"http://{self.settings.bind}"
        ray = self.servers.endpoints.dashboard_url
        dashboard = f"{ray}  (it asks for the token in {self.settings.data / 'ray_token'})" if ray else "off"
        print(f"Greenroom is ready at {url}", flush=True)
        self._say(
            f"""
  Try next, in another terminal:
    curl -s {url}/api/v1/auth/register -H 'content-type: application/json' \\
         -d '{{"username": "alice", "password": "correct horse"}}'
    .venv/bin/greenroom demo                  bots that play, and a live view of them
    .venv/bin/greenroom inspect list player   the actors, as designers see them
    .venv/bin/greenroom doctor                settings, and whether all is well
  API documents: {url}/docs (REST)  {url}/docs/ws (WebSocket)
  Ray dashboard: {dashboard}
  Ctrl-C stops everything; nothing that was acknowledged is lost.
"""
        )


def _with_port(settings: Settings) -> Settings:
    """Port 0 becomes a free one; a port that is taken is an error here, not in every gateway's log."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ServerFailed(
                f"{settings.bind} is not free ({error.strerror}): stop what listens there, which may be another "
                "Greenroom, or set GREENROOM_BIND to another address"
            ) from None
        port = probe.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return settings.model_copy(update={"bind": f"{host}:{port}"})


def serve(settings: Settings) -> int:
    """Run a Greenroom in the foreground; returns the exit code."""
    folder = settings.data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "serve.log").open("a", buffering=1) as log:
        logs.set_up(settings.log_level, "serve", stream=log)
        try:
            return asyncio.run(Serving(settings, Console()).run())
        except ServerFailed as failure:
            _log.error("serve_failed", reason=str(failure))
            print(f"Greenroom does not start: {failure}", file=sys.stderr)
            return 1

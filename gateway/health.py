"""Whether this Greenroom can serve: for people, for load balancers, and for whoever restarts processes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from actors.runtime.bus import Bus, BusDown
from actors.runtime.database import Database
from actors.times import rfc3339
from schemas.problems import Refusal

ANSWER_WITHIN_S = 2.0
KEPT_S = 0.5
"""Probes are answered from one look for so long, so that they cannot become a load."""

_HOSTS = """
SELECT count(*) AS slots, count(host.run) AS served
FROM slot LEFT JOIN host ON host.run = slot.run AND NOT host.retired AND host.lease > now()
WHERE position(':' IN slot.slot) = 0
"""


class Health:
    """Looks at what the gateway depends on, each with a deadline."""

    def __init__(self, database: Database, bus: Bus, version: str, is_ready: Callable[[], bool]) -> None:
        self._database = database
        self._bus = bus
        self._version = version
        self._is_ready = is_ready
        self._began = time.monotonic()
        self._looking = asyncio.Lock()
        self._looked_at = -KEPT_S
        self._last: dict[str, str] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self.health),
            web.get("/health/ready", self.ready),
            web.get("/health/live", self.live),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /health`: 200 when everything answers, otherwise 503."""
        looked = await self.look()
        healthy = all(state == "ok" for state in looked.values())
        return self._told("healthy" if healthy else "unhealthy", looked, 200 if healthy else 503)

    async def ready(self, _request: web.Request) -> web.Response:
        """`GET /health/ready`: 503 when commands would fail. Without Redis they do not."""
        looked = await self.look()
        if not self._is_ready() or looked["database"] != "ok" or looked["hosts"] != "ok":
            return self._told("unready", looked, 503)
        return self._told("ready" if looked["redis"] == "ok" else "degraded", looked, 200)

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /health/live`: the process answers."""
        return web.json_response({"status": "live"})

    async def look(self) -> dict[str, str]:
        """`ok`, or what is wrong, for Redis, the database and the hosts."""
        async with self._looking:
            if time.monotonic() - self._looked_at > KEPT_S:
                redis, hosts = await asyncio.gather(_state(self._redis), _state(self._hosts))
                # The hosts' leases are read from the database, so that one answer tells of both.
                database = "ok" if hosts in ("ok", "none", "partial") else hosts
                self._last = {"redis": redis, "database": database, "hosts": hosts if database == "ok" else "unknown"}
                self._looked_at = time.monotonic()
            return self._last

    async def _redis(self) -> str:
        # A connection that was given up while Redis stood still breaks at once, and says nothing; a new one tells.
        for _ in range(2):
            try:
                await self._bus.ask("PING", timeout_s=ANSWER_WITHIN_S)
            except BusDown as trouble:
                if "Timeout" in str(trouble):
                    return "timeout"
            else:
                return "ok"
        return "down"

    async def _hosts(self) -> str:
        row = await self._database.fetch_row(_HOSTS)
        if row is None or not row["served"]:
            return "none"
        return "ok" if row["served"] == row["slots"] else "partial"

    def _told(self, status: str, looked: dict[str, str], code: int) -> web.Response:
        body: dict[str, Any] = {
            "status": status,
            **looked,
            "uptime": int(time.monotonic() - self._began),
            "timestamp": rfc3339(int(time.time() * 1000)),
            "version": self._version,
        }
        return web.json_response(body, status=code, headers={"Cache-Control": "no-store"})


async def _state(probe: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await probe()
    except TimeoutError:
        return "timeout"
    except Refusal:
        return "down"

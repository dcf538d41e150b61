"""Metrics of one process for Prometheus: a port of its own on loopback, and a file that tells where it is."""

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from actors.runtime.bus import Bus, BusDown
from actors.runtime.database import Database, Refused
from schemas.problems import Refusal

_log = structlog.get_logger("metrics")

READ_WITHIN_S = 5.0
HEAD_BYTES_MAX = 16 * 1024
SCRAPES_MAX = 16
BACKLOG_EVERY_S = 10.0

_BACKLOG = """
SELECT (SELECT count(*) FROM dead_letter) AS dead_letters,
       (SELECT count(*) FROM outbox) AS outbox,
       (SELECT coalesce(extract(epoch FROM max(now() - due)), 0)::float8 FROM outbox) AS outbox_late,
       (SELECT count(*) FROM quarantine WHERE since IS NOT NULL) AS quarantined,
       (SELECT count(*) FROM incident
        WHERE at > extract(epoch FROM now() - interval '5 minutes') * 1000) AS incidents
"""


def watch_process(registry: CollectorRegistry) -> None:
    """Add memory, CPU and open files of this process to its metrics."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)


def folder_of(data: Path) -> Path:
    """Where the processes of a Greenroom say where their metrics are."""
    return data / "metrics"


def forget_processes(data: Path) -> None:
    """Take away what processes of a former life, which was killed, had written down."""
    shutil.rmtree(folder_of(data), ignore_errors=True)


class MetricsEndpoint:
    """Serves `/metrics` of one process. `folder`/<name>.json is what Prometheus' file_sd reads."""

    def __init__(
        self, folder: Path, name: str, role: str, render: Callable[[], bytes], host: str = "127.0.0.1"
    ) -> None:
        self.path = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.json"
        self.name = name
        self.role = role
        self.host = host
        self.port = 0
        self._render = render
        self._server: asyncio.Server | None = None
        self._scraping = 0

    async def open(self) -> None:
        """Listen on a free port and write down which. A process without metrics is better than none: never fails."""
        try:
            self._server = await asyncio.start_server(self._scraped, self.host, 0, limit=HEAD_BYTES_MAX)
            self.port = self._server.sockets[0].getsockname()[1]
            target = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
            labels = {"process": self.name, "role": self.role}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(f".{os.getpid()}.new")
            fresh.write_text(json.dumps([{"targets": [target], "labels": labels}]))
            fresh.rename(self.path)
        except OSError as error:
            _log.warning("metrics_not_served", process=self.name, reason=str(error))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):
                self.path.unlink()

    async def _scraped(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._scraping += 1
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                if self._scraping > SCRAPES_MAX:
                    return
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.split(b" ", 2)))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._scraping -= 1
            writer.close()

    def _answer(self, line: list[bytes]) -> bytes:
        found = len(line) == 3 and line[0] == b"GET" and line[1].split(b"?")[0] == b"/metrics"
        status, body = ("200 OK", self._render()) if found else ("404 Not Found", b"")
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


class Backlog:
    """What waits in Postgres and how full memory is: read every ten seconds, shown with the metrics of a gateway."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._row: dict[str, Any] = {}
        self._redis_ratio = 0.0

    async def run_forever(self) -> None:
        """Reads until cancelled; what cannot be read keeps its last value."""
        while True:
            with contextlib.suppress(Refusal, Refused):
                row = await self._database.fetch_row(_BACKLOG)
                self._row = dict(row) if row is not None else {}
            with contextlib.suppress(BusDown):
                self._redis_ratio = _memory_ratio(await self._bus.ask("INFO", "memory"))
            await asyncio.sleep(BACKLOG_EVERY_S)

    def readings(self) -> list[tuple[str, str, float]]:
        """Name, help and value; the same in every gateway, so take the maximum."""
        row = self._row
        return [
            ("greenroom_dead_letters_waiting", "Dead letters that nobody settled", row.get("dead_letters", 0)),
            ("greenroom_outbox_rows", "Parcels that were not confirmed", row.get("outbox", 0)),
            (
                "greenroom_outbox_late_seconds",
                "How overdue the oldest parcel is",
                max(0.0, row.get("outbox_late", 0.0)),
            ),
            ("greenroom_quarantined_actors", "Actors that crashed their host repeatedly", row.get("quarantined", 0)),
            ("greenroom_fraud_incidents_recent", "Fraud detections in the last 5 minutes", row.get("incidents", 0)),
            (
                "greenroom_machine_memory_ratio",
                "Share of this machine's memory in use",
                psutil.virtual_memory().percent / 100,
            ),
            ("greenroom_redis_memory_ratio", "Share of Redis' memory limit in use", self._redis_ratio),
        ]


def _memory_ratio(info: Any) -> float:
    """Memory in use as a share of Redis' limit; 0 where there is no limit."""
    facts = info if isinstance(info, dict) else {}
    limit = float(facts.get("maxmemory", 0) or 0)
    return float(facts.get("used_memory", 0)) / limit if limit else 0.0

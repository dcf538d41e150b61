"""Redelivers what was left lying, parcels and reminders that are due; and puts idle actors to sleep."""

import asyncio
import resource
import time
from pathlib import Path
from typing import Any

import structlog
from pydantic_core import from_json

from actors.runtime import faults
from actors.runtime.database import Database, Row
from actors.runtime.host import Host
from actors.runtime.router import Router
from schemas.address import Address
from schemas.messages import COMMAND, PARCEL, SYSTEM, Reply, pack
from schemas.problems import Refusal
from schemas.settings import Settings

_log = structlog.get_logger("sweeper")

OUTBOX_EVERY_S = 1.0
REMINDERS_EVERY_S = 0.25
SLEEP_EVERY_S = 2.0
BATCH_MAX = 200
BROKEN_AGAIN_MS = 60_000
"""How much later a reminder comes again whose actor failed (a bug, a quarantine): it must outlive what mends that."""

OVERDUE_MS = 5_000
"""So late is the first of them only when nobody was there to deliver it."""
HERD_MIN = 100
"""Fewer overdue reminders of one host are delivered at once."""
SPREAD_MS_MAX = 60_000
SPREAD_ROWS_MAX = 20_000
"""Reminders that are put off in one statement."""

_PARCELS_DUE = """
UPDATE outbox SET due = now() + interval '5 seconds' * least(12, 1 + attempts)
WHERE id IN (
    SELECT id FROM outbox WHERE slot = ANY($1::smallint[]) AND due <= now() ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING id, kind, key, attempts, tells
"""

_FAILED_AGAIN = "UPDATE outbox SET attempts = attempts + 1 WHERE id = $1"

_BURY = """
WITH gone AS (DELETE FROM outbox WHERE id = $1 RETURNING kind, key, tells)
INSERT INTO dead_letter (id, kind, key, tell, reason, attempts)
SELECT tell ->> 0, kind, key, tell::jsonb, $2, $3 FROM gone, json_array_elements(tells) AS tell
ON CONFLICT (id) DO NOTHING
"""

_REMINDERS_DUE = """
SELECT id, kind, key, due, command, data FROM reminder
WHERE slot = ANY($1::smallint[]) AND due <= $2 ORDER BY due LIMIT $3
"""

# The longest overdue come first, evenly over a time that is no longer than they have waited.
_SPREAD = """
WITH overdue AS (
    SELECT kind, key, name, row_number() OVER (ORDER BY due, id) - 1 AS place, count(*) OVER () AS herd,
           least($2::bigint - min(due) OVER (), $3::bigint) AS over_ms
    FROM (
        SELECT kind, key, name, due, id FROM reminder WHERE slot = ANY($1::smallint[]) AND due <= $2
        ORDER BY due LIMIT $5
    ) AS late
)
UPDATE reminder SET due = $2::bigint + over_ms * place / herd FROM overdue
WHERE herd > $6 AND over_ms > $4::bigint
  AND (reminder.kind, reminder.key, reminder.name) = (overdue.kind, overdue.key, overdue.name)
"""

_PUT_OFF = "UPDATE reminder SET due = $2 WHERE id = ANY($1::text[])"

_REMINDED = "DELETE FROM reminder WHERE id = ANY($1::text[])"


class Sweeper:
    """The slow and steady work of one host, for the buckets whose slots it owns."""

    def __init__(self, host: Host, database: Database, router: Router, settings: Settings) -> None:
        self.host = host
        self.database = database
        self.router = router
        self.settings = settings
        self._swept: frozenset[int] = frozenset()
        """The buckets whose reminders were swept last."""
        self._swept_ms = 0

    async def run_forever(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(OUTBOX_EVERY_S, self.sweep_outbox))
            tasks.create_task(self._every(REMINDERS_EVERY_S, self.sweep_reminders))
            tasks.create_task(self._every(SLEEP_EVERY_S, self.put_to_sleep))

    async def _every(self, period_s: float, work: Any) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                if self.host.lease.valid and not self.host.draining:
                    await work()
            except Refusal as refusal:
                _log.warning("sweep_put_off", reason=refusal.message)
            except Exception:
                _log.exception("sweep_failed")

    async def sweep_outbox(self) -> None:
        """Deliver parcels that are overdue, again; the receiver knows those that it has had."""
        buckets = self.host.lease.buckets()
        if not buckets:
            return
        parcels = await self.database.fetch(_PARCELS_DUE, buckets, BATCH_MAX)
        if parcels:
            self.host.metrics.redeliveries.inc(len(parcels))
            await asyncio.gather(*(self._redeliver(parcel) for parcel in parcels))

    async def _redeliver(self, parcel: Row) -> None:
        data = pack([parcel["tells"], parcel["attempts"]])
        address = Address(parcel["kind"], parcel["key"])
        reply = await self.router.ask(address, PARCEL, "", data, caller=SYSTEM, op=parcel["id"], timeout_s=4.0)
        if reply.status in (200, 503):
            return
        # The receiver cannot take it at all (a bug, a quarantine): count that, and bury it when it was enough.
        attempts = parcel["attempts"] + 1
        if attempts >= self.settings.tell_attempts_max:
            reason = reply.data.get("code", "INTERNAL")
            _log.error("parcel_buried", actor=str(address), parcel=parcel["id"], reason=reason)
            self.host.metrics.dead_letters.labels(address.kind).inc()
            await self.database.execute(_BURY, parcel["id"], reason, attempts)
        else:
            await self.database.execute(_FAILED_AGAIN, parcel["id"])

    async def sweep_reminders(self) -> None:
        """Deliver reminders that are due. A herd that fell due while all was down is spread out in time."""
        buckets = self.host.lease.buckets()
        if not buckets:
            return
        now_ms = self.host.lease.now_ms()
        await self._spread(buckets, now_ms)
        due = await self.database.fetch(_REMINDERS_DUE, buckets, now_ms, BATCH_MAX)
        if not due:
            return
        statuses = await asyncio.gather(*(self._remind(reminder) for reminder in due))
        if faults.armed and await faults.pause("tell_delivered_before_mark"):
            return
        done = [reminder["id"] for reminder, status in zip(due, statuses, strict=True) if status not in (500, 503)]
        await self.database.execute(_REMINDED, done)
        broken = [reminder["id"] for reminder, status in zip(due, statuses, strict=True) if status == 500]
        if broken:
            await self.database.execute(_PUT_OFF, broken, now_ms + BROKEN_AGAIN_MS)

    async def _spread(self, buckets: list[int], now_ms: int) -> None:
        """Where nobody swept for a while, put off what fell due meanwhile: together it would be a herd."""
        away = now_ms - self._swept_ms > OVERDUE_MS
        gained = [bucket for bucket in buckets if away or bucket not in self._swept]
        rows = SPREAD_ROWS_MAX if gained else 0
        while rows == SPREAD_ROWS_MAX:
            bounds = (SPREAD_MS_MAX, OVERDUE_MS, SPREAD_ROWS_MAX, HERD_MIN)
            tag = await self.database.execute(_SPREAD, gained, now_ms, *bounds)
            rows = int(tag.rpartition(" ")[2])
            if rows:
                _log.warning("overdue_reminders_spread", reminders=rows)
        self._swept, self._swept_ms = frozenset(buckets), now_ms

    async def _remind(self, reminder: Row) -> int:
        """Deliver it; the status of the reply. Refused, it has had its turn."""
        address = Address(reminder["kind"], reminder["key"])
        data = pack(from_json(reminder["data"]))
        reply: Reply = await self.router.ask(
            address, COMMAND, reminder["command"], data, caller=SYSTEM, op=reminder["id"], timeout_s=4.0
        )
        self.host.metrics.reminders.inc()
        if reply.status not in (200, 503):
            _log.warning(
                "reminder_refused", actor=str(address), command=reminder["command"], reason=reply.data.get("code")
            )
        return reply.status

    async def put_to_sleep(self) -> None:
        """Let actors leave memory that are idle, or the idlest when there are too many or memory runs short."""
        host, now = self.host, time.monotonic()
        cells = [cell for cell in host.cells.values() if cell.quiet]
        leaving = [cell for cell in cells if now - cell.used_at > self.settings.idle_s]
        surplus = len(host.cells) - self.settings.host_actors_max
        if resident_bytes() > self.settings.host_state_bytes_max + BASE_BYTES:
            surplus = max(surplus, len(cells) // 5)
        if surplus > len(leaving):
            leaving = sorted(cells, key=lambda cell: cell.used_at)[:surplus]
        if leaving:
            await host.passivate(leaving)
        counts: dict[str, int] = {}
        for address in host.cells:
            counts[address.kind] = counts.get(address.kind, 0) + 1
        for kind in host.catalog.kinds:
            host.metrics.active.labels(kind).set(counts.get(kind, 0))
        host.metrics.lease_age.set(host.lease.age_s)


BASE_BYTES = 200 << 20
"""What a host process without actors takes up, generously."""


def resident_bytes() -> int:
    """The resident memory of this process; where /proc is missing, its peak."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

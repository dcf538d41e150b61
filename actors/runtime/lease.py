"""A host's lease on its slots: renewed each second against Postgres' clock; without it the host answers nothing."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

import structlog

from actors.runtime import faults
from actors.runtime.database import Database
from actors.runtime.placement import Placement
from schemas.address import Address
from schemas.problems import Refusal

_log = structlog.get_logger("lease")

LEASE_S = 5.0
RENEW_EVERY_S = 1.0
GIVEN_UP_S = 6.0
"""How long a slot that was given up is not served while the table still names this run: longer than the director lets a
move take. When it died in the middle of one, the slot would else belong to a host that never serves it again."""

_REGISTER = """
INSERT INTO host (name, endpoint, node, pid, pool, active_hosts, lease)
VALUES ($1, $2, $3, $4, $5, $6, now() + interval '5 seconds') RETURNING run
"""

_RENEW = """
WITH renewed AS (
    UPDATE host SET lease = clock_timestamp() + interval '5 seconds' WHERE run = $1 AND NOT retired RETURNING run
)
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
       EXISTS (SELECT 1 FROM renewed) AS renewed,
       ARRAY(SELECT slot FROM slot WHERE run = $1) AS slots
"""


class Lease:
    """Which slots this run owns, and whether it may still speak for them. Also the clock of all turns."""

    def __init__(self, database: Database, placement: Placement) -> None:
        self.database = database
        self.slots = placement
        self.run = 0
        self.retired = asyncio.Event()
        """Set when the director has given this run up: the process must end, and start as a new run."""
        self._owned: frozenset[str] = frozenset()
        self._owned_since: dict[str, float] = {}
        self.on_slots_lost: list[Callable[[frozenset[str]], None]] = []
        """Called with slots that the table gives to others now, those that were given up included."""
        self._given_up: dict[str, float] = {}
        """When each slot was given up."""
        self._valid_until = 0.0
        self._clock_offset_ms = time.time_ns() // 1_000_000 - int(time.monotonic() * 1000)
        self._renewing: asyncio.Task[None] | None = None

    async def register(self, *, name: str, endpoint: str, node: str, pool: str, active_hosts: int = 1_000) -> int:
        """Enter this run into the table of hosts; returns its number. Refused as UNAVAILABLE without Postgres.

        `active_hosts`: how many hosts of its node actors are to live in.
        """
        self.run = await self.database.fetch_value(_REGISTER, name, endpoint, node, os.getpid(), pool, active_hosts)
        await self.renew()
        return self.run

    @property
    def valid(self) -> bool:
        return time.monotonic() < self._valid_until

    @property
    def age_s(self) -> float:
        """Seconds since the last renewal was asked for."""
        return max(0.0, time.monotonic() - (self._valid_until - LEASE_S))

    @property
    def owned(self) -> frozenset[str]:
        return self._owned

    def owns(self, slot: str) -> bool:
        return slot in self._owned and slot not in self._given_up

    def owned_for_s(self, slot: str) -> float:
        """How long this run has owned the slot, as far as it knows."""
        return time.monotonic() - self._owned_since.get(slot, time.monotonic())

    def owns_address(self, address: Address) -> bool:
        return self.owns(self.slots.place(address)[0])

    def buckets(self) -> list[int]:
        """The shared buckets that this run sweeps."""
        return sorted(int(slot) for slot in self._owned if slot.isdigit())

    def now_ms(self) -> int:
        """Postgres' time, carried on by the monotonic clock; milliseconds since 1970 UTC."""
        return int(time.monotonic() * 1000) + self._clock_offset_ms

    def give_up(self, slots: set[str]) -> None:
        """Serve these slots no more until the table has named another run, or GIVEN_UP_S have passed without that."""
        self._given_up.update(dict.fromkeys(slots, time.monotonic()))

    async def renew(self) -> None:
        """Renew the lease and learn the slots; several callers share one round trip. Failing leaves it as it was."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(self._renew())
        await asyncio.shield(self._renewing)

    async def _renew(self) -> None:
        asked = time.monotonic()
        if faults.armed and await faults.pause("lease_renew_lost"):
            return
        try:
            row = await self.database.fetch_row(_RENEW, self.run)
        except Refusal as refusal:
            _log.warning("lease_not_renewed", reason=refusal.message)
            return
        if row is None:
            return
        answered = time.monotonic()
        offset_ms = row["now_ms"] - int((asked + answered) / 2 * 1000)
        # Once turns are taken, time does not jump back: a wrong clock of Postgres that is set right is followed slowly.
        self._clock_offset_ms = max(self._clock_offset_ms - 1000, offset_ms) if self._valid_until else offset_ms
        if not row["renewed"]:
            self._valid_until = 0.0
            self.retired.set()
            return
        lost = self._owned.difference(row["slots"])
        self._owned = frozenset(row["slots"])
        self._owned_since = {slot: self._owned_since.get(slot, answered) for slot in row["slots"]}
        self._given_up = {
            slot: since for slot, since in self._given_up.items() if slot in self._owned and asked - since < GIVEN_UP_S
        }
        self._valid_until = asked + LEASE_S
        if lost:
            for listener in self.on_slots_lost:
                listener(lost)

    async def run_forever(self) -> None:
        """Renew each second until the run is retired."""
        while not self.retired.is_set():
            asked = time.monotonic()
            await self.renew()
            # An answer that was long under way renews nothing: ask again at once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, asked + RENEW_EVERY_S - time.monotonic())):
                    await self.retired.wait()

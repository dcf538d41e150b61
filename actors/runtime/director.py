"""The director: gives slots to hosts, notices their deaths, and moves slots when hosts come and go."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from actors.runtime.database import Database, Refused, Row, UniqueConflict
from actors.runtime.directory import Route
from actors.runtime.lastturn import read_last_turn
from actors.runtime.lease import LEASE_S
from actors.runtime.placement import Placement
from actors.runtime.router import Router
from schemas.messages import pack
from schemas.problems import Refusal

_log = structlog.get_logger("director")

LOOK_EVERY_S = 0.25
WATCH_AGAIN_S = 0.01
MOVE_WITHIN_S = 4.0
SPREAD_SLOTS_MAX = 32
"""Slots moved in one look, so that spreading over a new host never stops the rest."""
SHARED = "shared"

_PREPARE = "INSERT INTO slot (slot) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_HOSTS = "SELECT run, name, endpoint, node, pid, pool, lease < now() AS expired FROM host WHERE NOT retired"
_SLOTS = "SELECT slot, run FROM slot"
_RETIRE = "UPDATE host SET retired = true WHERE run = $1"
_GIVE = """
UPDATE slot SET run = given.run, epoch = epoch + 1
FROM unnest($1::text[], $2::integer[]) AS given (slot, run) WHERE slot.slot = given.slot
"""
_PLAYED = """
SELECT slot FROM unnest($1::text[]) AS slot
WHERE EXISTS (
    SELECT 1 FROM journal WHERE kind = split_part(slot, ':', 1) AND key = substr(slot, strpos(slot, ':') + 1)
)
"""
_CRASHED = """
INSERT INTO quarantine (kind, key, crashes) VALUES ($1, $2, ARRAY[now()])
ON CONFLICT (kind, key) DO UPDATE SET
    crashes = ARRAY(SELECT c FROM unnest(quarantine.crashes) c WHERE c > now() - interval '60 seconds') || now(),
    since = CASE WHEN (SELECT count(*) FROM unnest(quarantine.crashes) c WHERE c > now() - interval '60 seconds') >= 2
                 THEN now() ELSE quarantine.since END,
    reason = 'its host crashed three times in a minute while it had its turn'
"""


class Director:
    """One of these runs in a Greenroom. It keeps nothing to itself: Postgres has the table for whoever directs next."""

    def __init__(
        self,
        database: Database,
        router: Router,
        *,
        node: str,
        token: bytes,
        start_dedicated: Callable[[str], Awaitable[None]],
    ) -> None:
        self.database = database
        self.router = router
        self.node = node
        self.token = token
        self.start_dedicated = start_dedicated
        self._watched: dict[int, asyncio.Task[None]] = {}
        self._dead: set[int] = set()
        self._leases_count_at = 0.0
        """While Postgres was away nobody could renew: for a while after that, an expired lease says nothing."""
        self._look_now = asyncio.Event()
        self.ready = asyncio.Event()
        """Set while every shared slot has a living owner."""

    async def prepare(self) -> None:
        """Enter the shared slots, and retire runs of a former life: all their processes are gone."""
        await self.database.execute(_PREPARE, Placement.shared_slots())
        await self.database.execute("UPDATE host SET retired = true WHERE NOT retired AND lease < now()")

    async def run_forever(self) -> None:
        try:
            while True:
                try:
                    await self._look()
                except (Refusal, Refused, UniqueConflict) as refusal:
                    _log.warning("director_waits", reason=str(refusal)[:200])
                    self._leases_count_at = time.monotonic() + LEASE_S
                except Exception:
                    _log.exception("director_failed")
                self._look_now.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._look_now.wait()
        finally:
            for task in self._watched.values():
                task.cancel()

    async def _look(self) -> None:
        rows = await self.database.fetch(_HOSTS)
        leases_count = time.monotonic() >= self._leases_count_at
        dead = [row for row in rows if (row["expired"] and leases_count) or row["run"] in self._dead]
        for row in dead:
            await self._retire(row)
        alive = [row for row in rows if row not in dead]
        self._watch(alive)
        slots: dict[str, int | None] = {row["slot"]: row["run"] for row in await self.database.fetch(_SLOTS)}
        await self._give_orphans(slots, alive)
        await self._spread(slots, alive)
        await self._settle_dedicated(slots, alive)

    # -- death ----------------------------------------------------------------------------------------------------

    def _watch(self, alive: list[Row]) -> None:
        runs = {row["run"] for row in alive}
        for ended in self._watched.keys() - runs:
            self._watched.pop(ended).cancel()
        self._dead &= runs
        for row in alive:
            if row["run"] not in self._watched and row["node"] == self.node:
                self._watched[row["run"]] = asyncio.ensure_future(self._until_dead(row))

    async def _until_dead(self, row: Row) -> None:
        """Hold a connection to the host's socket: it ends with the process, at once."""
        path = dict(part.split(":", 1) for part in row["endpoint"].split("|")).get("unix", "")
        while path:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
            except (ConnectionRefusedError, FileNotFoundError):
                # Nobody listens any more: the process is gone.
                self._dead.add(row["run"])
                self._look_now.set()
                return
            except OSError as error:
                # Trouble of our own, such as too many open files, says nothing of the host.
                _log.warning("host_not_watched", host=row["name"], reason=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            with contextlib.closing(writer), contextlib.suppress(OSError):
                writer.write(len(pack(self.token)).to_bytes(4, "little") + pack(self.token))
                while await reader.read(65536):
                    pass
            await asyncio.sleep(WATCH_AGAIN_S)

    async def _retire(self, row: Row) -> None:
        _log.warning("host_gone", host=row["name"], run=row["run"], expired=row["expired"])
        await self.database.execute(_RETIRE, row["run"])
        task = self._watched.pop(row["run"], None)
        if task is not None:
            task.cancel()
        # One that only fell silent may hang in a turn that never ends: that actor would take the next host along, too.
        await self._blame(row)
        self._dead.discard(row["run"])

    async def _blame(self, row: Row) -> None:
        path = dict(part.split(":", 1) for part in row["endpoint"].split("|")).get("unix", "")
        address = read_last_turn(Path(path + ".turn"))
        if address is not None:
            _log.error("host_lost_in_turn", host=row["name"], actor=str(address))
            await self.database.execute(_CRASHED, address.kind, address.key)

    # -- slots ----------------------------------------------------------------------------------------------------

    async def _give_orphans(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """Slots without a living owner go to the shared hosts that are there, evenly, dedicated ones too: at once."""
        runs = {row["run"] for row in alive}
        pool = [row for row in alive if row["pool"] == SHARED]
        orphans = [slot for slot, run in slots.items() if run not in runs]
        if not orphans:
            self.ready.set()
            return
        if not pool:
            self.ready.clear()
            return
        load = {row["run"]: sum(run == row["run"] for run in slots.values()) for row in pool}
        given: dict[str, int] = {}
        for slot in orphans:
            run = min(load, key=lambda run: load[run])
            load[run] += 1
            given[slot] = run
        await self.database.execute(_GIVE, list(given), list(given.values()))
        slots.update(given)
        await self._refresh([row for row in pool if row["run"] in set(given.values())])
        self.ready.set()

    async def _spread(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """Even out the shared slots: a host that has joined gets its share, a few slots at a time."""
        pool = {row["run"]: row for row in alive if row["pool"] == SHARED}
        if len(pool) < 2:
            return
        owned: dict[int, list[str]] = {run: [] for run in pool}
        for slot, run in slots.items():
            if run in owned and not Placement.is_dedicated(slot):
                owned[run].append(slot)
        richest = max(owned, key=lambda run: len(owned[run]))
        poorest = min(owned, key=lambda run: len(owned[run]))
        surplus = (len(owned[richest]) - len(owned[poorest])) // 2
        if surplus >= 1:
            await self.move(owned[richest][: min(surplus, SPREAD_SLOTS_MAX)], pool[richest], pool[poorest])
            self._look_now.set()

    async def _settle_dedicated(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """A dedicated actor that has a history gets a Ray actor of its own, and its slot moves there as soon as that is
        up; until then a shared host serves it."""
        by_run = {row["run"]: row for row in alive}
        by_pool = {row["pool"]: row for row in alive}
        homeless = []
        for slot, run in slots.items():
            if not Placement.is_dedicated(slot):
                continue
            home = by_pool.get(slot)
            if home is None:
                homeless.append(slot)
            elif run is not None and run != home["run"] and run in by_run:
                await self.move([slot], by_run[run], home)
        if homeless:
            for row in await self.database.fetch(_PLAYED, homeless):
                await self.start_dedicated(row["slot"])

    async def move(self, slots: list[str], source: Row, target: Row) -> None:
        """Move slots between living hosts: the old one finishes and stores what is under way, then the new serves."""
        reply = await self.router.tell_host(_route(source), "release", pack(slots), MOVE_WITHIN_S)
        if reply.status != 200:
            _log.warning("slots_not_moved", slots=len(slots), source=source["name"], reason=reply.data)
            return
        await self.database.execute(_GIVE, slots, [target["run"]] * len(slots))
        await self._refresh([target, source])
        _log.info("slots_moved", slots=len(slots), source=source["name"], target=target["name"])

    async def _refresh(self, rows: list[Row]) -> None:
        await asyncio.gather(*(self.router.tell_host(_route(row), "refresh", pack([]), 1.0) for row in rows))


def _route(row: Row) -> Route:
    return Route(row["run"], row["endpoint"], row["node"], row["name"])

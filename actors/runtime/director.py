"""The director: gives slots to hosts, notices their deaths, and moves slots as hosts come, go and get busy."""

import asyncio
import contextlib
import functools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from actors.runtime.balance import SPREAD_SLOTS_MAX, Balance, Plan
from actors.runtime.database import Database, Refused, Row, UniqueConflict, commits_of
from actors.runtime.directory import Route
from actors.runtime.lastturn import read_last_turn
from actors.runtime.lease import LEASE_S
from actors.runtime.load import Load
from actors.runtime.placement import Placement
from actors.runtime.router import Router
from schemas.messages import pack
from schemas.problems import Refusal

_log = structlog.get_logger("director")

LOOK_EVERY_S = 0.25
WATCH_AGAIN_S = 0.01
CONNECT_WITHIN_S = 2.0
MOVE_WITHIN_S = 9.0
"""Longer than a host takes to give slots up (host.RELEASE_WITHIN_S): what it gave up must not be left to nobody."""
CLOCK_JUMP_MS = 2_000
"""Less than that a lease that was just renewed outlives."""
QUIET_S = 1.5
"""When Postgres was not heard of for so long, hosts were not either, and their leases may have ended meanwhile."""
SHARED = "shared"

_PREPARE = "INSERT INTO slot (slot) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_HOSTS = """
SELECT run, name, endpoint, node, pid, pool, leaving, active_hosts, lease < now() AS expired,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM host WHERE NOT retired
"""
_SLOTS = "SELECT slot, run FROM slot"
_RETIRE = "UPDATE host SET retired = true WHERE run = $1"
_END_COMMITS = """
SELECT count(pg_terminate_backend(pid, 500)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1
"""
_GIVE = """
UPDATE slot SET run = given.run, epoch = epoch + 1
FROM unnest($1::text[], $2::integer[]) AS given (slot, run) WHERE slot.slot = given.slot
"""
_MOVE = """
UPDATE slot SET run = given.run, epoch = epoch + 1
FROM unnest($1::text[], $2::integer[]) AS given (slot, run) WHERE slot.slot = given.slot AND slot.run = $3
"""
_PLAYED = """
SELECT slot FROM unnest($1::text[]) AS slot
CROSS JOIN LATERAL (
    SELECT 1 FROM journal WHERE kind = split_part(slot, ':', 1) AND key = substr(slot, strpos(slot, ':') + 1) LIMIT 1
) first_turn
"""
"""By the index, one look a slot: as a join Postgres would read the whole journal."""
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
        self.balance = Balance()
        self.load = Load(router)
        self.rebalance = False
        """Set to have slots evened out once, though they are even enough."""
        self.hosts: list[Row] = []
        """The hosts that lived when it was last looked."""
        self.slots: dict[str, int | None] = {}
        """Who owned which slot then."""
        self._moves: dict[int, asyncio.Task[None]] = {}
        """Hosts that are giving slots away, by run; they are asked for no others meanwhile."""
        self._under_way: dict[str, int] = {}
        """Slots that are moving, and to whom."""
        self._played: set[str] = set()
        """Dedicated slots whose actors have a history."""
        self._watched: dict[int, asyncio.Task[None]] = {}
        self._dead: set[int] = set()
        self._leases_count_at = 0.0
        """While Postgres was away nobody could renew: for a while after that, an expired lease says nothing."""
        self._heard_at: float | None = None
        """When Postgres answered last."""
        self._clock_offset_ms: int | None = None
        """How far Postgres' clock was before our monotonic one at the last look."""
        self._look_now = asyncio.Event()
        self.ready = asyncio.Event()
        """Set while every shared slot has a living owner."""

    async def prepare(self) -> None:
        """Enter the shared slots, and retire runs of a former life: all their processes are gone."""
        await self.database.execute(_PREPARE, Placement.shared_slots())
        await self.database.execute("UPDATE host SET retired = true WHERE NOT retired AND lease < now()")

    async def run_forever(self) -> None:
        measuring = asyncio.ensure_future(self.load.run_forever(lambda: [_route(row) for row in self.hosts]))
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
            for task in (measuring, *self._watched.values(), *self._moves.values()):
                task.cancel()

    async def _look(self) -> None:
        rows = await self.database.fetch(_HOSTS)
        self._notice_pause()
        if rows:
            self._notice_jump(rows[0]["now_ms"])
        leases_count = time.monotonic() >= self._leases_count_at
        dead = [row for row in rows if (row["expired"] and leases_count) or row["run"] in self._dead]
        for row in dead:
            await self._retire(row)
        alive = [row for row in rows if row not in dead]
        self._watch(alive)
        moving = dict(self._under_way)
        slots: dict[str, int | None] = {row["slot"]: row["run"] for row in await self.database.fetch(_SLOTS)}
        await self._give_orphans(slots, alive)
        self.hosts, self.slots = alive, dict(slots)
        slots.update(moving)
        self._spread(slots, alive)
        await self._settle_dedicated(slots, alive)

    def _notice_pause(self) -> None:
        """A Postgres that stood still answers all that waited at once, and whoever is first finds every lease at its
        end."""
        before, self._heard_at = self._heard_at, time.monotonic()
        if before is not None and self._heard_at - before > QUIET_S:
            _log.warning("postgres_was_quiet", for_s=round(self._heard_at - before, 1))
            self._leases_count_at = self._heard_at + LEASE_S

    def _notice_jump(self, now_ms: int) -> None:
        """When Postgres' clock was set, leases that were renewed by the old one say nothing: else all would be dead."""
        before, self._clock_offset_ms = self._clock_offset_ms, now_ms - int(time.monotonic() * 1000)
        if before is not None and abs(self._clock_offset_ms - before) > CLOCK_JUMP_MS:
            _log.warning("postgres_clock_jumped", by_s=(self._clock_offset_ms - before) / 1000)
            self._leases_count_at = time.monotonic() + LEASE_S

    # -- death ----------------------------------------------------------------------------------------------------

    def _watch(self, alive: list[Row]) -> None:
        runs = {row["run"] for row in alive}
        for ended in self._watched.keys() - runs:
            self._watched.pop(ended).cancel()
        self._dead &= runs
        for row in alive:
            if row["run"] not in self._watched:
                self._watched[row["run"]] = asyncio.ensure_future(self._until_dead(row))

    async def _until_dead(self, row: Row) -> None:
        """Hold a connection to the host's socket: it ends with the process, at once."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_WITHIN_S):
                    reader, writer = await self._connect(row)
            except (ConnectionRefusedError, FileNotFoundError):
                # Nobody listens any more: the process is gone.
                self._dead.add(row["run"])
                self._look_now.set()
                return
            except (OSError, TimeoutError) as error:
                # A network that is down, or trouble of our own such as too many open files, says nothing of the host.
                _log.warning("host_not_watched", host=row["name"], reason=str(error) or type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            with contextlib.closing(writer), contextlib.suppress(OSError):
                writer.write(len(pack(self.token)).to_bytes(4, "little") + pack(self.token))
                while await reader.read(65536):
                    pass
            await asyncio.sleep(WATCH_AGAIN_S)

    async def _connect(self, row: Row) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        endpoints = _endpoints(row)
        if row["node"] == self.node:
            return await asyncio.open_unix_connection(endpoints["unix"])
        host, _, port = endpoints["tcp"].rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _retire(self, row: Row) -> None:
        _log.warning("host_gone", host=row["name"], run=row["run"], expired=row["expired"])
        await self.database.execute(_RETIRE, row["run"])
        # A commit on its way is carried out by now or never: it must not land after somebody was told otherwise.
        await self.database.fetch_value(_END_COMMITS, commits_of(row["run"]))
        task = self._watched.pop(row["run"], None)
        if task is not None:
            task.cancel()
        # One that only fell silent may hang in a turn that never ends: that actor would take the next host along, too.
        await self._blame(row)
        self._dead.discard(row["run"])

    async def _blame(self, row: Row) -> None:
        address = read_last_turn(Path(_endpoints(row)["unix"] + ".turn"))
        if address is not None:
            _log.error("host_lost_in_turn", host=row["name"], actor=str(address))
            await self.database.execute(_CRASHED, address.kind, address.key)

    # -- slots ----------------------------------------------------------------------------------------------------

    async def _give_orphans(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """Slots without a living owner go to the shared hosts that are there, evenly, dedicated ones too: at once."""
        runs = {row["run"] for row in alive}
        pool = active_hosts(alive, slots)
        orphans = [slot for slot, run in slots.items() if run not in runs]
        if not orphans:
            self.ready.set()
            return
        if not pool:
            self.ready.clear()
            return
        given = Balance.share(orphans, _owned(pool, slots), self.load.by_slot)
        await self.database.execute(_GIVE, list(given), list(given.values()))
        slots.update(given)
        _log.info("slots_taken_over", slots=len(given))
        await self._refresh([row for row in pool if row["run"] in set(given.values())])
        self.ready.set()

    def _spread(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """Take the slots of hosts that leave or are to stand by, and even out the others'; each host's moves go on by
        themselves."""
        pool = active_hosts(alive, slots)
        if not pool:
            return
        by_run = {row["run"]: row for row in alive}
        for row in alive:
            idle = row["leaving"] or (row["pool"] == SHARED and row not in pool)
            if idle and row["run"] not in self._moves:
                going = [slot for slot, run in slots.items() if run == row["run"]][:SPREAD_SLOTS_MAX]
                self._start({row["run"]: Balance.share(going, _owned(pool, slots), self.load.by_slot)}, by_run)
        shared = {
            run: [slot for slot in owned if not Placement.is_dedicated(slot)]
            for run, owned in _owned(pool, slots).items()
        }
        plan = self.balance.plan(
            shared, self.load.by_slot, at_s=time.monotonic(), busy=self._moves.keys(), now=self.rebalance
        )
        self._start(plan, by_run)
        self.rebalance = False

    def _start(self, plan: Plan, by_run: dict[int, Row]) -> None:
        for run, given in plan.items():
            if given and run not in self._moves:
                self._moves[run] = asyncio.ensure_future(self._move(by_run[run], given, by_run))
                self._moves[run].add_done_callback(functools.partial(self._moved, run, given))
                self._under_way.update(given)

    def _moved(self, run: int, given: dict[str, int], task: "asyncio.Task[None]") -> None:
        self._moves.pop(run, None)
        for slot in given:
            self._under_way.pop(slot, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error("slots_not_moved", run=run, reason=str(task.exception())[:200])
        self._look_now.set()

    async def _settle_dedicated(self, slots: dict[str, int | None], alive: list[Row]) -> None:
        """A dedicated actor that has a history gets a Ray actor of its own, and its slot moves there as soon as that is
        up; until then a shared host serves it."""
        by_run = {row["run"]: row for row in alive}
        by_pool = {row["pool"]: row for row in alive if not row["leaving"]}
        homeless = []
        for slot, run in slots.items():
            if not Placement.is_dedicated(slot):
                continue
            home = by_pool.get(slot)
            if home is None:
                homeless.append(slot)
            elif run is not None and run != home["run"] and run in by_run:
                self._start({run: {slot: home["run"]}}, by_run)
        unknown = [slot for slot in homeless if slot not in self._played]
        if unknown:
            self._played.update(row["slot"] for row in await self.database.fetch(_PLAYED, unknown))
        for slot in homeless:
            if slot in self._played:
                await self.start_dedicated(slot)

    async def _move(self, source: Row, given: dict[str, int], by_run: dict[int, Row]) -> None:
        """Move slots between living hosts: the old one finishes and stores what is under way, then the new ones serve.

        A source that hangs loses them all the same, for it may have given them up before: nobody would serve them.
        """
        reply = await self.router.tell_host(_route(source), "release", pack(list(given)), MOVE_WITHIN_S)
        if reply.status != 200:
            _log.warning("slots_not_given_up", slots=len(given), source=source["name"], reason=reply.data)
            if reply.data.get("code") == "OVERLOADED":
                # It was never asked.
                return
        await self.database.execute(_MOVE, list(given), list(given.values()), source["run"])
        targets = [by_run[run] for run in sorted(set(given.values()))]
        await self._refresh([*targets, source])
        _log.info("slots_moved", slots=len(given), source=source["name"], targets=[row["name"] for row in targets])

    async def _refresh(self, rows: list[Row]) -> None:
        await asyncio.gather(*(self.router.tell_host(_route(row), "refresh", pack([]), 1.0) for row in rows))


def _route(row: Row) -> Route:
    return Route(row["run"], row["endpoint"], row["node"], row["name"])


def _endpoints(row: Row) -> dict[str, str]:
    return dict(part.split(":", 1) for part in row["endpoint"].split("|"))


def active_hosts(alive: list[Row], slots: dict[str, int | None]) -> list[Row]:
    """The shared hosts that may be given slots: of each node so many as it says, those first that have some."""
    owners = set(slots.values())
    staying = [row for row in alive if row["pool"] == SHARED and not row["leaving"]]
    taken: Counter[str] = Counter()
    active = []
    for row in sorted(staying, key=lambda row: (row["run"] not in owners, row["run"])):
        taken[row["node"]] += 1
        if taken[row["node"]] <= row["active_hosts"]:
            active.append(row)
    return active


def _owned(pool: list[Row], slots: dict[str, int | None]) -> dict[int, list[str]]:
    owned: dict[int, list[str]] = {row["run"]: [] for row in pool}
    for slot, run in slots.items():
        if run in owned:
            owned[run].append(slot)
    return owned

"""A whole Greenroom out of one seed: hosts, gateways and players in virtual time, and everything that can go wrong."""

import asyncio
import contextlib
import gc
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from random import Random
from typing import Any

from pydantic_core import from_json, to_json

from actors.catalog import Catalog
from actors.runtime.host import Host
from actors.runtime.waker import HistoryBroken
from schemas.address import Address
from schemas.settings import PROJECT, Settings
from scripts.content_files import load_content
from scripts.verify.history import History
from tests.harness.kinds import Counter as Total
from tests.harness.kinds import kinds_known
from tests.simulation import proofs, seams
from tests.simulation.cast import ACTORS, COUNTERS
from tests.simulation.homes import Home, Parts, Shared
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.players import Players
from tests.simulation.sabotage import Sabotage
from tests.simulation.store import Store
from tests.simulation.trouble import Trouble
from tests.simulation.wires import Network, Postgres, Pushes

STEPS = 200
QUIET_WITHIN_S = 400.0
BEHIND_MAX_S = 3.0
"""How long a host may take to find out that an actor's journal went on without it."""


@cache
def known_kinds() -> Catalog:
    with kinds_known():
        return Catalog()


@cache
def content_body() -> bytes:
    body = load_content(PROJECT / "content").model_dump(mode="json", exclude={"version"})
    return to_json(body)


@cache
def settings_of(dedicated: bool, idle_s: int) -> Settings:
    placement = {"leaderboard": "dedicated" if dedicated else "shared", "fraud": "shared"}
    return Settings(
        _env_file=None,
        data=PROJECT / "data",
        placement=placement,
        host_state_bytes_max=1 << 50,
        idle_s=idle_s,
        tell_attempts_max=4,
        tell_answer_timeout_s=0.5,
    )


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    failures: list[str]
    trace: str
    passes: int
    virtual_s: float
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = "\n  ".join(self.failures[:5])
        return f"seed {self.seed}: {len(self.failures)} failures\n  {told}"


class World:
    """One seed."""

    def __init__(
        self,
        seed: int,
        steps: int = STEPS,
        sabotage: Sabotage = contextlib.nullcontext,
        *,
        faults: tuple[str, ...] = (),
        think_s: float | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.steps_left = steps
        self.sabotage = sabotage
        self.faults = faults
        """Only these, where they are given; else the seed chooses."""
        self.think_s = think_s
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.history = History()
        self.recorded: list[str] | None = None
        self._hash = blake2b(digest_size=16)
        self.loop = VirtualLoop(Random(self.random.getrandbits(64)), shuffled=self.random.random() < 0.7)
        self.jump_ms = 0
        self.store = Store(self.now_ms)
        self.store.on_turn = self._written
        self.written_at: dict[Address, list[tuple[float, int]]] = defaultdict(list)
        """When the journal got each version of an actor."""
        self.postgres = Postgres(self.loop, self.store, self.random)
        self.postgres.late_s = self.random.choice((0.0, 0.0, 0.3, 2.0))
        self.postgres.on_run = self._ran
        self.network = Network(self.loop, self.random)
        self.shared = Shared(
            settings_of(self.random.random() < 0.5, self.random.choice((3, 600))),
            known_kinds(),
            self.postgres,
            self.network,
            Pushes(self._pushed),
            self.random,
        )
        self._shadows: dict[Address, Any] = {address: Total() for address in COUNTERS}
        self._totals: dict[tuple[Address, int], str] = {(to, 0): one.fingerprint() for to, one in self._shadows.items()}
        """What the journal makes of each counter at each version."""
        self.homes: list[Home] = []
        self.gateways: list[Parts] = []
        self.doubled_until = 0.0
        """Until when two hosts may believe that they own one slot."""
        self._names = 0

    def now_ms(self) -> int:
        """Postgres' clock."""
        return 1_795_262_400_000 + int(self.loop.now_s * 1000) + self.jump_ms

    # -- what is watched ------------------------------------------------------------------------------------------

    def trace(self, *what: Any) -> None:
        text = f"{self.loop.now_s:.6f} {what!r}"
        self._hash.update(text.encode())
        if self.recorded is not None:
            self.recorded.append(text)

    def fail(self, what: str) -> None:
        self.trace("FAILED", what)
        self.failures.append(f"{self.loop.now_s:.3f}: {what}")

    def _written(self, address: Address, row: dict[str, Any]) -> None:
        last = row["version"] + row["length"] - 1
        self.written_at[address].append((self.loop.now_s, last))
        self.counts["quest_rewarded"] += b'"quest:' in row["events"]
        shadow = self._shadows.get(address)
        if shadow is not None:
            events = self.shared.catalog.kind(address.kind).events
            for name, fields in from_json(row["events"]):
                events[name].model_validate(fields).apply(shadow)
            self._totals[address, last] = shadow.fingerprint()

    def _ran(self, process: Process, statements: Any, how: str) -> None:
        self.counts[how] += 1
        self.trace(process.name, how, [(hash_of(sql), values) for sql, values in statements])

    def _pushed(self, channel: str, pushes: Any) -> None:
        kind = channel.removeprefix("push:")
        if kind == channel:
            return
        for key, version, *_ in pushes:
            if version > self.store.journal.last(Address(kind, key)):
                self.fail(f"a push of {kind}:{key} shows version {version}, which the journal does not have")

    def _logged(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.counts[event] += 1
        self.trace(level, event)
        if level in ("exception", "critical") or event == "task_failed":
            told = traceback.format_exc() if level == "exception" else repr(fields.get("exc_info", fields))
            self.fail(f"the runtime logged {event} {fields}: {told[-1500:]}")

    def expect_total(self, address: Address, version: int, fingerprint: str) -> None:
        """What was shown is what the journal makes of the counter at that version."""
        if self._totals.get((address, version)) != fingerprint:
            self.fail(f"{address} was shown at version {version} as it never was")

    def version_at(self, address: Address, at_s: float) -> int:
        """The actor's last version in the journal at a moment that is past."""
        return max((version for when, version in self.written_at[address] if when <= at_s), default=0)

    def audit(self) -> None:
        """Nobody's memory is behind the journal for long while Postgres is well."""
        now = self.loop.now_s
        if now - self.postgres.troubled_until < BEHIND_MAX_S:
            return
        for home in self.homes:
            host = home.host
            if host is None or home.process.paused or home.draining or now - home.resumed_at < BEHIND_MAX_S:
                continue
            for address, cell in host.cells.items():
                if cell.awake and host.lease.owns(cell.slot) and home.process.context.run(_valid, host):
                    due = self.version_at(address, now - BEHIND_MAX_S)
                    if cell.version < due:
                        self.fail(f"{home.process} has had {address} at version {cell.version} for long, not at {due}")

    # -- life and death of processes ------------------------------------------------------------------------------

    def start_host(self) -> Home:
        self._names += 1
        home = Home(self.shared, f"host-{self._names}")
        home.task = self.loop.begin(home.process, home.serve())
        self.homes.append(home)
        return home

    def kill(self, home: Home) -> None:
        """kill -9."""
        self.homes.remove(home)
        self.loop.kill(home.process)
        self.network.died(home.process)
        self.postgres.silent_to.discard(home.process)

    def start_gateway(self) -> Parts:
        process = Process(f"gateway-{len(self.gateways)}", clock_s=self.random.random() * 1_000)
        parts = Parts(self.shared, process)
        self.loop.begin(process, parts.serve_gateway())
        self.gateways.append(parts)
        return parts

    def owner(self, slot: str) -> Home | None:
        run = self.store.slot[slot]["run"]
        return next((home for home in self.homes if home.run == run), None)

    def ready_homes(self) -> list[Home]:
        return [home for home in self.homes if home.host is not None and not home.draining and not self._gone(home)]

    def _gone(self, home: Home) -> bool:
        row = self.store.host.get(home.run)
        return row is None or row["retired"]

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Everything that happens under this seed."""
        loop = self.loop
        with seams.replaced(loop, self.shared.catalog, self._logged), self.sabotage():
            try:
                loop.set_exception_handler(lambda loop, context: self._unhandled(context))
                loop.run_until_complete(self._live())
            finally:
                loop.bury()
                loop.close()
        self.trace(loop.passes, loop.random.getstate(), self.random.getstate())
        self.trace(sorted((str(address), fingerprint) for address, fingerprint in self._ends()))
        return Outcome(self.seed, self.failures, self._hash.hexdigest(), loop.passes, loop.now_s - 1_000.0, self.counts)

    def _ends(self) -> list[tuple[Address, int]]:
        return [(address, self.store.journal.last(address)) for address in self.store.journal.turns]

    def _unhandled(self, context: dict[str, Any]) -> None:
        message = context.get("message", "")
        if "never retrieved" not in message:
            self.fail(f"unhandled: {message} {context.get('exception')!r}")

    async def _live(self) -> None:
        store = self.store
        body = from_json(content_body())
        store.content[1] = {"version": 1, "active": True, "body": to_json(body)}
        store.grows = True
        for address in ACTORS:
            self.shared.placement.place(address)
        for _ in range(self.random.randint(1, 3)):
            self.start_host()
        for _ in range(2):
            self.start_gateway()
        trouble = Trouble(self)
        players = Players(self)
        directing = asyncio.ensure_future(trouble.direct_forever())
        try:
            async with asyncio.timeout(QUIET_WITHIN_S):
                await players.create()
                await asyncio.gather(trouble.make(), players.play())
                trouble.heal()
                await self._quiet()
        except TimeoutError:
            self.fail(f"not quiet after {QUIET_WITHIN_S:.0f} s: {len(store.outbox)} parcels, {self._late()} reminders")
            return
        finally:
            directing.cancel()
        await self._judge()

    def _late(self) -> int:
        now_ms = self.now_ms()
        return sum(row["due"] <= now_ms for row in self.store.reminder.values())

    async def _quiet(self) -> None:
        """Until every message has arrived, and every reminder that is due was had."""
        await asyncio.sleep(6.0)
        while self.store.outbox or self._late() or not self.ready_homes():
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.0)

    async def _judge(self) -> None:
        report = await proofs.verified(self.store, self.history)
        for finding in report.findings:
            if finding.invariant == "K10" and "shows version" in finding.what and self.doubled_until:
                continue  # judged by the players, by the bound that the design publishes
            if finding.invariant == "K4" and "lost its lease" in finding.what and self.counts["clock_jumps"]:
                continue  # by the clock that was set since
            self.fail(f"{finding.invariant} {finding.actor}: {finding.what}")
        self._judge_memory()

    def _judge_memory(self) -> None:
        for home in self.ready_homes():
            assert home.host is not None
            for address, cell in home.host.cells.items():
                if not cell.awake or not home.host.lease.owns(cell.slot):
                    continue
                last = self.store.journal.last(address)
                try:
                    actor = proofs.replayed(self.store, self.shared.catalog, address)
                except HistoryBroken as broken:
                    self.fail(str(broken))
                    continue
                if cell.version != last:
                    self.fail(f"{home.process} has {address} at version {cell.version}, the journal at {last}")
                elif cell.actor is None or cell.actor.fingerprint() != actor.fingerprint():
                    self.fail(f"{home.process} has another state of {address} than the journal gives")


def _valid(host: Host) -> bool:
    return host.lease.valid


@cache
def hash_of(sql: str) -> str:
    return blake2b(sql.encode(), digest_size=4).hexdigest()


def simulate(seed: int, steps: int = STEPS, sabotage: Sabotage = contextlib.nullcontext, **profile: Any) -> Outcome:
    """Run one seed."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return World(seed, steps, sabotage, **profile).run()
    finally:
        if collecting:
            gc.enable()

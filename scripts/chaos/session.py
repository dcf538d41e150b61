"""One chaos run from the first player to the verdict: load, faults, recovery, figures, and `verify` as the judge."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.runtime.database import Database, Refused
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.chaos.faults import Struck
from scripts.chaos.history import History, Operation
from scripts.chaos.measure import KindCost, Measured, measure, survived
from scripts.chaos.nemesis import Nemesis, Stroke, schedule
from scripts.chaos.target import Target
from scripts.chaos.workload import Workload, workload
from scripts.connect import open_database
from scripts.terminal import Failed
from scripts.verify.history import read_history
from scripts.verify.report import Report as Verdict
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk

PLAYERS = 48
RATE_PER_S = 400.0
HEALED_WITHIN_S = 90.0
DELIVERED_WITHIN_S = 60.0
KILLS = frozenset({"host", "gateway", "director", "head", "raylet", "postgres", "postgres-stop", "redis"})
_LEFT = "SELECT count(*) FROM outbox WHERE attempts = 0 AND due < now() + interval '2.5 seconds'"
"""A fresh message is due three seconds later; what is older has not been delivered at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do; it can be repeated from this."""

    seed: int
    seconds: float
    faults: tuple[str, ...]
    players: int = PLAYERS
    rate_per_s: float = RATE_PER_S
    strokes: tuple[Stroke, ...] | None = None
    """Other than what follows from the seed."""

    @staticmethod
    def fresh_seed() -> int:
        return random.SystemRandom().randrange(1, 1_000_000)

    def schedule(self) -> Sequence[Stroke]:
        return schedule(self.seed, self.seconds, self.faults) if self.strokes is None else self.strokes

    def command(self, *more: str) -> str:
        """The command that runs it again."""
        words = ["greenroom", "chaos", *more, f"--seed {self.seed}", f"--seconds {self.seconds:g}"]
        words.append(f"--faults {','.join(self.faults)}")
        if self.players != PLAYERS:
            words.append(f"--players {self.players}")
        if self.rate_per_s != RATE_PER_S:
            words.append(f"--rate {self.rate_per_s:g}")
        return " ".join(words)


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    operations: Sequence[Operation]
    measured: Measured
    verdict: Verdict
    history: Path
    healed_s: float
    """How long after the load everybody was answered again."""
    reconnects: int
    pushes: int
    questions: int
    catch_ups_s: list[float] = field(default_factory=list)
    again: str = ""

    @property
    def kills(self) -> int:
        return sum(kind.count for kind in self.kinds if kind.kind in KILLS)

    @property
    def kinds(self) -> list[KindCost]:
        return self.measured.kinds

    @property
    def ok(self) -> bool:
        """Whether the data are right; errors that players saw are reported and are no loss."""
        return self.verdict.ok

    def as_json(self) -> dict[str, Any]:
        measured = self.measured
        return {
            "ok": self.ok,
            "seed": self.plan.seed,
            "seconds": self.plan.seconds,
            "command": self.again,
            "players": self.plan.players,
            "operations": measured.operations,
            "perSecond": round(measured.per_s, 1),
            "attempts": measured.attempts,
            "questions": self.questions,
            "pushes": self.pushes,
            "reconnects": self.reconnects,
            "outcomes": dict(measured.outcomes),
            "refusals": dict(measured.refusals),
            "clientErrors": len(measured.errors),
            "p50Ms": round(measured.p50_ms, 2),
            "p99Ms": round(measured.p99_ms, 2),
            "healedS": round(self.healed_s, 2),
            "kills": self.kills,
            "bound": survived(self.kills) if self.ok else "",
            "faults": [kind.as_json() for kind in self.kinds],
            "each": [cost.as_json() for cost in measured.costs],
            "history": str(self.history),
            "verify": self.verdict.as_json(),
        }


async def run(
    settings: Settings,
    plan: Plan,
    history_path: Path,
    *,
    told: Callable[[Struck], None] = lambda struck: None,
    watch: Callable[[Workload, Nemesis], None] = lambda load, nemesis: None,
) -> Outcome:
    """Load the Greenroom of the settings, strike it, let it heal, and judge."""
    # Our own connections break with everybody's: the driver's cries are no news here.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    target = Target(settings)
    async with open_database(settings) as database:
        with History(history_path) as history:
            loading = workload(
                target.running.url,
                database,
                history,
                seed=plan.seed,
                players=plan.players,
                rate_per_s=plan.rate_per_s,
            )
            async with loading as load:
                nemesis = Nemesis(target, database, plan.seed, told)
                watch(load, nemesis)
                await _play(load, nemesis, plan)
                healed_s = await _heal(load, database)
        verdict = await judge(database, history_path)
    return Outcome(
        plan=plan,
        operations=history.operations,
        measured=measure(history.operations, nemesis.struck),
        verdict=verdict,
        history=history_path,
        healed_s=healed_s,
        reconnects=sum(max(0, one.reconnects) for one in load.sockets),
        pushes=history.pushes,
        questions=history.questions,
        catch_ups_s=[delay_s for one in load.sockets for delay_s in one.catch_ups_s],
        again=plan.command(),
    )


async def _play(load: Workload, nemesis: Nemesis, plan: Plan) -> None:
    async with asyncio.TaskGroup() as running:
        running.create_task(load.play())
        try:
            began = time.monotonic()
            await nemesis.carry_out(plan.schedule(), plan.seconds)
            await asyncio.sleep(max(0.0, began + plan.seconds - time.monotonic()))
        finally:
            load.stop.set()


async def _heal(load: Workload, database: Database) -> float:
    """Wait until everybody is answered and every message between actors has arrived, or is known not to."""
    began = time.monotonic()
    async with asyncio.timeout(HEALED_WITHIN_S):
        await load.look_back()
    healed_s = time.monotonic() - began
    until = time.monotonic() + DELIVERED_WITHIN_S
    while time.monotonic() < until:
        try:
            if not await database.fetch_value(_LEFT):
                break
        except (Refusal, Refused):
            pass
        await asyncio.sleep(0.1)
    return healed_s


async def judge(database: Database, history: Path | None) -> Verdict:
    """What `greenroom verify --history` finds."""
    lines = None if history is None else read_history(history)
    for _ in range(20):
        try:
            async with snapshot_of(database) as snapshot:
                return await Walk(snapshot, lambda what, done: None, history=lines).run()
        except Refusal:
            # Connections that a fault broke are in the pool still.
            await asyncio.sleep(0.5)
    raise Failed("The database cannot be read: run `greenroom verify --history` when it is back.")

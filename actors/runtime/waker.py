"""Wakes actors, many at a time: checkpoint, then the tail of the journal, then ready for turns."""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from pydantic_core import from_json

from actors.catalog import Catalog, Kind
from actors.core import Actor
from actors.runtime import faults
from actors.runtime.cell import Cell, Known
from actors.runtime.journal import TAIL_ROWS_MAX, Checkpoint, Journal, Stored, StoredTurn
from actors.runtime.metrics import HostMetrics
from schemas import limits
from schemas.address import Address
from schemas.messages import unpack
from schemas.problems import Refusal

_log = structlog.get_logger("waker")

BATCH_MAX = 500
LONG_TAIL_ROWS = 5_000
PATIENCE_S = 1.5
"""How long waking keeps trying while Postgres is away, before those who wait are told."""


class HistoryBroken(Exception):
    """A journal with a gap, or one that no longer can be read: the actor stays asleep and an operator must look."""


def play_tail(kind: Kind, actor: Actor, version: int, tail: list[StoredTurn], address: Address) -> int:
    """Apply the stored turns that follow `version`; returns the new version. Raises HistoryBroken at a gap."""
    for turn in tail:
        if turn.version != version + 1:
            raise HistoryBroken(f"{address} has version {version} and then {turn.version}")
        events = from_json(turn.events)
        if len(events) != turn.length:
            raise HistoryBroken(
                f"{address} has a turn at {turn.version} with {len(events)} events instead of {turn.length}"
            )
        for name, fields in events:
            event = kind.events.get(name)
            if event is None:
                raise HistoryBroken(f"{address} has an event {name!r} at {turn.version} that no code knows")
            event.model_validate(fields, strict=False).apply(actor)
        version = turn.last
    return version


def restore(kind: Kind, checkpoint: Checkpoint | None, address: Address) -> tuple[Actor, int]:
    """The actor of the checkpoint and its version; a checkpoint that is torn or of another shape counts as none."""
    if checkpoint is None or checkpoint.state_version != kind.actor.state_version:
        return kind.actor(), 0
    if hashlib.blake2b(checkpoint.state, digest_size=16).digest() != checkpoint.checksum:
        _log.error("checkpoint_corrupt", actor=str(address), version=checkpoint.version)
        return kind.actor(), 0
    try:
        return kind.actor.unpack_state(unpack(checkpoint.state)), checkpoint.version
    except (ValueError, TypeError, KeyError) as error:
        _log.error("checkpoint_unreadable", actor=str(address), version=checkpoint.version, reason=str(error)[:200])
        return kind.actor(), 0


class Waker:
    """Loads the actors of waiting cells in batches; each batch is two queries, however many actors it has."""

    def __init__(
        self,
        journal: Journal,
        catalog: Catalog,
        metrics: HostMetrics,
        on_awake: Callable[[Cell], None],
        on_failed: Callable[[Cell, Refusal], None],
    ) -> None:
        self.journal = journal
        self.catalog = catalog
        self.metrics = metrics
        self.on_awake = on_awake
        self.on_failed = on_failed
        self._queue: deque[tuple[Cell, float]] = deque()
        self._wanted = asyncio.Event()

    def add(self, cell: Cell) -> None:
        self._queue.append((cell, time.monotonic()))
        self._wanted.set()

    async def run_forever(self) -> None:
        while True:
            await self._wanted.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            if not self._queue:
                self._wanted.clear()
            if batch:
                await self._wake(batch)

    async def _wake(self, batch: list[tuple[Cell, float]]) -> None:
        started = time.monotonic()
        if faults.armed and await faults.pause("takeover_before_load"):
            return
        try:
            stored = await self.journal.checkpoints([cell.address for cell, _ in batch])
            actors: dict[Cell, tuple[Actor, int]] = {}
            for cell, _ in batch:
                self._restore(cell, stored[cell.address], actors)
            tails = await self.journal.tails({cell.address: version for cell, (_, version) in actors.items()})
        except Refusal as refusal:
            await self._try_later(batch, started, refusal)
            return
        except Exception:
            _log.exception("wake_failed", actors=[str(cell.address) for cell, _ in batch][:5])
            for cell, _ in batch:
                self.on_failed(cell, Refusal("INTERNAL"))
            return
        for number, (cell, (actor, version)) in enumerate(actors.items()):
            try:
                await self._play(cell, actor, version, tails.get(cell.address, []))
            except HistoryBroken as broken:
                _log.critical("history_broken", actor=str(cell.address), reason=str(broken))
                self.on_failed(
                    cell, Refusal("QUARANTINED", "The history of this actor is broken; an operator must look.")
                )
            except Refusal as refusal:
                self.on_failed(cell, refusal)
            except Exception:
                _log.exception("wake_failed", actor=str(cell.address))
                self.on_failed(cell, Refusal("INTERNAL"))
            if number % 50 == 49:
                await asyncio.sleep(0)
        self.metrics.wake_seconds.observe(time.monotonic() - started)

    def _restore(self, cell: Cell, stored: Stored, actors: dict[Cell, tuple[Actor, int]]) -> None:
        if stored.quarantined:
            self.on_failed(
                cell, Refusal("QUARANTINED", "This actor crashed its host repeatedly; an operator must look.")
            )
            return
        actors[cell] = restore(self.catalog.kind(cell.address.kind), stored.checkpoint, cell.address)

    async def _try_later(self, batch: list[tuple[Cell, float]], started: float, refusal: Refusal) -> None:
        still: list[tuple[Cell, float]] = []
        for cell, since in batch:
            if started - since > PATIENCE_S:
                self.on_failed(cell, refusal)
            else:
                still.append((cell, since))
        await asyncio.sleep(0.1)
        self._queue.extendleft(reversed(still))
        if still:
            self._wanted.set()

    async def _play(self, cell: Cell, actor: Actor, version: int, tail: list[StoredTurn]) -> None:
        kind = self.catalog.kind(cell.address.kind)
        cell.checkpointed = version
        cell.complete = version == 0
        version = play_tail(kind, actor, version, tail, cell.address)
        last = tail
        rows_max = TAIL_ROWS_MAX
        while len(last) >= rows_max:
            rows_max = LONG_TAIL_ROWS
            last = (await self.journal.tails({cell.address: version}, rows_max)).get(cell.address, [])
            version = play_tail(kind, actor, version, last, cell.address)
            tail = [*tail[-limits.OPS_REMEMBERED_MAX :], *last]
            cell.complete = False
            await asyncio.sleep(0)
        if len(tail) > limits.OPS_REMEMBERED_MAX:
            cell.complete = False
        for turn in tail[-limits.OPS_REMEMBERED_MAX :]:
            cell.recent[turn.op] = known(turn.last, from_json(turn.turn))
        cell.actor = actor
        cell.version = version
        cell.visible = actor.visible()
        cell.awake = True
        self.metrics.wakes.labels(cell.address.kind).inc()
        self.on_awake(cell)


def known(version: int, turn: dict[str, Any]) -> Known:
    """The answer to a repeated op id, from its turn in the journal."""
    return Known(turn.get("fingerprint", 0), version, turn.get("reply"), turn.get("awaits") or ())

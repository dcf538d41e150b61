"""Keeps memory from growing old unnoticed where another host wrote, or may still be writing, an actor's turns."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from actors.runtime.cell import Cell
from actors.runtime.journal import Journal
from actors.runtime.lease import LEASE_S, Lease
from schemas.address import Address
from schemas.problems import Refusal

_log = structlog.get_logger("freshness")

LOOK_EVERY_S = 1.0
DOUBT_S = 2 * LEASE_S
"""How long a commit of a slot's former owner may still land: what is left of its lease, and a statement under way."""
DOUBTED_MAX = 20_000
ASKED_AT_ONCE = 1_000


class Freshness:
    """An actor that is asked and never told would not find out by a conflict that its journal went on without it.

    Actors that woke soon after their slot came to this host, or after a commit of theirs met another writer or an
    unknown end, are compared with the journal each second for a while. Those of slots that went to another host leave.
    """

    def __init__(
        self, cells: Mapping[Address, Cell], lease: Lease, journal: Journal, forget: Callable[[Cell], None]
    ) -> None:
        self._cells = cells
        self._lease = lease
        self._journal = journal
        self._forget = forget
        self._doubted: dict[Address, float] = {}
        """Until when each is compared, the latest last."""
        lease.on_slots_lost.append(self._lost)

    def opened(self, cell: Cell) -> None:
        """This actor is about to be woken."""
        if self._lease.owned_for_s(cell.slot) < DOUBT_S:
            self.doubt(cell.address)

    def doubt(self, address: Address) -> None:
        """Another writer may be at work on this actor's journal."""
        self._doubted.pop(address, None)
        self._doubted[address] = time.monotonic() + DOUBT_S
        if len(self._doubted) > DOUBTED_MAX:
            del self._doubted[next(iter(self._doubted))]

    def _lost(self, slots: frozenset[str]) -> None:
        for cell in [cell for cell in self._cells.values() if cell.slot in slots]:
            self._forget(cell)

    async def look(self) -> None:
        """Compare those in doubt with the journal, and let those that are behind be woken anew. Raises Refusal."""
        now = time.monotonic()
        known = {}
        for address in self._doubted:
            cell = self._cells.get(address)
            if cell is not None and cell.awake:
                known[address] = cell.version
        asked = list(known)
        for start in range(0, len(asked), ASKED_AT_ONCE):
            some = {address: known[address] for address in asked[start : start + ASKED_AT_ONCE]}
            for address, turns in (await self._journal.tails(some, 1)).items():
                cell = self._cells.get(address)
                if cell is not None and cell.awake and turns[-1].last > cell.version:
                    _log.warning("actor_behind", actor=str(address), version=cell.version, journal=turns[-1].last)
                    self._forget(cell)
        for address in [address for address, until in self._doubted.items() if until < now]:
            del self._doubted[address]

    async def run_forever(self) -> None:
        """Look each second."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if self._doubted:
                    await self.look()
            except Refusal as refusal:
                _log.warning("freshness_not_known", reason=refusal.message)

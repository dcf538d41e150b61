"""The audit log of calls that a role admitted: noted at once, written soon, in order."""

import asyncio
from collections import deque

import structlog

from actors.runtime.database import Database, Refused
from gateway.accounts import store
from schemas.address import Address
from schemas.messages import Caller
from schemas.problems import Refusal

QUEUE_MAX = 10_000
RETRY_S = 1.0

log = structlog.get_logger(__name__)


class Audit:
    """`note` never waits. Entries that Postgres cannot take in time go to the log instead."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[tuple[str, str, str, str, str]] = deque()
        self._queued = asyncio.Event()

    def note(self, caller: Caller, role: str, subject: Address, action: str, request_id: str = "") -> None:
        """Who did what to whom, and by which role."""
        entry = (caller.user, role, action, str(subject), request_id)
        if len(self._queue) >= QUEUE_MAX:
            _log(entry)
            return
        self._queue.append(entry)
        self._queued.set()

    async def keep_writing(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            try:
                await self._write()
            except (Refusal, Refused):
                await asyncio.sleep(RETRY_S)
                self._queued.set()

    async def close(self) -> None:
        """Write what is left; what cannot be written goes to the log."""
        try:
            await self._write()
        except (Refusal, Refused):
            for entry in self._queue:
                _log(entry)

    async def _write(self) -> None:
        while self._queue:
            actor, role, action, subject, request_id = self._queue[0]
            await store.add_audit(self._database, actor, role, action, subject, {}, request_id)
            self._queue.popleft()


def _log(entry: tuple[str, str, str, str, str]) -> None:
    actor, role, action, subject, request_id = entry
    log.error("audit", actor=actor, role=role, action=action, subject=subject, request_id=request_id)

"""Looks up op ids that are older than an actor's memory, many with one query."""

import asyncio
from hashlib import blake2b
from typing import Any

import structlog

from actors.runtime.journal import Journal
from schemas.address import Address
from schemas.messages import Request
from schemas.problems import Refusal

_log = structlog.get_logger("ops")

BATCH_MAX = 500
WAITING_MAX = 5_000

Found = tuple[int, dict[str, Any]] | None


def fingerprint(request: Request) -> int:
    """A hash of what is asked: the same op id with another one is another request."""
    digest = blake2b(request.data, digest_size=6, key=request.name.encode()[:64]).digest()
    return int.from_bytes(digest, "big")


class OpFinder:
    """Collects questions while one query runs, and asks them together with the next."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._waiting: dict[tuple[Address, str], asyncio.Future[Found]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, address: Address, op: str) -> Found:
        """The version after the turn with this op id, and the turn as stored; None when the op id had no effect."""
        if len(self._waiting) >= WAITING_MAX:
            raise Refusal("OVERLOADED", "Too many old operation ids are being looked up.", retry_after_s=1)
        future = self._waiting.get((address, op))
        if future is None:
            future = self._waiting[address, op] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(future)

    async def _ask(self) -> None:
        while self._waiting:
            batch = dict(list(self._waiting.items())[:BATCH_MAX])
            for wanted in batch:
                del self._waiting[wanted]
            try:
                found = await self.journal.find_ops(list(batch))
            except Exception as error:
                # Whatever it is: each question has an actor that waits for its answer.
                _log.warning("ops_not_found", reason=str(error)[:200])
                refusal = error if isinstance(error, Refusal) else Refusal("INTERNAL")
                for future in batch.values():
                    if not future.done():
                        future.set_exception(refusal)
                continue
            for wanted, future in batch.items():
                if not future.done():
                    future.set_result(found.get(wanted))

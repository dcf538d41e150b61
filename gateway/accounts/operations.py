"""Requests about accounts that name themselves: done once, and answered alike for a day and more."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import from_json, to_json

from actors.runtime.database import Connection, Database
from actors.times import DAY_S
from gateway.accounts import store
from schemas.problems import Refusal
from schemas.shape import Shape

KEPT_S = 2 * DAY_S

Work = Callable[[Connection], Awaitable[dict[str, Any]]]
"""What has the effect, in the transaction that it is given; returns the answer, in which there is no secret."""


class Operation:
    """One request of one caller. Without a key it is done each time that it comes."""

    def __init__(self, database: Database, caller: str, op: bytes | None, request: bytes) -> None:
        self.caller = caller
        self._database = database
        self._op = op
        self._request = request

    async def kept(self) -> dict[str, Any] | None:
        """What was answered before, None when this is new; refused as OP_REUSED when it was another request."""
        return await self._kept(self._database)

    async def once(self, work: Work) -> dict[str, Any]:
        """The answer of this work, which is done at most once: answer and effect are one commit.

        Refused as OP_REUSED after another request, as OP_IN_PROGRESS while another gateway is at it.
        """
        async with self._database.transaction() as connection:
            if self._op is None:
                return await work(connection)
            if not await store.lock_operation(connection, self.caller, self._op):
                raise _running()
            kept = await self._kept(connection)
            if kept is not None:
                return kept
            answer = await work(connection)
            await store.add_operation(connection, self.caller, self._op, self._request, to_json(answer))
            return answer

    async def _kept(self, sql: store.Sql) -> dict[str, Any] | None:
        row = await store.operation(sql, self.caller, self._op) if self._op is not None else None
        if row is None:
            return None
        if row["request"] != self._request:
            raise another_request()
        answer: dict[str, Any] = from_json(row["answer"])
        return answer


class Operations:
    """Those that this gateway is at; Postgres knows those that are done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: set[tuple[str, bytes]] = set()

    @asynccontextmanager
    async def begun(self, caller: str, key: str | None, what: str, payload: Shape) -> AsyncIterator[Operation]:
        """The request of this key, as long as it runs; refused as OP_IN_PROGRESS while it runs already.

        Requests are compared by `what` and by the payload but for its secrets, of which no trace is kept.
        """
        if key is None:
            yield Operation(self._database, caller, None, b"")
            return
        op = hashlib.sha256(key.encode()).digest()
        if (caller, op) in self._running:
            raise _running()
        self._running.add((caller, op))
        try:
            # In JSON a secret is a row of asterisks.
            request = hashlib.sha256(to_json([what, payload.model_dump(mode="json")])).digest()
            yield Operation(self._database, caller, op, request)
        finally:
            self._running.discard((caller, op))


def another_request() -> Refusal:
    return Refusal("OP_REUSED", "This key was used for another request.")


def _running() -> Refusal:
    return Refusal("OP_IN_PROGRESS", "The first request under this key is still running.")

"""Postgres through asyncpg: the one home of that driver. Its errors are translated here, once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from schemas.problems import Refusal

Row = asyncpg.Record

_COMMIT_SETTINGS = {
    "lock_timeout": "500ms",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "synchronous_commit": "on",
    "jit": "off",
    "application_name": "greenroom",
}


class UniqueConflict(Exception):
    """A row with this key stands there already. `columns` are the key's columns, `values` the loser's, as Postgres
    prints them: joined by commas, which values may hold as well."""

    def __init__(self, constraint: str, detail: str) -> None:
        super().__init__(f"{constraint}: {detail}")
        self.constraint = constraint
        found = re.match(r"Key \((.*?)\)=\((.*)\) already exists", detail, re.DOTALL)
        self.columns = tuple(found[1].split(", ")) if found else ()
        self.values = found[2] if found else ""


class Refused(Exception):
    """Postgres refused the statement itself (a constraint, a value it cannot store); nothing was written."""


class OutcomeUnknown(Refusal):
    """The connection was lost while a write was under way: it may have been committed, or not."""

    def __init__(self, reason: str) -> None:
        super().__init__("UNAVAILABLE", f"The database did not answer ({reason}).", retry_after_s=1)


def _unavailable(error: BaseException) -> Refusal:
    return Refusal("UNAVAILABLE", f"The database is not reachable ({type(error).__name__}).", retry_after_s=1)


_CERTAINLY_NOT_DONE = (
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.OutOfMemoryError,
    ConnectionRefusedError,
    FileNotFoundError,
)


_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def _cut(raw: Any) -> None:
    """End a connection without a word; one that is gone already is no trouble."""
    with contextlib.suppress(OSError, AttributeError, *_DRIVER_ERRORS):
        raw.terminate()


def _translated(error: Exception) -> Exception:
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueConflict(error.constraint_name or "", error.detail or "")
    if isinstance(error, _CERTAINLY_NOT_DONE):
        return _unavailable(error)
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return OutcomeUnknown(type(error).__name__)
    if isinstance(error, asyncpg.PostgresError):
        return Refused(f"{type(error).__name__}: {error}")
    if isinstance(error, OSError | TimeoutError):
        return OutcomeUnknown(type(error).__name__)
    return error


async def _prepare_connection(connection: Any) -> None:
    for name, encoder in (("jsonb", _jsonb_bytes), ("json", _text_bytes)):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=encoder, decoder=_json_bytes, format="binary"
        )


def _text_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _jsonb_bytes(value: bytes | str) -> bytes:
    return b"\x01" + _text_bytes(value)


def _json_bytes(value: bytes) -> bytes:
    return value[1:] if value[:1] == b"\x01" else value


class Connection:
    """One connection, inside a transaction or not. JSON goes in and comes out as bytes."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        """All rows. Raises UniqueConflict, Refused, OutcomeUnknown or Refusal UNAVAILABLE."""
        try:
            rows: list[Row] = await self._raw.fetch(sql, *values)
        except Exception as error:
            raise _translated(error) from error
        return rows

    async def fetch_row(self, sql: str, *values: Any) -> Row | None:
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def execute(self, sql: str, *values: Any) -> str:
        """The command tag, such as `UPDATE 1`."""
        try:
            tag: str = await self._raw.execute(sql, *values)
        except Exception as error:
            raise _translated(error) from error
        return tag


class Database:
    """A pool of connections to Postgres that opens lazily and comes back by itself."""

    def __init__(
        self, dsn: str, *, size: int = 4, acquire_timeout_s: float = 1.0, statement_timeout_s: float = 5.0
    ) -> None:
        self.dsn = dsn
        self.size = size
        self.acquire_timeout_s = acquire_timeout_s
        self._settings = {**_COMMIT_SETTINGS, "statement_timeout": f"{int(statement_timeout_s * 1000)}ms"}
        self._pool: Any = None

    async def open(self) -> None:
        """Connect once; refused as UNAVAILABLE when Postgres does not answer."""
        try:
            self._pool = await asyncpg.create_pool(
                self.dsn,
                min_size=1,
                max_size=self.size,
                init=_prepare_connection,
                server_settings=self._settings,
                timeout=5,
                command_timeout=30,
                max_inactive_connection_lifetime=60,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except (TimeoutError, OSError, *_DRIVER_ERRORS):
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection of the pool, for several statements."""
        if self._pool is None:
            raise Refusal("UNAVAILABLE", "The database is not open yet.", retry_after_s=1)
        try:
            raw = await self._pool.acquire(timeout=self.acquire_timeout_s)
        except (OSError, TimeoutError, *_DRIVER_ERRORS) as error:
            raise _unavailable(error) from error
        try:
            yield Connection(raw)
        except (UniqueConflict, Refused):
            raise
        except BaseException:
            # In doubt (an unknown outcome, a cancellation in the middle of a statement): a connection that is given
            # back then may be waited for without end, so it is cut.
            _cut(raw)
            raise
        finally:
            await self._release(raw)

    async def _release(self, raw: Any) -> None:
        try:
            async with asyncio.timeout(self.acquire_timeout_s):
                await self._pool.release(raw, timeout=self.acquire_timeout_s)
        except (OSError, TimeoutError, AttributeError, *_DRIVER_ERRORS):
            _cut(raw)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        async with self.connection() as connection:
            await connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                try:
                    await connection.execute("ROLLBACK")
                except (Refusal, Refused, UniqueConflict):
                    _cut(connection._raw)
                raise
            await connection.execute("COMMIT")

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)

    async def fetch_row(self, sql: str, *values: Any) -> Row | None:
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def execute(self, sql: str, *values: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(sql, *values)


_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END_BACKEND = """
SELECT coalesce(bool_and(pg_terminate_backend(pid, 1000)), true)
FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
"""
SETTLED_WITHIN_S = 1.5
"""While Postgres is away nothing can be carried out either, and those who wait are told soon."""


def commits_of(run: int) -> str:
    """What Postgres calls the connection on which this run of a host commits."""
    return f"greenroom run {run}"


class Statements:
    """A connection of its own for group commits: one statement is one round trip, several are one transaction."""

    def __init__(self, dsn: str, *, run: int | None = None) -> None:
        self.dsn = dsn
        self._settings = dict(_COMMIT_SETTINGS)
        if run is not None:
            self._settings["application_name"] = commits_of(run)
        self._raw: Any = None
        self._backend: Any = None
        """The process in Postgres that serves the connection."""
        self._doubtful: Any = None
        """The one that may still be at work on what is of unknown outcome."""

    async def commit(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Run all or none. Raises UniqueConflict or Refused (nothing written), Refusal UNAVAILABLE (nothing written)
        or OutcomeUnknown (read back what happened)."""
        raw = await self._connected()
        try:
            if len(statements) == 1:
                await raw.fetch(statements[0][0], *statements[0][1])
                return
            async with raw.transaction():
                for sql, values in statements:
                    await raw.fetch(sql, *values)
        except Exception as error:
            translated = _translated(error)
            if isinstance(translated, OutcomeUnknown):
                self._doubtful = self._backend
            if not isinstance(translated, UniqueConflict | Refused):
                self.drop()
            raise translated from error
        except BaseException:
            self.drop()
            raise

    async def settle(self) -> None:
        """After an unknown outcome: see to it that what was sent is carried out by now, or never will be. A backend
        that has lost its client goes on all the same; only when it is gone, reading back tells the truth."""
        try:
            async with asyncio.timeout(SETTLED_WITHIN_S):
                while self._doubtful is not None:
                    try:
                        raw = await self._connected()
                        if await raw.fetchval(_END_BACKEND, *self._doubtful):
                            self._doubtful = None
                    except (Refusal, OSError, *_DRIVER_ERRORS):
                        self.drop()
                        await asyncio.sleep(0.05)
        except TimeoutError:
            self.drop()

    async def _connected(self) -> Any:
        if self._raw is None or self._raw.is_closed():
            try:
                self._raw = await asyncpg.connect(
                    self.dsn, server_settings=self._settings, timeout=5, command_timeout=8
                )
                await _prepare_connection(self._raw)
                self._backend = await self._raw.fetchrow(_BACKEND)
            except (OSError, TimeoutError, *_DRIVER_ERRORS) as error:
                self.drop()
                raise _unavailable(error) from error
        return self._raw

    def drop(self) -> None:
        """Abandon the connection at once; the next commit opens another."""
        if self._raw is not None:
            self._raw.terminate()
            self._raw = None

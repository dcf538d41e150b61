"""What Postgres and its driver say, in the four words that the rest of the runtime knows."""

import asyncpg
import pytest

from actors.runtime.database import OutcomeUnknown, Refused, UniqueConflict, _translated
from schemas.problems import Refusal


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.LockNotAvailableError("lock"),
        asyncpg.QueryCanceledError("timeout"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.DiskFullError("full"),
        asyncpg.ReadOnlySQLTransactionError("read only"),
        ConnectionRefusedError(),
        FileNotFoundError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_certainly_was_not_done_is_unavailable(error: Exception) -> None:
    refusal = _translated(error)
    assert isinstance(refusal, Refusal)
    assert not isinstance(refusal, OutcomeUnknown)
    assert (refusal.status, refusal.retry_after_s) == (503, 1)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
        asyncpg.ConnectionFailureError("failure"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("protocol"),
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_have_been_done_is_unknown(error: Exception) -> None:
    refusal = _translated(error)
    assert isinstance(refusal, OutcomeUnknown)
    assert refusal.status == 503


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UntranslatableCharacterError("NUL"),
        asyncpg.NotNullViolationError("null"),
        asyncpg.CheckViolationError("check"),
        asyncpg.PostgresSyntaxError("syntax"),
        asyncpg.ProgramLimitExceededError("index row size"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_postgres_will_never_take_is_refused(error: Exception) -> None:
    assert isinstance(_translated(error), Refused)


def test_other_exceptions_stay_what_they_are() -> None:
    bug = LookupError("a bug of ours")
    assert _translated(bug) is bug


@pytest.mark.parametrize(
    ("detail", "columns", "values"),
    [
        ("Key (kind, key, version)=(player, anna, 3) already exists.", ("kind", "key", "version"), "player, anna, 3"),
        ("Key (kind, key, op)=(guild, a, b), (c, o) already exists.", ("kind", "key", "op"), "guild, a, b), (c, o"),
        ("Key (id)=(line\nbreak) already exists.", ("id",), "line\nbreak"),
        ("", (), ""),
    ],
)
def test_a_conflict_names_the_row_that_lost(detail: str, columns: tuple[str, ...], values: str) -> None:
    conflict = UniqueConflict("journal_1_pkey", detail)
    assert (conflict.columns, conflict.values) == (columns, values)

"""The simulated Postgres does what a real one does: one script of statements, the same answers from both."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from pydantic_core import from_json, to_json

from actors.runtime import content, journal, lease, sweeper
from actors.runtime.database import Database, Refused, Statements, UniqueConflict
from actors.runtime.directory import _ROUTES, _WANT
from tests.harness import Servers
from tests.simulation.store import STATEMENTS, Store

pytestmark = pytest.mark.asyncio(loop_scope="module")

Step = tuple[str, Sequence[Any]]
BY_THE_CLOCK = {"now_ms"}
CHANGES = {sweeper._SPREAD}
"""Of these Postgres says only how many rows they changed."""
JSON = ("turn", "events", "tells", "tell", "data")
ALL = list(range(256))
FAR_MS = 4_000_000_000_000


def turn(key: str, version: int, op: str, length: int = 1) -> tuple[Any, ...]:
    return (
        "counter",
        key,
        version,
        length,
        op,
        1_000,
        1,
        to_json({"reply": version}),
        to_json([["added", {}]] * length),
    )


def write(
    *turns: tuple[Any, ...],
    parcels: Sequence[tuple[Any, ...]] = (),
    finished: Sequence[str] = (),
    kept: Sequence[tuple[Any, ...]] = (),
) -> Step:
    columns = [[one[place] for one in turns] for place in range(9)]
    sent = ([one[place] for one in parcels] for place in range(5))
    return journal.WRITE, [*columns, *sent, list(finished), *([one[place] for one in kept] for place in range(6))]


def parcel(name: str, *tells: str) -> tuple[Any, ...]:
    return (name, 7, "counter", "to", to_json([[tell, "receive", {"amount": 1}] for tell in tells]))


def rows(sql: str, *listed: tuple[Any, ...]) -> Step:
    return sql, [list(column) for column in zip(*listed, strict=True)]


def checkpoint(key: str, version: int, state: bytes) -> tuple[Any, ...]:
    return ("counter", key, version, 1, b"sum", state)


def reminder(name: str, due: int, number: int = 0) -> tuple[Any, ...]:
    return ("counter", "r", name, 3, f"remind-{name}-{number}", due, "ring", b'{"name": "a"}')


def loaded(*keys: str, after: int = 0, rows_max: int = 9) -> list[list[Step]]:
    kinds, listed = ["counter"] * len(keys), list(keys)
    tails = (journal._LOAD_TAILS, [kinds, listed, [after] * len(keys), rows_max])
    return [[(journal._LOAD_CHECKPOINTS, [kinds, listed])], [tails]]


SANCTION = to_json([{"user_id": "u", "standing": "banned", "until": None, "reason": "r", "by": "rule", "at": 5}])
INCIDENT = to_json(
    [{"id": "i", "player": "u", "rule": "r", "points": 1, "suspicion": 2, "evidence": {"a": 1}, "at": 5}]
)
LOOK: list[list[Step]] = [
    *loaded("a", "b, c", "none"),
    *loaded("a", after=3, rows_max=1),
    [(journal._TURNS, ["counter", "a", 1, 9])],
    [(journal._FIND_OPS, [["counter"] * 3, ["a", "a", "b, c"], ["o2", "nothing", "o1"]])],
    [(sweeper._REMINDERS_DUE, [ALL, FAR_MS, 9])],
]

SCRIPT: list[list[Step]] = [
    [write(turn("a", 1, "o1", 2), turn("b, c", 1, "o1"))],
    *LOOK,
    [write(turn("a", 3, "o2"), parcels=[parcel("p1", "t1", "t2"), parcel("p2", "t3")])],
    # Conflicts: of versions, of op ids, within one statement; nothing of the group is left behind.
    [write(turn("a", 4, "o3"), turn("b, c", 1, "o9"), parcels=[parcel("p3", "t4")])],
    [write(turn("a", 4, "o2"))],
    [write(turn("a", 4, "o4"), turn("a", 4, "o5"))],
    [write(turn("a", 4, "o4"), turn("a", 5, "o4"))],
    [write(turn("a", 4, "o4"), finished=["p1"]), write(turn("a", 4, "o6"))],
    [write(turn("a", 4, "o4", 0))],
    [write(turn("a", 0, "o4"))],
    *LOOK,
    # Gaps and overlaps are not the table's business.
    [write(turn("a", 9, "o9", 3), turn("a", 10, "o10"))],
    *LOOK,
    # Parcels: put once, put off, retried, finished, buried.
    [write(parcels=[parcel("p1", "other")])],
    [(sweeper._PARCELS_DUE, [ALL, 9])],
    [rows(journal.RETRY, ("p4", 7, "counter", "to", 2, -60_000, b'[["t9","receive",{}]]'))],
    [rows(journal.RETRY, ("p4", 7, "counter", "to", 5, -60_000, b"[]"))],
    [(sweeper._PARCELS_DUE, [[8], 9])],
    [(sweeper._PARCELS_DUE, [[7, 8], 9])],
    [(sweeper._PARCELS_DUE, [[7, 8], 9])],
    [rows(journal.RETRY_PARCEL, ("p1", 2, -1_000), ("p2", 0, -5_000), ("gone", 1, 0))],
    [rows(journal.RETRY_PARCEL, ("p1", 1, -1_000))],
    [(sweeper._PARCELS_DUE, [ALL, 9])],
    [(sweeper._FAILED_AGAIN, ["p1"])],
    [(sweeper._FAILED_AGAIN, ["gone"])],
    [(sweeper._BURY, ["p1", "closed", 3])],
    [(sweeper._BURY, ["gone", "closed", 3])],
    [rows(journal.BURY, ("t1", "counter", "to", b'["t1"]', "again", 9), ("t8", "counter", "to", b'["t8"]', "x", 1))],
    [write(finished=["p4", "p4", "never"])],
    [write(parcels=[parcel("p2", "t3")], finished=["p2"])],
    [rows(journal.RETRY_PARCEL, ("p2", 3, -1_000), ("p4", 9, -1_000))],
    [(sweeper._PARCELS_DUE, [ALL, 9])],
    # Checkpoints never go back.
    [rows(journal.CHECKPOINT, checkpoint("a", 5, b"five"))],
    [rows(journal.CHECKPOINT, checkpoint("a", 5, b"other"), checkpoint("b, c", 1, b"one"))],
    [rows(journal.CHECKPOINT, checkpoint("a", 7, b"seven"))],
    [rows(journal.CHECKPOINT, checkpoint("a", 6, b"six"))],
    [write(turn("kept", 1, "k1"), kept=[checkpoint("kept", 1, b"kept"), checkpoint("a", 8, b"eight")])],
    [write(turn("kept", 2, "k1"), kept=[checkpoint("kept", 2, b"never")])],
    [write(turn("kept", 2, "k2"), kept=[checkpoint("kept", 2, b"later"), checkpoint("a", 7, b"too late")])],
    *LOOK,
    # Reminders: one for each name.
    [rows(journal.REMIND, reminder("one", 50), reminder("two", 20), reminder("late", FAR_MS * 2))],
    [rows(journal.REMIND, reminder("one", 10, 1))],
    *LOOK,
    [(sweeper._REMINDERS_DUE, [[4], FAR_MS, 9])],
    [(sweeper._PUT_OFF, [["remind-two-0", "gone"], 5])],
    [(sweeper._REMINDERS_DUE, [[3], 6, 9])],
    [(sweeper._REMINDED, [["remind-one-0", "remind-two-0"]])],
    [rows(journal.FORGET, ("counter", "r", "late"), ("counter", "r", "never"))],
    *LOOK,
    # Hosts and slots.
    [(lease._REGISTER, ["host", "unix:/h", "here", 1, "shared", 1])],
    [(_WANT, [["counter:a", "7"]])],
    [(_WANT, [["7"]])],
    [(lease._RENEW, [1])],
    [(lease._RENEW, [99])],
    [(_ROUTES, [])],
    # Read models.
    [(journal.RECORDS["sanction"], [b'[{"standing": "neither"}]'])],
    [write(turn("d", 1, "o")), (journal.RECORDS["sanction"], [b'[{"standing": "neither"}]'])],
    *loaded("d"),
    [write(turn("e", 1, "o")), (journal.RECORDS["sanction"], [SANCTION])],
    [write(turn("e", 2, "p")), (journal.RECORDS["incident"], [INCIDENT]), (journal.RECORDS["incident"], [INCIDENT])],
    *loaded("e"),
    [(content._ACTIVE, [1])],
    # A herd of reminders is spread, the oldest first; a few are not.
    [rows(journal.REMIND, *(reminder(f"{number}", 10_000 * number) for number in range(1, 7)))],
    [(sweeper._SPREAD, [ALL, 100_000, 60_000, 5_000, 20_000, 6])],
    [(sweeper._SPREAD, [[4], 100_000, 60_000, 5_000, 20_000, 2])],
    [(sweeper._SPREAD, [ALL, 12_000, 60_000, 5_000, 20_000, 0])],
    *LOOK,
    [(sweeper._SPREAD, [ALL, 100_000, 60_000, 5_000, 4, 2])],
    *LOOK,
]


class Simulated:
    """The tables of a world, asked as Postgres is."""

    def __init__(self) -> None:
        self.store = Store(lambda: 1_795_000_000_000)

    async def run(self, statements: Sequence[Step]) -> Any:
        return self.store.run(statements)


class Real:
    """Postgres."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.statements = Statements(database.dsn)

    async def run(self, statements: Sequence[Step]) -> Any:
        if len(statements) > 1 or statements[0][0] == journal.WRITE:
            await self.statements.commit(statements)
            return []
        [(sql, values)] = statements
        return await self.database.fetch(sql, *values)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(servers: Servers) -> AsyncIterator[Real]:
    name = await servers.new_database()
    database = Database(servers.dsn(name), size=1)
    await database.open()
    real = Real(database)
    yield real
    real.statements.drop()
    await database.close()
    await servers.drop_database(name)


async def answer(port: Any, statements: Sequence[Step]) -> Any:
    """What came back: rows, or how it was refused."""
    try:
        return [dict(row) for row in await port.run(statements)]
    except UniqueConflict as conflict:
        return conflict.columns, conflict.values
    except Refused:
        return "refused"


def alike(found: Any, like: Any) -> Any:
    """Rows in any order, with the columns that a real Postgres gives back; a column of JSON by what it says."""
    if not isinstance(found, list) or not isinstance(like, list):
        return found
    names = sorted({name for row in like for name in row} - BY_THE_CLOCK)
    return sorted(repr([from_json(row[name]) if name in JSON else row[name] for name in names]) for row in found)


async def test_the_simulated_postgres_answers_as_the_real_one(real: Real) -> None:
    simulated = Simulated()
    for number, statements in enumerate(SCRIPT):
        expected = await answer(real, statements)
        told = await answer(simulated, statements)
        if statements[0][0] in CHANGES:
            told = [] if isinstance(told, list) else told
        assert alike(told, expected) == alike(expected, expected), (number, statements)
    outbox = [dict(row) for row in await real.database.fetch("SELECT id, kind, key, attempts, tells FROM outbox")]
    assert alike(list(simulated.store.outbox.values()), outbox) == alike(outbox, outbox)
    dead = [dict(row) for row in await real.database.fetch("SELECT id, kind, key, reason, attempts FROM dead_letter")]
    assert dead
    assert alike(list(simulated.store.dead_letter.values()), dead) == alike(dead, dead)


async def test_the_script_has_every_statement() -> None:
    asked = {sql for statements in SCRIPT for sql, _ in statements}
    assert set(STATEMENTS) - asked == set()

"""What the journal's tables and reads promise to everything above them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic_core import from_json, to_json

from actors.core import Past
from actors.runtime import journal
from actors.runtime.database import Database, OutcomeUnknown, Refused, Statements, UniqueConflict
from actors.runtime.journal import Journal
from schemas.address import Address
from schemas.problems import Refusal
from tests.harness import Servers, counter

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(servers: Servers) -> AsyncIterator[Database]:
    name = await servers.new_database()
    database = Database(servers.dsn(name), size=2)
    await database.open()
    yield database
    await database.close()
    await servers.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def statements(database: Database) -> AsyncIterator[Statements]:
    statements = Statements(database.dsn)
    yield statements
    statements.drop()


def turn(key: str, version: int, op: str, length: int = 1, text: str = "x") -> tuple[Any, ...]:
    events = to_json([["added", {"text": text}]] * length)
    return ("counter", key, version, length, op, 1_000, 1, to_json({"reply": {"version": version}}), events)


def write(*turns: tuple[Any, ...], parcels: tuple[Any, ...] = (), finished: tuple[str, ...] = ()) -> list[Any]:
    columns = [list(column) for column in zip(*turns, strict=True)] if turns else [[] for _ in range(9)]
    sent = [[parcel[field] for parcel in parcels] for field in range(5)]
    return [(journal.WRITE, [*columns, *sent, list(finished), *NO_CHECKPOINTS])]


NO_CHECKPOINTS: list[list[Any]] = [[] for _ in range(6)]


def checkpoint(key: str, version: int, state: bytes) -> tuple[str, list[Any]]:
    return journal.CHECKPOINT, [["counter"], [key], [version], [1], [b"sum"], [state]]


async def versions(database: Database, key: str) -> list[int]:
    return [row["version"] for row in await Journal(database).turns(counter(key))]


async def test_a_version_is_written_once(database: Database, statements: Statements) -> None:
    await statements.commit(write(turn("a, b", 1, "o1", 2), turn("a, b", 3, "o2")))
    with pytest.raises(UniqueConflict) as conflict:
        await statements.commit(write(turn("a, b", 3, "o3")))
    assert conflict.value.columns == ("kind", "key", "version")
    assert conflict.value.values == "counter, a, b, 3"
    assert await versions(database, "a, b") == [1, 3]


async def test_an_op_id_has_one_effect_on_one_actor(database: Database, statements: Statements) -> None:
    await statements.commit(write(turn("ops", 1, "same"), turn("other", 1, "same")))
    with pytest.raises(UniqueConflict) as conflict:
        await statements.commit(write(turn("ops", 2, "same")))
    assert conflict.value.columns == ("kind", "key", "op")
    found = await Journal(database).find_ops([(counter("ops"), "same"), (counter("ops"), "none")])
    assert found == {(counter("ops"), "same"): (1, {"reply": {"version": 1}})}


async def test_a_group_is_written_whole_or_not_at_all(database: Database, statements: Statements) -> None:
    parcel = ("p1", 7, "counter", "to", to_json([["t", "receive", {}]]))
    good = write(turn("whole", 1, "o1"), parcels=(parcel,))
    with pytest.raises(UniqueConflict):
        await statements.commit(write(turn("whole", 1, "o1"), turn("ops", 1, "again"), parcels=(parcel,)))
    with pytest.raises(Refused):
        await statements.commit([*good, ("INSERT INTO sanction (standing) VALUES ($1)", ["neither"])])
    assert await versions(database, "whole") == []
    assert await database.fetch_value("SELECT count(*) FROM outbox WHERE id = 'p1'") == 0
    await statements.commit(good)
    assert await versions(database, "whole") == [1]
    await statements.commit(write(turn("to", 1, "p1"), finished=("p1",)))
    assert await database.fetch_value("SELECT count(*) FROM outbox WHERE id = 'p1'") == 0


@pytest.mark.parametrize("text", ["a\0b", "\0", "\\\0", "\\\\\0"])
async def test_a_text_with_nul_never_reaches_the_journal(text: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        journal.readable(to_json({"text": text}))


@pytest.mark.parametrize("text", ["plain", "\\u0000", "\\\\u0000", "u0000"])
async def test_a_text_that_only_looks_like_nul_is_kept(text: str) -> None:
    assert from_json(journal.readable(to_json({"text": text}))) == {"text": text}


async def test_a_turn_without_events_is_refused(statements: Statements) -> None:
    with pytest.raises(Refused):
        await statements.commit(write(turn("empty", 1, "o1", 0)))


async def test_a_tail_comes_in_order_and_from_where_it_is_asked(database: Database, statements: Statements) -> None:
    await statements.commit(write(*(turn("tail", 1 + 2 * number, f"o{number}", 2) for number in range(50))))
    tails = await Journal(database).tails({counter("tail"): 40, counter("nobody"): 0})
    assert [stored.version for stored in tails[counter("tail")]] == list(range(41, 100, 2))
    assert tails[counter("tail")][-1].last == 100
    assert counter("nobody") not in tails
    few = await Journal(database).tails({counter("tail"): 0}, rows_max=3)
    assert [stored.version for stored in few[counter("tail")]] == [1, 3, 5]


async def test_a_checkpoint_never_goes_back(database: Database, statements: Statements) -> None:
    for version, state in ((5, b"five"), (9, b"nine"), (7, b"seven")):
        await statements.commit([checkpoint("kept", version, state)])
    stored = await Journal(database).checkpoints([counter("kept"), counter("nobody")])
    assert stored[counter("kept")].checkpoint == (9, 1, b"sum", b"nine")
    assert stored[counter("nobody")].checkpoint is None


async def test_three_crashes_in_a_minute_are_a_quarantine(database: Database) -> None:
    crashed = "INSERT INTO quarantine (kind, key, crashes, since) SELECT 'counter', $1, array_agg(now()), "
    await database.execute(crashed + "NULL FROM generate_series(1, 2)", "twice")
    await database.execute(crashed + "now() FROM generate_series(1, 3)", "thrice")
    stored = await Journal(database).checkpoints([counter("twice"), counter("thrice")])
    assert not stored[counter("twice")].quarantined
    assert stored[counter("thrice")].quarantined


async def test_a_reminder_has_one_place_for_each_name(database: Database, statements: Statements) -> None:
    for number in (1, 2):
        row = ("counter", "r", "alarm", 3, f"remind-{number}", number, "ring", b"{}")
        await statements.commit([(journal.REMIND, [[value] for value in row])])
    rows = await database.fetch("SELECT id, due FROM reminder WHERE key = 'r'")
    assert [tuple(row) for row in rows] == [("remind-2", 2)]
    await statements.commit([(journal.FORGET, [["counter"], ["r"], ["alarm"]])])
    assert await database.fetch("SELECT 1 FROM reminder WHERE key = 'r'") == []


async def test_a_parcel_that_is_gone_is_not_put_back(database: Database, statements: Statements) -> None:
    await statements.commit([(journal.RETRY_PARCEL, [["gone"], [1], [0]])])
    assert await database.fetch("SELECT 1 FROM outbox WHERE id = 'gone'") == []


async def test_strings_of_any_script_come_back_as_they_went_in(database: Database, statements: Statements) -> None:
    key = "日本 'quoted\" \\ 💥 é"
    await statements.commit(write(turn(key, 1, key, text=key)))
    assert (await Journal(database).find_ops([(Address("counter", key), key)]))[counter(key), key][0] == 1


async def test_a_connection_that_ends_at_work_leaves_the_outcome_open(
    database: Database, statements: Statements
) -> None:
    with pytest.raises(Refusal) as lost:
        await statements.commit([("SELECT pg_terminate_backend(pg_backend_pid())", [])])
    assert lost.value.code == "UNAVAILABLE"
    await statements.commit(write(turn("after", 1, "o")))
    assert await versions(database, "after") == [1]


async def test_a_database_that_is_not_there_is_unavailable(servers: Servers) -> None:
    for dsn in (servers.dsn("greenroom", servers.path / "nowhere"), servers.dsn("no_such_database")):
        with pytest.raises(Refusal) as refused:
            await Database(dsn).open()
        assert (refused.value.code, refused.value.retry_after_s) == ("UNAVAILABLE", 1)
        with pytest.raises(Refusal) as refused:
            await Statements(dsn).commit(write(turn("x", 1, "o")))
        assert not isinstance(refused.value, OutcomeUnknown)


async def test_a_pool_that_is_used_up_is_unavailable(servers: Servers, database: Database) -> None:
    small = Database(database.dsn, size=1, acquire_timeout_s=0.05)
    await small.open()
    async with small.connection():
        with pytest.raises(Refusal) as refused:
            await small.fetch("SELECT 1")
    assert refused.value.code == "UNAVAILABLE"
    assert await small.fetch_value("SELECT 1") == 1
    await small.close()


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    async def half() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO slot (slot) VALUES ('undone')")
            raise LookupError

    with pytest.raises(LookupError):
        await half()
    assert await database.fetch("SELECT 1 FROM slot WHERE slot = 'undone'") == []
    with pytest.raises(Refused):
        await database.execute("SELECT no_such_column FROM slot")


async def test_the_newest_turns_before_an_event_are_recalled_and_named_ones_after_it(
    database: Database, statements: Statements
) -> None:
    await statements.commit(write(*(turn("past", 1 + 2 * n, f"o{n}", 2, f"t{n}") for n in range(10))))
    await statements.commit(write(turn("other", 2, "elsewhere")))

    async def recalled(*past: Any) -> list[int]:
        return [row["version"] for row in await Journal(database).past(counter("past"), Past(*past))]

    assert await recalled(9, 3) == [3, 5, 7]
    assert await recalled(9, 3, (1, 5, 11, 12, 99)) == [3, 5, 7, 11]
    assert await recalled(1, 3) == []
    [row] = await Journal(database).past(counter("past"), Past(3, 1))
    assert (row["length"], from_json(row["events"])[0]) == (2, ["added", {"text": "t0"}])

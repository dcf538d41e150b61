"""Memory does not grow old unnoticed: not when another host writes, nor when a lost commit is carried out late."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import database as driver
from actors.runtime.database import OutcomeUnknown, Statements
from actors.runtime.journal import WRITE
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.greenroom import Home
from tests.harness.kinds import Add, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


def both(greenroom: Greenroom, key: str) -> tuple[Home, Home]:
    """The host that owns the counter, and the other."""
    owner = greenroom.home_of(counter(key))
    return owner, next(home for home in greenroom.homes if home is not owner)


async def total_at(greenroom: Greenroom, home: Home, key: str) -> int:
    reply = await greenroom.ask_at(home, counter(key), Total())
    return int(reply.data["total"]) if reply.status == 200 else -1


async def test_an_actor_that_is_only_asked_finds_out_that_another_host_wrote_on(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = both(greenroom, "watched")
    assert (await greenroom.persist(counter("watched"), Add(amount=1))).status == 200
    slot, _ = owner.host.lease.slots.place(counter("watched"))
    # A slot that two hosts own: the other wakes the actor, and then the first, which knows nothing of it, writes on.
    monkeypatch.setattr(other.host.lease, "owns", lambda wanted: True)
    other.host.lease._owned_since[slot] = time.monotonic()
    assert await total_at(greenroom, other, "watched") == 1
    assert (await greenroom.ask_at(owner, counter("watched"), Add(amount=5), op="late")).status == 200
    await eventually(lambda: _is(total_at(greenroom, other, "watched"), 6))


async def test_actors_of_a_slot_that_went_elsewhere_leave_memory(greenroom: Greenroom) -> None:
    owner, other = both(greenroom, "gone")
    assert (await greenroom.persist(counter("gone"), Add(amount=1))).status == 200
    assert counter("gone") in owner.host.cells
    slot, _ = owner.host.lease.slots.place(counter("gone"))
    await greenroom.database.execute("UPDATE slot SET run = $1 WHERE slot = $2", other.run, slot)
    await owner.host.lease.renew()
    assert counter("gone") not in owner.host.cells
    assert (await greenroom.persist(counter("gone"), Add(amount=1))).data == {"total": 2}


async def test_a_host_without_its_lease_writes_nothing(greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, _ = both(greenroom, "mute")
    assert (await greenroom.persist(counter("mute"), Add(amount=1))).status == 200
    commits = owner.host.commits
    with monkeypatch.context() as lapsed:
        lapsed.setattr(commits, "may_write", lambda: False)
        assert (await greenroom.command(counter("mute"), Add(amount=1), op="lapsed", timeout_s=1)).status == 503
        assert [row["version"] for row in await greenroom.journal(counter("mute"))] == [1]
    assert (await greenroom.persist(counter("mute"), Add(amount=1), op="lapsed")).data == {"total": 2}


async def test_what_was_sent_over_a_lost_connection_is_done_or_never_will_be_once_it_is_settled(
    greenroom: Greenroom,
) -> None:
    statements = Statements(greenroom.servers.dsn(greenroom.database_name))
    row = [["counter"], ["slow"], [1], [1], ["slow-op"], [1], [1], [b"{}"], [b"[]"]]
    slowly: tuple[str, list[object]] = ("SELECT pg_sleep(1)", [])
    nothing: list[list[object]] = [[] for _ in range(12)]
    sending = asyncio.ensure_future(statements.commit([slowly, (WRITE, [*row, *nothing])]))
    await eventually(lambda: _is(_sleepers(greenroom), 1))
    # The client loses sight of the server, which goes on.
    statements._raw._transport.abort()
    with pytest.raises(OutcomeUnknown):
        await sending
    await statements.settle()
    assert await _sleepers(greenroom) == 0
    assert await greenroom.journal(counter("slow")) == []
    await statements.settle()
    statements.drop()


async def test_settling_gives_up_in_time_when_postgres_is_away(servers: Servers) -> None:
    statements = Statements(servers.dsn("greenroom", servers.path / "nowhere"))
    statements._doubtful = (1, None)
    before = time.monotonic()
    await statements.settle()
    assert time.monotonic() - before >= driver.SETTLED_WITHIN_S


async def _sleepers(greenroom: Greenroom) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'"
    return int(await greenroom.database.fetch_value(sql))


async def _is(asked: object, wanted: int) -> bool:
    return bool(await asked == wanted)  # type: ignore[misc]

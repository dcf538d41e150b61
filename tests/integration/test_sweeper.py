"""What leaves memory: idle actors, and the idlest when there are too many; nothing is lost by it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import faults, sweeper
from actors.runtime.sweeper import Sweeper, resident_bytes
from schemas.settings import Settings
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers) as greenroom:
        yield greenroom


def sweep(greenroom: Greenroom, **options: float) -> Sweeper:
    """A sweeper of the harness' one host under other settings."""
    settings = greenroom.settings.model_copy(update=options)
    assert isinstance(settings, Settings)
    return Sweeper(greenroom.homes[0].host, greenroom.database, greenroom.router, settings)


async def add(greenroom: Greenroom, keys: list[str]) -> None:
    replies = await asyncio.gather(*(greenroom.command(counter(key), Add(amount=2)) for key in keys))
    assert {reply.status for reply in replies} == {200}
    await eventually(lambda: all(cell.quiet for cell in greenroom.homes[0].host.cells.values()))


async def totals(greenroom: Greenroom, keys: list[str]) -> list[int]:
    replies = await asyncio.gather(*(greenroom.query(counter(key), Total()) for key in keys))
    return [reply.data["total"] for reply in replies]


async def test_idle_actors_leave_memory_with_a_checkpoint(greenroom: Greenroom) -> None:
    keys = [f"idle-{number}" for number in range(250)]
    await add(greenroom, keys)
    await sweep(greenroom, idle_s=300).put_to_sleep()
    cells = greenroom.homes[0].host.cells
    assert all(counter(key) in cells for key in keys)
    await sweep(greenroom, idle_s=0).put_to_sleep()
    assert not cells
    assert await greenroom.database.fetch_value("SELECT count(*) FROM checkpoint WHERE key LIKE 'idle-%'") == 250
    assert await totals(greenroom, keys) == [2] * 250


async def test_the_idlest_leave_when_there_are_too_many(greenroom: Greenroom) -> None:
    host = greenroom.homes[0].host
    await sweep(greenroom, idle_s=0).put_to_sleep()
    keys = [f"crowd-{number}" for number in range(30)]
    await add(greenroom, keys[:20])
    await add(greenroom, keys[20:])
    await sweep(greenroom, host_actors_max=10).put_to_sleep()
    assert {address.key for address in host.cells} == set(keys[20:])
    assert await totals(greenroom, keys) == [2] * 30


async def test_a_fifth_leaves_when_memory_runs_short(greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "BASE_BYTES", 0)
    await sweep(greenroom, idle_s=0).put_to_sleep()
    await add(greenroom, [f"heavy-{number}" for number in range(20)])
    await sweep(greenroom, host_state_bytes_max=resident_bytes() // 2).put_to_sleep()
    assert len(greenroom.homes[0].host.cells) == 16


async def test_an_actor_with_work_under_way_stays(greenroom: Greenroom) -> None:
    host = greenroom.homes[0].host
    await add(greenroom, ["works"])
    faults.arm("before_commit_send=delay:0.2@1")
    answer = greenroom.command(counter("works"), Add(amount=1))
    cell = host.cells[counter("works")]
    await eventually(lambda: cell.pending)
    assert await host.passivate([cell]) == 0
    assert (await answer).data["total"] == 3
    assert await totals(greenroom, ["works"]) == [3]

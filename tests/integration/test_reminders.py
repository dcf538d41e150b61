"""Reminders: once each and in time, replaced, forgotten, kept through downtime, spread when a herd is overdue."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import faults, sweeper
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import SetAlarm, StopAlarm, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


async def rings(greenroom: Greenroom, key: str) -> dict[str, int]:
    reply = await greenroom.query(counter(key), Total())
    answer: dict[str, int] = reply.data["rings"]
    return answer


async def stored(greenroom: Greenroom, like: str) -> int:
    count: int = await greenroom.database.fetch_value("SELECT count(*) FROM reminder WHERE key LIKE $1", like)
    return count


async def none_left(greenroom: Greenroom, like: str) -> None:
    async def gone() -> bool:
        return await stored(greenroom, like) == 0

    await eventually(gone)


async def test_a_reminder_fires_once_and_not_before_its_time(greenroom: Greenroom) -> None:
    await greenroom.command(counter("alarm"), SetAlarm(name="soon", after_ms=300))
    await greenroom.command(counter("alarm"), SetAlarm(name="later", after_ms=10**9))
    assert await rings(greenroom, "alarm") == {"soon": 0, "later": 0}

    async def rang() -> bool:
        return await stored(greenroom, "alarm") == 1

    await eventually(rang)
    assert await rings(greenroom, "alarm") == {"soon": 1, "later": 0}
    set_at, rang_at = await greenroom.database.fetch(
        "SELECT at FROM journal WHERE key = 'alarm' AND turn ->> 'command' IN ('set_alarm', 'ring')"
        " AND turn -> 'data' ->> 'name' = 'soon' ORDER BY version"
    )
    assert rang_at["at"] >= set_at["at"] + 300


async def test_a_reminder_wakes_an_actor_that_sleeps(greenroom: Greenroom) -> None:
    await greenroom.command(counter("asleep"), SetAlarm(name="wake", after_ms=400))
    await greenroom.put_to_sleep(counter("asleep"))
    await none_left(greenroom, "asleep")
    assert await rings(greenroom, "asleep") == {"wake": 1}


async def test_a_reminder_of_the_same_name_is_replaced(greenroom: Greenroom) -> None:
    for after_ms in (10**9, 0):
        await greenroom.command(counter("replaced"), SetAlarm(name="x", after_ms=after_ms))
    await none_left(greenroom, "replaced")
    assert await rings(greenroom, "replaced") == {"x": 1}


async def test_a_reminder_that_is_taken_back_does_not_fire(greenroom: Greenroom) -> None:
    await greenroom.command(counter("stopped"), SetAlarm(name="x", after_ms=10**9))
    await greenroom.command(counter("stopped"), StopAlarm(name="x"))
    assert await stored(greenroom, "stopped") == 0
    # In one group, the later word counts.
    faults.arm("before_commit_send=delay:0.1@1")
    await asyncio.gather(
        *(
            greenroom.command(counter("stopped"), command)
            for command in (SetAlarm(name="y", after_ms=0), StopAlarm(name="y"), SetAlarm(name="z", after_ms=0))
        )
    )
    await none_left(greenroom, "stopped")
    assert await rings(greenroom, "stopped") == {"x": 0, "y": 0, "z": 1}


async def test_a_reminder_that_was_delivered_and_not_crossed_off_does_not_fire_again(greenroom: Greenroom) -> None:
    faults.arm("tell_delivered_before_mark=lose")
    await greenroom.command(counter("marked"), SetAlarm(name="x", after_ms=0))

    async def passed() -> bool:
        rung = await rings(greenroom, "marked") == {"x": 1}
        return rung and faults._plan.passes.get("tell_delivered_before_mark", 0) >= 2

    await eventually(passed)
    assert await stored(greenroom, "marked") == 1
    await greenroom.put_to_sleep(counter("marked"))
    faults.arm("")
    await none_left(greenroom, "marked")
    assert await rings(greenroom, "marked") == {"x": 1}


async def test_a_reminder_outlives_the_trouble_of_its_actor(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BROKEN_AGAIN_MS", 300)
    address = counter("troubled")
    await greenroom.command(address, SetAlarm(name="x", after_ms=500))
    await greenroom.put_to_sleep(address)
    await greenroom.database.execute(
        "INSERT INTO quarantine (kind, key, crashes, since) VALUES ($1, $2, ARRAY[now(), now(), now()], now())",
        *address,
    )
    sql = "SELECT due FROM reminder WHERE key = 'troubled'"
    first: int = await greenroom.database.fetch_value(sql)

    async def put_off() -> bool:
        due: int = await greenroom.database.fetch_value(sql)
        return due > first

    await eventually(put_off)
    await greenroom.database.execute("DELETE FROM quarantine WHERE kind = $1 AND key = $2", *address)
    await none_left(greenroom, "troubled")
    assert await rings(greenroom, "troubled") == {"x": 1}


async def test_reminders_that_fell_due_while_all_was_down_fire_once_each(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH_MAX", 40)
    keys = [f"overdue-{number}" for number in range(100)]
    asked = (greenroom.command(counter(key), SetAlarm(name="x", after_ms=10**9)) for key in keys)
    await asyncio.gather(*asked)
    for home in list(greenroom.homes):
        await greenroom.stop_host(home)
    await greenroom.database.execute("UPDATE reminder SET due = 1 WHERE key LIKE 'overdue-%'")
    await greenroom.heal()
    await none_left(greenroom, "overdue-%")
    assert [await rings(greenroom, key) for key in keys] == [{"x": 1}] * 100

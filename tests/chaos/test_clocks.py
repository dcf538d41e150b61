"""RT-19: Postgres' clock jumps, and reminders that fell due while all was down come once each, spread out in time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import sweeper
from actors.runtime.database import Row
from tests.chaos.tiers import runs_in
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.clock import clock_of
from tests.harness.kinds import Add, SetAlarm, Total
from tests.integration.played import verified

pytestmark = pytest.mark.asyncio(loop_scope="module")

OVERDUE = 1_000
FAR_MS = 10**9


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


async def with_alarms(greenroom: Greenroom, stem: str) -> list[str]:
    keys = [f"{stem}-{number}" for number in range(OVERDUE)]
    await asyncio.gather(*(greenroom.persist(counter(key), SetAlarm(name="x", after_ms=FAR_MS)) for key in keys))
    return keys


async def after_downtime(greenroom: Greenroom, stem: str, downtime_s: int, within_s: float) -> list[Row]:
    """All hosts are gone while reminders fall due, evenly, for so long; the turns in which they came."""
    for home in list(greenroom.homes):
        await greenroom.stop_host(home)
    sql = (
        "UPDATE reminder SET due = (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        f" - {downtime_s} * split_part(key, '-', 2)::int WHERE key LIKE '{stem}-%'"
    )
    await greenroom.database.execute(sql)
    await greenroom.heal()
    left = "SELECT count(*) = 0 FROM reminder WHERE key LIKE $1"
    await eventually(lambda: greenroom.database.fetch_value(left, f"{stem}-%"), within_s)
    rang = "SELECT key, at FROM journal WHERE key LIKE $1 AND turn ->> 'command' = 'ring' ORDER BY at"
    return await greenroom.database.fetch(rang, f"{stem}-%")


def check_spread(turns: list[Row], keys: list[str], over_s: float) -> None:
    assert Counter(turn["key"] for turn in turns) == dict.fromkeys(keys, 1), "each once"
    first, last = turns[0]["at"], turns[-1]["at"]
    assert last - first > over_s * 1_000 * 0.7
    # Evenly: in no sixth of the time more than half of them, where all at once would be all in one.
    seconds = Counter(int((turn["at"] - first) / (over_s * 1_000 / 6)) for turn in turns)
    assert max(seconds.values()) < OVERDUE / 2, seconds


async def test_a_herd_of_overdue_reminders_comes_once_each_and_spread_out(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "SPREAD_MS_MAX", 6_000)
    keys = await with_alarms(greenroom, "herd")
    turns = await after_downtime(greenroom, "herd", downtime_s=3_600, within_s=60)
    check_spread(turns, keys, over_s=6)
    # The longest overdue come first.
    places = [int(turn["key"].partition("-")[2]) for turn in turns]
    assert sum(places[: OVERDUE // 4]) > 2 * sum(places[-OVERDUE // 4 :])


if runs_in("F"):

    async def test_they_are_spread_over_no_longer_than_all_was_down(greenroom: Greenroom) -> None:
        keys = await with_alarms(greenroom, "short")
        turns = await after_downtime(greenroom, "short", downtime_s=20, within_s=90)
        check_spread(turns, keys, over_s=20)
        assert turns[-1]["at"] - turns[0]["at"] < 40_000


async def test_few_overdue_reminders_come_at_once(greenroom: Greenroom) -> None:
    """An event of the game that ended while all was down ends now, and not in a minute."""
    keys = [f"few-{number}" for number in range(50)]
    for key in keys:
        await greenroom.persist(counter(key), SetAlarm(name="x", after_ms=FAR_MS))
    turns = await after_downtime(greenroom, "few", downtime_s=3_600, within_s=20)
    assert Counter(turn["key"] for turn in turns) == dict.fromkeys(keys, 1)


async def goes_on(acked: Counter[str], keys: list[str]) -> None:
    """Wait until each has had more turns."""
    before = Counter(acked)
    await eventually(lambda: all(acked[key] >= before[key] + 20 for key in keys), 60)


async def rings(greenroom: Greenroom, key: str) -> dict[str, int]:
    reply = await greenroom.query(counter(key), Total())
    found: dict[str, int] = reply.data["rings"]
    return found


@pytest.mark.parametrize("by", ["10 minutes", "-10 minutes"])
async def test_a_jump_of_the_clock_loses_nothing_and_doubles_nothing(servers: Servers, by: str) -> None:
    keys = [f"k{number}" for number in range(8)]
    over = asyncio.Event()
    acked: Counter[str] = Counter()

    async def play(greenroom: Greenroom, key: str) -> None:
        while not over.is_set():
            reply = await greenroom.persist(counter(key), Add(amount=1))
            assert reply.status == 200
            acked[key] += 1
            await asyncio.sleep(0.01)

    async with Greenroom(servers, hosts=2) as greenroom, clock_of(greenroom) as jump:
        for key in keys:
            await greenroom.persist(counter(key), SetAlarm(name="soon", after_ms=3_000))
            await greenroom.persist(counter(key), SetAlarm(name="later", after_ms=FAR_MS))
        hosts = [home.run for home in greenroom.homes]
        async with asyncio.TaskGroup() as game:
            for key in keys:
                game.create_task(play(greenroom, key))
            await goes_on(acked, keys)
            for there in (by, "0"):
                await jump(there)
                await goes_on(acked, keys)
            over.set()
            left = "SELECT count(*) = $1 FROM reminder"
            await eventually(lambda: greenroom.database.fetch_value(left, len(keys)), 60)
        assert [home.run for home in greenroom.homes if not home.task.done()] == hosts, "no host was given up for it"
        for key in keys:
            assert await rings(greenroom, key) == {"soon": 1, "later": 0}
            assert (await greenroom.query(counter(key), Total())).data["total"] == acked[key]
            await greenroom.journal(counter(key))
        async with greenroom.database.transaction() as connection:
            assert (await verified(connection)).findings == []

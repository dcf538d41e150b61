"""At every fault point: whatever is lost there, nothing acknowledged is lost, doubled or created."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import faults
from schemas.messages import Reply
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Send, SetAlarm, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANS = {
    "before_validate": "raise@7",
    "after_decide": "raise@9",
    "before_commit_send": "lose@2",
    "after_commit_send": "lose@2",
    # Raised here, a fault ends its host.
    "after_commit_before_reply": "raise@3",
    "after_reply_before_tell": "raise@3",
    "tell_delivered_before_mark": "lose@1",
    "receiver_applied_before_ack": "raise@2",
    "checkpoint_half": "lose@1",
    "lease_renew_lost": "lose@1",
    "takeover_before_load": "delay:0.2@1",
    "publish_before_version_mark": "lose@1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


@pytest.mark.parametrize("point", sorted(faults.POINTS))
async def test_nothing_is_lost_or_doubled_at(greenroom: Greenroom, point: str) -> None:
    keys = [f"{point}-{number}" for number in range(4)]
    faults.arm(f"{point}={PLANS[point]}")
    acknowledged: dict[tuple[str, str], Reply] = {}

    async def client(name: int) -> None:
        key = keys[name]
        for number in range(8):
            op = f"op-{number}"
            command = Add(amount=10) if number % 2 == 0 else Send(to=keys[(name + 1) % 4], amount=3, wait=number == 3)
            reply = await greenroom.persist(counter(key), command, op=op)
            while reply.status == 500:
                reply = await greenroom.persist(counter(key), command, op=op)
            assert reply.status == 200
            acknowledged[key, op] = reply
            if number == 5:
                await greenroom.persist(counter(key), SetAlarm(name="x", after_ms=0), op="alarm")

    await asyncio.gather(*(client(name) for name in range(4)))
    await greenroom.heal()
    asleep = [cell for home in greenroom.homes for cell in home.host.cells.values() if cell.quiet]
    await asyncio.gather(*(home.host.passivate(asleep) for home in greenroom.homes))
    await eventually(lambda: faults._plan.passes.get(point))
    faults.arm("")

    async def delivered() -> object:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        left = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM reminder)"
        return not await greenroom.database.fetch_value(left)

    await eventually(delivered)
    answers = [(await greenroom.query(counter(key), Total())).data for key in keys]
    assert [answer["total"] for answer in answers] == [40] * 4
    assert [answer["rings"] for answer in answers] == [{"x": 1}] * 4
    for key in keys:
        stored = {row["op"]: row["version"] + row["length"] - 1 for row in await greenroom.journal(counter(key))}
        for (owner, op), reply in acknowledged.items():
            assert owner != key or stored[op] == reply.version
    for (key, op), reply in acknowledged.items():
        again = await greenroom.persist(counter(key), Add(amount=10), op=op) if op == "op-0" else reply
        assert again == reply

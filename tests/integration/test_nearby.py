"""Tells within one host: sender's and receiver's turns are one commit, and what goes wrong there harms neither."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic_core import from_json

from actors.runtime import parcels as playing
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Borrow, Close, Send, Total, Trip

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTEMPTS_MAX = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=1, tell_attempts_max=ATTEMPTS_MAX) as greenroom:
        yield greenroom


async def total(greenroom: Greenroom, key: str) -> int:
    answer: int = (await greenroom.query(counter(key), Total())).data["total"]
    return answer


async def awake(greenroom: Greenroom, *keys: str) -> None:
    """Counters with ten each."""
    await asyncio.gather(*(greenroom.command(counter(key), Add(amount=10)) for key in keys))


async def transactions(greenroom: Greenroom, *keys: str) -> list[int]:
    """The Postgres transaction that wrote the newest turn of each."""
    sql = "SELECT xmin::text::bigint FROM journal WHERE key = $1 ORDER BY version DESC LIMIT 1"
    return [await greenroom.database.fetch_value(sql, key) for key in keys]


async def in_outbox(greenroom: Greenroom, key: str) -> int:
    count: int = await greenroom.database.fetch_value("SELECT count(*) FROM outbox WHERE key = $1", key)
    return count


async def test_sender_and_receiver_are_one_commit_and_the_reply_is_stored_whole(greenroom: Greenroom) -> None:
    await awake(greenroom, "gives", "gets")
    asked = Send(to="gets", amount=4, wait=True)
    reply = await greenroom.command(counter("gives"), asked, op="one")
    assert reply.data == {"total": 6, "answer": {"total": 14}}
    first, second = await transactions(greenroom, "gives", "gets")
    assert first == second
    turn = from_json((await greenroom.journal(counter("gives")))[-1]["turn"])
    assert turn["reply"] == reply.data
    assert "awaits" not in turn
    assert await in_outbox(greenroom, "gets") == 0
    for key in ("gives", "gets"):
        await greenroom.put_to_sleep(counter(key))
    assert await greenroom.command(counter("gives"), asked, op="one") == reply
    assert (await total(greenroom, "gives"), await total(greenroom, "gets")) == (6, 14)


async def test_a_chain_of_tells_is_one_commit(greenroom: Greenroom) -> None:
    await awake(greenroom, "lends", "borrows")
    reply = await greenroom.command(counter("borrows"), Borrow(of="lends", amount=4), op="b")
    assert reply.data == {"lender": {"total": 6, "answer": {"total": 14}}}
    first, second = await transactions(greenroom, "borrows", "lends")
    assert first == second
    for key in ("lends", "borrows"):
        await greenroom.put_to_sleep(counter(key))
    assert await greenroom.command(counter("borrows"), Borrow(of="lends", amount=4), op="b") == reply


async def test_a_gather_completes_the_answer_after_the_commit(greenroom: Greenroom) -> None:
    await awake(greenroom, "gathers", "gathered", "third")
    asked = Send(to="gathered", amount=3, wait=True, plus="third")
    reply = await greenroom.command(counter("gathers"), asked, op="g")
    assert reply.data == {"total": 7, "answer": {"total": 23}}
    await greenroom.put_to_sleep(counter("gathers"))
    assert await greenroom.command(counter("gathers"), asked, op="g") == reply


async def test_a_receiver_that_refuses_is_told_again_later(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "RETRY_FIRST_MS", 10)
    await awake(greenroom, "offers", "shut")
    await greenroom.command(counter("shut"), Close())
    reply = await greenroom.command(counter("offers"), Send(to="shut", amount=4, wait=True))
    assert reply.data == {"total": 6, "answer": None}
    assert await in_outbox(greenroom, "shut") == 1
    await greenroom.command(counter("shut"), Close(closed=False))

    async def arrived() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        return await total(greenroom, "shut") == 14

    await eventually(arrived)
    assert await in_outbox(greenroom, "shut") == 0


async def test_when_another_has_written_the_receivers_history_both_turns_are_taken_anew(greenroom: Greenroom) -> None:
    await awake(greenroom, "pays", "stale", "beside", "besides")
    await greenroom.database.execute(
        "INSERT INTO journal SELECT kind, key, 2, length, 'x', at, run, turn, events FROM journal WHERE key = $1",
        "stale",
    )
    replies = await asyncio.gather(
        greenroom.command(counter("pays"), Send(to="stale", amount=4, wait=True)),
        greenroom.command(counter("beside"), Send(to="besides", amount=1, wait=True)),
    )
    assert [reply.data["total"] for reply in replies] == [6, 9]
    await eventually(lambda: _is(greenroom, "stale", 24))
    assert [row["version"] for row in await greenroom.journal(counter("pays"))] == [1, 2]
    assert (await total(greenroom, "besides"), await total(greenroom, "beside")) == (11, 9)


async def _is(greenroom: Greenroom, key: str, wanted: int) -> bool:
    return await total(greenroom, key) == wanted


@pytest.mark.parametrize("how", ["misfile", "stumble"])
async def test_what_goes_wrong_at_the_receiver_harms_it_alone(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(playing, "RETRY_FIRST_MS", 10)
    trips, tripped, beside = f"trips-{how}", f"tripped-{how}", f"beside-{how}"
    await awake(greenroom, trips, tripped, beside)
    before = await greenroom.database.fetch_value("SELECT count(*) FROM dead_letter")
    replies = await asyncio.gather(
        greenroom.command(counter(beside), Add(amount=1)),
        greenroom.command(counter(tripped), Add(amount=1)),
        greenroom.command(counter(trips), Trip.model_validate({"to": tripped, "how": how})),
    )
    assert [reply.data["total"] for reply in replies] == [11, 11, 11]

    async def buried() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        dead: int = await greenroom.database.fetch_value("SELECT count(*) FROM dead_letter")
        return bool(dead > before)

    await eventually(buried, 30)
    assert await total(greenroom, tripped) == 11
    assert (await greenroom.command(counter(tripped), Add(amount=1))).data["total"] == 12


async def test_what_is_told_later_overtakes_nothing(greenroom: Greenroom) -> None:
    await awake(greenroom, "talks", "sleepy")
    await greenroom.command(counter("talks"), Add(amount=1_000))
    await greenroom.put_to_sleep(counter("sleepy"))
    for amount in range(1, 30):
        await greenroom.command(counter("talks"), Send(to="sleepy", amount=amount))
    await eventually(lambda: _is(greenroom, "sleepy", 10 + sum(range(1, 30))))
    events = [event for row in await greenroom.journal(counter("sleepy")) for event in from_json(row["events"])]
    assert [fields["amount"] for _, fields in events] == [10, *range(1, 30)]


async def test_a_full_group_closes_with_what_it_told(greenroom: Greenroom) -> None:
    await awake(greenroom, "crowded")
    senders = [f"sender-{number}" for number in range(40)]
    await awake(greenroom, *senders)
    replies = await asyncio.gather(
        *(
            greenroom.command(counter(key), Send(to="crowded", amount=1, wait=True), op=f"s-{number}")
            for key in senders
            for number in range(10)
        )
    )
    sent = [reply for reply in replies if reply.status == 200]
    assert all(reply.data["answer"] is not None for reply in sent)
    await eventually(lambda: _is(greenroom, "crowded", 10 + len(sent)))
    assert sum([await total(greenroom, key) for key in senders]) == 400 - len(sent)

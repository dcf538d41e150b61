"""Tells between actors: once each, redelivered, tried again when refused, and buried only after all attempts."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic_core import from_json, to_json

from actors.runtime import faults
from actors.runtime import parcels as playing
from schemas.address import player
from schemas.limits import OPS_REMEMBERED_MAX
from schemas.messages import PARCEL, SYSTEM, Caller, Reply, pack
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Borrow, Close, Receive, Send, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTEMPTS_MAX = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2, tell_attempts_max=ATTEMPTS_MAX) as greenroom:
        yield greenroom


async def total(greenroom: Greenroom, key: str) -> int:
    reply = await greenroom.query(counter(key), Total())
    answer: int = reply.data["total"]
    return answer


async def parcels(greenroom: Greenroom, key: str = "%") -> int:
    count: int = await greenroom.database.fetch_value("SELECT count(*) FROM outbox WHERE key LIKE $1", key)
    return count


async def delivered(greenroom: Greenroom) -> None:
    """Wait until nothing is under way; the sweeper finds at once what it would find later."""

    async def empty() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        return await parcels(greenroom) == 0

    await eventually(empty)


def parcel(greenroom: Greenroom, key: str, op: str, tells: list[tuple[str, int]]) -> "asyncio.Future[Reply]":
    data = pack([to_json([[tell, "receive", {"amount": amount}] for tell, amount in tells]), 0])
    return greenroom.router.ask(counter(key), PARCEL, "", data, caller=SYSTEM, op=op)


async def test_a_tell_arrives_once_and_its_row_goes_with_it(greenroom: Greenroom) -> None:
    await greenroom.command(counter("from"), Add(amount=10))
    reply = await greenroom.command(counter("from"), Send(to="to", amount=3, wait=True))
    assert reply.data == {"total": 7, "answer": {"total": 3}}
    assert await parcels(greenroom, "to") == 0


async def test_a_reply_whose_tell_was_answered_is_the_same_after_sleep(greenroom: Greenroom) -> None:
    await greenroom.command(counter("writes"), Add(amount=10))
    first = await greenroom.command(counter("writes"), Send(to="reads", amount=3, wait=True), op="w")
    await greenroom.command(counter("reads"), Add(amount=50))
    for key in ("writes", "reads"):
        await greenroom.put_to_sleep(counter(key))
    assert await greenroom.command(counter("writes"), Send(to="reads", amount=3, wait=True), op="w") == first


async def test_a_reply_that_a_gather_completed_is_completed_again_after_sleep(greenroom: Greenroom) -> None:
    await greenroom.command(counter("gathers"), Add(amount=10))
    await greenroom.command(counter("third"), Add(amount=5))
    asked = Send(to="gathered", amount=3, wait=True, plus="third")
    first = await greenroom.command(counter("gathers"), asked, op="g")
    assert first.data["answer"] == {"total": 8}
    await greenroom.put_to_sleep(counter("gathers"))
    assert await greenroom.command(counter("gathers"), asked, op="g") == first


async def test_a_tell_that_waits_for_a_tell_answers_with_it_and_again_after_sleep(greenroom: Greenroom) -> None:
    await greenroom.command(counter("lends"), Add(amount=10))
    first = await greenroom.command(counter("borrows"), Borrow(of="lends", amount=4), op="b")
    assert first.data == {"lender": {"total": 6, "answer": {"total": 4}}}
    assert await greenroom.command(counter("borrows"), Borrow(of="lends", amount=4), op="b") == first
    await delivered(greenroom)
    for key in ("borrows", "lends"):
        await greenroom.command(counter(key), Add(amount=1))
        await greenroom.put_to_sleep(counter(key))
    assert await greenroom.command(counter("borrows"), Borrow(of="lends", amount=4), op="b") == first
    assert (await total(greenroom, "lends"), await total(greenroom, "borrows")) == (7, 5)


@pytest.mark.parametrize("since", ["nothing", "many turns", "sleep"])
async def test_a_parcel_that_comes_twice_is_played_once(greenroom: Greenroom, since: str) -> None:
    key = f"twice-{since}"
    tells = [("t1", 5), ("t2", 6)]
    first = await parcel(greenroom, key, f"p-{key}", tells)
    assert [part[2] for part in first.data] == [{"total": 5}, {"total": 11}]
    if since == "many turns":
        asked = (greenroom.command(counter(key), Add(amount=1)) for _ in range(OPS_REMEMBERED_MAX + 5))
        await asyncio.gather(*asked)
    if since == "sleep":
        await greenroom.put_to_sleep(counter(key))
    before = await total(greenroom, key)
    again = await parcel(greenroom, key, f"p-{key}", tells)
    assert again.status == 200
    assert again.data == first.data
    assert await total(greenroom, key) == before


async def test_tells_of_a_host_that_died_after_its_commit_are_redelivered(greenroom: Greenroom) -> None:
    await greenroom.command(counter("dies"), Add(amount=10))
    home = greenroom.home_of(counter("dies"))
    faults.arm("after_reply_before_tell=raise")
    assert (await greenroom.persist(counter("dies"), Send(to="heir", amount=4))).status == 200
    await eventually(home.task.done)
    faults.arm("")
    await greenroom.heal()
    assert await parcels(greenroom, "heir") == 1
    await delivered(greenroom)
    assert await total(greenroom, "heir") == 4
    assert await total(greenroom, "dies") == 6


async def test_a_refused_tell_is_tried_again_later_and_leaves_no_trace_once_taken(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greenroom.command(counter("closed"), Close())
    await greenroom.command(counter("knocks"), Add(amount=10))
    await greenroom.command(counter("knocks"), Send(to="closed", amount=1))
    delays_ms = []
    for attempt in (1, 2):

        async def refused(attempt: int = attempt) -> bool:
            sql = "SELECT count(*) FROM outbox WHERE key = 'closed' AND attempts = $1"
            return bool(await greenroom.database.fetch_value(sql, attempt))

        await eventually(refused)
        sql = "SELECT (extract(epoch FROM due - now()) * 1000)::int FROM outbox WHERE key = 'closed'"
        delays_ms.append(await greenroom.database.fetch_value(sql))
        if attempt == 1:
            await greenroom.database.execute("UPDATE outbox SET due = now() WHERE key = 'closed'")
    assert playing.RETRY_FIRST_MS / 2 < delays_ms[0] <= playing.RETRY_FIRST_MS
    assert playing.RETRY_FIRST_MS < delays_ms[1] <= 2 * playing.RETRY_FIRST_MS
    await greenroom.command(counter("closed"), Close(closed=False))
    await delivered(greenroom)
    assert await total(greenroom, "closed") == 1
    assert await greenroom.database.fetch_value("SELECT count(*) FROM dead_letter WHERE key = 'closed'") == 0


async def test_a_tell_refused_for_good_is_a_dead_letter_after_exactly_the_configured_attempts(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "RETRY_FIRST_MS", 10)
    await greenroom.command(counter("never"), Close())
    await greenroom.command(counter("hopes"), Add(amount=10))
    turned_away = greenroom.metric("greenroom_dead_letters_total", kind="counter")
    await greenroom.command(counter("hopes"), Send(to="never", amount=4))
    await delivered(greenroom)
    (letter,) = await greenroom.database.fetch("SELECT * FROM dead_letter WHERE key = 'never'")
    assert (letter["attempts"], letter["reason"]) == (ATTEMPTS_MAX, "closed")
    assert from_json(letter["tell"])[1:] == ["receive", {"amount": 4}]
    assert greenroom.metric("greenroom_dead_letters_total", kind="counter") == turned_away + 1
    # What it carries is neither with the sender nor the receiver, and nowhere else.
    assert await total(greenroom, "hopes") + await total(greenroom, "never") + 4 == 10


async def test_refused_tells_of_a_parcel_hold_up_no_others(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "RETRY_FIRST_MS", 10)
    tells = [("ok-1", 5), ("bad", -1), ("ok-2", 6)]
    reply = await parcel(greenroom, "picky", "p-picky", tells)
    assert [part[0] for part in reply.data] == [200, 400, 200]
    await delivered(greenroom)
    assert await total(greenroom, "picky") == 11
    assert await greenroom.database.fetch_value("SELECT id FROM dead_letter WHERE key = 'picky'") == "bad"


async def test_a_refused_parcel_that_comes_twice_around_a_change_of_mind_counts_once(greenroom: Greenroom) -> None:
    key = "changes its mind"
    await greenroom.command(counter(key), Close())
    assert (await parcel(greenroom, key, "p-mind", [("t-mind", 5)])).data[0][0] == 409
    await greenroom.command(counter(key), Close(closed=False))
    await greenroom.put_to_sleep(counter(key))
    await parcel(greenroom, key, "p-mind", [("t-mind", 5)])
    await delivered(greenroom)
    assert await total(greenroom, key) == 5


async def test_a_receiver_with_a_bug_gets_its_parcel_buried_in_the_end(greenroom: Greenroom) -> None:
    await greenroom.database.execute(
        "INSERT INTO outbox VALUES ($1, $2, 'counter', 'odd', $3, now(), $4)",
        *("p-odd", greenroom.parts.placement.bucket(counter("odd")), ATTEMPTS_MAX - 1, b'[["t-odd", "stumble", {}]]'),
    )

    async def buried() -> bool:
        return bool(await greenroom.database.fetch_value("SELECT 1 FROM dead_letter WHERE id = 't-odd'"))

    await eventually(buried)
    assert await total(greenroom, "odd") == 0


async def gold_of(greenroom: Greenroom, key: str) -> int:
    wallet = greenroom.parts.catalog.kind("player").queries["wallet"].model_validate({})
    reply = await greenroom.query(player(key), wallet)
    gold: int = reply.data["balances"]["gold"]
    return gold


async def test_money_is_conserved_while_hosts_die(greenroom: Greenroom) -> None:
    kind = greenroom.parts.catalog.kind("player")
    grant, create = kind.command("grant_currency"), kind.command("create")
    purses = [f"purse-{number}" for number in range(5)]
    keys = [f"trader-{number}" for number in range(5)]
    for key in keys:
        await greenroom.command(player(key), create.model_validate({"name": key}))
        gold = {"currency": "gold", "amount": 100, "reason": "start"}
        await greenroom.command(player(key), grant.model_validate(gold), caller=Caller("game", ("server",)))
    await asyncio.gather(*(greenroom.command(counter(key), Add(amount=100)) for key in purses))
    before = {key: await gold_of(greenroom, key) for key in keys}
    dice = random.Random(7)
    credit = kind.command("credit")

    async def trader(name: int) -> None:
        for number in range(25):
            sender, to = dice.sample(purses, 2)
            await greenroom.persist(counter(sender), Send(to=to, amount=1), op=f"{name}-{number}")
            gold = {"currency": "gold", "amount": 2, "reason": "trade"}
            op = f"gift-{name}-{number}"
            assert (await greenroom.persist(player(keys[name]), credit.model_validate(gold), op=op)).status == 200

    trading = [asyncio.ensure_future(trader(name)) for name in range(5)]
    for _ in range(2):
        await greenroom.kill_host(greenroom.homes[0])
        await greenroom.heal()
    await asyncio.gather(*trading)
    await delivered(greenroom)
    assert sum([await total(greenroom, key) for key in purses]) == 500
    after = {key: await gold_of(greenroom, key) for key in keys}
    assert after == {key: before[key] + 2 * 25 for key in keys}


async def test_a_receiver_counts_a_tell_once_although_its_sender_is_told_nothing(greenroom: Greenroom) -> None:
    faults.arm("receiver_applied_before_ack=raise@1")
    await parcel(greenroom, "quiet", "p-quiet", [("t-quiet", 9)])
    faults.arm("")
    assert (await parcel(greenroom, "quiet", "p-quiet", [("t-quiet", 9)])).status == 200
    assert await total(greenroom, "quiet") == 9
    assert (await greenroom.command(counter("quiet"), Receive(amount=1))).data["total"] == 10

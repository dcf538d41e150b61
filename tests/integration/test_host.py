"""A host and its actors on real servers: op ids, durability before answers, sleep, bugs, and broken histories."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic_core import from_json

from actors.catalog import Catalog
from actors.core import Caller, play
from actors.runtime import faults, lease
from actors.runtime.router import Waiting
from schemas import limits
from schemas.address import Address, player
from schemas.messages import COMMAND, QUERY, SYSTEM, Reply, Request, pack
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, AddDice, AddTotalOf, Close, Counter, Send, SetAlarm, Stumble, Take, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVER = Caller("game", ("server",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


async def total(greenroom: Greenroom, key: str) -> int:
    reply = await greenroom.query(counter(key), Total())
    assert reply.status == 200
    answer: int = reply.data["total"]
    return answer


async def new_player(greenroom: Greenroom, key: str) -> Address:
    create = greenroom.parts.catalog.kind("player").command("create")
    assert (await greenroom.command(player(key), create.model_validate({"name": key}))).status == 200
    return player(key)


def award(greenroom: Greenroom, points: int) -> Any:
    return greenroom.parts.catalog.kind("player").command("award_score").model_validate({"points": points})


# -- op ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["nothing", "sleep", "restart"])
async def test_a_repeated_op_id_gets_the_same_reply_with_its_rank(greenroom: Greenroom, since: str) -> None:
    address = await new_player(greenroom, f"repeats-{since}")
    first = await greenroom.command(address, award(greenroom, 30), op="once", caller=SERVER)
    assert first.status == 200
    assert first.data["rank"]["current"] >= 1
    await greenroom.command(address, award(greenroom, 5), op="later", caller=SERVER)
    if since == "sleep":
        await greenroom.put_to_sleep(address)
    if since == "restart":
        await greenroom.restart_hosts()
    again = await greenroom.command(address, award(greenroom, 30), op="once", caller=SERVER)
    assert again == first
    assert len(await greenroom.journal(address)) == 3


@pytest.mark.parametrize("since", ["nothing", "sleep"])
async def test_an_op_id_used_for_another_request_is_refused(greenroom: Greenroom, since: str) -> None:
    address = counter(f"reused-{since}")
    await greenroom.command(address, Add(amount=1), op="one")
    if since == "sleep":
        await greenroom.put_to_sleep(address)
    for other in (Add(amount=2), Take(amount=1)):
        reply = await greenroom.command(address, other, op="one")
        assert (reply.status, reply.data["code"]) == (422, "OP_REUSED")
    assert await total(greenroom, address.key) == 1


async def test_an_op_id_that_is_still_running_is_refused_and_a_resend_joins_it(greenroom: Greenroom) -> None:
    address = counter("running")
    await greenroom.command(address, Add(amount=1))
    faults.arm("before_commit_send=delay:0.3")
    first = greenroom.command(address, Add(amount=5), op="slow")
    cell = greenroom.home_of(address).host.cells[address]
    await eventually(lambda: "slow" in cell.recent)
    second = await greenroom.command(address, Add(amount=5), op="slow")
    assert (second.status, second.data["code"]) == (409, "OP_IN_PROGRESS")
    resend: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    request = Request(COMMAND, *address, "add", "slow", Caller("tester"), pack({"amount": 5}), attempt=1)
    route = greenroom.parts.directory.route(greenroom.parts.placement.place(address)[0])
    assert route is not None
    greenroom.router.link_to(route).send(Waiting(request, resend, asyncio.get_running_loop().time() + 9))
    assert await resend == await first == Reply(200, 2, {"total": 6})


@pytest.mark.parametrize("would", ["be refused now", "be possible again"])
async def test_an_op_id_older_than_memory_gets_its_stored_reply(greenroom: Greenroom, would: str) -> None:
    address = counter(f"old-{would[3:]}")
    await greenroom.command(address, Add(amount=1_000))
    first = await greenroom.command(address, Take(amount=600), op="old")
    if would == "be refused now":
        assert (await greenroom.command(address, Take(amount=400))).status == 200
    more = limits.OPS_REMEMBERED_MAX + 5
    await asyncio.gather(*(greenroom.command(address, Add(amount=1)) for _ in range(more)))
    before = await total(greenroom, address.key)
    cell = greenroom.home_of(address).host.cells[address]
    assert "old" not in cell.recent
    assert await greenroom.command(address, Take(amount=600), op="old") == first
    # A client that sends old op ids may do so again and again.
    assert await greenroom.command(address, Take(amount=600), op="old") == first
    other = await greenroom.command(address, Take(amount=5), op="old")
    assert other.status == 422
    assert await total(greenroom, address.key) == before


async def test_concurrent_commands_to_one_actor_have_one_order(greenroom: Greenroom) -> None:
    address = counter("concurrent")
    replies = await asyncio.gather(*(greenroom.command(address, Add(amount=1)) for _ in range(300)))
    assert sorted(reply.version for reply in replies) == list(range(1, 301))
    assert all(reply.data["total"] == reply.version for reply in replies)
    assert len(await greenroom.journal(address)) == 300


# -- nothing that can be undone is seen -----------------------------------------------------------------------------


async def test_queries_and_refusals_wait_for_the_commit_of_what_they_saw(greenroom: Greenroom) -> None:
    address = counter("unseen")
    await greenroom.command(address, Add(amount=10))
    faults.arm("before_commit_send=delay:0.3")
    writing = greenroom.command(address, Add(amount=90))
    asked = greenroom.query(address, Total())
    refused = greenroom.command(address, Take(amount=1_000))
    done, _ = await asyncio.wait([writing, asked, refused], return_when=asyncio.FIRST_COMPLETED)
    stored = await greenroom.journal(address)
    assert done
    assert len(stored) == 2
    assert (await asked).data["total"] == 100
    assert (await refused).data["details"] == {"total": 100}


async def test_what_was_not_committed_is_seen_by_nobody(greenroom: Greenroom) -> None:
    address = counter("undone")
    await greenroom.command(address, Add(amount=10))
    faults.arm("before_commit_send=lose@1")
    writing = greenroom.command(address, Take(amount=10), op="lost")
    asked = greenroom.query(address, Total())
    refused = greenroom.command(address, Take(amount=5), op="after")
    replies = await asyncio.gather(writing, asked, refused)
    totals = [reply.version for reply in replies]
    rows = await greenroom.journal(address)
    # Whatever the order after the failure was: each answer fits the history that there is.
    assert {row["op"] for row in rows} >= {"lost"}
    assert replies[0].status == 200
    assert max(totals) <= rows[-1]["version"]
    assert replies[1].data["total"] == {1: 10, 2: 0}[replies[1].version]


# -- sleep, waking, checkpoints ---------------------------------------------------------------------------------


async def fingerprint(greenroom: Greenroom, address: Address) -> str:
    answer: str = (await greenroom.query(address, Total())).data["fingerprint"]
    return answer


async def test_an_actor_that_slept_is_the_same_actor(greenroom: Greenroom) -> None:
    address = counter("sleeper")
    for command in (AddDice(), Add(amount=7), SetAlarm(name="x", after_ms=10**9), AddDice(), Close(), AddDice()):
        await greenroom.command(address, command)
    before = await fingerprint(greenroom, address)
    await greenroom.put_to_sleep(address)
    assert await fingerprint(greenroom, address) == before
    assert greenroom.awake(address).fingerprint() == before


async def test_replaying_the_journal_gives_the_state_in_memory(greenroom: Greenroom) -> None:
    address = await new_player(greenroom, "replayed")
    kind = Catalog().kind("player")
    for number in range(30):
        await greenroom.command(address, award(greenroom, 1 + number), caller=SERVER)
    grant = kind.command("grant_currency").model_validate({"currency": "coins", "amount": 5, "reason": "prize"})
    await greenroom.command(address, grant, caller=SERVER)
    events = []
    for row in await greenroom.journal(address):
        events += [kind.events[name].model_validate(fields, strict=False) for name, fields in from_json(row["events"])]
    assert play(kind.actor(), iter(events)).fingerprint() == greenroom.awake(address).fingerprint()


async def test_a_torn_checkpoint_is_replaced_by_a_full_replay(greenroom: Greenroom) -> None:
    address = counter("torn")
    await asyncio.gather(*(greenroom.command(address, Add(amount=3)) for _ in range(5)))
    before = await fingerprint(greenroom, address)
    faults.arm("checkpoint_half=lose")
    await greenroom.put_to_sleep(address)
    assert faults._plan.passes["checkpoint_half"] == 1
    faults.arm("")
    assert await greenroom.database.fetch_value("SELECT version FROM checkpoint WHERE key = $1", "torn") == 5
    assert await fingerprint(greenroom, address) == before


async def test_checkpoints_of_an_older_shape_are_not_read(greenroom: Greenroom) -> None:
    address = counter("shapes")
    await greenroom.command(address, Add(amount=3))
    await greenroom.put_to_sleep(address)
    await greenroom.database.execute("UPDATE checkpoint SET state_version = 0, state = $1 WHERE key = 'shapes'", b"old")
    assert await total(greenroom, "shapes") == 3


async def test_busy_actors_are_checkpointed_as_they_go(greenroom: Greenroom) -> None:
    address = counter("going")
    for _ in range(Counter.checkpoint_every + 1):
        await greenroom.command(address, Add(amount=1))
    version = await greenroom.database.fetch_value("SELECT version FROM checkpoint WHERE key = $1", "going")
    assert version >= Counter.checkpoint_every


async def test_a_history_with_a_gap_is_refused(greenroom: Greenroom) -> None:
    address = counter("gap")
    for _ in range(5):
        await greenroom.command(address, Add(amount=1))
    await greenroom.put_to_sleep(address)
    await greenroom.database.execute("DELETE FROM checkpoint WHERE key = 'gap'")
    await greenroom.database.execute("DELETE FROM journal WHERE key = 'gap' AND version = 3")
    for asked in (greenroom.command(address, Add(amount=1)), greenroom.query(address, Total())):
        reply = await asked
        assert (reply.status, reply.data["code"]) == (500, "QUARANTINED")
    assert await total(greenroom, "neighbour-of-gap") == 0


# -- bugs and strangers -----------------------------------------------------------------------------------------


async def test_a_bug_in_one_actor_fails_that_command_alone(greenroom: Greenroom) -> None:
    address = counter("buggy")
    await greenroom.command(address, Add(amount=5))
    neighbours = [greenroom.command(counter(f"well-{n}"), Add(amount=1)) for n in range(20)]
    before, bug, after = (
        greenroom.command(address, Add(amount=1)),
        greenroom.command(address, Stumble()),
        greenroom.command(address, Add(amount=2)),
    )
    reply = await bug
    assert (reply.status, reply.data["code"]) == (500, "INTERNAL")
    assert [reply.status for reply in await asyncio.gather(before, after, *neighbours)] == [200] * 22
    assert await total(greenroom, "buggy") == 8


async def test_an_actor_with_a_bug_knows_its_turn_that_was_under_way(greenroom: Greenroom) -> None:
    address = counter("stumbles-on")
    await greenroom.command(address, Add(amount=1))
    faults.arm("before_commit_send=delay:0.3@1")
    under_way = greenroom.command(address, Add(amount=10))
    await eventually(lambda: faults._plan.passes.get("before_commit_send"))
    stumbled = greenroom.command(address, Stumble())
    asked = greenroom.query(address, Total())
    assert (await under_way).data == {"total": 11}
    assert (await stumbled).status == 500
    assert (await asked).status == 200
    assert await total(greenroom, "stumbles-on") == 11


async def test_an_unknown_kind_harms_no_neighbour_that_wakes_with_it(greenroom: Greenroom) -> None:
    strangers = [greenroom.router.ask(Address("ghost", f"g{n}"), QUERY, "x", pack({}), caller=SYSTEM) for n in range(3)]
    neighbours = [greenroom.query(counter(f"wakes-{n}"), Total()) for n in range(30)]
    assert [reply.status for reply in await asyncio.gather(*neighbours)] == [200] * 30
    assert {reply.data["code"] for reply in await asyncio.gather(*strangers)} == {"UNKNOWN_KIND"}


async def test_a_key_that_postgres_cannot_hold_harms_no_neighbour(greenroom: Greenroom) -> None:
    bad = greenroom.query(counter("nul\0key"), Total())
    neighbours = [greenroom.query(counter(f"beside-{n}"), Total()) for n in range(30)]
    assert [reply.status for reply in await asyncio.gather(*neighbours)] == [200] * 30
    assert (await bad).status in (400, 500)


async def test_unknown_commands_and_callers_without_the_right_are_refused(greenroom: Greenroom) -> None:
    address = counter("strict")
    ask = greenroom.router.ask
    unknown = await ask(address, COMMAND, "fly", pack({}), caller=SYSTEM, op="u")
    assert unknown.data["code"] == "UNKNOWN_COMMAND"
    closed = await ask(address, COMMAND, "add_dice", pack({}), caller=Caller("anna", ("admin",)), op="c")
    assert closed.data["code"] == "FORBIDDEN"
    invalid = await ask(address, COMMAND, "add", pack({"amount": -1}), caller=SYSTEM, op="i")
    assert (invalid.status, invalid.data["details"]["field"]) == (400, "amount")


async def test_a_full_mailbox_refuses_at_once(greenroom: Greenroom) -> None:
    address = counter("full")
    faults.arm("takeover_before_load=delay:0.3")
    asked = [greenroom.command(address, Add(amount=1)) for _ in range(limits.MAILBOX_MAX + 50)]
    replies = await asyncio.gather(*asked)
    assert sum(reply.status == 200 for reply in replies) >= limits.MAILBOX_MAX
    refused = [reply for reply in replies if reply.status != 200]
    assert refused
    assert {reply.data["code"] for reply in refused} == {"OVERLOADED"}
    assert await total(greenroom, "full") == len(replies) - len(refused)


# -- consults ---------------------------------------------------------------------------------------------------


async def test_a_consulted_answer_is_part_of_the_turn(greenroom: Greenroom) -> None:
    await greenroom.command(counter("asked"), Add(amount=40))
    await greenroom.command(counter("asked"), Add(amount=2))
    reply = await greenroom.command(counter("asks"), AddTotalOf(other="asked"))
    assert reply.data == {"saw": 2}
    assert await total(greenroom, "asks") == 42


async def test_a_consulted_actor_that_is_silent_does_not_hold_the_turn_for_long(greenroom: Greenroom) -> None:
    await total(greenroom, "impatient")
    faults.arm("takeover_before_load=delay:1.5@1")
    reply = await greenroom.command(counter("impatient"), AddTotalOf(other="never-awake"))
    assert reply.data["code"] == "other_silent"


# -- lease ------------------------------------------------------------------------------------------------------


async def test_a_host_without_its_lease_answers_nothing(greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch) -> None:
    address = counter("leased")
    await greenroom.command(address, Add(amount=1))
    monkeypatch.setattr(lease, "LEASE_S", 0.4)
    home = greenroom.home_of(address)
    faults.arm("lease_renew_lost=lose")
    await asyncio.gather(*(other.host.lease.renew() for other in greenroom.homes))
    home.host.lease._valid_until = asyncio.get_running_loop().time() + 0.2
    await eventually(lambda: not home.host.lease.valid)
    late = await greenroom.router.command(address, Take(amount=5), SYSTEM, op="late", timeout_s=0.4)
    stale = await greenroom.router.query(address, Total(), timeout_s=0.4)
    assert late.status == stale.status == 503
    faults.arm("")
    monkeypatch.undo()
    waited = greenroom.query(address, Total())
    await asyncio.gather(*(other.host.lease.renew() for other in greenroom.homes))
    assert (await waited).data["total"] == 1


async def test_a_tell_with_its_answer_in_the_reply(greenroom: Greenroom) -> None:
    await greenroom.command(counter("giver"), Add(amount=10))
    reply = await greenroom.command(counter("giver"), Send(to="taker", amount=4, wait=True))
    assert reply.data == {"total": 6, "answer": {"total": 4}}

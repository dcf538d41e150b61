"""Group commit against a real Postgres: two writers of one history, poison, lost connections, restarts."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic_core import from_json

from actors.core import Command
from actors.runtime import faults, lease
from actors.runtime.database import Row
from actors.runtime.lease import Lease
from schemas import limits
from schemas.address import Address
from schemas.messages import Reply
from tests.harness import Greenroom, Proxy, Servers, counter, eventually
from tests.harness.greenroom import Home
from tests.harness.kinds import Add, Misfile, Mumble, Send, Smear, Take, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")

CROWD = 99


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(servers: Servers) -> AsyncIterator[Proxy]:
    async with Proxy(servers.postgres.socket_folder, servers.runtime / "proxy") as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers, proxy: Proxy) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=1, through=proxy.folder) as greenroom:
        yield greenroom


async def total(greenroom: Greenroom, key: str) -> int:
    reply = await greenroom.query(counter(key), Total())
    answer: int = reply.data["total"]
    return answer


def reply_of(row: Row) -> tuple[int, Any]:
    """The version and reply that the journal has for a turn."""
    return row["version"] + row["length"] - 1, from_json(row["turn"])["reply"]


async def check_history(greenroom: Greenroom, address: Address, replies: dict[str, Reply]) -> list[Row]:
    """Each acknowledged op id is in the journal once, with the very reply that was given; and nothing else is."""
    rows = await greenroom.journal(address)
    stored = {row["op"]: reply_of(row) for row in rows}
    assert len(stored) == len(rows)
    assert stored == {op: (reply.version, reply.data) for op, reply in replies.items() if reply.status == 200}
    return rows


# -- two writers ----------------------------------------------------------------------------------------------------


class Believer(Lease):
    """The lease of a zombie: whatever the table says, every slot is its own."""

    def owns(self, slot: str) -> bool:
        return True


async def test_two_hosts_that_both_own_an_actor_write_one_history_and_tell_the_truth(servers: Servers) -> None:
    async with Greenroom(servers, hosts=2) as greenroom:
        for home in greenroom.homes:
            home.host.lease.__class__ = Believer
        addresses = [counter(f"torn-between-{number}") for number in range(4)]
        replies: dict[Address, dict[str, Reply]] = {address: {} for address in addresses}

        async def client(home: Home, address: Address, name: str) -> None:
            for number in range(10):
                op = f"{name}-{number}"
                message: Command[Any] = Add(amount=1) if number % 3 else Take(amount=1 + number % 2)
                reply = await greenroom.ask_at(home, address, message, op)
                while reply.status == 503:
                    reply = await greenroom.ask_at(home, address, message, op)
                replies[address][op] = reply

        await asyncio.gather(
            *(
                client(home, address, f"{home.process.name}-{number}")
                for home in greenroom.homes
                for address in addresses
                for number in range(2)
            )
        )
        for address in addresses:
            rows = await check_history(greenroom, address, replies[address])
            assert {row["run"] for row in rows} == {home.run for home in greenroom.homes}
            assert {reply.status for reply in replies[address].values()} <= {200, 409}
            totals = [reply.data["total"] for op, reply in replies[address].items() if reply.status == 200]
            assert min(totals) >= 0


# -- poison ---------------------------------------------------------------------------------------------------------


async def gathered(greenroom: Greenroom, commands: list[tuple[Address, Command[Any], str]]) -> list[Reply]:
    """The replies to commands that all went into one group."""
    host = greenroom.homes[0].host
    await asyncio.gather(*(greenroom.query(address, Total()) for address, _, _ in commands))
    faults.arm("before_commit_send=delay:0.5@1")
    first = greenroom.command(counter("holds-the-door"), Add(amount=1))
    await eventually(lambda: faults._plan.passes.get("before_commit_send"))
    asked = [greenroom.command(address, command, op=op) for address, command, op in commands]
    await eventually(lambda: len(host.commits.gathering.turns) == len(commands))
    assert (await first).status == 200
    return list(await asyncio.gather(*asked))


def crowd(name: str) -> list[tuple[Address, Command[Any], str]]:
    return [(counter(f"{name}-{number}"), Add(amount=1), "one") for number in range(CROWD)]


@pytest.mark.parametrize(
    ("what", "poison"),
    [("a NUL", Smear(text="a\0b")), ("a broken constraint", Misfile()), ("no reply", Mumble())],
    ids=["nul", "constraint", "unpackable"],
)
async def test_a_turn_that_postgres_refuses_fails_alone(greenroom: Greenroom, what: str, poison: Command[Any]) -> None:
    neighbours = crowd(f"beside {what}")
    await greenroom.command(counter(what), Add(amount=7))
    *replies, refused = await gathered(greenroom, [*neighbours, (counter(what), poison, "bad")])
    assert {reply.status for reply in replies} == {200}
    assert (refused.status, refused.data["code"]) == (500, "INTERNAL")
    assert await total(greenroom, what) == 7
    assert (await greenroom.command(counter(what), Add(amount=1))).data["total"] == 8


async def test_turns_of_the_same_actor_beside_a_refused_one_are_kept(greenroom: Greenroom) -> None:
    address = counter("mixed")
    commands: list[tuple[Address, Command[Any], str]] = [
        (address, Add(amount=1), "before"),
        (address, Smear(text="\0"), "bad"),
        (address, Add(amount=10), "after"),
        (address, Misfile(), "worse"),
        (address, Add(amount=100), "last"),
    ]
    replies = await gathered(greenroom, commands)
    assert [reply.status for reply in replies] == [200, 500, 200, 500, 200]
    assert await total(greenroom, "mixed") == 111
    assert [row["op"] for row in await greenroom.journal(address)] == ["before", "after", "last"]


async def test_a_stale_turn_is_taken_anew_and_its_neighbours_are_acknowledged(greenroom: Greenroom) -> None:
    address = counter("stale, with a comma")
    await greenroom.command(address, Add(amount=1))
    await greenroom.database.execute(
        "INSERT INTO journal SELECT kind, key, 2, length, 'other', at, run, turn, events FROM journal WHERE key = $1",
        address.key,
    )
    *replies, taken_anew = await gathered(greenroom, [*crowd("beside stale"), (address, Add(amount=5), "mine")])
    assert {reply.status for reply in replies} == {200}
    assert taken_anew == Reply(200, 3, {"total": 7})


async def test_many_stale_actors_in_one_group_are_all_taken_anew(greenroom: Greenroom) -> None:
    commands = crowd("all stale")
    addresses = [address for address, _, _ in commands]
    await asyncio.gather(*(greenroom.command(address, Add(amount=1)) for address in addresses))
    await greenroom.database.execute(
        "INSERT INTO journal SELECT kind, key, 2, length, 'x', at, run, turn, events FROM journal WHERE key LIKE $1",
        "all stale-%",
    )
    replies = await gathered(greenroom, commands)
    assert {(reply.status, reply.version, reply.data["total"]) for reply in replies} == {(200, 3, 3)}


async def test_an_old_op_id_in_a_group_harms_no_neighbour(greenroom: Greenroom) -> None:
    address = counter("repeats itself")
    first = await greenroom.command(address, Add(amount=5), op="old")
    await greenroom.put_to_sleep(address)
    *replies, again = await gathered(greenroom, [*crowd("beside old"), (address, Add(amount=5), "old")])
    assert {reply.status for reply in replies} == {200}
    assert again == first


async def test_a_group_has_at_most_its_number_of_rows(greenroom: Greenroom) -> None:
    host = greenroom.homes[0].host
    faults.arm("before_commit_send=delay:0.5@1")
    asked = [greenroom.command(counter("many"), Add(amount=1)) for _ in range(2 * limits.GROUP_ROWS_MAX)]
    sealed = await eventually(lambda: list(host.commits._sealed))
    assert all(len(group.turns) == limits.GROUP_ROWS_MAX for group in sealed)
    replies = await asyncio.gather(*asked)
    taken = [reply for reply in replies if reply.status == 200]
    assert await total(greenroom, "many") == len(taken)


# -- lost connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_a_connection_lost_at_the_commit_loses_doubles_and_guesses_nothing(
    greenroom: Greenroom, proxy: Proxy, when: Any
) -> None:
    addresses = [counter(f"cut-{when}-{number}") for number in range(3)]
    replies: dict[Address, dict[str, Reply]] = {address: {} for address in addresses}
    before = proxy.done

    async def client(address: Address, name: int) -> None:
        for number in range(12):
            if name == 0 and number % 2:
                proxy.cut_next(when)
            op = f"{name}-{number}"
            replies[address][op] = await greenroom.persist(address, Add(amount=1), op=op)

    await asyncio.gather(*(client(address, name) for address in addresses for name in range(4)))
    proxy.cut_next("", 0)
    assert proxy.done - before >= 6
    for address in addresses:
        rows = await check_history(greenroom, address, replies[address])
        assert len(rows) == 48
        assert await total(greenroom, address.key) == 48


async def test_tells_survive_lost_connections(greenroom: Greenroom, proxy: Proxy) -> None:
    keys = [f"purse-{number}" for number in range(4)]
    await asyncio.gather(*(greenroom.command(counter(key), Add(amount=100)) for key in keys))
    for number in range(24):
        proxy.cut_next(("before", "during", "after")[number % 3])
        to = keys[(number * 7 + 1) % 4]
        await greenroom.persist(counter(keys[number % 4]), Send(to=to, amount=1 + number), op=f"send-{number}")
    proxy.cut_next("", 0)
    # Parcels whose first delivery was lost are due after a while: now.
    await greenroom.database.execute("UPDATE outbox SET due = now()")

    async def delivered() -> bool:
        return not await greenroom.database.fetch_value("SELECT count(*) FROM outbox")

    await eventually(delivered)
    assert sum([await total(greenroom, key) for key in keys]) == 400


async def test_commits_wait_out_a_short_partition_and_the_lease_a_longer_one(
    greenroom: Greenroom, proxy: Proxy
) -> None:
    address = counter("away")
    await greenroom.command(address, Add(amount=1))
    proxy.partition(True)
    started = time.monotonic()
    reply = await greenroom.command(address, Add(amount=1), op="during")
    assert reply.status == 503
    assert reply.data["details"]["retry_after_s"] == 1
    assert time.monotonic() - started < 4
    proxy.partition(False)
    assert (await greenroom.persist(address, Add(amount=1), op="during")).data == {"total": 2}


# -- Postgres itself --------------------------------------------------------------------------------------------------


async def test_a_restart_of_postgres_is_answered_with_503_and_then_healed_by_the_same_host(
    greenroom: Greenroom, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Leases end while Postgres is away.
    monkeypatch.setattr(lease, "_RENEW", lease._RENEW.replace("5 seconds", "1 second"))
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.2)
    home = greenroom.homes[0]
    address = counter("restarted")
    acknowledged: dict[str, Reply] = {}
    refusals_s: list[float] = []
    ended = asyncio.Event()

    async def client(name: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            op = f"{name}-{number}"
            while True:
                started = time.monotonic()
                reply = await greenroom.command(address, Add(amount=1), op=op)
                if reply.status == 200:
                    acknowledged[op] = reply
                    break
                refusals_s.append(time.monotonic() - started)
                await asyncio.sleep(0.05)

    clients = [asyncio.ensure_future(client(name)) for name in range(8)]
    await eventually(lambda: len(acknowledged) > 50)
    await servers.postgres.stop()
    await eventually(lambda: len(refusals_s) >= 8 and not home.host.lease.valid)
    await servers.postgres.start()
    count = len(acknowledged)
    await eventually(lambda: len(acknowledged) > count + 50)
    ended.set()
    await asyncio.gather(*clients)
    # 2 s are promised; the machine of a test may be busy.
    assert max(refusals_s) < 6
    assert not home.task.done()
    await check_history(greenroom, address, acknowledged)
    assert await total(greenroom, "restarted") == len(acknowledged)

"""Hosts come, go, die and fall silent; every actor has one home, and nothing acknowledged is lost."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from actors.runtime import balance, director, faults, lease
from actors.runtime.balance import SPREAD_SLOTS_MAX
from actors.runtime.database import OutcomeUnknown, Statements, commits_of
from actors.runtime.director import MOVE_WITHIN_S, Director
from actors.runtime.lease import Lease
from schemas.address import Address
from schemas.messages import Reply
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Crash, Total

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


class Load:
    """Clients that add to counters, one command after the other, and never ask twice."""

    def __init__(self, greenroom: Greenroom, name: str, clients: int = 12) -> None:
        self.greenroom = greenroom
        self.keys = [f"{name}-{number}" for number in range(clients)]
        self.replies: dict[str, list[Reply]] = {key: [] for key in self.keys}
        self.slowest_s = 0.0
        self._ended = asyncio.Event()

    async def __aenter__(self) -> "Load":
        keys, self.keys = self.keys, []
        self._clients: list[asyncio.Future[None]] = []
        self.play(keys)
        await self.more()
        return self

    def play(self, keys: list[str]) -> None:
        """One more client for each of these."""
        self.keys += keys
        self.replies |= {key: [] for key in keys}
        self._clients += [asyncio.ensure_future(self._client(key)) for key in keys]

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await asyncio.gather(*self._clients)

    async def _client(self, key: str) -> None:
        for number in itertools.count():
            if self._ended.is_set():
                return
            started = time.monotonic()
            reply = await self.greenroom.command(counter(key), Add(amount=1), op=f"load-{number}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self.replies[key].append(reply)

    async def more(self) -> None:
        """Wait until every client has had some more answers."""
        before = {key: len(replies) for key, replies in self.replies.items()}
        await eventually(lambda: all(len(self.replies[key]) >= before[key] + 5 for key in self.keys))

    async def check(self) -> None:
        """Nothing was refused, lost or doubled."""
        for key, replies in self.replies.items():
            assert {reply.status for reply in replies} == {200}
            assert [reply.data["total"] for reply in replies] == list(range(1, len(replies) + 1))
            assert len(await self.greenroom.journal(counter(key))) == len(replies)


async def owners(greenroom: Greenroom) -> list[str]:
    """The hosts that own slots, all of them living."""
    rows = await greenroom.database.fetch(
        "SELECT DISTINCT host.name FROM slot JOIN host ON host.run = slot.run AND NOT host.retired"
    )
    assert await greenroom.database.fetch_value("SELECT count(*) FROM slot WHERE run IS NULL") == 0
    return sorted(row["name"] for row in rows)


async def test_slots_move_to_a_new_host_and_from_a_leaving_one_with_nothing_refused(greenroom: Greenroom) -> None:
    async with Load(greenroom, "moves") as load:
        newcomer = await greenroom.start_host()
        await greenroom.spread()
        await load.more()
        assert newcomer.process.name in await owners(greenroom)
        leaving = greenroom.homes[0]
        await greenroom.stop_host(leaving)
        await greenroom.spread()
        await load.more()
    await load.check()
    assert leaving.process.name not in await owners(greenroom)
    assert len({row["run"] for key in load.keys for row in await greenroom.journal(counter(key))}) >= 3


async def test_what_a_dead_host_had_sent_lands_before_its_slots_are_given_or_never(greenroom: Greenroom) -> None:
    home = await greenroom.start_host()
    await greenroom.spread()
    on_its_way = Statements(greenroom.servers.dsn(greenroom.database_name), run=home.run)
    slow = asyncio.ensure_future(on_its_way.commit([("SELECT pg_sleep($1)", [4])]))
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'"

    async def under_way() -> bool:
        return bool(await greenroom.database.fetch_value(ours, commits_of(home.run)))

    await eventually(under_way)
    await greenroom.kill_host(home)
    with pytest.raises(OutcomeUnknown):
        await slow
    await greenroom.spread()


async def test_an_actor_that_is_to_leave_takes_no_more_turns_and_is_soon_gone(greenroom: Greenroom) -> None:
    address = counter("leaves")
    assert (await greenroom.command(address, Add(amount=1))).status == 200
    source = greenroom.home_of(address)
    target = next(home for home in greenroom.homes if home is not source)
    slot, _ = source.host.lease.slots.place(address)
    cell = source.host.cells[address]
    faults.arm("before_commit_send=delay:0.3")
    under_way = greenroom.command(address, Add(amount=10))
    await eventually(lambda: cell.pending)
    leaving = asyncio.ensure_future(source.host.release({slot}))
    await asyncio.sleep(0)
    late = greenroom.command(address, Add(amount=100))
    assert (await under_way).data == {"total": 11}
    faults.arm("")
    await leaving
    assert cell.version == 2
    assert address not in source.host.cells
    await greenroom.database.execute("UPDATE slot SET run = $1 WHERE slot = $2", target.run, slot)
    await asyncio.gather(source.host.lease.renew(), target.host.lease.renew())
    assert (await late).data == {"total": 111}


async def test_a_slot_that_was_given_up_and_given_to_nobody_is_served_again(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = counter("given-up")
    home = greenroom.home_of(address)
    slot, _ = home.host.lease.slots.place(address)
    await home.host.release({slot})
    await home.host.lease.renew()
    assert not home.host.lease.owns(slot)
    monkeypatch.setattr(lease, "GIVEN_UP_S", 0.0)
    reply = await greenroom.command(address, Add(amount=1), op="after-the-directors-death")
    assert (reply.status, reply.data["total"]) == (200, 1)


async def test_commands_to_a_dead_host_are_answered_by_another(greenroom: Greenroom) -> None:
    async with Load(greenroom, "survives") as load:
        load.slowest_s = 0.0
        await greenroom.kill_host(greenroom.homes[0])
        await load.more()
    await load.check()
    # 1 s is promised; the machine of a test may be busy.
    assert load.slowest_s < 3
    await greenroom.heal()


async def test_two_directors_do_no_harm(greenroom: Greenroom) -> None:
    second: Director = greenroom.new_director()
    greenroom.background(second.run_forever())
    async with Load(greenroom, "two") as load:
        await greenroom.kill_host(greenroom.homes[0])
        await greenroom.heal()
        await load.more()
    await load.check()
    assert await owners(greenroom) == sorted(home.process.name for home in greenroom.homes)


class Silent(Lease):
    """The lease of a host that is cut off: it cannot renew and does not hear that it should end."""

    async def _renew(self) -> None:
        return


async def test_a_silent_host_is_replaced_and_ends_when_it_hears_of_it(greenroom: Greenroom) -> None:
    address = counter("silent")
    await greenroom.command(address, Add(amount=1))
    home = greenroom.home_of(address)
    home.host.lease.__class__ = Silent
    await greenroom.database.execute("UPDATE host SET lease = now() - interval '1 s' WHERE run = $1", home.run)

    async def moved() -> bool:
        slot, _ = greenroom.parts.placement.place(address)
        owner = await greenroom.database.fetch_value("SELECT run FROM slot WHERE slot = $1", slot)
        return bool(owner != home.run)

    await eventually(moved)
    greenroom.homes.remove(home)
    # The old host may still believe that it owns the actor; there is one history all the same.
    both = [greenroom.ask_at(home, address, Add(amount=1), f"old-{number}") for number in range(5)]
    both += [greenroom.command(address, Add(amount=1), op=f"new-{number}") for number in range(5)]
    replies = await asyncio.gather(*both)
    assert sorted(reply.data["total"] for reply in replies) == list(range(2, 12))
    assert len(await greenroom.journal(address)) == 11
    home.host.lease.__class__ = Lease
    await eventually(home.task.done)
    home.host.statements.drop()
    await greenroom.heal()
    assert (await greenroom.query(address, Total())).data["total"] == 11


async def test_a_host_that_hangs_in_a_move_delays_no_other(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, other = greenroom.homes[:2]
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def hang(slots: set[str]) -> None:
        asked.set()
        await let_go.wait()

    monkeypatch.setattr(hanging.host, "release", hang)
    newcomer = await greenroom.start_host()
    before = len(other.host.lease.owned)

    def others_move() -> bool:
        # More than go in one step.
        return len(other.host.lease.owned) < before - SPREAD_SLOTS_MAX

    # Long before the move that hangs is given up.
    await eventually(others_move, MOVE_WITHIN_S * 0.8)
    await eventually(asked.is_set)
    let_go.set()
    monkeypatch.undo()
    await greenroom.spread()
    await greenroom.stop_host(newcomer)
    await greenroom.spread()


async def test_slots_that_a_host_gave_up_without_an_answer_are_served_by_the_next(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(director, "MOVE_WITHIN_S", 0.3)
    home = greenroom.homes[0]
    release = home.host.release

    async def release_and_fall_silent(slots: set[str]) -> None:
        await release(slots)
        await asyncio.sleep(1.0)

    monkeypatch.setattr(home.host, "release", release_and_fall_silent)
    async with Load(greenroom, "silent-release") as load:
        newcomer = await greenroom.start_host()
        await greenroom.spread()
        await load.more()
    await load.check()
    assert load.slowest_s < 3
    monkeypatch.undo()
    await greenroom.stop_host(newcomer)
    await greenroom.spread()


async def test_busy_actors_of_one_host_are_spread_over_all(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All hosts of this test share one core.
    monkeypatch.setattr(balance, "LOADED_FROM", 0.01)
    monkeypatch.setattr(balance, "LOADED_UNTIL", 0.005)
    monkeypatch.setattr(balance, "PATIENCE_S", 1.0)
    busy = greenroom.homes[0]
    keys = [f"busy-{number}" for number in range(4_000)]
    found = [key for key in keys if busy.host.lease.owns_address(counter(key))]
    slots = {busy.host.lease.slots.place(counter(key))[0]: key for key in found}
    assert len(slots) > 20
    async with Load(greenroom, "uneven", clients=0) as load:
        load.play(list(slots.values())[:20])

        def is_spread() -> bool:
            shares = [sum(home.host.lease.owns(slot) for slot in list(slots)[:20]) for home in greenroom.homes]
            return max(shares) <= 15 and min(shares) >= 5

        await eventually(is_spread, 60)
        await load.more()
        for slot in list(slots)[:20]:
            assert greenroom.metric("greenroom_slot_seconds_total", slot=slot) > 0
    await load.check()


async def test_a_host_that_is_leaving_loses_its_slots_while_it_serves(greenroom: Greenroom) -> None:
    leaving = await greenroom.start_host()
    await greenroom.spread()
    async with Load(greenroom, "leaving") as load:
        await leaving.process.stop(hand_over=True)
        assert leaving.process.host is not None
        assert leaving.process.host.lease.owned == frozenset()
        await load.more()
    await load.check()
    await greenroom.stop_host(leaving)


async def test_a_dedicated_actor_gets_a_host_of_its_own_and_is_served_before_and_after(servers: Servers) -> None:
    async with Greenroom(servers, hosts=1, placement={"counter": "dedicated"}) as greenroom:
        address = counter("solo")
        slot = str(address)

        async def at_home() -> bool:
            home = greenroom.dedicated.get(slot)
            host = home.process.host if home else None
            return host is not None and host.lease.owned == {slot}

        async with Load(greenroom, "solo", clients=1) as load:
            slot = str(counter(load.keys[0]))
            await eventually(at_home)
            await load.more()
            await greenroom.kill_host(greenroom.dedicated[slot])
            await load.more()
            await eventually(at_home)
            await load.more()
        await load.check()
        runs = [row["run"] for row in await greenroom.journal(Address.parse(slot))]
        assert runs[-1] == greenroom.dedicated[slot].run


async def test_an_actor_that_takes_its_hosts_along_is_quarantined_and_others_are_not(servers: Servers) -> None:
    async with Greenroom(servers, hosts=0) as greenroom:
        processes = [await greenroom.start_process() for _ in range(4)]

        async def all_there() -> bool:
            return len(await owners(greenroom)) == 4

        await greenroom.director.ready.wait()
        await eventually(all_there, 30)
        neighbours = [counter(f"neighbour-{number}") for number in range(10)]
        for address in neighbours:
            assert (await greenroom.persist(address, Add(amount=1))).status == 200
        # One command is enough: each new home takes it up under its op id, and dies of it, until the third has.
        reply = await greenroom.command(counter("deadly"), Crash(), timeout_s=20)
        assert (reply.status, reply.data["code"]) == (500, "QUARANTINED")
        assert sum(process.returncode is None for process in processes) == 1
        assert (await greenroom.query(counter("deadly"), Total())).data["code"] == "QUARANTINED"
        for address in neighbours:
            assert (await greenroom.persist(address, Add(amount=1))).data["total"] == 2

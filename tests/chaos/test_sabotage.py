"""Each promise is broken on purpose, and verify finds it; without the sabotage the same game is found right."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import aiohttp
import pytest
import pytest_asyncio

from actors.player.score import AwardScore
from actors.runtime import faults
from greenroom_client import Client as UserClient
from greenroom_client import Form
from schemas.address import Address, player
from scripts.chaos.wires import Socket
from scripts.embedded.raycluster import free_port
from scripts.processes import GatewayProcess
from scripts.verify.history import Push
from tests.chaos import sabotage
from tests.chaos.scene import Client, Load, verified
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Total

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

both_ways = pytest.mark.parametrize("broken", [False, True], ids=["honest", "broken"])
PORT = free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2, bind=f"127.0.0.1:{PORT}") as greenroom:
        yield greenroom


@pytest_asyncio.fixture(loop_scope="module")
async def load(greenroom: Greenroom, request: pytest.FixtureRequest) -> Load:
    load = Load(greenroom, 4, f"s{abs(hash(request.node.name)):x}")
    await load.join()
    return load


@contextmanager
def _if(broken: bool, lie: AbstractContextManager[None]) -> Iterator[None]:
    with lie if broken else nullcontext():
        yield


async def _found(load: Load) -> set[str]:
    """The invariants that verify finds broken by this load's own players."""
    report = await load.verdict()
    own = {client.address.key for client in load.clients}
    return {one.invariant for one in report.findings if one.actor.partition(":")[2] in own}


@both_ways
async def test_p1_a_reply_before_the_commit_is_found(load: Load, broken: bool) -> None:
    with _if(broken, sabotage.replies_before_the_commit()):
        for _ in range(8):
            faults.arm("before_commit_send=lose@1")
            await asyncio.gather(*(client.ask(AwardScore(points=1)) for client in load.clients))
        faults.arm("")
    assert ("K1" in await _found(load)) is broken


@both_ways
async def test_p2_a_forgotten_op_id_is_found(load: Load, broken: bool) -> None:
    with _if(broken, sabotage.forgets_op_ids()):
        for _ in range(2):
            await load.clients[0].ask(AwardScore(points=7), op=f"once-{load.clients[0].address.key}")
    assert ("K13" in await _found(load)) is broken


@both_ways
async def test_p3_two_owners_without_a_fence_are_found(servers: Servers, broken: bool) -> None:
    """Both hosts believe that they own the actor; the journal's key is what keeps its history one."""
    async with Greenroom(servers, hosts=2) as two:
        owner, other = two.homes
        # One that the other host never had, and so never gave up.
        actor = next(address for address in map(counter, "abcdefgh") if two.home_of(address) is owner)
        if broken:
            await two.database.execute("ALTER TABLE journal DROP CONSTRAINT journal_history")
        other.host.lease._owned |= owner.host.lease._owned
        await asyncio.gather(*(two.ask_at(home, actor, Total()) for home in (owner, other)))
        for number in range(4):
            for home in (owner, other):
                other.host.lease._owned |= owner.host.lease._owned
                with suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await two.ask_at(home, actor, Add(amount=1), op=f"{home.run}-{number}")
        found = {one.invariant for one in (await verified(two)).findings if one.actor == str(actor)}
        assert ("K4" in found) is broken


@both_ways
async def test_p4_a_message_that_was_never_sent_is_found(load: Load, broken: bool) -> None:
    with _if(broken, sabotage.drops_a_tell()):
        for _ in range(3):
            await asyncio.gather(*(client.ask(AwardScore(points=1)) for client in load.clients))
    report = await load.verdict()
    assert ({"K8", "K9"} <= {one.invariant for one in report.findings}) is broken
    if broken:
        # The board of this database stays wrong: what follows is judged on others.
        await load.greenroom.database.execute("DELETE FROM journal WHERE kind IN ('player', 'leaderboard')")


@both_ways
async def test_p5_a_state_that_was_undone_is_found(greenroom: Greenroom, broken: bool) -> None:
    load = Load(greenroom, 1, f"undone-{broken}")
    await load.join()
    client = load.clients[0]
    with _if(broken, sabotage.shows_what_is_not_committed()):
        faults.arm("before_commit_send=lose")
        # Both in one batch: the question is taken when the turn is decided, and its commit never comes about.
        given_up = greenroom.command(client.address, AwardScore(points=1), op="given-up", caller=client.caller)
        looked = asyncio.ensure_future(client.look())
        assert (await given_up).status == 503
        faults.arm("")
        await looked
    assert ("K12" in await _found(load)) is broken


@both_ways
async def test_p6_a_push_that_was_kept_back_is_found(greenroom: Greenroom, load: Load, broken: bool) -> None:
    gateway = GatewayProcess(greenroom.wiring(), f"gateway-{broken}")
    serving = asyncio.ensure_future(gateway.run())
    await eventually(gateway.ready, 30)
    async with aiohttp.ClientSession() as session:
        user = UserClient(f"http://127.0.0.1:{PORT}", session=session)
        await user.guest(f"listener-of-pushes-{broken}-0123456789")
        actor = player(user.user_id)
        client = Client(greenroom, user.user_id, load.history)

        def pushed(topic: Address, seq: int, told: str) -> None:
            line = {"subscriber": "listener", "actor": topic, "seq": seq, "told": told}
            load.history.pushes.append(Push.model_validate(line))

        socket = Socket(user, session, Form.MSGPACK, actor, pushed)
        await eventually(lambda: load.history.pushes)
        with _if(broken, sabotage.hides_a_push()):
            for number in range(6):
                await client.ask(AwardScore(points=1), op=f"push-{broken}-{number}")
        last = max(request.version or 0 for request in load.history.requests if request.actor == actor)
        await eventually(lambda: load.history.pushes[-1].seq == last)
        await socket.close()
    await gateway.stop()
    await serving
    load.clients.append(client)
    assert ("K11" in await _found(load)) is broken

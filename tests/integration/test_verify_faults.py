"""At every fault point, while things are broken and after they healed: verify finds nothing that it should not."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from actors.core import Command
from actors.player.inbox import Notify
from actors.player.profile import Create, Profile
from actors.player.score import AwardScore
from actors.player.wallet import Credit, Debit
from actors.runtime import faults
from schemas.address import Address, player
from schemas.messages import Caller
from scripts.verify.history import History, Query, Request
from scripts.verify.report import Report
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk
from tests.harness import Greenroom, Servers, eventually
from tests.integration.played import delivered
from tests.integration.test_fault_points import PLANS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAYERS = 6
TURNS = 12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        yield greenroom


class Client:
    """Plays one player, and writes down what it was told."""

    def __init__(self, greenroom: Greenroom, key: str, history: History) -> None:
        self.greenroom = greenroom
        self.address = player(key)
        self.caller = Caller(key, ("server",))
        self.history = history

    async def ask(self, op: str, command: Command[Any]) -> None:
        sent = time.monotonic()
        reply = await self.greenroom.persist(self.address, command, op=op, caller=self.caller)
        while reply.status == 500:
            reply = await self.greenroom.persist(self.address, command, op=op, caller=self.caller)
        told = {"actor": self.address, "command": command.wire_name, "op": op, "sent": sent, "status": reply.status}
        answered = {"answered": time.monotonic(), "version": reply.version, "reply": reply.data}
        self.history.requests.append(Request.model_validate({**told, **answered}))
        sent = time.monotonic()
        seen = await self.greenroom.query(self.address, Profile(), self.caller)
        if seen.status == 200:
            looked = {"actor": self.address, "query": "profile", "sent": sent, "answered": time.monotonic()}
            self.history.queries.append(Query.model_validate({**looked, "version": seen.version}))

    async def play(self) -> None:
        await self.ask("create", Create(name=self.address.key))
        for number in range(TURNS):
            attributes: dict[str, str | int | bool] = {"team": f"team-{number % 2}"}
            await self.ask(f"award-{number}", AwardScore(points=number + 1, attributes=attributes))
            if number % 4 == 1:
                await self.ask(f"credit-{number}", Credit(currency="gems", amount=5, reason="found"))
                await self.ask(f"debit-{number}", Debit(currency="gold", amount=1, reason="a hat"))
                await self.ask(f"notify-{number}", Notify(template="hello"))
            if number % 5 == 2:
                await self.ask("award-0", AwardScore(points=1, attributes={"team": "team-0"}))


async def verified(greenroom: Greenroom, history: History | None = None) -> Report:
    async with snapshot_of(greenroom.database) as snapshot:
        return await Walk(snapshot, lambda what, done: None, history=history, strict=True).run()


@pytest.mark.parametrize("point", sorted(PLANS))
async def test_verify_holds_at(greenroom: Greenroom, point: str) -> None:
    """A checkpoint that was stored by half must be found; it harms nobody, for the journal is whole."""
    history = History()
    clients = [Client(greenroom, f"{point}-{number}", history) for number in range(PLAYERS)]
    faults.arm(f"{point}={PLANS[point]}")
    async with asyncio.TaskGroup() as game:
        playing = [game.create_task(client.play()) for client in clients]
        while not all(task.done() for task in playing):
            broken = {one.invariant for one in (await verified(greenroom)).findings}
            assert broken <= ({"K5"} if point == "checkpoint_half" else set())
            await greenroom.heal()
    asleep = [cell for home in greenroom.homes for cell in home.host.cells.values() if cell.quiet]
    await asyncio.gather(*(home.host.passivate(asleep) for home in greenroom.homes))
    if point == "tell_delivered_before_mark":
        # Reminders pass here, and nothing that these clients do has any.
        faults.arm("")
    await eventually(lambda: not faults.armed or faults._plan.passes.get(point))
    faults.arm("")
    await delivered(greenroom)
    report = await verified(greenroom, history)
    if point == "checkpoint_half":
        assert {one.invariant for one in report.findings} == {"K5"}
        await greenroom.database.execute("DELETE FROM checkpoint")
        report = await verified(greenroom, history)
    assert report.findings == []
    assert report.remarks == []
    assert int(report.looked["K1"].split()[0]) >= PLAYERS * TURNS
    assert await _scored(greenroom, clients) == {sum(range(1, TURNS + 1))}


async def _scored(greenroom: Greenroom, clients: list[Client]) -> set[int]:
    """What the clients' scores are now."""
    replies = [await greenroom.query(Address(*client.address), Profile(), client.caller) for client in clients]
    return {reply.data["scores"]["main"] for reply in replies}

"""What chaos tests within one process share: clients of the runtime that keep a history, and the judge."""

import asyncio
import time
from typing import Any

from actors.core import Command
from actors.player.profile import Create, Profile
from actors.player.score import AwardScore
from actors.player.wallet import Debit, GrantCurrency
from actors.runtime.database import Refused
from schemas.address import Address, player
from schemas.messages import SYSTEM, Caller, Reply
from schemas.problems import Refusal
from scripts.verify.history import History, Query, Request
from scripts.verify.report import Report
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk
from tests.harness import Greenroom, counter, eventually

ANSWERED_WITHIN_S = 60.0
_DELIVERED = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM reminder WHERE due < $1)"


class Client:
    """Plays one player through the router, repeats what has no answer, and writes down what it was told."""

    def __init__(self, greenroom: Greenroom, key: str, history: History) -> None:
        self.greenroom = greenroom
        self.address: Address = player(key)
        self.caller = Caller(key, ("server",))
        self.history = history
        self.numbers = 0

    async def ask(self, command: Command[Any], op: str = "") -> Reply:
        """Ask the player until there is an answer that counts; each attempt is a line of the history."""
        return await self._ask(self.address, command, op)

    async def ask_counter(self, command: Command[Any]) -> Reply:
        """Ask the player's counter, likewise."""
        return await self._ask(counter(self.address.key), command, "")

    async def _ask(self, address: Address, command: Command[Any], op: str) -> Reply:
        self.numbers += 1
        op = op or f"{self.address.key}-{self.numbers}"
        caller = self.caller if command.public else SYSTEM
        until = time.monotonic() + ANSWERED_WITHIN_S
        while True:
            sent = time.monotonic()
            reply = await self.greenroom.command(address, command, op=op, caller=caller)
            self._note(address, op, command, sent, reply)
            if reply.status not in (500, 503) and not (reply.status == 409 and reply.data["code"] == "OP_IN_PROGRESS"):
                return reply
            assert time.monotonic() < until, f"{op} was not answered: {reply}"
            await asyncio.sleep(0.02)

    def _note(self, address: Address, op: str, command: Command[Any], sent: float, reply: Reply) -> None:
        told: dict[str, Any] = {"actor": address, "command": command.wire_name, "op": op, "sent": sent}
        told |= {"answered": time.monotonic(), "status": reply.status}
        told |= {"version": reply.version, "reply": reply.data} if reply.status == 200 else {"code": reply.data["code"]}
        self.history.requests.append(Request.model_validate(told))

    async def look(self) -> None:
        sent = time.monotonic()
        seen = await self.greenroom.query(self.address, Profile(), self.caller)
        if seen.status == 200:
            looked = {"actor": self.address, "query": "profile", "sent": sent, "answered": time.monotonic()}
            self.history.queries.append(Query.model_validate({**looked, "version": seen.version}))

    async def join(self) -> None:
        await self.ask(Create(name=self.address.key))

    async def act(self) -> None:
        """One thing, in turn: points, a look, currency in, points, currency out."""
        step = self.numbers % 5
        if step == 3:
            await self.ask(GrantCurrency(currency="gems", amount=5, reason="found"))
        elif step == 4:
            await self.ask(Debit(currency="gold", amount=1, reason="a hat"))
        else:
            await self.ask(AwardScore(points=self.numbers, attributes={"team": f"team-{step}"}))
        await self.look()


class Load:
    """So many clients that play until told to stop."""

    def __init__(self, greenroom: Greenroom, clients: int, mark: str) -> None:
        self.greenroom = greenroom
        self.history = History()
        self.clients = [Client(greenroom, f"{mark}-{number}", self.history) for number in range(clients)]
        self.stop = asyncio.Event()

    async def join(self) -> None:
        await asyncio.gather(*(client.join() for client in self.clients))

    async def play(self, pace_s: float = 0.0) -> None:
        async with asyncio.TaskGroup() as playing:
            for client in self.clients:
                playing.create_task(self._play(client, pace_s))

    async def _play(self, client: Client, pace_s: float) -> None:
        while not self.stop.is_set():
            await client.act()
            await asyncio.sleep(pace_s)

    @property
    def answered(self) -> int:
        return sum(request.done for request in self.history.requests)

    async def goes_on(self, rounds: int) -> None:
        """Wait until the clients have got so many more answers, each on average."""
        enough = self.answered + rounds * len(self.clients)
        await eventually(lambda: self.answered > enough, 60)

    async def verdict(self) -> Report:
        """Let what is under way arrive, and have everything verified, this history included."""
        await delivered(self.greenroom)
        return await verified(self.greenroom, self.history)


async def delivered(greenroom: Greenroom) -> None:
    """Wait until every message between actors has arrived."""

    async def nothing_left() -> bool:
        try:
            await greenroom.database.execute("UPDATE outbox SET due = now() WHERE attempts = 0")
            return not await greenroom.database.fetch_value(_DELIVERED, int(time.time() * 1000))
        except (Refusal, Refused):
            return False

    await eventually(nothing_left, 60)


async def verified(greenroom: Greenroom, history: History | None = None) -> Report:
    """What verify finds."""
    async with snapshot_of(greenroom.database) as snapshot:
        return await Walk(snapshot, lambda what, done: None, history=history, strict=True).run()

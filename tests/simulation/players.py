"""Who plays in a world: clients that send, repeat, give up and look, and hold every answer against the journal."""

import asyncio
import itertools
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from actors.core import Caller, Command, Query
from actors.player.actions import CompleteAction, StartAction
from actors.player.profile import Create, Profile
from actors.player.quests import StartQuest
from actors.player.score import AwardScore, OwnScore
from actors.player.wallet import Credit, Debit
from schemas.address import Address
from schemas.messages import SYSTEM, Reply
from scripts.verify import history
from tests.harness import kinds
from tests.harness.kinds import Total
from tests.simulation.cast import COUNTERS, PLAYERS
from tests.simulation.homes import Parts

if TYPE_CHECKING:
    from tests.simulation.world import World

CLIENTS = 5
ATTEMPTS_MAX = 5
STALE_MAX_S = 5.0
"""How old an answer may be when two hosts believe that they own a slot: the bound that the design publishes."""
AGAIN = (503, 409, 429)
QUESTS = ("wolves_at_the_gate", "daily_hunt", "first_steps")
"""What a few actions complete; each reward must be given once, whoever dies between the completion and it (K16)."""
QUEST_SHARE = 0.5


class Done:
    """A request that was answered, to be sent once more later."""

    def __init__(self, to: Address, command: Command[Any], op: str, reply: Reply) -> None:
        self.to = to
        self.command = command
        self.op = op
        self.reply = reply


class Players:
    """All clients of one world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.random = Random(world.random.getrandbits(64))
        self.done: list[Done] = []
        self._ops = itertools.count(1)
        self.think_s = self.random.choice((0.001, 0.02, 0.1, 0.4, 1.5))
        if world.think_s is not None:
            self.think_s = world.think_s
        self.errands = [(who, StartQuest(quest=quest)) for who in PLAYERS for quest in QUESTS]
        self.random.shuffle(self.errands)
        self.hurry_share = self.random.choice((0.0, 0.0, 0.2))
        """Of how many requests the client goes away before the answer."""

    async def create(self) -> None:
        for address in PLAYERS:
            while (await self.send(address, Create(name=address.key), f"create-{address.key}")).status != 200:
                await asyncio.sleep(0.2)

    async def play(self) -> None:
        """All clients, until the steps are used up."""
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        world = self.world
        while world.steps_left > 0:
            world.steps_left -= 1
            await asyncio.sleep(self.random.random() * self.think_s)
            drawn = self.random.random()
            if drawn < 0.3:
                await self._look()
            elif drawn < 0.4 and self.done:
                await self._repeat()
            elif drawn < 0.5:
                await self._act()
            else:
                await self._do(*self._command())

    # -- what they do ---------------------------------------------------------------------------------------------

    def _command(self) -> tuple[Address, Command[Any]]:
        random = self.random
        one, other = random.sample(COUNTERS, 2)
        amount = random.randint(1, 9)
        drawn = random.randrange(14)
        if drawn < 3:
            return one, kinds.Add(amount=amount)
        if drawn < 6:
            return one, kinds.Send(to=other.key, amount=amount, wait=random.random() < 0.5)
        if drawn == 6:
            return one, kinds.Take(amount=random.randint(1, 40))
        if drawn == 7:
            return one, kinds.AddDice()
        if drawn == 8:
            return one, kinds.AddTotalOf(other=other.key)
        if drawn == 9:
            return one, kinds.Close(closed=random.random() < 0.3)
        if drawn == 10:
            return one, kinds.SetAlarm(name=random.choice("ab"), after_ms=random.choice((0, 100, 5_000)))
        who = random.choice(PLAYERS)
        if drawn == 11:
            return who, (Credit if random.random() < 0.5 else Debit)(currency="gold", amount=amount, reason="game")
        board = random.choice(("main", "main", "daily"))
        return who, AwardScore(points=amount, board=board, attributes={"team": random.choice(("reds", "blues"))})

    async def _do(self, to: Address, command: Command[Any]) -> Reply:
        """Ask until it is answered, or until patience ends; always under one op id."""
        op = f"op-{next(self._ops)}"
        reply = Reply(503, 0, None)
        for _ in range(self.random.randint(1, ATTEMPTS_MAX)):
            reply = await self.send(to, command, op)
            if reply.status == 200:
                self.done.append(Done(to, command, op, reply))
            if reply.status not in AGAIN:
                break
            await asyncio.sleep(self.random.random() * 0.3)
        return reply

    async def _act(self) -> None:
        """The whole way of an action; what is fraudulent is refused."""
        who = self.random.choice(PLAYERS)
        if self.errands and self.random.random() < QUEST_SHARE:
            # Each once: to start what one is on is acknowledged without a turn.
            await self._do(*self.errands.pop())
        started = await self._do(who, StartAction(type=self.random.choice(("quick_win", "boss_kill"))))
        if started.status == 200:
            token = CompleteAction(action_id=started.data["id"], action_token=started.data["actionToken"])
            await self._do(who, token)

    async def _repeat(self) -> None:
        """The same op id again: the same answer, or a refusal when it asks for something else."""
        before = self.random.choice(self.done)
        if self.random.random() < 0.2 and isinstance(before.command, kinds.Add):
            reply = await self.send(before.to, kinds.Add(amount=before.command.amount + 1), before.op, other=True)
            if reply.status == 200:
                self.world.fail(f"op {before.op} was done for two requests")
        else:
            await self.send(before.to, before.command, before.op)

    # -- asking ---------------------------------------------------------------------------------------------------

    async def _ask(self, gateway: Parts, asked: "asyncio.Future[Reply]") -> Reply | None:
        """The reply; None when the client went away before it came."""
        if self.random.random() >= self.hurry_share:
            return await asked
        try:
            async with asyncio.timeout(self.random.random() * 0.01):
                return await asked
        except TimeoutError:
            return None

    async def send(self, to: Address, command: Command[Any], op: str, *, other: bool = False) -> Reply:
        """One attempt, noted in the history."""
        world = self.world
        gateway = self.random.choice(world.gateways)
        caller = Caller(to.key, ("server",)) if command.public else SYSTEM
        sent = world.loop.now_s
        asked = gateway.process.context.copy().run(gateway.router.command, to, command, caller, op=op)
        reply = await self._ask(gateway, asked)
        world.trace("reply", op, reply)
        if not other:
            line: dict[str, Any] = {"actor": to, "command": command.wire_name, "op": op, "sent": sent}
            if reply is not None:
                refusal = reply.data if reply.status != 200 else {}
                line |= {"answered": world.loop.now_s, "status": reply.status, "code": (refusal or {}).get("code", "")}
                if reply.status == 200:
                    line |= {"version": reply.version, "reply": reply.data}
                    self._hold(to, op, reply)
            world.history.requests.append(history.Request.model_validate(line))
        if reply is not None:
            world.counts[f"status {reply.status}"] += 1
        return reply or Reply(503, 0, None)

    def _hold(self, to: Address, op: str, reply: Reply) -> None:
        """What is acknowledged is in the journal at this moment."""
        row = self.world.store.journal.ops.get((to, op))
        if row is None:
            self.world.fail(f"{to} acknowledged op {op}, and the journal does not have it")
        elif row["version"] + row["length"] - 1 != reply.version:
            self.world.fail(
                f"{to} answered op {op} with version {reply.version}, and its turn starts at {row['version']}"
            )
        else:
            told = from_json(row["turn"])
            awaited = {part[0] for part in told.get("awaits", ())}
            kept = {name: value for name, value in (reply.data or {}).items() if name not in awaited}
            if kept != told["reply"]:
                self.world.fail(f"{to} answered op {op} with {kept}, the journal has {told['reply']}")

    async def _look(self) -> None:
        world = self.world
        query: Query[Any]
        if self.random.random() < 0.6:
            to, query = self.random.choice(COUNTERS), Total()
        else:
            to = self.random.choice(PLAYERS)
            query = OwnScore(board="main") if self.random.random() < 0.5 else Profile()
        gateway = self.random.choice(world.gateways)
        sent = world.loop.now_s
        asked = gateway.process.context.copy().run(gateway.router.query, to, query, SYSTEM)
        reply = await self._ask(gateway, asked)
        world.trace("answer", str(to), reply)
        if reply is None or reply.status != 200:
            return
        answered = world.loop.now_s
        line = {"actor": to, "query": query.wire_name, "sent": sent, "answered": answered, "version": reply.version}
        world.history.queries.append(history.Query.model_validate(line))
        self._see(to, query, reply, answered)

    def _see(self, to: Address, query: Query[Any], reply: Reply, answered: float) -> None:
        """What is shown is in the journal at this moment, and is not older than the published bound."""
        world = self.world
        last = world.store.journal.last(to)
        if reply.version > last:
            world.fail(f"a query of {to} showed version {reply.version}, the journal is at {last}")
        oldest = world.version_at(to, answered - STALE_MAX_S)
        if reply.version < oldest:
            world.fail(f"a query of {to} showed version {reply.version}, {oldest} was there more than 5 s before")
        if isinstance(query, Total):
            world.expect_total(to, reply.version, reply.data["fingerprint"])

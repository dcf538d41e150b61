"""How processes of a world reach each other and Postgres: connections that delay, break and lose answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from actors.runtime.bus import Bus
from actors.runtime.database import Connection, Database, OutcomeUnknown, Refused, Row, Statements, UniqueConflict
from schemas.messages import unpack
from schemas.problems import Refusal
from tests.simulation.loop import PROCESS, Process, VirtualLoop
from tests.simulation.store import Statement, Store

GIVES_UP_S = 8.0
"""How long a driver waits for a Postgres that does not answer."""


class Postgres:
    """The server's end. What has reached it is carried out, whether or not the client lives to see that."""

    def __init__(self, loop: VirtualLoop, store: Store, random: Random) -> None:
        self.loop = loop
        self.store = store
        self.random = random
        self.down = False
        self.silent_to: set[Process] = set()
        """Processes whose packets vanish."""
        self.lost_share = 0.0
        """Of how many statements the connection is lost before the answer."""
        self.slow_s = 0.002
        self.troubled_until = 0.0
        self._doubtful: dict[Process, list[asyncio.TimerHandle]] = {}
        self.late_s = 0.0
        """How much later than its client's loss a statement may still be carried out."""
        self.on_run: Callable[[Process, Sequence[Statement], str], None] = lambda process, statements, how: None

    async def ask(self, process: Process, statements: Sequence[Statement]) -> list[Any]:
        """Carry the statements out as one transaction. Raises what actors.runtime.database raises."""
        random = self.random
        if self.down:
            await asyncio.sleep(random.random() * self.slow_s)
            raise _unreachable()
        answer: asyncio.Future[Any] = self.loop.create_future()
        arrives_s = random.random() * self.slow_s
        answers_s = random.random() * self.slow_s
        lost = random.random() < self.lost_share
        if process in self.silent_to:
            if random.random() < 0.5:
                self._carry_out_later(process, statements, arrives_s, answer, None)
            await asyncio.sleep(GIVES_UP_S * random.random())
            raise OutcomeUnknown("silence")
        if lost:
            kind = random.random()
            if kind < 0.3:
                await asyncio.sleep(arrives_s)
                raise _unreachable()
            if kind < 0.6:
                await asyncio.sleep(arrives_s)
                raise OutcomeUnknown("lost on the way")
            # The server has it, and the client does not hear what becomes of it.
            at_s = arrives_s if kind < 0.8 else arrives_s + random.random() * self.late_s
            self._carry_out_later(process, statements, at_s, answer, None)
            await asyncio.sleep(max(arrives_s, answers_s) + PASS_BY_S)
            raise OutcomeUnknown("answer lost")
        self._carry_out_later(process, statements, arrives_s, answer, answers_s)
        result = await answer
        if isinstance(result, Exception):
            raise result
        rows: list[Any] = result
        return rows

    def _carry_out_later(
        self,
        process: Process,
        statements: Sequence[Statement],
        after_s: float,
        answer: "asyncio.Future[Any]",
        answers_s: float | None,
    ) -> None:
        def carry_out() -> None:
            result: Any
            if self.down:
                result = OutcomeUnknown("restart")
            else:
                try:
                    result = self.store.run(statements)
                except (UniqueConflict, Refused) as error:
                    result = error
                self.on_run(process, statements, type(result).__name__)
            if answers_s is not None:
                self.loop.call_later(answers_s, _give, answer, result)

        # In nobody's context: the server lives on when the client has died.
        timer = self.loop.call_later(after_s, carry_out, context=self.context)
        if answers_s is None:
            self._doubtful.setdefault(process, []).append(timer)

    def end_backends(self, process: Process) -> None:
        """What a client of this process has lost sight of is carried out by now, or never will be."""
        for timer in self._doubtful.pop(process, ()):
            timer.cancel()

    @property
    def context(self) -> Any:
        return self._server.context.copy()

    _server = Process("postgres")


PASS_BY_S = 1e-4


def _give(answer: "asyncio.Future[Any]", result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _unreachable() -> Refusal:
    return Refusal("UNAVAILABLE", "The database is not reachable (simulated).", retry_after_s=1)


class SimulatedDatabase(Database):
    """The pool of one process."""

    def __init__(self, postgres: Postgres, process: Process) -> None:
        super().__init__("simulated")
        self.postgres = postgres
        self.process = process

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        return await self.postgres.ask(self.process, [(sql, values)])

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        rows: list[Any] = await self.fetch(sql, *values)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, sql: str, *values: Any) -> str:
        return f"DONE {len(await self.fetch(sql, *values))}"

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        yield _OneConnection(self)


class _OneConnection(Connection):
    def __init__(self, database: SimulatedDatabase) -> None:
        super().__init__(None)
        self.fetch = database.fetch  # type: ignore[method-assign]
        self.execute = database.execute  # type: ignore[method-assign]


class SimulatedStatements(Statements):
    """The connection of one process for its group commits."""

    def __init__(self, postgres: Postgres, process: Process) -> None:
        super().__init__("simulated")
        self.postgres = postgres
        self.process = process

    async def commit(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        await self.postgres.ask(self.process, statements)

    async def settle(self) -> None:
        if self.process not in self.postgres.silent_to and not self.postgres.down:
            self.postgres.end_backends(self.process)

    def drop(self) -> None:
        """Nothing to close."""


# -- sockets ----------------------------------------------------------------------------------------------------------


class Network:
    """Sockets between processes: bytes arrive in order, in pieces, late, or never when the connection is cut."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.slow_s = 0.001
        self.ends: list[End] = []
        loop.connect = self.connect

    def listen(self, process: Process, path: str, factory: Callable[[], asyncio.Protocol]) -> None:
        self.loop.listeners[path] = (process, factory)

    async def connect(self, factory: Callable[[], asyncio.Protocol], path: str) -> Any:
        client = PROCESS.get()
        await asyncio.sleep(self.random.random() * self.slow_s)
        if path not in self.loop.listeners:
            raise ConnectionRefusedError(path)
        server, server_factory = self.loop.listeners[path]
        assert client is not None
        near, far = End(self, client, factory()), End(self, server, server_factory())
        near.peer, far.peer = far, near
        self.ends += [near, far]
        far.later(far.made, 0.0)
        near.protocol.connection_made(near)
        return near, near.protocol

    def cut(self, chance: float) -> int:
        """Cut some connections; what is on its way is lost."""
        cut = [end for end in self.ends if end.open and self.random.random() < chance]
        for end in cut:
            end.cut()
        self.ends = [end for end in self.ends if end.open]
        return len(cut)

    def died(self, process: Process) -> None:
        """The kernel closes a dead process' sockets: what it has written arrives, and then the end."""
        for end in [end for end in self.ends if end.process is process]:
            end.leave()
        self.ends = [end for end in self.ends if end.process is not process]


class End(asyncio.Transport):
    """One end of a connection."""

    peer: "End"

    def __init__(self, network: Network, process: Process, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.protocol = protocol
        self.open = True
        self._arriving: deque[bytes | None] = deque()
        self._free_at = 0.0

    def later(self, step: Callable[..., None], delay_s: float) -> None:
        loop = self.network.loop
        at = max(loop.time() + delay_s, self._free_at)
        self._free_at = at + 1e-9
        loop.call_at(at, step, context=self.process.context.copy())

    def made(self) -> None:
        self.protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if self.open:
            peer, network = self.peer, self.network
            peer._arriving.append(bytes(data))
            peer.later(peer.arrive, network.random.random() * network.slow_s)

    def arrive(self) -> None:
        if not self._arriving:
            return
        data = self._arriving.popleft()
        if data is None:
            self._lost()
        elif self.open:
            cut = int(self.network.random.random() * len(data))
            self.protocol.data_received(data[:cut])
            self.protocol.data_received(data[cut:])

    def abort(self) -> None:
        self.cut()

    def cut(self) -> None:
        for end in (self, self.peer):
            end._arriving.clear()
            end._arriving.append(None)
            end.later(end.arrive, self.network.random.random() * self.network.slow_s)

    def leave(self) -> None:
        self.open = False
        self.peer._arriving.append(None)
        self.peer.later(self.peer.arrive, self.network.random.random() * self.network.slow_s)

    def _lost(self) -> None:
        if self.open:
            self.open = False
            self.protocol.connection_lost(None)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return not self.open

    def close(self) -> None:
        self.cut()


class Pushes(Bus):
    """Redis that hands on at once: every push is shown to the one who looks on."""

    def __init__(self, on_push: Callable[[str, Any], None]) -> None:
        self.on_push = on_push

    def publish(self, channel: str, message: bytes) -> None:
        self.on_push(channel, unpack(message))

    def subscribe(self, channel: str, listener: Any) -> None:
        """Nobody tells of interest: everything is published."""

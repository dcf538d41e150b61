"""The router: finds the host of an address, sends on its link, and sends again when a host dies, moves or stalls."""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from actors.core import Command, Gather, Query, pack_fields
from actors.runtime.content import ContentStore
from actors.runtime.directory import Directory, Route
from schemas.address import Address
from schemas.messages import COMMAND, CONTROL, QUERY, SYSTEM, Caller, Reply, Request
from schemas.problems import MOVED, Refusal

_log = structlog.get_logger("router")

TICK_S = 0.05
RESEND_FIRST_S = 0.01
RESEND_MAX_S = 0.2
PARKED_MAX = 50_000
STALLED_S = 1.0
"""A host that is silent for so long while something is under way to it may have lost its slots: see who has them."""
LOOK_EVERY_S = 0.5
PATIENCE_S = 1.5
"""How long a request without a host waits while Postgres, which knows the hosts, does not answer."""


class Waiting:
    """One request that the router has taken on: it is answered, or refused at its deadline, whatever happens."""

    __slots__ = ("deadline", "future", "parked_at", "request")

    def __init__(self, request: Request, future: "asyncio.Future[Reply]", deadline: float) -> None:
        self.request = request
        self.future = future
        self.deadline = deadline
        self.parked_at = 0.0

    def finish(self, reply: Reply) -> None:
        if not self.future.done():
            self.future.set_result(reply)


class Link(Protocol):
    """A way to one host run. It calls the router's `answered`, `news` and, once, `broken` with what is unanswered."""

    def send(self, waiting: Waiting) -> bool:
        """Put the request on its way; False when the link is full."""
        ...

    def expire(self, now: float) -> list[Waiting]:
        """Take out what has passed its deadline."""
        ...

    def silent_s(self, now: float) -> float:
        """Seconds since the host was heard of last, if something is under way to it."""
        ...

    def withdraw(self, gone: Callable[[Request], bool]) -> list[Waiting]:
        """Take out the requests that the host is to be waited for no more."""
        ...

    async def close(self) -> None: ...


LinkFactory = Callable[[Route, "Router"], Link]


def _refused(refusal: Refusal) -> Reply:
    return Reply(refusal.status, 0, refusal.pack())


_TOO_LATE = _refused(
    Refusal("UNAVAILABLE", "No answer came in time; repeat it under the same operation id.", retry_after_s=1)
)
_FULL = _refused(Refusal("OVERLOADED", "Too many requests are waiting; try again shortly.", retry_after_s=1))


class Router:
    """The way from any process to any actor. `ask` never raises: its future always gets a Reply."""

    def __init__(
        self, directory: Directory, content: ContentStore, links: LinkFactory, *, ask_timeout_s: float = 5.0
    ) -> None:
        self.directory = directory
        self.content = content
        self.ask_timeout_s = ask_timeout_s
        self.on_news: list[Callable[[Address, int, bool], None]] = []
        self.on_lost: list[Callable[[], None]] = []
        self._factory = links
        self._links: dict[int, Link] = {}
        self._parked: list[Waiting] = []
        self._unpark = asyncio.Event()

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        address: Address,
        verb: int,
        name: str,
        data: bytes,
        *,
        caller: Caller,
        op: str = "",
        timeout_s: float | None = None,
        trace: str = "",
        watch: bool = False,
    ) -> "asyncio.Future[Reply]":
        """Send one message to one actor. The future gets its Reply; after `timeout_s` a 503, and then it is unknown
        whether a command was carried out: repeat it under the same op id."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        deadline = time.monotonic() + (timeout_s if timeout_s is not None else self.ask_timeout_s)
        request = Request(verb, address.kind, address.key, name, op, caller, data, 0, trace, watch)
        self._send(Waiting(request, future, deadline))
        return future

    def command(
        self, address: Address, command: Command[Any], caller: Caller, *, op: str, timeout_s: float | None = None
    ) -> "asyncio.Future[Reply]":
        """Ask an actor to carry out a command."""
        return self.ask(
            address, COMMAND, command.wire_name, pack_fields(command), caller=caller, op=op, timeout_s=timeout_s
        )

    def query(
        self,
        address: Address,
        query: Query[Any],
        caller: Caller = SYSTEM,
        *,
        timeout_s: float | None = None,
        watch: bool = False,
    ) -> "asyncio.Future[Reply]":
        """Ask an actor a question."""
        return self.ask(
            address, QUERY, query.wire_name, pack_fields(query), caller=caller, timeout_s=timeout_s, watch=watch
        )

    async def gather(self, gather: Gather, key: str, caller: Caller, first: Any = None) -> Any:
        """Carry out a question that several actors answer together. Raises Refusal."""
        return (await self.gathered(gather, key, caller, first))[0]

    async def gathered(
        self, gather: Gather, key: str, caller: Caller, first: Any = None
    ) -> tuple[Any, dict[Address, int]]:
        """As `gather`, with the version of each actor that was watched, for caches."""
        rounds = gather.gather(key, caller, self.content.current, first)
        versions: dict[Address, int] = {}
        try:
            asks = next(rounds)
            while True:
                replies = await asyncio.gather(*(self.query(ask.of, ask.query, watch=ask.watch) for ask in asks))
                for ask, reply in zip(asks, replies, strict=True):
                    if reply.status in (500, 503):
                        raise Refusal.unpack(reply.status, reply.data)
                    if ask.watch:
                        versions[ask.of] = reply.version
                asks = rounds.send(replies)
        except StopIteration as stop:
            return stop.value, versions

    # -- links ----------------------------------------------------------------------------------------------------

    def _send(self, waiting: Waiting) -> None:
        request = waiting.request
        try:
            slot, _ = self.directory.placement.place(Address(request.kind, request.key))
        except Refusal as refusal:
            waiting.finish(_refused(refusal))
            return
        route = self.directory.route(slot)
        if route is None:
            self.directory.want(slot)
            self._park(waiting)
            return
        if not self.link_to(route).send(waiting):
            waiting.finish(_FULL)

    def link_to(self, route: Route) -> Link:
        """The link to a host run, opened if need be."""
        link = self._links.get(route.run)
        if link is None:
            link = self._links[route.run] = self._factory(route, self)
        return link

    def tell_host(self, route: Route, name: str, data: bytes, timeout_s: float) -> "asyncio.Future[Reply]":
        """A word to a host itself (see Host._control)."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        request = Request(CONTROL, "", "", name, "", SYSTEM, data)
        if not self.link_to(route).send(Waiting(request, future, time.monotonic() + timeout_s)):
            future.set_result(_FULL)
        return future

    def answered(self, waiting: Waiting, reply: Reply) -> None:
        """A link brought the reply."""
        if reply.status == MOVED and waiting.request.kind:
            self.directory.stale()
            self._again(waiting)
        else:
            waiting.finish(reply)

    def news(self, address: Address, version: int, last: bool) -> None:
        """A link brought news: the visible part of a watched actor changed."""
        for listener in self.on_news:
            listener(address, version, last)

    def broken(self, run: int, link: Link, unanswered: list[Waiting]) -> None:
        """A link broke. What it had not answered is sent again, under the same op ids, to the slots' new owners."""
        if self._links.get(run) is link:
            del self._links[run]
        self.directory.stale()
        for listener in self.on_lost:
            listener()
        for waiting in unanswered:
            if waiting.request.kind:
                self._again(waiting)
            else:
                waiting.finish(_TOO_LATE)

    def _again(self, waiting: Waiting) -> None:
        waiting.request = waiting.request._replace(attempt=waiting.request.attempt + 1)
        self._park(waiting)

    def _park(self, waiting: Waiting) -> None:
        if len(self._parked) >= PARKED_MAX:
            waiting.finish(_FULL)
            return
        waiting.parked_at = waiting.parked_at or time.monotonic()
        self._parked.append(waiting)
        self._unpark.set()

    async def run_forever(self) -> None:
        """Resend what is parked as the directory changes, and end what has passed its deadline."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resend_forever())
            tasks.create_task(self._expire_forever())
            tasks.create_task(self._turn_away_forever())

    async def _resend_forever(self) -> None:
        pause_s = RESEND_FIRST_S
        while True:
            await self._unpark.wait()
            self._unpark.clear()
            reached = await self.directory.refresh()
            parked, self._parked = self._parked, []
            before = len(parked)
            now = time.monotonic()
            for waiting in parked:
                if waiting.deadline <= now or (not reached and now - waiting.parked_at > PATIENCE_S):
                    waiting.finish(_TOO_LATE)
                elif not waiting.future.done():
                    self._send(waiting)
            if self._parked:
                pause_s = min(RESEND_MAX_S, pause_s * 1.5) if len(self._parked) >= before else RESEND_FIRST_S
                self._unpark.set()
            else:
                pause_s = RESEND_FIRST_S
            await asyncio.sleep(pause_s)

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for link in list(self._links.values()):
                for waiting in link.expire(now):
                    waiting.finish(_TOO_LATE)
            if self._parked:
                for waiting in self._parked:
                    if waiting.deadline <= now:
                        waiting.finish(_TOO_LATE)
                self._parked = [waiting for waiting in self._parked if not waiting.future.done()]

    async def _turn_away_forever(self) -> None:
        """A host that stands still breaks no connection. Once its lease is over others have its slots: ask them."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            stalled = [run for run, link in self._links.items() if link.silent_s(now) > STALLED_S]
            if not stalled:
                continue
            self.directory.stale()
            if not await self.directory.refresh():
                continue
            for run in stalled:
                link = self._links.get(run)
                for waiting in link.withdraw(functools.partial(self._moved_from, run)) if link is not None else ():
                    self._again(waiting)

    def _moved_from(self, run: int, request: Request) -> bool:
        """Whether another run has the actor's slot now."""
        if not request.kind:
            return False
        slot, _ = self.directory.placement.place(Address(request.kind, request.key))
        route = self.directory.route(slot)
        return route is not None and route.run != run

    async def close(self) -> None:
        """Close every link; what is unanswered is refused."""
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()
        for waiting in self._parked:
            waiting.finish(_TOO_LATE)
        self._parked.clear()

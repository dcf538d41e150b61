"""An event loop in which time is virtual, every process of a world lives, and a seed decides what runs next.

Real processes are concurrent; here their callbacks take turns in one thread. Which of the callbacks that are ready
runs next is drawn from the seed, so each seed is another interleaving, and the same seed is always the same one. Kept
as asyncio has it: callbacks of one object (the steps of one task, the deliveries of one transport, the flushes of one
link) run in the order in which they were scheduled. Not kept: any order between different objects. Some seeds shuffle
nothing, so that an order that only asyncio's own queue gives is seen too.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

WINDOW = 8
"""Of how many ready callbacks one is drawn."""
PASS_S = 1e-6
"""How long a callback takes."""


class Stuck(Exception):
    """Nothing is ready, and no timer will ever fire."""


class Process:
    """What can die alone: everything that runs in its context. `clock_s` is how far its monotonic clock is ahead."""

    def __init__(self, name: str, clock_s: float = 0.0) -> None:
        self.name = name
        self.clock_s = clock_s
        self.alive = True
        self.paused = False
        self.held: list[Any] = []
        """Callbacks that were ready while it was paused."""
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)

    def __repr__(self) -> str:
        return self.name


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class NumberedTask(asyncio.Task[Any]):
    """Its hash is the order in which tasks were made, not an address: groups of tasks are sets, ended in set order."""

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            loop = self.get_loop()
            assert isinstance(loop, VirtualLoop)
            loop.tasks_made += 1
            self._number: int = loop.tasks_made
            return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs the callbacks of living processes, one at a time, and moves time on when none is ready."""

    _ready: deque[Any]
    _scheduled: list[tuple[float, int, Any]]

    def __init__(self, random: Random, *, shuffled: bool) -> None:
        super().__init__()
        self.random = random
        self.shuffled = shuffled
        self.now_s = 1_000.0
        self.passes = 0
        self.listeners: dict[str, tuple[Process, Callable[[], asyncio.Protocol]]] = {}
        self.connect: Callable[..., Any] | None = None
        self._timers = 0
        self.tasks_made = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def time(self) -> float:
        return self.now_s

    # -- tasks and processes --------------------------------------------------------------------------------------

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        """As usual; besides, the task is kept until it is done, so that one of a dead process stays what it was."""
        task = NumberedTask(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin(self, process: Process, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A task of the process."""
        task: asyncio.Task[Any] = self.create_task(work, context=process.context.copy())
        return task

    def kill(self, process: Process) -> None:
        """Nothing of the process runs any more, wherever it was."""
        process.alive = False
        process.held.clear()
        for path in [path for path, (listener, _) in self.listeners.items() if listener is process]:
            del self.listeners[path]

    def pause(self, process: Process) -> None:
        process.paused = True

    def resume(self, process: Process) -> None:
        process.paused = False
        self._ready.extend(process.held)
        process.held.clear()

    def bury(self) -> None:
        """Close what is still suspended at the end of a world, without letting it do anything."""
        for task in list(self._tasks):
            with contextlib.suppress(BaseException):
                task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()
        self._scheduled.clear()

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As usual; timers of one moment come in the order in which they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers += 1
        heapq.heappush(self._scheduled, (when, self._timers, timer))
        return timer

    # -- one callback ---------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            while scheduled and scheduled[0][2]._cancelled:
                heapq.heappop(scheduled)
            if not scheduled:
                raise Stuck
            self.now_s = max(self.now_s, scheduled[0][0])
        while scheduled and scheduled[0][0] <= self.now_s:
            timer = heapq.heappop(scheduled)[2]
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            return
        handle = self._pick()
        if handle._cancelled:
            return
        process = handle._context.get(PROCESS)
        if process is not None:
            if not process.alive:
                return
            if process.paused:
                process.held.append(handle)
                return
        self.passes += 1
        self.now_s += PASS_S
        handle._run()

    def _pick(self) -> Any:
        ready = self._ready
        if not self.shuffled or len(ready) == 1:
            return ready.popleft()
        drawn = int(self.random.random() * min(len(ready), WINDOW))
        owner = _owner(ready[drawn])
        for place in range(drawn):
            if _owner(ready[place]) is owner:
                drawn = place
                break
        handle = ready[drawn]
        del ready[drawn]
        return handle

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _write_to_self(self) -> None:
        """There is nobody to be woken: everything is one thread."""

    # -- sockets --------------------------------------------------------------------------------------------------

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:
        """A connection to who listens at the path; ConnectionRefusedError when nobody does."""
        assert self.connect is not None
        return await self.connect(protocol_factory, path)


def _owner(handle: Any) -> Any:
    callback = handle._callback
    while hasattr(callback, "func"):
        callback = callback.func
    return getattr(callback, "__self__", callback)

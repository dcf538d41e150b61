"""Ray: places, starts, restarts and shows Greenroom's processes. The one home of that driver."""

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import ray
import ray.exceptions
import ray.util
import structlog
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.runtime.raylinks import HostGone

_log = structlog.get_logger("cluster")

NAMESPACE = "greenroom"
RESTART_PAUSE_S = 0.2
LEAVE_WITHIN_S = 5.0
GENERATIONS_MAX = 100
_RAY_TROUBLE = (ray.exceptions.RayError, ConnectionError)


def connect(address: str) -> None:
    """Join the Ray cluster as a driver; raises ConnectionError when it is not there."""
    ray.init(
        address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, ignore_reinit_error=True
    )


def disconnect() -> None:
    ray.shutdown()


def node_id() -> str:
    """The node of the cluster that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


class Node(NamedTuple):
    """A living node. One without CPUs wants no work: that is how Ray marks a head that only directs."""

    id: str
    name: str
    address: str
    cpus: float


def nodes() -> list[Node]:
    """The living nodes, as Ray's tables have them; it blocks for as long as those do not answer."""
    return [
        Node(node["NodeID"], node["NodeName"], node["NodeManagerAddress"], node["Resources"].get("CPU", 0.0))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def names() -> list[str]:
    """The names of all processes of a Greenroom on this cluster; it blocks, too."""
    return list(ray.util.list_named_actors())


def _plain_class(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


class Process:
    """One Ray actor made of a plain class with `run`, `stop`, `leave` and `__repr__`; kept for as long as it is wanted.

    It outlives its driver: whoever drives next adopts it. The class' constructor must not touch the network: an actor
    whose constructor raises is dead for ever.
    """

    def __init__(self, path: str, name: str, arguments: dict[str, Any], *, node: str) -> None:
        self.path = path
        self.name = name
        self.arguments = arguments
        self.node = node
        self._handle: Any = None
        self._stopping = False

    def _create(self) -> Any:
        remote = ray.remote(_plain_class(self.path))
        options: dict[str, Any] = {
            "num_cpus": 0,
            "lifetime": "detached",
            "max_restarts": -1,
            "max_task_retries": 0,
            "max_concurrency": 1000,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(self.node, soft=False),
        }
        # A name is free again only after Ray noticed the death of its bearer: each generation has a name of its own.
        for generation in range(1, GENERATIONS_MAX):
            name = self.name if generation == 1 else f"{self.name}~{generation}"
            try:
                return remote.options(name=name, **options).remote(**self.arguments)
            except ValueError as taken:
                if "already taken" not in str(taken):
                    raise
        raise ConnectionError(f"{self.name} has died {GENERATIONS_MAX} times, and Ray has forgotten none of them")

    async def adopt(self, actor_name: str) -> Any:
        """Take over an actor that another driver started; what it says of itself. Raises ConnectionError."""
        try:
            self._handle = await asyncio.to_thread(ray.get_actor, actor_name, NAMESPACE)
        except ValueError as gone:
            raise ConnectionError(str(gone)) from gone
        told = await self.call("described")
        self.node = told["node"]
        return told

    async def keep(self) -> None:
        """Run the process until `stop`: when it dies, Ray restarts it and `run` is called again."""
        while not self._stopping:
            try:
                if self._handle is None:
                    self._handle = self._create()
                await self._handle.run.remote()
                if self._wanted_no_more():
                    break
                _log.warning("process_ended", process=self.name)
                # It ended by itself: a fresh process is wanted, not this one once more.
                await self._end()
            except ray.exceptions.ActorDiedError:
                _log.warning("process_died", process=self.name)
                self._handle = None
            except ray.exceptions.RayTaskError as error:
                _log.error("process_failed", process=self.name, reason=str(error)[-2000:])
                await self._end()
            except _RAY_TROUBLE as error:
                _log.warning("process_unavailable", process=self.name, reason=type(error).__name__)
            except Exception as error:
                if ray.is_initialized():
                    raise
                _log.warning("process_waits_for_ray", process=self.name, reason=type(error).__name__)
                self._handle = None
            if not self._wanted_no_more():
                await asyncio.sleep(RESTART_PAUSE_S)

    def _wanted_no_more(self) -> bool:
        return self._stopping

    async def _end(self) -> None:
        """End the actor's process: with exit code 0 where it still listens."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            async with asyncio.timeout(LEAVE_WITHIN_S):
                await handle.leave.remote()
        except ray.exceptions.ActorDiedError:
            # That is the answer of one that has left.
            return
        except (TimeoutError, *_RAY_TROUBLE) as error:
            _log.warning("process_not_left", process=self.name, reason=type(error).__name__)
        ray.kill(handle)

    async def stop(self, timeout_s: float, **how: Any) -> None:
        """Let the process finish what is under way, and end it: after `timeout_s` in any case."""
        self._stopping = True
        if self._handle is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._handle.stop.remote(**how)
            except (TimeoutError, *_RAY_TROUBLE) as error:
                _log.warning("process_not_stopped", process=self.name, reason=type(error).__name__)
            await self._end()

    async def call(self, method: str, *arguments: Any, timeout_s: float = 2.0) -> Any:
        """Call a method of the process; raises ConnectionError when it does not answer in time."""
        if self._handle is None:
            raise ConnectionError(f"{self.name} is not running")
        try:
            async with asyncio.timeout(timeout_s):
                return await getattr(self._handle, method).remote(*arguments)
        except (TimeoutError, *_RAY_TROUBLE) as error:
            raise ConnectionError(f"{self.name} does not answer: {type(error).__name__}") from error


def leave() -> None:
    """End this process of the cluster in an orderly way; it does not return."""
    ray.actor.exit_actor()  # type: ignore[no-untyped-call]


def on_sigterm(told: Callable[[], None]) -> None:
    """Have SIGTERM to this process of the cluster call `told`, in the event loop, instead of ending it at once.

    Ray's own handler runs in the main thread, where Ray lets nobody else set one; the last thing that it calls is ours.
    """
    loop = asyncio.get_running_loop()

    def tell(*_: Any, **__: Any) -> None:
        loop.call_soon_threadsafe(told)

    sys.modules["ray._private.worker"].raise_sys_exit_with_custom_error_message = tell  # type: ignore[attr-defined]


def exchange_with(name: str) -> Callable[[str, bytes], Awaitable[bytes]]:
    """The `exchange` method of a named host, for links of actor calls; raises HostGone when it is dead, ConnectionError
    when the call failed, after it was carried out or before."""
    handle: Any = None

    async def exchange(session: str, frame: bytes) -> bytes:
        nonlocal handle
        try:
            if handle is None:
                handle = await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
            async with asyncio.timeout(5):
                answer: bytes = await handle.exchange.remote(session, frame)
            return answer
        except (TimeoutError, ValueError, ray.exceptions.ActorDiedError) as error:
            # Who calls by this name next may find another that bears it.
            handle = None
            raise HostGone(f"{name}: {type(error).__name__}") from error
        except _RAY_TROUBLE as error:
            raise ConnectionError(f"{name}: {type(error).__name__}") from error

    return exchange


def own_name() -> str:
    """The name under which Ray knows the actor that runs in this process."""
    name = ray.get_runtime_context().get_actor_name()
    return name or f"pid-{os.getpid()}"


def node_address() -> str:
    """The address by which other nodes reach this one."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]

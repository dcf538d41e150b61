"""Ray: places, starts, restarts and shows Greenroom's processes. The one home of that driver."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import ray
import ray.exceptions
import structlog

_log = structlog.get_logger("cluster")

NAMESPACE = "greenroom"
RESTART_PAUSE_S = 0.2
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


def _plain_class(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


class Process:
    """One Ray actor made of a plain class with `run`, `stop` and `__repr__`; started again for as long as it is wanted.

    The class' constructor must not touch the network: an actor whose constructor raises is dead for ever.
    """

    def __init__(self, path: str, name: str, arguments: dict[str, Any], *, spread: bool = False) -> None:
        self.path = path
        self.name = name
        self.arguments = arguments
        self.spread = spread
        self._handle: Any = None
        self._generation = 0
        self._stopping = False

    def _create(self) -> Any:
        # A name is free again only after Ray noticed the death of its bearer: a new generation has a new name.
        self._generation += 1
        name = self.name if self._generation == 1 else f"{self.name}~{self._generation}"
        remote = ray.remote(_plain_class(self.path))
        options: dict[str, Any] = {
            "name": name,
            "num_cpus": 0,
            "max_restarts": -1,
            "max_task_retries": 0,
            "max_concurrency": 1000,
            "scheduling_strategy": "SPREAD" if self.spread else "DEFAULT",
        }
        return remote.options(**options).remote(**self.arguments)

    async def keep(self) -> None:
        """Run the process until `stop`: when it dies, Ray restarts it and `run` is called again."""
        while not self._stopping:
            try:
                if self._handle is None:
                    self._handle = self._create()
                await self._handle.run.remote()
                if self._wanted_no_more():
                    return
                _log.warning("process_ended", process=self.name)
                # It ended by itself: a fresh process is wanted, not this one once more.
                ray.kill(self._handle)
                self._handle = None
            except ray.exceptions.ActorDiedError:
                _log.warning("process_died", process=self.name)
                self._handle = None
            except ray.exceptions.RayTaskError as error:
                _log.error("process_failed", process=self.name, reason=str(error)[-2000:])
                ray.kill(self._handle)
                self._handle = None
            except _RAY_TROUBLE as error:
                _log.warning("process_unavailable", process=self.name, reason=type(error).__name__)
            except Exception as error:
                if ray.is_initialized():
                    raise
                _log.warning("process_waits_for_ray", process=self.name, reason=type(error).__name__)
                self._handle = None
            await asyncio.sleep(RESTART_PAUSE_S)

    def _wanted_no_more(self) -> bool:
        return self._stopping

    def forget(self) -> None:
        """The cluster is gone, and the process with it; `keep` makes another in the cluster that is connected next."""
        self._handle = None
        self._generation = 0

    async def stop(self, timeout_s: float) -> None:
        """Ask the process to finish what is under way and end."""
        self._stopping = True
        if self._handle is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._handle.stop.remote()
            except (TimeoutError, *_RAY_TROUBLE) as error:
                _log.warning("process_not_stopped", process=self.name, reason=type(error).__name__)
            ray.kill(self._handle)

    async def call(self, method: str, *arguments: Any, timeout_s: float = 2.0) -> Any:
        """Call a method of the process; raises ConnectionError when it does not answer in time."""
        if self._handle is None:
            raise ConnectionError(f"{self.name} is not running")
        try:
            async with asyncio.timeout(timeout_s):
                return await getattr(self._handle, method).remote(*arguments)
        except (TimeoutError, *_RAY_TROUBLE) as error:
            raise ConnectionError(f"{self.name} does not answer: {type(error).__name__}") from error


def exchange_with(name: str) -> Callable[[str, bytes], Awaitable[bytes]]:
    """The `exchange` method of a named host, for links of actor calls; raises ConnectionError when it is gone."""
    handle: Any = None

    async def exchange(session: str, frame: bytes) -> bytes:
        nonlocal handle
        try:
            if handle is None:
                handle = await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
            async with asyncio.timeout(5):
                answer: bytes = await handle.exchange.remote(session, frame)
            return answer
        except (TimeoutError, ValueError, *_RAY_TROUBLE) as error:
            raise ConnectionError(f"{name}: {type(error).__name__}") from error

    return exchange


def own_name() -> str:
    """The name under which Ray knows the actor that runs in this process."""
    name = ray.get_runtime_context().get_actor_name()
    return name or f"pid-{os.getpid()}"


def node_address() -> str:
    """The address by which other nodes reach this one."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]

"""A Ray cluster of several nodes on one machine: all on loopback, each can be killed as a whole."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from schemas.settings import PROJECT
from scripts.embedded.processes import Child
from scripts.embedded.raycluster import LOOPBACK, free_port
from tests.harness.waiting import eventually

OBJECT_STORE_BYTES = 80_000_000
READY_WITHIN_S = 90.0


class RayNodes:
    """`async with RayNodes()` starts a head, which serves as a node too; `join` adds others.

    `environment` is what everything that connects to the cluster needs.
    """

    def __init__(self) -> None:
        # Ray makes sockets in it, and their paths must be short.
        self.path = Path(tempfile.mkdtemp(prefix="gr-ray-", dir="/tmp"))
        self.nodes: dict[str, Child] = {}
        self.port = free_port()
        self.address = f"{LOOPBACK}:{self.port}"
        token = self.path / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_worker_niceness": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
        }

    async def __aenter__(self) -> "RayNodes":
        head = self._spawn(
            "head",
            *("--head", f"--port={self.port}", f"--temp-dir={self.path / 'ray'}"),
            *("--include-dashboard=false", "--no-monitor"),
        )
        current = self.path / "ray" / "ray_current_cluster"
        await eventually(lambda: (current.exists() and current.read_text()) or not head.running, READY_WITHIN_S)
        assert head.running, head.last_words()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self.nodes)):
            await self.kill(name)
        shutil.rmtree(self.path, ignore_errors=True)

    async def join(self, name: str) -> None:
        """One more node, as `ray start --address` adds a machine."""
        node = self._spawn(name, f"--address={self.address}")
        await eventually(
            lambda: "Ray runtime started" in node.log.read_text(errors="replace") or not node.running, READY_WITHIN_S
        )
        assert node.running, node.last_words()

    async def kill(self, name: str) -> None:
        """The node and everything on it is gone at once, as when a machine loses power."""
        await self.nodes.pop(name).stop(signal.SIGKILL, 10.0)

    def _spawn(self, name: str, *more: str) -> Child:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "GREENROOM_"))}
        hook = {"RAY_START_HOOK": "tests.harness.rayhook.adjust", "PYTHONPATH": str(PROJECT)}
        dashboard = {"GREENROOM_DASHBOARD_COMMAND": str(self.path / "dashboard"), "GREENROOM_DASHBOARD_MODULES": ""}
        connecting = {key: value for key, value in self.environment.items() if key != "RAY_ADDRESS"}
        node = self.nodes[name] = Child(
            name=name,
            command=[
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--log-style=record"),
                *(f"--node-ip-address={LOOPBACK}", f"--node-name={name}", "--num-cpus=1", "--disable-usage-stats"),
                *(f"--object-store-memory={OBJECT_STORE_BYTES}", "--include-log-monitor=false"),
                *("--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"),
                *more,
            ],
            record=self.path / f"{name}.json",
            log=self.path / f"{name}.log",
            environment=inherited | connecting | hook | dashboard | {"DASHBOARD_METRIC_PORT": str(free_port())},
        )
        node.spawn()
        return node

"""Embedded Ray: a head on loopback with a token of its own, and a dashboard that starts after the game does."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path

from scripts.embedded.folder import DataFolder
from scripts.embedded.processes import Child, ServerFailed

PROJECT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below those that Linux and macOS give to connections."""
OBJECT_STORE_BYTES = 100_000_000  # commands do not travel through it
SESSIONS_KEPT = 3
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0

# What the dashboard shows of Greenroom; its pages on data sets, training and model serving stay empty.
DASHBOARD_MODULES = ("NodeHead", "StateHead", "ReportHead", "JobHead", "MetricsHead", "UsageStatsHead")


class RayHead:
    """`await start()` gives the address; `environment` is what every process that joins the cluster needs."""

    def __init__(self, folder: DataFolder, *, dashboard: bool = True) -> None:
        self.folder = folder
        self.data = folder.path / "ray"
        self.child: Child | None = None
        self.dashboard: Child | None = None
        self.address = ""
        self.dashboard_url = f"http://{LOOPBACK}:{free_port()}" if dashboard else None

    @property
    def token_path(self) -> Path:
        return self.folder.path / "ray_token"

    @property
    def environment(self) -> dict[str, str]:
        """For drivers, and inherited by workers."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_path),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's name for "this machine only": without it, Ray replaces loopback by the machine's outer address.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_worker_niceness": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
            "RAY_ROTATION_MAX_BYTES": str(16 << 20),
            "RAY_ROTATION_BACKUP_COUNT": "2",
        }

    async def start(self) -> str:
        """Starts the head and waits until nodes and drivers can join; raises ServerFailed."""
        self._write_token()
        self._prune_sessions()
        address = self.data / "ray_current_cluster"
        address.unlink(missing_ok=True)
        self.child = Child(
            name="ray",
            command=self._command(),
            record=self.folder.run / "ray.json",
            log=self.folder.logs / "ray.log",
            environment=self._process_environment(),
        )
        self.child.spawn()
        if not await self.child.until(lambda: address.exists() and bool(address.read_text()), READY_TIMEOUT_S):
            raise ServerFailed(f"Ray does not start:\n{self.child.last_words()}")
        # Ray opens its folder to everybody.
        self.data.chmod(0o700)
        self.address = address.read_text().strip()
        return self.address

    def start_dashboard(self) -> None:
        """Starts the dashboard without waiting: nothing of the game depends on it."""
        prepared = self.folder.runtime / "dashboard.json"
        if self.dashboard_url is None or not prepared.exists():
            return
        self.dashboard = Child(
            name="dashboard",
            command=json.loads(prepared.read_text()),
            record=self.folder.run / "dashboard.json",
            log=self.folder.logs / "dashboard.log",
            environment=self._process_environment(),
        )
        self.dashboard.spawn()

    async def stop(self, *, at_once: bool = False) -> None:
        """Ends the head and its dashboard; `at_once` where there is nothing left to be orderly about."""
        for child in (self.dashboard, self.child):
            if child is not None:
                await child.stop(signal.SIGKILL if at_once else signal.SIGTERM, STOP_TIMEOUT_S)

    def _command(self) -> list[str]:
        # The folder's own name may be too long for the sockets that Ray makes in it.
        short = self.folder.runtime / "ray"
        if not short.is_symlink():
            short.symlink_to(self.data)
        dashboard_port = (self.dashboard_url or ":8265").rsplit(":", 1)[1]
        return [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--log-style=record"),
            *(f"--node-ip-address={LOOPBACK}", "--port=0", f"--temp-dir={short}"),
            *(f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"),
            *("--no-monitor", "--include-log-monitor=false", "--min-worker-port=0", "--max-worker-port=0"),
            f"--dashboard-agent-listen-port={free_port()}",
            *(f"--dashboard-host={LOOPBACK}", f"--dashboard-port={dashboard_port}"),
            f"--include-dashboard={'true' if self.dashboard_url else 'false'}",
        ]

    def _process_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        path = [str(PROJECT), *filter(None, [inherited.get("PYTHONPATH")])]
        return (
            inherited
            | self.environment
            | {
                "PYTHONPATH": os.pathsep.join(path),
                "RAY_START_HOOK": "scripts.embedded.rayhook.adjust",
                "GREENROOM_DASHBOARD_COMMAND": str(self.folder.runtime / "dashboard.json"),
                "GREENROOM_DASHBOARD_MODULES": ",".join(DASHBOARD_MODULES),
                "DASHBOARD_METRIC_PORT": str(free_port()),
            }
        )

    def _write_token(self) -> None:
        if self.token_path.exists():
            return
        fresh = self.token_path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        fresh.rename(self.token_path)

    def _prune_sessions(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        sessions = sorted(path for path in self.data.glob("session_2*") if path.is_dir())
        for old in sessions[: 1 - SESSIONS_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on at this moment; none of those that systems give to connections as they come, one of
    which could take it before it is listened on."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port

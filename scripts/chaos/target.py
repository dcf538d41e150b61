"""The processes of one Greenroom: found by its data folder, told apart from all others, and signalled by their pids."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from actors.runtime.database import Database
from schemas.settings import Settings
from scripts.connect import Running, running
from scripts.metrics import folder_of
from scripts.terminal import Failed

_CLOCK_STEP_S = 1.0
_HOSTS = """
SELECT host.run, host.name, host.pid, host.pool, array_agg(slot.slot) FILTER (WHERE slot.slot IS NOT NULL) AS slots
FROM host LEFT JOIN slot ON slot.run = host.run
WHERE NOT host.retired AND host.lease > now() GROUP BY host.run ORDER BY host.run
"""


@dataclass(frozen=True, slots=True)
class Victim:
    """One process that may be struck. `slots` are a host's; one that stands by has none, and is not `at_work`."""

    role: str
    name: str
    pid: int
    slots: frozenset[str] = frozenset()
    at_work: bool = True


class Target:
    """One running Greenroom on this machine."""

    def __init__(self, settings: Settings) -> None:
        found = running(settings)
        if found is None:
            raise Failed(f"No Greenroom serves {settings.data}: start one, or let --own start one for this.")
        self.data = settings.data
        self.running: Running = found

    def server(self, name: str) -> Victim | None:
        """An embedded server (postgres, redis, ray) or the driver; None where it is the user's own, or away."""
        try:
            noted = json.loads((self.data / "run" / f"{name}.json").read_text())
            process = psutil.Process(int(noted["pid"]))
            same = abs(process.create_time() - float(noted["started"])) < _CLOCK_STEP_S
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None
        return Victim(name, name, process.pid) if same else None

    def gateways(self) -> list[Victim]:
        """The gateways that run on this machine; those that stand by do not listen where clients come."""
        port = urlsplit(self.running.url).port
        open_to_clients = {one.pid for one in _listeners() if one.laddr.port == port}
        return [
            Victim("gateway", name, pid, at_work=pid in open_to_clients) for name, pid in self._listening("gateway")
        ]

    async def hosts(self, database: Database) -> list[Victim]:
        """The hosts that run on this machine and hold a lease, with the slots that they own."""
        ours = {pid for _, pid in self._listening("host")}
        return [
            Victim(
                _role(row["pool"]), row["name"], row["pid"], frozenset(row["slots"] or ()), at_work=bool(row["slots"])
            )
            for row in await database.fetch(_HOSTS)
            if row["pid"] in ours
        ]

    def _listening(self, role: str) -> Iterator[tuple[str, int]]:
        """Name and pid of each process that listens where a process of this Greenroom says that its metrics are."""
        listening = {one.laddr.port: one.pid for one in _listeners()}
        for path in sorted(folder_of(self.data).glob("*.json")):
            for port, name in _endpoints(path, role):
                if port in listening:
                    yield name, listening[port]


def _role(pool: str) -> str:
    return "host" if pool == "shared" else "dedicated"


def _listeners() -> list[Any]:
    tcp = psutil.net_connections("tcp")
    return [one for one in tcp if one.status == psutil.CONN_LISTEN and one.pid is not None]


def _endpoints(path: Path, role: str) -> Iterator[tuple[int, str]]:
    try:
        described: list[dict[str, Any]] = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    for one in described:
        if one["labels"]["role"] == role:
            yield from ((int(target.rpartition(":")[2]), str(one["labels"]["process"])) for target in one["targets"])


def strike(victim: Victim, how: signal.Signals) -> bool:
    """Send the signal; False when the process is gone already."""
    try:
        os.kill(victim.pid, how)
    except ProcessLookupError:
        return False
    return True


def family(victim: Victim) -> list[Victim]:
    """The process and everything that it started, such as the backends of a Postgres."""
    try:
        children = psutil.Process(victim.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [victim, *(Victim(victim.role, child.name(), child.pid) for child in children if child.is_running())]

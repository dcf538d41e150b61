"""A host as a process of its own: `python -m tests.harness.host NAME DATABASE_URL REDIS_URL RUNTIME NODE`."""

import asyncio
import os
import sys
import threading
from pathlib import Path

from actors.runtime.director import SHARED
from schemas.settings import Settings
from scripts.processes import HostProcess, Wiring
from tests.harness.kinds import kinds_known


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    name, database_url, redis_url, runtime, node = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    placement = {"leaderboard": "shared", "fraud": "shared"}
    settings = Settings(_env_file=None, active_hosts=1_000, placement=placement, log_level="error")
    wiring = Wiring(settings, database_url, redis_url, Path(runtime), tcp=False, node=node)
    with kinds_known():
        asyncio.run(HostProcess(wiring, name, SHARED).run())

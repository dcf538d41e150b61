"""Hosts as processes of their own, forked from one that has everything imported: each starts in a few milliseconds."""

import asyncio
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from actors.runtime import faults
from actors.runtime.director import SHARED
from schemas.settings import PROJECT, Settings
from scripts.processes import HostProcess, Wiring
from tests.harness.greenroom import Greenroom
from tests.harness.kinds import kinds_known

_names = itertools.count(1)


class Nursery:
    """`async with Nursery(greenroom)`; every host that it started has ended at the end of the block."""

    def __init__(self, greenroom: Greenroom) -> None:
        self.greenroom = greenroom
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self.ended: dict[int, int] = {}
        """How those ended that have: the signal, negative, or the exit code, by pid."""

    async def __aenter__(self) -> "Nursery":
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.harness.nursery"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=PROJECT,
        )
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reading is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def start(self, plan: str = "", *, through: Path | None = None) -> int:
        """One more host, its fault points armed by the plan; `through` is the folder of a Proxy. Returns the pid."""
        assert self._process is not None
        assert self._process.stdin is not None
        wiring = self.greenroom.wiring(through)
        told = {
            "name": f"forked-{next(_names)}",
            "plan": plan,
            "urls": [wiring.database_url, wiring.redis_url],
            "runtime": str(wiring.runtime),
            "node": wiring.node,
        }
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._born.get()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "code" in said:
                self.ended[said["pid"]] = said["code"]
            else:
                self._born.put_nowait(said["pid"])


def _say(**words: Any) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _host(told: dict[str, Any]) -> None:
    faults.arm(told["plan"])
    placement = {"leaderboard": "shared", "fraud": "shared"}
    settings = Settings(_env_file=None, active_hosts=1_000, placement=placement, log_level="error")
    database_url, redis_url = told["urls"]
    wiring = Wiring(settings, database_url, redis_url, Path(told["runtime"]), tcp=False, node=told["node"])
    with kinds_known():
        asyncio.run(HostProcess(wiring, told["name"], SHARED).run())


def _wait_for(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    _say(pid=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Fork a host for each line of the input; end all of them with it."""
    children: list[int] = []
    waiting: list[threading.Thread] = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _host(json.loads(line))
            finally:
                os._exit(1)
        children.append(pid)
        _say(pid=pid)
        waiting.append(threading.Thread(target=_wait_for, args=(pid,)))
        waiting[-1].start()
    for pid, thread in zip(children, waiting, strict=True):
        if thread.is_alive():
            os.kill(pid, signal.SIGKILL)
        thread.join()


if __name__ == "__main__":
    main()

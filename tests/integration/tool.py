"""Runs `greenroom` as its own process does, but forked from one that has imported everything already."""

import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import sys
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from schemas.settings import setting_names

WITHIN_S = 60.0
_PRELOADED = ("inspect.command", "dead_letters", "admin", "content_command", "migrate", "doctor", "bench.command")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["scripts.cli", *(f"scripts.{name}" for name in _PRELOADED)])


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


class Tool:
    """`greenroom` with the environment of one Greenroom."""

    def __init__(self, environment: dict[str, str]) -> None:
        clean = {name: value for name, value in os.environ.items() if name not in setting_names().values()}
        self.environment = {**clean, **environment, "COLUMNS": "200"}

    async def __call__(self, *arguments: str, given: str = "") -> Done:
        return await asyncio.to_thread(self._run, arguments, given)

    def _run(self, arguments: tuple[str, ...], given: str) -> Done:
        ours, theirs = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=_child, args=(theirs, self.environment, arguments, given))
        process.start()
        theirs.close()
        try:
            assert ours.poll(WITHIN_S), f"greenroom {' '.join(arguments)} does not end"
            return Done(*ours.recv())
        finally:
            process.join(5)
            process.kill()
            process.join()
            process.close()
            ours.close()

    async def json(self, *arguments: str, given: str = "") -> Any:
        """What it prints for programs; the command must succeed."""
        done = await self(*arguments, "--json", given=given)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def fails(self, *arguments: str, code: int = 1, given: str = "") -> str:
        """What it says on failing, without a traceback."""
        done = await self(*arguments, given=given)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())


def _child(pipe: Connection, environment: dict[str, str], arguments: tuple[str, ...], given: str) -> None:
    from scripts.cli import main

    os.environ.clear()
    os.environ.update(environment)
    warnings.simplefilter("error")
    sys.argv = ["greenroom", *arguments]
    sys.stdin = io.StringIO(given)
    stdout, stderr = io.StringIO(), io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main()
        except SystemExit as end:
            code = end.code
    pipe.send((int(code or 0), stdout.getvalue(), stderr.getvalue()))

"""Postgres' own programs, pg_dump and psql: where they are, and how they are run without showing a password."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from scripts.embedded.postgres import postgres_binaries
from scripts.embedded.processes import ServerFailed
from scripts.terminal import Failed

WORDS_MAX = 4_000
"""How much of what a program says is kept: its last words."""
PIPE_BYTES = 1 << 20


class Program:
    """A program that runs: `process`, and what it has said on stderr so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def listen(self) -> None:
        """Read what it says until it ends, so that it never waits for a reader."""
        assert self.process.stderr is not None  # noqa: S101 - it was opened with a pipe
        while line := await self.process.stderr.readline():
            self.said = (self.said + line.decode(errors="replace"))[-WORDS_MAX:]

    @property
    def complaint(self) -> str:
        """The first error of what it said, without its own name before it."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        errors = [line for line in lines if "ERROR" in line or "error" in line or "FATAL" in line]
        return (errors or lines or ["it said nothing"])[0]


@asynccontextmanager
async def running_program(name: str, database_url: str, *arguments: str) -> AsyncIterator[Program]:
    """Run pg_dump or psql on the database; it is killed at the end of the block if it still runs then."""
    address, secrets = without_password(database_url)
    process = await asyncio.create_subprocess_exec(
        *(str(_found(name)), *arguments, "--dbname", address),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=PIPE_BYTES,
        env={**os.environ, **secrets, "LC_ALL": "C", "PGAPPNAME": f"greenroom {name}"},
        cwd="/",
    )
    program = Program(process)
    listening = asyncio.ensure_future(program.listen())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


def without_password(database_url: str) -> tuple[str, dict[str, str]]:
    """The address as a command line may show it, and the environment that holds the password beside it."""
    parts = urlsplit(database_url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = next((value for name, value in query if name == "password"), None)
    userinfo, at, host = parts.netloc.rpartition("@")
    user, colon, inline = userinfo.partition(":")
    if colon:
        # As libpq does: percent-encoded in the address, and as it is in the environment.
        password = unquote(inline)
    kept = urlencode([pair for pair in query if pair[0] != "password"], quote_via=quote)
    address = f"{parts.scheme}://{user}{at}{host}{parts.path}{'?' * bool(kept)}{kept}"
    return address, {} if password is None else {"PGPASSWORD": password}


def _found(name: str) -> Path:
    try:
        wheel = postgres_binaries() / name
    except ServerFailed:
        wheel = Path()
    if os.access(wheel, os.X_OK) and wheel.is_file():
        return wheel
    found = shutil.which(name)
    if found is None:
        raise Failed(f"No {name} is here. It comes with `make setup`, or with your system's Postgres client package.")
    return Path(found)

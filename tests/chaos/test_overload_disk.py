"""RT-23: Postgres takes no writes, by order or because the disk is full: 503, nothing acknowledged lost, and back."""

import asyncio
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.tiers import runs_in
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, Total
from tests.integration.played import verified

KEYS = [f"k{number}" for number in range(8)]


class Players:
    """One for each counter: each asks again and again, and counts what was acknowledged."""

    def __init__(self, greenroom: Greenroom) -> None:
        self.greenroom = greenroom
        self.acked: Counter[str] = Counter()
        self.refused: Counter[tuple[int, str]] = Counter()
        self.over = asyncio.Event()

    async def play(self, key: str) -> None:
        number = 0
        while not self.over.is_set():
            # Under its op id until it is done: refused or unknown, it has one effect in the end.
            reply = await self.greenroom.command(counter(key), Add(amount=1), op=f"{key}-{number}")
            if reply.status == 200:
                self.acked[key] += 1
                number += 1
            else:
                self.refused[reply.status, reply.data["code"]] += 1
            await asyncio.sleep(0.01)

    async def go_on(self) -> None:
        """Wait until each has been served more."""
        before = Counter(self.acked)
        await eventually(lambda: all(self.acked[key] >= before[key] + 5 for key in KEYS), 60)

    async def are_refused(self) -> None:
        """Wait until each has been refused, more or less."""
        before = self.refused.total()
        await eventually(lambda: self.refused.total() >= before + len(KEYS), 60)

    async def check(self) -> None:
        """All is as it was acknowledged, and every refusal was a clear one."""
        self.over.set()
        assert {status for status, _ in self.refused} == {503}, self.refused
        for key in KEYS:
            total = (await self.greenroom.query(counter(key), Total())).data["total"]
            assert self.acked[key] <= total <= self.acked[key] + 1
        async with self.greenroom.database.transaction() as connection:
            assert (await verified(connection)).findings == []


async def test_a_postgres_that_is_read_only_is_503_and_no_more(servers: Servers) -> None:
    async with Greenroom(servers) as greenroom, asyncio.TaskGroup() as game:
        players = Players(greenroom)
        for key in KEYS:
            game.create_task(players.play(key))
        await players.go_on()
        for setting in ("on", "off"):
            name = greenroom.database_name
            await servers._over(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}")
            await servers._over(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            await (players.are_refused() if setting == "on" else players.go_on())
        await players.check()


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    at = Path(tempfile.mkdtemp(prefix="greenroom-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
        at.rmdir()


if runs_in("N"):

    @pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
    async def test_a_full_disk_is_503_and_heals_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
        with small_disk(256) as disk:
            monkeypatch.setattr(tempfile, "tempdir", str(disk))
            servers = Servers()
            monkeypatch.setattr(tempfile, "tempdir", None)
            async with servers, Greenroom(servers) as greenroom, asyncio.TaskGroup() as game:
                players = Players(greenroom)
                for key in KEYS:
                    game.create_task(players.play(key))
                await players.go_on()
                filler = disk / "filler"
                with filler.open("wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(1 << 20))
                    except OSError:
                        pass
                await players.are_refused()
                filler.unlink()
                await players.go_on()
                await players.check()

"""A proxy before Postgres that cuts connections: at once, or at the commit of a group, before or after it was done."""

import asyncio
import contextlib
from pathlib import Path
from typing import Literal

When = Literal["", "before", "during", "after"]
SOCKET = ".s.PGSQL.5432"


class Proxy:
    """`cut` says what happens to the next `cuts` commits of groups: they do not reach Postgres (`before`), they reach
    it and nobody waits (`during`), or they are carried out and the answer is lost (`after`). Then the connection ends.
    """

    def __init__(self, target: Path, folder: Path) -> None:
        self.target = target / SOCKET
        self.folder = folder
        self.cut: When = ""
        self.cuts = 0
        self.done = 0
        """Commits that were cut so far."""
        self.refusing = False
        self._server: asyncio.AbstractServer | None = None
        self._pipes: set[_Pipe] = set()

    async def __aenter__(self) -> "Proxy":
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.folder / SOCKET)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.break_all()
        await self._server.wait_closed()

    def cut_next(self, when: When, times: int = 1) -> None:
        self.cut, self.cuts = when, times

    def break_all(self) -> None:
        """Cut every connection there is."""
        for pipe in list(self._pipes):
            pipe.close()

    def partition(self, away: bool) -> None:
        """Postgres is out of reach, or again within."""
        self.refusing = away
        if away:
            self.break_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        pipe = _Pipe(self, reader, writer)
        self._pipes.add(pipe)
        try:
            await pipe.run()
        finally:
            self._pipes.discard(pipe)


class _Pipe:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._inner: asyncio.StreamWriter | None = None
        self._writes_journal = False
        self._losing = False

    async def run(self) -> None:
        try:
            answers, self._inner = await asyncio.open_unix_connection(self._proxy.target)
        except OSError:
            self._writer.transport.abort()
            return
        back = asyncio.ensure_future(self._back(answers))
        with contextlib.suppress(OSError):
            while data := await self._reader.read(1 << 20):
                if not self._forward(data):
                    break
        if not self._losing:
            self.close()
        with contextlib.suppress(OSError):
            await back

    def _forward(self, data: bytes) -> bool:
        """Pass on what the client sent; False when that was the end of it."""
        assert self._inner is not None
        self._writes_journal |= b"INSERT INTO journal" in data
        # Once the statement is known, a commit of a group is Bind, Execute, Sync; one of several statements ends so.
        committing = (self._writes_journal and data[:1] == b"B") or b"COMMIT;" in data
        proxy = self._proxy
        if not (committing and proxy.cuts):
            self._inner.write(data)
            return True
        proxy.cuts -= 1
        proxy.done += 1
        if proxy.cut != "before":
            self._inner.write(data)
        if proxy.cut == "after":
            self._losing = True
        return False

    async def _back(self, answers: asyncio.StreamReader) -> None:
        while data := await answers.read(1 << 20):
            if self._losing:
                break
            self._writer.write(data)
        self.close()

    def close(self) -> None:
        self._writer.transport.abort()
        if self._inner is not None:
            # Not aborted: what was sent shall arrive.
            self._inner.close()

"""A real Postgres and a real Redis for a session of tests; each Greenroom gets a database of its own in them."""

import asyncio
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from actors.runtime import content
from actors.runtime.database import Database
from actors.runtime.migrations import migrate
from schemas.settings import PROJECT
from scripts.content_files import load_content
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import NAME, EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis


class Servers:
    """Postgres without fsync: tests end processes, not machines."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="greenroom-tests-"))
        self.path.chmod(0o755)  # Postgres may run as another user
        self.folder = DataFolder(self.path)
        self.postgres = EmbeddedPostgres(self.folder, unsafe=True)
        self.redis = EmbeddedRedis(self.folder)
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> "Servers":
        await self.folder.__aenter__()
        await asyncio.gather(self.postgres.start(), self.redis.start())
        database = Database(self.postgres.dsn, size=1)
        await database.open()
        await migrate(database)
        body = load_content(PROJECT / "content").model_dump(mode="json", exclude={"version"})
        await content.publish(database, body, by="tests")
        await database.close()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.redis.stop()
        await self.postgres.stop()
        await self.folder.__aexit__(kind, error, trace)
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def runtime(self) -> Path:
        """Where sockets go."""
        return self.folder.runtime

    def dsn(self, database: str, folder: Path | None = None) -> str:
        """The address of a database, over the server's own socket or over a proxy's in the folder."""
        return f"postgresql://{NAME}@/{database}?host={quote(str(folder or self.postgres.socket_folder))}"

    async def new_database(self) -> str:
        """The name of a fresh database, migrated and with the starter content."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        await self._over(f"CREATE DATABASE {name} TEMPLATE {NAME}")
        return name

    async def drop_database(self, name: str) -> None:
        await self._over(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _over(self, sql: str) -> None:
        database = Database(self.dsn("postgres"), size=1, statement_timeout_s=30)
        await database.open()
        try:
            await database.execute(sql)
        finally:
            await database.close()

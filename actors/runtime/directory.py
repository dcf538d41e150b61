"""The directory: which host run owns which slot, as routers see it. Postgres has the truth; this is a copy of it."""

import asyncio
import time
from typing import NamedTuple

import structlog

from actors.runtime.database import Database
from actors.runtime.placement import Placement
from schemas.problems import Refusal

_log = structlog.get_logger("directory")

REFRESH_EVERY_S = 5.0
WANTED_MAX = 1_000

_ROUTES = """
SELECT slot.slot, host.run, host.endpoint, host.node, host.name
FROM slot JOIN host ON host.run = slot.run WHERE NOT host.retired
"""

_WANT = "INSERT INTO slot (slot) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"


class Route(NamedTuple):
    """One host run and where it listens."""

    run: int
    endpoint: str
    node: str
    name: str


class Directory:
    """The slot table, read when a route turned out to be stale."""

    def __init__(self, database: Database, placement: Placement) -> None:
        self.database = database
        self.placement = placement
        self._routes: dict[str, Route] = {}
        self._wanted: set[str] = set()
        self._fresh_until = 0.0

    def route(self, slot: str) -> Route | None:
        return self._routes.get(slot)

    def routes(self) -> set[Route]:
        return set(self._routes.values())

    def want(self, slot: str) -> None:
        """Ask for a host for a dedicated slot that has none yet."""
        if Placement.is_dedicated(slot) and len(self._wanted) < WANTED_MAX:
            self._wanted.add(slot)

    def stale(self) -> None:
        """Something moved: read the table again before the next resend."""
        self._fresh_until = 0.0

    async def refresh(self) -> bool:
        """Read the table, and enter wanted slots into it. Without Postgres the old routes stay, and it is False."""
        now = time.monotonic()
        if now < self._fresh_until and not self._wanted:
            return True
        try:
            async with self.database.connection() as connection:
                if self._wanted:
                    wanted, self._wanted = self._wanted, set()
                    await connection.execute(_WANT, sorted(wanted))
                rows = await connection.fetch(_ROUTES)
        except Refusal as refusal:
            _log.warning("directory_not_refreshed", reason=refusal.message)
            return False
        self._routes = {row["slot"]: Route(row["run"], row["endpoint"], row["node"], row["name"]) for row in rows}
        self._fresh_until = now + 0.01
        return True

    async def run_forever(self) -> None:
        while True:
            self.stale()
            await self.refresh()
            await asyncio.sleep(REFRESH_EVERY_S)

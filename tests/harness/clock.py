"""A clock for a whole Greenroom that the test moves: everything the product reads of time comes from Postgres'."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.harness.greenroom import Greenroom
from tests.harness.waiting import eventually

AT_ONCE = 8
"""Questions that are asked together: more than a pool has connections."""

# Names are looked up in `faked` first, so every statement of the product reads this clock.
FAKED = """
CREATE SCHEMA faked;
CREATE TABLE faked.jump (by interval NOT NULL);
INSERT INTO faked.jump VALUES ('0');
CREATE FUNCTION faked.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM faked.jump)';
CREATE FUNCTION faked.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT pg_catalog.now() + (SELECT by FROM faked.jump)';
ALTER TABLE outbox ALTER due SET DEFAULT faked.now() + interval '3 seconds';
"""


@asynccontextmanager
async def clock_of(greenroom: Greenroom) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """Sets Postgres' clock off by an interval, for everything that this Greenroom asks of it."""
    name = greenroom.database_name
    await greenroom.database.execute(FAKED)
    await greenroom.servers._over(f"ALTER DATABASE {name} SET search_path = faked, public, pg_catalog")
    # Only new connections read the new search path.
    await greenroom.servers._over(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    await eventually(lambda: _all_read_it(greenroom), 60)
    try:
        yield lambda by: greenroom.database.execute(f"UPDATE faked.jump SET by = '{by}'")
    finally:
        await greenroom.database.execute("UPDATE faked.jump SET by = '0'")


async def _all_read_it(greenroom: Greenroom) -> bool:
    """Whether no connection is left, of this process and of the hosts, that does not know of the new search path."""
    databases = [greenroom.database, *(home.host.journal.database for home in greenroom.homes)]
    paths = [database.fetch_value("SELECT current_schema()") for database in databases for _ in range(AT_ONCE)]
    found = await asyncio.gather(*paths, return_exceptions=True)
    return set(found) == {"faked"}

"""The content that designers publish: versions in Postgres, the active one in every process within a second."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import structlog
from pydantic_core import from_json, to_json

from actors.content import Content
from actors.runtime.database import Database
from schemas.problems import Refusal

_log = structlog.get_logger("content")

POLL_EVERY_S = 1.0

_ACTIVE = "SELECT version, body FROM content WHERE active AND version <> $1"

_PUBLISH = """
WITH published AS (
    INSERT INTO content (published_by, checksum, body) VALUES ($1, $2, $3) RETURNING version
)
SELECT version FROM published
"""


class ContentStore:
    """The active content. Every turn is decided under one version, and records which."""

    def __init__(self, database: Database, amend: Callable[[Content], Content] = lambda content: content) -> None:
        self.database = database
        self._amend = amend
        self._current: Content | None = None

    @property
    def current(self) -> Content:
        """Refused as UNAVAILABLE until content has been read once."""
        if self._current is None:
            raise Refusal("UNAVAILABLE", "No content is active yet.", retry_after_s=1)
        return self._current

    async def poll(self) -> None:
        """Read the active version if it is another than ours."""
        known = self._current.version if self._current else 0
        row = await self.database.fetch_row(_ACTIVE, known)
        if row is not None:
            body = from_json(row["body"])
            self._current = self._amend(Content.model_validate({**body, "version": row["version"]}, strict=False))
            _log.info("content_active", version=row["version"])

    async def run_forever(self) -> None:
        while True:
            try:
                await self.poll()
            except Refusal as refusal:
                _log.warning("content_not_polled", reason=refusal.message)
            except ValueError:
                _log.exception("content_unreadable")
            await asyncio.sleep(POLL_EVERY_S)


async def publish(database: Database, body: dict[str, Any], by: str) -> int:
    """Store content as a new version and activate it; the version that is active already when nothing changed."""
    text = to_json(body)
    checksum = hashlib.sha256(text).hexdigest()
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(7461)")
        active = await connection.fetch_row("SELECT version, checksum FROM content WHERE active")
        if active is not None and active["checksum"] == checksum:
            version: int = active["version"]
            return version
        version = await connection.fetch_value(_PUBLISH, by, checksum, text)
        await connection.execute("UPDATE content SET active = false WHERE active")
        await connection.execute("UPDATE content SET active = true WHERE version = $1", version)
    return version

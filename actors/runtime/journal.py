"""The journal in SQL: how turns are written, how actors are read back, how history is told."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from actors.core import Past
from actors.runtime.database import Database, Row
from schemas.address import Address

WRITE = """
WITH turns AS (
    INSERT INTO journal (kind, key, version, length, op, at, run, turn, events)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::text[], $6::bigint[], $7::integer[],
                         $8::json[], $9::json[])
), sent AS (
    INSERT INTO outbox (id, slot, kind, key, tells)
    SELECT * FROM unnest($10::text[], $11::smallint[], $12::text[], $13::text[], $14::json[])
    ON CONFLICT (id) DO NOTHING
), kept AS (
    INSERT INTO checkpoint (kind, key, version, state_version, checksum, state)
    SELECT * FROM unnest($16::text[], $17::text[], $18::bigint[], $19::integer[], $20::bytea[], $21::bytea[])
    ON CONFLICT (kind, key) DO UPDATE
    SET version = excluded.version, state_version = excluded.state_version, checksum = excluded.checksum,
        state = excluded.state
    WHERE excluded.version > checkpoint.version
)
DELETE FROM outbox WHERE id = ANY($15::text[])
"""
"""One group: its turns, the parcels they send, the parcels that they finish, and the checkpoints that are due. One
statement, one round trip."""

RETRY = """
INSERT INTO outbox (id, slot, kind, key, attempts, due, tells)
SELECT id, slot, kind, key, attempts, now() + delay_ms * interval '1 millisecond', tells
FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::json[])
     AS tell (id, slot, kind, key, attempts, delay_ms, tells)
ON CONFLICT (id) DO NOTHING
"""

RETRY_PARCEL = """
UPDATE outbox SET attempts = late.attempts, due = now() + late.delay_ms * interval '1 millisecond'
FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS late (id, attempts, delay_ms)
WHERE outbox.id = late.id AND outbox.attempts < late.attempts
"""
"""Never an insert: a parcel that is gone has been played."""

BURY = """
INSERT INTO dead_letter (id, kind, key, tell, reason, attempts)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::smallint[])
ON CONFLICT (id) DO NOTHING
"""

REMIND = """
INSERT INTO reminder (kind, key, name, slot, id, due, command, data)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], $7::text[],
                     $8::jsonb[])
ON CONFLICT (kind, key, name) DO UPDATE
SET id = excluded.id, due = excluded.due, command = excluded.command, data = excluded.data
"""

FORGET = """
DELETE FROM reminder USING unnest($1::text[], $2::text[], $3::text[]) AS gone (kind, key, name)
WHERE reminder.kind = gone.kind AND reminder.key = gone.key AND reminder.name = gone.name
"""

CHECKPOINT = """
INSERT INTO checkpoint (kind, key, version, state_version, checksum, state)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::bytea[], $6::bytea[])
ON CONFLICT (kind, key) DO UPDATE
SET version = excluded.version, state_version = excluded.state_version, checksum = excluded.checksum,
    state = excluded.state
WHERE excluded.version > checkpoint.version
"""

RECORDS: dict[str, str] = {
    "sanction": """
        INSERT INTO sanction (user_id, standing, until, reason, by, at)
        SELECT user_id, standing, until, reason, by, at FROM jsonb_populate_recordset(NULL::sanction, $1::jsonb)
    """,
    "incident": """
        INSERT INTO incident (id, player, rule, points, suspicion, evidence, at)
        SELECT id, player, rule, points, suspicion, evidence, at
        FROM jsonb_populate_recordset(NULL::incident, $1::jsonb)
        ON CONFLICT (id) DO NOTHING
    """,
    "notice": """
        INSERT INTO notice (id, user_id, way, title, body, at)
        SELECT id, user_id, way, title, body, at FROM jsonb_populate_recordset(NULL::notice, $1::jsonb)
        ON CONFLICT (id) DO NOTHING
    """,
}
"""The read models that rules may write through a Record effect: the statement for a JSON list of rows."""

_LOAD_CHECKPOINTS = """
SELECT wanted.kind, wanted.key, c.version, c.state_version, c.checksum, c.state,
       cardinality(q.crashes) >= 3 AND q.since IS NOT NULL AS quarantined
FROM unnest($1::text[], $2::text[]) AS wanted (kind, key)
LEFT JOIN checkpoint c ON c.kind = wanted.kind AND c.key = wanted.key
LEFT JOIN quarantine q ON q.kind = wanted.kind AND q.key = wanted.key
"""

_LOAD_TAILS = """
SELECT j.kind, j.key, j.version, j.length, j.op, j.run, j.turn, j.events
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (kind, key, version)
CROSS JOIN LATERAL (
    SELECT * FROM journal
    WHERE journal.kind = wanted.kind AND journal.key = wanted.key AND journal.version > wanted.version
    ORDER BY journal.version LIMIT $4
) j
"""

_TURNS = """
SELECT kind, key, version, length, op, at, run, turn, events FROM journal
WHERE kind = $1 AND key = $2 AND version > $3 ORDER BY version LIMIT $4
"""

PAST = """
SELECT version, length, events FROM (
    SELECT version, length, events FROM journal
    WHERE kind = $1 AND key = $2 AND version < $3 ORDER BY version DESC LIMIT $4
) newest
UNION ALL
SELECT version, length, events FROM journal
WHERE kind = $1 AND key = $2 AND version = ANY($5::bigint[]) AND version >= $3
ORDER BY version
"""
"""The turns that begin before a version, the newest so many, and those after it that begin at the given versions."""

_FIND_OPS = """
SELECT j.kind, j.key, j.version, j.length, j.op, j.turn
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (kind, key, op)
JOIN journal j ON j.kind = wanted.kind AND j.key = wanted.key AND j.op = wanted.op
"""

TAIL_ROWS_MAX = 1_000

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape itself, not a backslash that happens to stand before such a text."""


class Checkpoint(NamedTuple):
    version: int
    state_version: int
    checksum: bytes
    state: bytes


class Stored(NamedTuple):
    """What Postgres holds of one actor: its checkpoint if any, and the turns since, in order."""

    checkpoint: Checkpoint | None
    quarantined: bool


class StoredTurn(NamedTuple):
    """One row of the journal, its JSON still in bytes."""

    version: int
    length: int
    op: str
    run: int
    turn: bytes
    events: bytes

    @property
    def last(self) -> int:
        """The number of the turn's last event."""
        return self.version + self.length - 1


class Journal:
    """Reads of the journal, many actors at a time. Writes go through GroupCommit."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def checkpoints(self, addresses: Sequence[Address]) -> dict[Address, Stored]:
        rows = await self.database.fetch(_LOAD_CHECKPOINTS, *_columns(addresses))
        return {
            Address(row["kind"], row["key"]): Stored(
                Checkpoint(row["version"], row["state_version"], row["checksum"], row["state"])
                if row["version"] is not None
                else None,
                bool(row["quarantined"]),
            )
            for row in rows
        }

    async def tails(self, after: dict[Address, int], rows_max: int = TAIL_ROWS_MAX) -> dict[Address, list[StoredTurn]]:
        """The turns of each actor after the given version; at most `rows_max` of each: ask again when so many come."""
        rows = await self.database.fetch(_LOAD_TAILS, *_columns(after), list(after.values()), rows_max)
        tails: dict[Address, list[StoredTurn]] = {}
        for row in rows:
            tails.setdefault(Address(row["kind"], row["key"]), []).append(
                StoredTurn(row["version"], row["length"], row["op"], row["run"], row["turn"], row["events"])
            )
        return tails

    async def turns(self, address: Address, after: int = 0, rows_max: int = 1_000) -> list[Row]:
        """The actor's turns after a version, in order, with all columns."""
        return await self.database.fetch(_TURNS, address.kind, address.key, after, rows_max)

    async def past(self, address: Address, past: Past) -> list[Row]:
        """The turns that an answer recalls, in order."""
        return await self.database.fetch(PAST, address.kind, address.key, past.before, past.turns, list(past.also))

    async def find_ops(
        self, wanted: Sequence[tuple[Address, str]]
    ) -> dict[tuple[Address, str], tuple[int, dict[str, Any]]]:
        """For each op id that had an effect: the version after its turn, and the turn as stored."""
        addresses = [address for address, _ in wanted]
        rows = await self.database.fetch(_FIND_OPS, *_columns(addresses), [op for _, op in wanted])
        return {
            (Address(row["kind"], row["key"]), row["op"]): (row["version"] + row["length"] - 1, from_json(row["turn"]))
            for row in rows
        }


def readable(packed: bytes) -> bytes:
    """The JSON itself. ValueError when a text in it holds NUL: Postgres would store that, and then refuse every query
    that looks into the row."""
    if b"\\u0000" in packed and _NUL.search(packed):
        raise ValueError("a text holds NUL")
    return packed


def _columns(addresses: Iterable[Address]) -> tuple[list[str], list[str]]:
    listed = list(addresses)
    return [address.kind for address in listed], [address.key for address in listed]

"""Reads actors from the journal, awake or asleep, as they are committed; the actors never notice."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from actors.catalog import Catalog, Kind
from actors.core import Actor
from actors.runtime.database import Database, Row
from actors.runtime.journal import Journal, StoredTurn
from actors.runtime.waker import HistoryBroken, play_tail, restore
from actors.times import rfc3339
from gateway.accounts import names, store
from schemas.address import Address
from scripts.inspect.legible import masked
from scripts.terminal import Failed

ROWS_MAX = 5_000

# A loose index scan: one look into the index for each actor, however long their histories are.
_KEYS = """
WITH RECURSIVE actor AS (
    (SELECT key, 1 AS number FROM journal WHERE kind = $1 AND key > $2 ORDER BY key LIMIT 1)
    UNION ALL
    SELECT next.key, actor.number + 1 FROM actor
    CROSS JOIN LATERAL (SELECT key FROM journal WHERE kind = $1 AND key > actor.key ORDER BY key LIMIT 1) next
    WHERE actor.number < $3
)
SELECT key FROM actor
"""
_BY_DISPLAY_NAME = "SELECT id, display_name FROM account WHERE display_name = $1 ORDER BY created_at LIMIT 6"
_NAMES = "SELECT id, display_name FROM account WHERE id = ANY($1::text[])"
_LAST = """
SELECT kind, key, version, length, op, at, run, turn, events FROM journal
WHERE kind = $1 AND key = $2 AND version <= $3 ORDER BY version DESC LIMIT $4
"""
_AT_TIME = """
SELECT version + length - 1 FROM journal WHERE kind = $1 AND key = $2 AND at <= $3 ORDER BY version DESC LIMIT 1
"""
VERSION_MAX = 2**62


class Seen(NamedTuple):
    """An actor as it was at a version. `checkpoint` is the version from which it was replayed."""

    actor: Actor
    version: int
    checkpoint: int
    quarantined: bool


class Reader:
    """What the journal says about actors."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.journal = Journal(database)
        self.catalog = Catalog()

    def kind(self, name: str) -> Kind:
        """The kind of this name; Failed with those that there are."""
        found = self.catalog.kinds.get(name)
        if found is None:
            raise Failed(f"There is no kind {name!r}; there are {', '.join(sorted(self.catalog.kinds))}.")
        return found

    async def keys(self, kind: str, after: str = "", limit: int = 500) -> list[str]:
        """Keys of actors that have a history, in order."""
        return [row["key"] for row in await self.database.fetch(_KEYS, kind, after, limit)]

    async def address(self, kind: str, key: str) -> Address:
        """The actor of this key; for players also by username, or by a display name that only one has."""
        self.kind(kind)
        if await self.database.fetch_row(_LAST, kind, key, VERSION_MAX, 1) is not None:
            return Address(kind, key)
        if kind == "player":
            return Address(kind, await self._player(key))
        raise Failed(f"There is no {kind} {key!r}; `greenroom inspect list {kind}` shows those that there are.")

    async def _player(self, name: str) -> str:
        try:
            by_name = await store.account_by_name(self.database, names.folded(name))
        except ValueError:
            by_name = None
        if by_name is not None:
            return str(by_name["id"])
        rows = await self.database.fetch(_BY_DISPLAY_NAME, name)
        if len(rows) == 1:
            return str(rows[0]["id"])
        if rows:
            listed = ", ".join(row["id"] for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
            raise Failed(f"Several players are shown as {name!r}; give the id of one: {listed}")
        raise Failed(f"There is no player {name!r}, neither by id nor by name.")

    async def now(self, addresses: Sequence[Address]) -> dict[Address, Seen]:
        """The actors as they are, many at a time."""
        seen: dict[Address, Seen] = {}
        for address, stored in (await self.journal.checkpoints(addresses)).items():
            actor, version = restore(self.kind(address.kind), stored.checkpoint, address)
            seen[address] = Seen(actor, version, version, stored.quarantined)
        behind = {address: found.version for address, found in seen.items()}
        while behind:
            tails = await self.journal.tails(behind, ROWS_MAX)
            further: dict[Address, int] = {}
            for address, tail in tails.items():
                version = self._play(address, seen[address], tail)
                seen[address] = seen[address]._replace(version=version)
                if len(tail) == ROWS_MAX:
                    further[address] = version
            behind = further
        return seen

    async def at(self, address: Address, wanted: int) -> Seen:
        """The actor after the last whole turn that ends at or before the version."""
        stored = (await self.journal.checkpoints([address]))[address]
        usable = stored.checkpoint if stored.checkpoint and stored.checkpoint.version <= wanted else None
        actor, version = restore(self.kind(address.kind), usable, address)
        seen = Seen(actor, version, version, stored.quarantined)
        while seen.version < wanted:
            rows = await self.journal.turns(address, seen.version, ROWS_MAX)
            turns = [stored_turn(row) for row in rows if row["version"] + row["length"] - 1 <= wanted]
            seen = seen._replace(version=self._play(address, seen, turns))
            if len(turns) < ROWS_MAX:
                break
        return seen

    async def version_at(self, address: Address, at: int) -> int:
        """The actor's version at a time; 0 when it had none yet."""
        return int(await self.database.fetch_value(_AT_TIME, address.kind, address.key, at) or 0)

    async def last_turns(self, address: Address, count: int, until: int = VERSION_MAX) -> list[Row]:
        """The newest turns that begin at or before the version, oldest first."""
        return (await self.database.fetch(_LAST, address.kind, address.key, until, count))[::-1]

    async def turns(self, address: Address, after: int, count: int) -> list[Row]:
        """The turns after the version, oldest first."""
        return await self.journal.turns(address, after, count)

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """Display names by user id, of those that have an account."""
        rows = await self.database.fetch(_NAMES, sorted(set(user_ids)))
        return {row["id"]: row["display_name"] for row in rows}

    def play(self, address: Address, seen: Seen, row: Row) -> Seen:
        """The actor after one more turn; the state is changed in place."""
        return seen._replace(version=self._play(address, seen, [stored_turn(row)]))

    def _play(self, address: Address, seen: Seen, turns: list[StoredTurn]) -> int:
        try:
            return play_tail(self.kind(address.kind), seen.actor, seen.version, turns, address)
        except HistoryBroken as broken:
            raise Failed(f"The history is broken: {broken}. The actor is not served until this is mended.") from None


def stored_turn(row: Row) -> StoredTurn:
    return StoredTurn(row["version"], row["length"], row["op"], row["run"], row["turn"], row["events"])


def told(row: Row, callers: dict[str, str]) -> dict[str, Any]:
    """A turn of the journal for people and programs; tokens in it are cut short."""
    turn = from_json(row["turn"])
    caller = turn.get("caller", "")
    described: dict[str, Any] = {
        "version": row["version"],
        "last": row["version"] + row["length"] - 1,
        "at": rfc3339(row["at"]),
        "command": turn.get("command", ""),
        "caller": caller,
        "callerName": callers.get(caller, caller),
        "op": row["op"],
        "content": turn.get("content"),
        "run": row["run"],
        "events": [{"name": name, "data": masked(data)} for name, data in from_json(row["events"])],
        "data": masked(turn.get("data")),
        "reply": masked(turn.get("reply")),
    }
    for optional in ("role", "tells", "consulted", "seed"):
        if optional in turn:
            described[optional] = masked(turn[optional])
    return described


def caller_of(row: Row) -> str:
    caller: str = from_json(row["turn"]).get("caller", "")
    return caller

"""`greenroom verify` over the tables of a world, and what only a world can know: the memory of its hosts."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from actors.catalog import Catalog
from actors.runtime import journal
from actors.runtime.database import Row
from actors.runtime.waker import play_tail
from schemas.address import Address
from scripts.inspect import reading
from scripts.verify import clients, records, walk
from scripts.verify.history import History
from scripts.verify.report import Report
from scripts.verify.snapshot import (
    ACCOUNTS,
    CHECKPOINTS,
    DEAD_LETTERS,
    DISCARDED,
    OUTBOX,
    REMINDERS,
    TURNS,
    Pages,
    Snapshot,
)
from scripts.verify.walk import Walk
from tests.simulation.store import Store


async def verified(store: Store, history: History) -> Report:
    """What verify says of everything that happened."""
    made = Walk(SimulatedSnapshot(store), lambda what, done: None, history=history, strict=True)
    return await made.run()


def replayed(store: Store, catalog: Catalog, address: Address) -> Any:
    """The actor that the journal gives, from its first turn on."""
    kind = catalog.kind(address.kind)
    actor = kind.actor()
    turns = [
        journal.StoredTurn(row["version"], row["length"], row["op"], row["run"], row["turn"], row["events"])
        for row in store.journal.turns.get(address, [])
    ]
    play_tail(kind, actor, 0, turns, address)
    return actor


class SimulatedSnapshot(Snapshot):
    """What the queries of verify find in the tables of a world that stands still."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = store.now_ms()

    async def pages(self, pages: Pages) -> AsyncIterator[list[Row]]:
        rows = _PAGES[pages](self.store)
        if rows:
            yield rows

    async def execute(self, sql: str, *values: Any) -> str:
        self._journal: list[Any] | None = list(self.store.journal.rows())
        return "DONE"

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        if sql == TURNS.fetch:
            rows, self._journal = self._journal or [], None
            return rows
        found = _QUERIES.get(sql)
        if found is not None:
            return found(self.store, *values)
        return self.store.run([(sql, values)])  # type: ignore[return-value]


def _turns_of(store: Store, kinds: list[str], keys: list[str], ops: list[str]) -> list[Any]:
    wanted = set(zip(kinds, keys, ops, strict=True))
    found = []
    for kind, key in {(kind, key) for kind, key, _ in wanted}:
        for row in store.journal.turns.get(Address(kind, key), ()):
            if (kind, key, row["op"]) in wanted:
                found.append({**row, "last": row["version"] + row["length"] - 1})
    return found


def _no_such_version(store: Store, kinds: list[str], keys: list[str], versions: list[int]) -> list[Any]:
    missing = []
    for kind, key, version in zip(kinds, keys, versions, strict=True):
        ends = [row["version"] + row["length"] - 1 for row in store.journal.turns.get(Address(kind, key), ())]
        if version and version not in ends:
            last = max((end for end in ends if end < version), default=None)
            missing.append({"kind": kind, "key": key, "version": version, "last": last})
    return missing


def _no_incident(store: Store, ids: list[str], addresses: list[str]) -> list[Any]:
    wanted = zip(ids, addresses, strict=True)
    return [{"id": one, "address": address} for one, address in wanted if one not in store.incident]


def _no_sanction(store: Store, *columns: Any) -> list[Any]:
    there = {(row["user_id"], row["standing"], row["at"]) for row in store.sanction}
    wanted = [
        dict(zip(("player", "standing", "at", "address"), one, strict=True)) for one in zip(*columns, strict=True)
    ]
    return [one for one in wanted if (one["player"], one["standing"], one["at"]) not in there]


_PAGES: dict[Pages, Callable[[Store], list[Any]]] = {
    CHECKPOINTS: lambda store: [store.checkpoint[address] for address in sorted(store.checkpoint)],
    ACCOUNTS: lambda store: list(store.account.values()),
    REMINDERS: lambda store: [store.reminder[key] for key in sorted(store.reminder)],
    OUTBOX: lambda store: list(store.outbox.values()),
    DEAD_LETTERS: lambda store: list(store.dead_letter.values()),
    DISCARDED: lambda store: [],
}


def _version_at(store: Store, kind: str, key: str, at: int) -> list[Any]:
    by_then = [row for row in store.journal.turns.get(Address(kind, key), ()) if row["at"] <= at]
    return [[by_then[-1]["version"] + by_then[-1]["length"] - 1]] if by_then else []


_QUERIES: dict[str, Callable[..., list[Any]]] = {
    reading._AT_TIME: _version_at,
    walk._CONTENTS: lambda store: list(store.content.values()),
    walk._SECRET: lambda store: [[store.secret]],
    walk._RUNS: lambda store: [
        {"run": run, "until": row["lease"] if row["retired"] else None} for run, row in store.host.items()
    ],
    walk._CONSTRAINTS: lambda store: [{"conname": name} for name in ("journal_history", "journal_op")],
    walk._QUARANTINED: lambda store: [],
    walk._OVERDUE: lambda store: [[0]],
    clients._TURNS_OF: _turns_of,
    clients._NO_SUCH_VERSION: _no_such_version,
    records._NO_INCIDENT: _no_incident,
    records._NO_SANCTION: _no_sanction,
}

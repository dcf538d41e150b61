"""Postgres as the runtime uses it, in memory: the tables of a Greenroom, and what each of its statements does to them.

A statement is found by its text, the very constant that the runtime sends, so one that is changed there is missed here
at once. tests/contract/test_simulated_journal.py holds this against a real Postgres.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from actors.runtime import content, directory, journal, lease, sweeper
from actors.runtime.database import Refused, UniqueConflict
from schemas.address import Address

Row = dict[str, Any]
Statement = tuple[str, Sequence[Any]]

PARCEL_DUE_MS = 3_000
LEASE_MS = 5_000


class Histories:
    """The table `journal`: the turns of each actor in order, and an index over op ids."""

    def __init__(self) -> None:
        self.turns: dict[Address, list[Row]] = {}
        self.ops: dict[tuple[Address, str], Row] = {}

    def last(self, address: Address) -> int:
        """The number of the actor's last event."""
        turns = self.turns.get(address)
        return turns[-1]["version"] + turns[-1]["length"] - 1 if turns else 0

    def after(self, address: Address, version: int, rows_max: int) -> list[Row]:
        turns = self.turns.get(address, [])
        start = bisect_right(turns, version, key=lambda row: row["version"])
        return turns[start : start + rows_max]

    def rows(self) -> Iterable[Row]:
        for address in sorted(self.turns):
            yield from self.turns[address]


class Store:
    """All tables. `run` carries out statements as one transaction."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.journal = Histories()
        self.checkpoint: dict[Address, Row] = {}
        self.outbox: dict[str, Row] = {}
        self.dead_letter: dict[str, Row] = {}
        self.reminder: dict[tuple[str, str, str], Row] = {}
        self.host: dict[int, Row] = {}
        self.slot: dict[str, Row] = {}
        self.quarantine: dict[Address, Row] = {}
        self.content: dict[int, Row] = {}
        self.sanction: list[Row] = []
        self.incident: dict[str, Row] = {}
        self.account: dict[str, Row] = {}
        self.secret = b"simulated"
        self.unique_ops = True
        """Whether the index over op ids is unique; a sabotage sets it off."""
        self.grows = False
        self.on_turn: Callable[[Address, Row], None] = lambda address, row: None
        self._undo: list[Callable[[], Any]] = []
        self._written: list[tuple[Address, Row]] = []

    def run(self, statements: Sequence[Statement]) -> list[Row]:
        """All or none; the rows of the last one. Raises UniqueConflict or Refused."""
        self._undo.clear()
        self._written.clear()
        rows: list[Row] = []
        try:
            for sql, values in statements:
                rows = self._one(sql, values)
        except (UniqueConflict, Refused):
            for undo in reversed(self._undo):
                undo()
            raise
        for address, row in self._written:
            self.on_turn(address, row)
        return rows

    def _one(self, sql: str, values: Sequence[Any]) -> list[Row]:
        found = STATEMENTS.get(sql)
        if found is None:
            raise Refused(f"the simulated Postgres does not know this statement: {sql[:200]}")
        return found(self, *values) or []

    # -- changes that can be undone -------------------------------------------------------------------------------

    def put(self, table: dict[Any, Row], key: Any, row: Row) -> None:
        before = table.get(key)
        table[key] = row
        self._undo.append(lambda: table.pop(key) if before is None else table.update({key: before}))

    def remove(self, table: dict[Any, Row], key: Any) -> Row | None:
        row = table.pop(key, None)
        if row is not None:
            self._undo.append(lambda: table.update({key: row}))
        return row

    def change(self, table: dict[Any, Row], key: Any, **fields: Any) -> None:
        self.put(table, key, {**table[key], **fields})

    # -- the journal ----------------------------------------------------------------------------------------------

    def insert_turn(self, row: Row) -> None:
        address = Address(row["kind"], row["key"])
        if row["version"] < 1 or row["length"] < 1:
            raise Refused("CheckViolationError: new row for relation violates check constraint")
        turns = self.journal.turns.setdefault(address, [])
        place = bisect_right(turns, row["version"], key=lambda other: other["version"])
        if place and turns[place - 1]["version"] == row["version"]:
            raise _conflict("journal_history", "version", row)
        key = (address, row["op"])
        if key in self.journal.ops:
            if self.unique_ops:
                raise _conflict("journal_op", "op", row)
        else:
            self.journal.ops[key] = row
            self._undo.append(lambda: self.journal.ops.pop(key))
        turns.insert(place, row)
        self._undo.append(lambda: turns.remove(row))
        self._written.append((address, row))

    def write(self, *columns: Any) -> None:
        names = ("kind", "key", "version", "length", "op", "at", "run", "turn", "events")
        for values in zip(*columns[:9], strict=True):
            self.insert_turn(dict(zip(names, values, strict=True)))
        # In this order Postgres carries the parts of the statement out.
        for parcel in columns[14]:
            self.remove(self.outbox, parcel)
        self.keep(*columns[15:])
        for parcel, slot, kind, key, tells in zip(*columns[9:14], strict=True):
            self._send(parcel, slot, kind, key, tells, 0, PARCEL_DUE_MS)

    def reach(self, slot: str) -> None:
        """In a world only slots that are needed are there, and all that are."""
        if self.grows and slot not in self.slot:
            self.slot[slot] = {"slot": slot, "run": None}

    def _send(self, parcel: str, slot: int, kind: str, key: str, tells: bytes, attempts: int, delay_ms: int) -> None:
        self.reach(str(slot))
        if parcel not in self.outbox:
            row = {"id": parcel, "slot": slot, "kind": kind, "key": key, "attempts": attempts, "tells": tells}
            self.put(self.outbox, parcel, {**row, "due": self.now_ms() + delay_ms})

    def retry(self, *columns: Any) -> None:
        for parcel, slot, kind, key, attempts, delay_ms, tells in zip(*columns, strict=True):
            self._send(parcel, slot, kind, key, tells, attempts, delay_ms)

    def retry_parcel(self, *columns: Any) -> None:
        for parcel, attempts, delay_ms in zip(*columns, strict=True):
            row = self.outbox.get(parcel)
            if row is not None and row["attempts"] < attempts:
                self.change(self.outbox, parcel, attempts=attempts, due=self.now_ms() + delay_ms)

    def bury(self, *columns: Any) -> None:
        names = ("id", "kind", "key", "tell", "reason", "attempts")
        for values in zip(*columns, strict=True):
            self._die(dict(zip(names, values, strict=True)))

    def _die(self, row: Row) -> None:
        if row["id"] not in self.dead_letter:
            self.put(self.dead_letter, row["id"], row)

    def remind(self, *columns: Any) -> None:
        names = ("kind", "key", "name", "slot", "id", "due", "command", "data")
        for values in zip(*columns, strict=True):
            self.reach(str(values[3]))
            self.put(self.reminder, values[:3], dict(zip(names, values, strict=True)))

    def forget(self, *columns: Any) -> None:
        for key in zip(*columns, strict=True):
            self.remove(self.reminder, key)

    def keep(self, *columns: Any) -> None:
        names = ("kind", "key", "version", "state_version", "checksum", "state")
        for values in zip(*columns, strict=True):
            address, row = Address(values[0], values[1]), dict(zip(names, values, strict=True))
            before = self.checkpoint.get(address)
            if before is None or before["version"] < row["version"]:
                self.put(self.checkpoint, address, row)

    def record_sanctions(self, rows: bytes) -> None:
        for row in from_json(rows):
            if row.get("standing") not in ("suspended", "banned", "clear"):
                raise Refused("NotNullViolationError or CheckViolationError")
            self.sanction.append(row)
            self._undo.append(self.sanction.pop)

    def record_incidents(self, rows: bytes) -> None:
        for row in from_json(rows):
            if row["id"] not in self.incident:
                self.put(self.incident, row["id"], row)

    # -- reads ----------------------------------------------------------------------------------------------------

    def load_checkpoints(self, kinds: list[str], keys: list[str]) -> list[Row]:
        rows = []
        for address in map(Address, kinds, keys):
            kept = self.checkpoint.get(address, _NO_CHECKPOINT)
            crashed = self.quarantine.get(address)
            away = crashed is not None and len(crashed["crashes"]) >= 3 and crashed["since"] is not None
            rows.append({**kept, "kind": address.kind, "key": address.key, "quarantined": away})
        return rows

    def load_tails(self, kinds: list[str], keys: list[str], versions: list[int], rows_max: int) -> list[Row]:
        wanted = zip(map(Address, kinds, keys), versions, strict=True)
        return [row for address, version in wanted for row in self.journal.after(address, version, rows_max)]

    def load_turns(self, kind: str, key: str, after: int, rows_max: int) -> list[Row]:
        return self.journal.after(Address(kind, key), after, rows_max)

    def find_ops(self, kinds: list[str], keys: list[str], ops: list[str]) -> list[Row]:
        wanted = zip(map(Address, kinds, keys), ops, strict=True)
        return [row for key in wanted if (row := self.journal.ops.get(key)) is not None]

    # -- hosts and slots ------------------------------------------------------------------------------------------

    def register(self, name: str, endpoint: str, node: str, pid: int, pool: str, active_hosts: int) -> list[Row]:
        run = len(self.host) + 1
        row = {"run": run, "name": name, "endpoint": endpoint, "node": node, "pid": pid, "pool": pool}
        row["active_hosts"] = active_hosts
        self.put(self.host, run, {**row, "lease": self.now_ms() + LEASE_MS, "retired": False})
        return [{"run": run}]

    def renew(self, run: int) -> list[Row]:
        renewed = run in self.host and not self.host[run]["retired"]
        if renewed:
            self.change(self.host, run, lease=self.now_ms() + LEASE_MS)
        slots = [slot for slot, row in self.slot.items() if row["run"] == run]
        return [{"now_ms": self.now_ms(), "renewed": renewed, "slots": slots}]

    def routes(self) -> list[Row]:
        routes = []
        for slot, row in self.slot.items():
            host = self.host.get(row["run"])
            if host is not None and not host["retired"]:
                routes.append({"slot": slot, **{name: host[name] for name in ("run", "endpoint", "node", "name")}})
        return routes

    def want(self, slots: list[str]) -> None:
        for slot in slots:
            if slot not in self.slot:
                self.put(self.slot, slot, {"slot": slot, "run": None})

    # -- the sweeper ----------------------------------------------------------------------------------------------

    def parcels_due(self, slots: list[int], rows_max: int) -> list[Row]:
        now = self.now_ms()
        owned = set(slots)
        due = sorted(
            (row["due"], parcel) for parcel, row in self.outbox.items() if row["slot"] in owned and row["due"] <= now
        )
        found = []
        for _, parcel in due[:rows_max]:
            attempts = self.outbox[parcel]["attempts"]
            self.change(self.outbox, parcel, due=now + 5_000 * min(12, 1 + attempts))
            found.append(self.outbox[parcel])
        return found

    def failed_again(self, parcel: str) -> None:
        if parcel in self.outbox:
            self.change(self.outbox, parcel, attempts=self.outbox[parcel]["attempts"] + 1)

    def bury_parcel(self, parcel: str, reason: str, attempts: int) -> None:
        row = self.remove(self.outbox, parcel)
        for tell in from_json(row["tells"]) if row else ():
            place = {"id": tell[0], "kind": row["kind"], "key": row["key"]}  # type: ignore[index]
            self._die({**place, "tell": to_json(tell), "reason": reason, "attempts": attempts})

    def reminders_due(self, slots: list[int], now_ms: int, rows_max: int) -> list[Row]:
        owned = set(slots)
        due = [row for row in self.reminder.values() if row["slot"] in owned and row["due"] <= now_ms]
        return sorted(due, key=lambda row: (row["due"], row["id"]))[:rows_max]

    def spread(
        self, slots: list[int], now_ms: int, over_ms_max: int, overdue_ms: int, rows_max: int, herd_min: int
    ) -> list[Row]:
        late = sorted(self.reminders_due(slots, now_ms, rows_max), key=lambda row: (row["due"], row["id"]))
        over_ms = min(now_ms - late[0]["due"], over_ms_max) if late else 0
        if len(late) <= herd_min or over_ms <= overdue_ms:
            return []
        for place, row in enumerate(late):
            key = (row["kind"], row["key"], row["name"])
            self.change(self.reminder, key, due=now_ms + over_ms * place // len(late))
        return late

    def put_off(self, ids: list[str], due: int) -> None:
        for key in [key for key, row in self.reminder.items() if row["id"] in ids]:
            self.change(self.reminder, key, due=due)

    def reminded(self, ids: list[str]) -> None:
        for key in [key for key, row in self.reminder.items() if row["id"] in ids]:
            self.remove(self.reminder, key)

    def active_content(self, known: int) -> list[Row]:
        return [row for row in self.content.values() if row["active"] and row["version"] != known]


_NO_CHECKPOINT = dict.fromkeys(("version", "state_version", "checksum", "state"))


def _conflict(constraint: str, column: str, row: Row) -> UniqueConflict:
    values = f"{row['kind']}, {row['key']}, {row[column]}"
    return UniqueConflict(constraint, f"Key (kind, key, {column})=({values}) already exists.")


STATEMENTS: dict[str, Callable[..., list[Row] | None]] = {
    journal.WRITE: Store.write,
    journal.RETRY: Store.retry,
    journal.RETRY_PARCEL: Store.retry_parcel,
    journal.BURY: Store.bury,
    journal.REMIND: Store.remind,
    journal.FORGET: Store.forget,
    journal.CHECKPOINT: Store.keep,
    journal.RECORDS["sanction"]: Store.record_sanctions,
    journal.RECORDS["incident"]: Store.record_incidents,
    journal._LOAD_CHECKPOINTS: Store.load_checkpoints,
    journal._LOAD_TAILS: Store.load_tails,
    journal._TURNS: Store.load_turns,
    journal._FIND_OPS: Store.find_ops,
    lease._REGISTER: Store.register,
    lease._RENEW: Store.renew,
    directory._ROUTES: Store.routes,
    directory._WANT: Store.want,
    sweeper._PARCELS_DUE: Store.parcels_due,
    sweeper._FAILED_AGAIN: Store.failed_again,
    sweeper._BURY: Store.bury_parcel,
    sweeper._REMINDERS_DUE: Store.reminders_due,
    sweeper._SPREAD: Store.spread,
    sweeper._PUT_OFF: Store.put_off,
    sweeper._REMINDED: Store.reminded,
    content._ACTIVE: Store.active_content,
}

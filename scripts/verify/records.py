"""What stands beside the journal and must agree: incidents and sanctions (K5), accounts (K1), reminders (K9)."""

from typing import Any

from actors.core import Actor, Forget, Remind
from actors.fraud.assess import Banned, Suspected, Suspended
from actors.runtime.database import Row
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.snapshot import ACCOUNTS, REMINDERS, Alongside, Snapshot
from scripts.verify.watcher import Watcher

_ASK_AFTER = 1_000

_NO_INCIDENT = """
SELECT wanted.id, wanted.address FROM unnest($1::text[], $2::text[]) AS wanted (id, address)
WHERE NOT EXISTS (SELECT FROM incident WHERE incident.id = wanted.id)
"""
_NO_SANCTION = """
SELECT wanted.player, wanted.standing, wanted.address
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS wanted (player, standing, at, address)
WHERE NOT EXISTS (
    SELECT FROM sanction s WHERE s.user_id = wanted.player AND s.standing = wanted.standing AND s.at = wanted.at)
"""
_REMINDER_MARGIN_MS = 60_000
"""Clocks of hosts may be off by this much."""


class Records(Watcher):
    """What fraud detectors wrote into the tables that people read."""

    kinds = frozenset({"fraud"})

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._incidents: list[tuple[str, str]] = []
        self._sanctions: list[tuple[str, str, int, str]] = []

    def turn(self, past: Past) -> None:
        address = str(past.address)
        for event in past.events:
            if isinstance(event, Suspected):
                self._incidents += [(incident["id"], address) for incident in event.incidents]
            elif isinstance(event, Banned):
                self._sanctions.append((event.player, "banned", event.at, address))
            elif isinstance(event, Suspended):
                self._sanctions.append((event.player, "suspended", event.at, address))

    async def paused(self, snapshot: Snapshot) -> None:
        if len(self._incidents) + len(self._sanctions) >= _ASK_AFTER:
            await self.end(snapshot)

    async def end(self, snapshot: Snapshot) -> None:
        incidents, self._incidents = self._incidents, []
        sanctions, self._sanctions = self._sanctions, []
        todo = "Rows of a read model are gone. The evidence is in the detector's history; restore the table."
        if incidents:
            for row in await snapshot.fetch(_NO_INCIDENT, *map(list, zip(*incidents, strict=True))):
                self.report.found("K5", row["address"], f"its incident {row['id']} is not in the table", todo)
        if sanctions:
            for row in await snapshot.fetch(_NO_SANCTION, *map(list, zip(*sanctions, strict=True))):
                what = f"player {row['player']} was {row['standing']}, which the table of sanctions does not say"
                self.report.found("K5", row["address"], what, todo)


class Players:
    """Accounts whose player was acknowledged, against the players that have a history."""

    def __init__(self, report: Report, snapshot: Snapshot) -> None:
        self._report = report
        self._accounts = Alongside(snapshot.pages(ACCOUNTS), lambda row: row["id"])
        self._count = 0

    async def begin(self, address: Address | None) -> None:
        """This player is next in the journal; None: no more are."""
        rows = await self._accounts.up_to(None if address is None else address.key)
        self._count += len(rows)
        if address is not None and rows and rows[-1]["id"] == address.key:
            rows.pop()
        for row in rows:
            what = "its account is there and its player was acknowledged, but has no history"
            todo = "Its journal is gone: restore it from a backup. A new login makes the player anew only with nothing."
            self._report.found("K1", f"player:{row['id']}", what, todo)
        if address is None:
            self._report.judged("K1", self._count, "accounts and their players")


class Reminders(Watcher):
    """Each reminder that is still to come must be in its table; those that are due may have been delivered."""

    def __init__(self, report: Report, snapshot: Snapshot) -> None:
        super().__init__(report)
        self._rows = Alongside(snapshot.pages(REMINDERS), lambda row: (row["kind"], row["key"]))
        self._later_ms = snapshot.now_ms + _REMINDER_MARGIN_MS
        self._set: dict[str, tuple[str, int]] = {}
        self._unsure = False
        self._done: list[tuple[Address, dict[str, tuple[str, int]]]] = []

    def turn(self, past: Past) -> None:
        if not past.certain:
            self._set, self._unsure = {}, True
        for effect in past.others:
            if isinstance(effect, Remind):
                self._set[effect.name] = (f"remind:{past.address}/{past.version}/{effect.name}", effect.at)
            elif isinstance(effect, Forget):
                self._set.pop(effect.name, None)

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        later = {name: one for name, one in self._set.items() if one[1] > self._later_ms}
        if later and not self._unsure:
            self._done.append((address, later))
        self._set, self._unsure = {}, False

    async def paused(self, snapshot: Snapshot) -> None:
        for address, later in self._done:
            there = {row["id"] for row in _of(address, await self._rows.up_to((address.kind, address.key)))}
            for name, (op, _) in later.items():
                if op not in there:
                    todo = "What it was to do will not happen by itself (a period that is not closed, for example)."
                    self.report.found("K9", address, f"its reminder {name!r} ({op}) is gone before it was due", todo)
        self._done = []

    async def end(self, snapshot: Any) -> None:
        await self.paused(snapshot)


def _of(address: Address, rows: list[Row]) -> list[Row]:
    return [row for row in rows if (row["kind"], row["key"]) == (address.kind, address.key)]

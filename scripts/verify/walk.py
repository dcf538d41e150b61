"""Reads the whole journal once, actor by actor in order, and shows it to all that watch."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from actors.catalog import Catalog
from actors.content import Content
from actors.runtime.database import Row
from actors.runtime.journal import Checkpoint
from actors.times import rfc3339
from schemas.address import Address
from scripts.verify.bags import Bags
from scripts.verify.bounds import Bounds
from scripts.verify.clients import Clients
from scripts.verify.earned import Earned
from scripts.verify.guilds import Guilds
from scripts.verify.history import History
from scripts.verify.items import Items
from scripts.verify.records import Players, Records, Reminders
from scripts.verify.replay import HostRun, Replay, Rules
from scripts.verify.report import Report
from scripts.verify.scores import Scores
from scripts.verify.snapshot import CHECKPOINTS, DEAD_LETTERS, DISCARDED, OUTBOX, TURNS, Alongside, Snapshot
from scripts.verify.tells import Tells
from scripts.verify.tokens import Tokens
from scripts.verify.wallets import Wallets
from scripts.verify.watcher import DEAD, GIVEN_UP, OUT, Waiting, Watcher

_CONTENTS = "SELECT version, active, body FROM content ORDER BY version"
_SECRET = "SELECT value FROM secret WHERE name = 'actions'"  # noqa: S105 - where it is, not what it is
_RUNS = """
SELECT run, CASE WHEN retired THEN (extract(epoch FROM lease) * 1000)::bigint END AS until FROM host
"""
_CONSTRAINTS = "SELECT conname FROM pg_constraint WHERE conrelid = 'journal'::regclass AND convalidated"
_QUARANTINED = "SELECT kind, key FROM quarantine WHERE cardinality(crashes) >= 3 AND since IS NOT NULL LIMIT 20"
_OVERDUE = "SELECT count(*) FROM outbox WHERE due < now() - interval '1 minute'"

Progress = Callable[[str, int], None]
"""Told what is read, and how many turns of it are done."""


class Walk:
    """One verification of one snapshot. `strict`: turns that today's rules decide otherwise are breaches too."""

    def __init__(
        self, snapshot: Snapshot, progress: Progress, *, history: History | None = None, strict: bool = False
    ) -> None:
        self.snapshot = snapshot
        self.report = Report()
        self.catalog = Catalog()
        self._progress = progress
        self._history = history
        self._strict = strict
        self._content = Content()
        self._unknown: Counter[str] = Counter()

    async def run(self) -> Report:
        """Everything that can be proved."""
        began = time.monotonic()
        report, snapshot = self.report, self.snapshot
        report.at = rfc3339(snapshot.now_ms)
        rules = await self._rules()
        await self._check_table()
        tells = Tells(report, self.catalog, self._content)
        watchers: list[Watcher] = [
            tells,
            Scores(report, self._content),
            Wallets(report),
            Guilds(report),
            Items(report),
            Bags(report),
            Earned(report, rules.contents),
            Tokens(report),
            Bounds(report),
            Records(report),
            Reminders(report, snapshot),
        ]
        await self._read("journal", watchers, rules, report, Players(report, snapshot))
        if tells.wrong:
            await self._look_closer(tells, rules)
        if self._history is not None:
            await Clients(self._history, snapshot, self.catalog, report).judge()
        self._sum_up(rules)
        await self._remark()
        report.seconds = time.monotonic() - began
        return report

    async def _look_closer(self, tells: Tells, rules: Rules) -> None:
        """Read again, for the messages whose sums do not come out."""
        closer = Tells(self.report, self.catalog, self._content, tells.wrong)
        # What this reading finds of everything else was found before.
        again = Rules(rules.contents, rules.secret, rules.runs)
        await self._read("messages", [closer], again, Report(), None)
        if tells.wrong_count > len(tells.wrong):
            share = len(tells.wrong) / tells.wrong_count
            self.report.not_judged("K9", f"so much is wrong that only {share:.0%} of it was looked at one by one")

    async def _rules(self) -> Rules:
        snapshot = self.snapshot
        contents: dict[int, Content] = {}
        for row in await snapshot.fetch(_CONTENTS):
            try:
                body = {**from_json(row["body"]), "version": row["version"]}
                contents[row["version"]] = Content.model_validate(body, strict=False)
            except ValidationError:
                self.report.remarks.append(f"Content {row['version']} cannot be read by this release.")
                continue
            if row["active"]:
                self._content = contents[row["version"]]
        secret = await snapshot.fetch_value(_SECRET)
        runs = {row["run"]: HostRun(row["until"]) for row in await snapshot.fetch(_RUNS)}
        return Rules(contents, bytes(secret or b""), runs)

    async def _check_table(self) -> None:
        there = {row["conname"] for row in await self.snapshot.fetch(_CONSTRAINTS)}
        for name in sorted({"journal_history", "journal_op"} - there):
            todo = "Without it two hosts can write one history, and one request count twice. Restore the schema."
            self.report.found("K4", "journal", f"the table has lost its constraint {name}", todo)

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read(
        self, what: str, watchers: Sequence[Watcher], rules: Rules, report: Report, players: Players | None
    ) -> None:
        async for message in self._waiting():
            for watcher in watchers:
                watcher.waits(message)
        checkpoints = Alongside(self.snapshot.pages(CHECKPOINTS), lambda row: (row["kind"], row["key"]))
        unknown = self._unknown if report is self.report else Counter[str]()
        reader = _Reading(self.catalog, watchers, rules, report, unknown)
        done = 0
        async for rows in self._ahead():
            for row in rows:
                if not reader.is_of(row):
                    address = Address(row["kind"], row["key"])
                    if players is not None and address.kind == "player":
                        await players.begin(address)
                    reader.next(address, await checkpoints.up_to(address))
                reader.take(row)
            done += len(rows)
            self._progress(what, done)
            for watcher in watchers:
                await watcher.paused(self.snapshot)
        reader.next(None, await checkpoints.up_to(None))
        if players is not None:
            await players.begin(None)
        for watcher in watchers:
            await watcher.end(self.snapshot)

    async def _ahead(self) -> AsyncIterator[list[Row]]:
        """Pages of the journal; Postgres prepares one while we look at the one before."""
        await self.snapshot.execute(TURNS.declare)
        rows = await self.snapshot.fetch(TURNS.fetch)
        while rows:
            yield rows
            rows = await self.snapshot.fetch(TURNS.fetch)
            await asyncio.sleep(0)
        await self.snapshot.execute(TURNS.close)

    async def _waiting(self) -> AsyncIterator[Waiting]:
        async for rows in self.snapshot.pages(OUTBOX):
            for row in rows:
                for message in self._messages(row, f"{row['kind']}:{row['key']}", OUT, lambda row: row["tells"]):
                    yield message
        async for rows in self.snapshot.pages(DEAD_LETTERS):
            for row in rows:
                for message in self._messages(row, f"{row['kind']}:{row['key']}", DEAD, _alone):
                    yield message
        async for rows in self.snapshot.pages(DISCARDED):
            for row in rows:
                for message in self._messages(row, row["subject"], GIVEN_UP, _alone):
                    yield message

    def _messages(self, row: Row, to: str, where: str, tells: Callable[[Row], bytes]) -> list[Waiting]:
        try:
            address = Address.parse(to)
            return [Waiting(op, address, name, dict(fields), where) for op, name, fields in from_json(tells(row))]
        except (ValueError, TypeError) as error:
            what = f"a row of {where} for it cannot be read: {str(error)[:100]}"
            todo = "What it carries will never arrive. Look at the row, and mend or remove it by hand."
            self.report.found("K9", to, what, todo)
            return []

    # -- the end --------------------------------------------------------------------------------------------------

    def _sum_up(self, rules: Rules) -> None:
        report = self.report
        report.judged("K4", report.turns, f"turns of {report.actors:,} actors")
        report.judged("K5", report.events, "events replayed")
        report.not_judged("K5", "the memory of hosts, only what they would wake to")
        for invariant in ("K2", "K3", "K10", "K11", "K12", "K13"):
            if invariant not in report.looked:
                missing = "the history has none" if self._history is not None else "needs --history"
                report.not_judged(invariant, missing)
        if self._history is None:
            report.not_judged("K1", "requests of clients need --history")
        for kind, count in sorted(self._unknown.items()):
            report.not_judged("K5", f"actors of kind {kind!r} ({count:,}), which no code knows")
        if not rules.otherwise:
            return
        count = len(rules.otherwise)
        first = "; ".join(rules.otherwise[:3]) + (" ..." if len(rules.otherwise) > 3 else "")
        have = "actor has" if count == 1 else "actors have"
        told = f"{count:,} {have} turns that today's rules decide otherwise: {first}"
        if self._strict:
            for one in rules.otherwise:
                actor, _, what = one.partition(" ")
                todo = "The row was changed, or the rules were, or a rule is not deterministic."
                report.found("K5", actor, what, todo)
        else:
            report.remarks.append(f"{told}. Right after rules were changed; otherwise look at them, or use --strict.")

    async def _remark(self) -> None:
        for row in await self.snapshot.fetch(_QUARANTINED):
            self.report.remarks.append(f"{row['kind']}:{row['key']} is in quarantine: it crashed its host repeatedly.")
        overdue = await self.snapshot.fetch_value(_OVERDUE)
        if overdue:
            self.report.remarks.append(
                f"{overdue:,} parcels in the outbox are overdue by a minute or more. Do hosts run? `greenroom doctor`"
            )


class _Reading:
    """Where the reading is: the actor at hand, and those who watch its kind."""

    def __init__(
        self, catalog: Catalog, watchers: Sequence[Watcher], rules: Rules, report: Report, unknown: Counter[str]
    ) -> None:
        self._catalog = catalog
        self._watchers = watchers
        self._rules = rules
        self._report = report
        self._unknown = unknown
        self._address: Address | None = None
        self._replay: Replay | None = None
        self._watching: list[Watcher] = []

    def is_of(self, row: Row) -> bool:
        """Whether the row belongs to the actor at hand."""
        address = self._address
        return address is not None and row["key"] == address.key and row["kind"] == address.kind

    def next(self, address: Address | None, checkpoints: list[Row]) -> None:
        """The actor at hand has no more turns; this one is next, or none is."""
        replay = self._replay
        if replay is not None:
            replay.end()
            for watcher in self._watching:
                watcher.left(replay.address, replay.actor, replay.version)
        own = None
        for row in checkpoints:
            if (row["kind"], row["key"]) == address:
                own = _checkpoint(row)
            else:
                what = f"it has a checkpoint at version {row['version']} and no history at all"
                todo = "Its journal is gone: restore it from a backup. The checkpoint alone is no truth."
                self._report.found("K5", f"{row['kind']}:{row['key']}", what, todo)
        self._address, self._replay = address, None
        if address is None:
            return
        kind = self._catalog.kinds.get(address.kind)
        if kind is None:
            self._unknown[address.kind] += 1
            return
        self._report.actors += 1
        self._replay = Replay(address, kind, own, self._rules, self._report)
        self._watching = [watcher for watcher in self._watchers if not watcher.kinds or address.kind in watcher.kinds]

    def take(self, row: Row) -> None:
        """The next turn of the actor at hand."""
        self._report.turns += 1
        if self._replay is None:
            return
        past = self._replay.take(row)
        if past is not None:
            self._report.events += past.length
            for watcher in self._watching:
                watcher.turn(past)


def _alone(row: Row) -> bytes:
    """The one message of the row, as a list."""
    return b"[" + bytes(row["tell"]) + b"]"


def _checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(row["version"], row["state_version"], row["checksum"], row["state"])

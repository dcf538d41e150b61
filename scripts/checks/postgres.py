"""Checks of Postgres: durability, schema, the journal's size, and whatever waits in the tables."""

import time
from collections.abc import AsyncIterator
from typing import Any

from actors.runtime.database import Database, Refused
from actors.runtime.migrations import migrations
from schemas.problems import Refusal
from scripts.checks import Finding, green, red, yellow

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
LONG_TRANSACTION_S = 30
OUTBOX_AGE_YELLOW_S = 10
OUTBOX_AGE_RED_S = 120
LEASE_S = 5
CLOCKS_APART_S = 2.0
VERSION_MIN = 14

_SETTINGS = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('autovacuum') AS autovacuum,
       current_setting('synchronous_standby_names') AS standby_names,
       (SELECT count(*) FROM pg_stat_replication) AS replicas,
       extract(epoch FROM clock_timestamp())::float8 AS now
"""
_LONG = """
SELECT count(*) AS count, coalesce(extract(epoch FROM max(now() - xact_start)), 0)::int AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - $1 * interval '1 second'
"""
_TABLES = "SELECT to_regclass('migration') IS NOT NULL AS migration, to_regclass('journal') IS NOT NULL AS journal"
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(part.inhrelid)), 0)::bigint AS bytes,
       coalesce(sum(live.n_live_tup), 0)::bigint AS turns
FROM pg_inherits part LEFT JOIN pg_stat_user_tables live ON live.relid = part.inhrelid
WHERE part.inhparent = 'journal'::regclass
"""
_OUTBOX = """
SELECT count(*) AS count, coalesce(max(attempts), 0) AS attempts,
       coalesce(extract(epoch FROM max(now() - due)), 0)::float8 AS late FROM outbox
"""
_REMINDERS = """
SELECT count(*) AS count,
       coalesce(extract(epoch FROM clock_timestamp()) - min(due) / 1000.0, 0)::float8 AS late FROM reminder
"""
_LEASES = """
SELECT name, run, extract(epoch FROM clock_timestamp() - (lease - interval '5 seconds'))::float8 AS age
FROM host WHERE NOT retired ORDER BY name
"""
_SLOTS = """
SELECT count(*) AS count, count(*) FILTER (WHERE host.run IS NULL) AS orphaned
FROM slot LEFT JOIN host ON host.run = slot.run AND NOT host.retired AND host.lease > clock_timestamp()
"""
_QUARANTINED = "SELECT kind || ':' || key AS address FROM quarantine WHERE since IS NOT NULL ORDER BY since LIMIT 5"
_ADMINS = "SELECT count(*) FROM account WHERE 'admin' = ANY(roles)"


async def look(database: Database, *, serving: bool) -> AsyncIterator[Finding]:
    """All checks of the database. What a running Greenroom keeps in it is looked at when `serving`."""
    began = time.monotonic()
    row = await database.fetch_row(_SETTINGS)
    took_ms = (time.monotonic() - began) * 1000
    assert row is not None  # noqa: S101 - the query has one row
    for finding in _server(row, took_ms):
        yield finding
    yield await _transactions(database)
    tables = await database.fetch_row(_TABLES)
    assert tables is not None  # noqa: S101 - the query has one row
    yield await _schema(database, there=tables["migration"])
    if not tables["journal"]:
        return
    size = await database.fetch_row(_SIZE)
    assert size is not None  # noqa: S101 - the query has one row
    yield green("journal", f"about {size['turns']:,} turns in {size['bytes'] / (1 << 20):,.0f} MiB")
    for check in (_dead_letters, _outbox, _reminders, _quarantine, _admins):
        yield await check(database)
    if serving:
        yield await _leases(database)
        yield await _slots(database)


def _server(row: Any, took_ms: float) -> list[Finding]:
    version = f"{row['version']}, answers in {took_ms:.1f} ms"
    old = row["number"] < VERSION_MIN * 10_000
    findings = [
        red("postgres", version, f"Greenroom needs Postgres {VERSION_MIN} or newer.")
        if old
        else green("postgres", version)
    ]
    wrong = [name for name in DURABLE if row[name] not in ("on", "remote_apply", "remote_write", "local")]
    if wrong:
        advice = "Turn them on: a crash loses acknowledged commands without them."
        findings.append(red("durability", f"{', '.join(wrong)} off", advice))
    else:
        findings.append(green("durability", ", ".join(f"{name} {row[name]}" for name in DURABLE)))
    if row["replicas"] and not row["standby_names"]:
        advice = "Set synchronous_standby_names, or a failover to a replica loses acknowledged commands."
        findings.append(yellow("replicas", f"{row['replicas']}, none of them synchronous", advice))
    elif row["replicas"]:
        findings.append(green("replicas", f"{row['replicas']}, synchronous: {row['standby_names']}"))
    else:
        findings.append(green("replicas", "none: acknowledged commands are as safe as this server's disk"))
    if row["autovacuum"] != "on":
        findings.append(yellow("autovacuum", "off", "Turn it on: outbox and sessions grow without it."))
    apart = abs(time.time() - row["now"])
    if apart > CLOCKS_APART_S:
        findings.append(yellow("clocks", f"Postgres' clock is {apart:.1f} s apart from ours", "Run NTP on both."))
    return findings


async def _transactions(database: Database) -> Finding:
    row = await database.fetch_row(_LONG, LONG_TRANSACTION_S)
    if row is not None and row["count"]:
        advice = "End them (pg_stat_activity shows whose they are): they keep the tables from being cleaned."
        return yellow("transactions", f"{row['count']} open for up to {row['seconds']} s", advice)
    return green("transactions", f"none open for more than {LONG_TRANSACTION_S} s")


async def _schema(database: Database, *, there: bool) -> Finding:
    known = {one.number: one for one in migrations()}
    rows = await database.fetch("SELECT number, name, checksum FROM migration") if there else []
    newer = [f"{row['number']:04}_{row['name']}" for row in rows if row["number"] not in known]
    if newer:
        return red("schema", f"is newer than this release: {', '.join(newer)}", "Run the release that wrote it.")
    changed = [f"{row['number']:04}" for row in rows if row["checksum"] != known[row["number"]].checksum]
    if changed:
        return red(
            "schema", f"migrations {', '.join(changed)} differ from those that ran", "Restore the released files."
        )
    due = sorted(set(known) - {row["number"] for row in rows})
    if due:
        found = f"{len(due)} migrations are due"
        return yellow("schema", found, "`greenroom migrate` runs them; so does `greenroom serve`.")
    return green("schema", f"version {max(known)}, up to date")


async def _dead_letters(database: Database) -> Finding:
    count = await database.fetch_value("SELECT count(*) FROM dead_letter")
    if count:
        return yellow("dead letters", f"{count:,}", "`greenroom dead-letters list` shows them; replay or discard each.")
    return green("dead letters", "none")


async def _outbox(database: Database) -> Finding:
    row = await database.fetch_row(_OUTBOX)
    assert row is not None  # noqa: S101 - the query has one row
    found = f"{row['count']:,} rows, the oldest {max(0.0, row['late']):.0f} s overdue, up to {row['attempts']} attempts"
    advice = "Messages between actors wait: look at the hosts' leases, and for refusals in their logs."
    if row["late"] > OUTBOX_AGE_RED_S:
        return red("outbox", found, advice)
    if row["late"] > OUTBOX_AGE_YELLOW_S:
        return yellow("outbox", found, advice)
    return green("outbox", found if row["count"] else "empty")


async def _reminders(database: Database) -> Finding:
    row = await database.fetch_row(_REMINDERS)
    assert row is not None  # noqa: S101 - the query has one row
    found = f"{row['count']:,}"
    if row["late"] > OUTBOX_AGE_RED_S:
        return yellow(
            "reminders", f"{found}, the oldest {row['late']:.0f} s overdue", "They run when a host serves again."
        )
    return green("reminders", f"{found} waiting")


async def _quarantine(database: Database) -> Finding:
    rows = await database.fetch(_QUARANTINED)
    if rows:
        listed = ", ".join(row["address"] for row in rows)
        return red("quarantine", listed, "They crashed their host three times in a minute; see the hosts' logs.")
    return green("quarantine", "empty")


async def _admins(database: Database) -> Finding:
    try:
        count = await database.fetch_value(_ADMINS)
    except (Refused, Refusal):
        return yellow("administrators", "unknown", "`greenroom migrate` makes the tables.")
    if not count:
        return yellow("administrators", "none", "`greenroom admin create-admin NAME` makes the first one.")
    return green("administrators", f"{count}")


async def _leases(database: Database) -> Finding:
    rows = await database.fetch(_LEASES)
    stale = [f"{row['name']} ({row['age']:.0f} s)" for row in rows if row["age"] > LEASE_S]
    if not rows or len(stale) == len(rows):
        return red(
            "hosts", "no host holds a lease", "Commands are refused: look at the hosts' logs in Ray's session folder."
        )
    if stale:
        return yellow("hosts", f"not renewed: {', '.join(stale)}", "Others take over their actors; see their logs.")
    oldest = max(row["age"] for row in rows)
    return green("hosts", f"{len(rows)}, leases renewed within {max(0.0, oldest):.1f} s")


async def _slots(database: Database) -> Finding:
    row = await database.fetch_row(_SLOTS)
    assert row is not None  # noqa: S101 - the query has one row
    if row["orphaned"]:
        found = f"{row['orphaned']} of {row['count']} are served by nobody"
        return yellow("slots", found, "The director gives them out within seconds; if not, see serve.log.")
    return green("slots", f"{row['count']}, all served")

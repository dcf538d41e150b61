"""A small world in which everything has happened that `greenroom verify` looks at, and then nothing more does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from actors.core import Command
from actors.fraud.assess import Assess
from actors.leaderboard.resets import ClosePeriod
from actors.player.actions import CompleteAction, StartAction
from actors.player.inbox import Notify
from actors.player.profile import Create
from actors.player.score import AwardScore
from actors.player.wallet import Credit, Debit, GrantCurrency
from actors.runtime import content
from actors.runtime.database import Connection
from actors.times import DAY_MS
from schemas.address import Address, player
from schemas.messages import Caller, Reply
from schemas.settings import PROJECT
from scripts.content_files import load_content
from scripts.verify.report import Report
from scripts.verify.snapshot import Snapshot
from scripts.verify.walk import Walk
from tests.harness import Greenroom, eventually

SERVER = ("server",)
PLAYERS = ("ann", "bea", "cleo")
MAIN, CUP, DAILY, TEAMS = (Address("leaderboard", f"{board}/0") for board in ("main", "cup", "daily", "teams"))

CUP_SHARDS = 2


async def play(greenroom: Greenroom) -> None:
    """Three players score, pay and are paid; a period ends with rewards; a detector has a case; a letter is dead."""
    await _with_a_cup(greenroom)
    for key in PLAYERS:
        sql = "INSERT INTO account (id, external_id, display_name, player_made) VALUES ($1, $1, $1, true)"
        await greenroom.database.execute(sql, key)
        await ask(greenroom, player(key), Create(name=key))
    for number, key in enumerate((*PLAYERS, *PLAYERS, "ann"), 1):
        attributes: dict[str, str | int | bool] = {"team": "reds" if key == "ann" else "blues"}
        await ask(greenroom, player(key), AwardScore(points=number, attributes=attributes), op=f"award-{number}")
        for board in ("cup", "daily"):
            await ask(greenroom, player(key), AwardScore(points=number, board=board))
    await ask(greenroom, player("ann"), GrantCurrency(currency="gems", amount=7, reason="gift"))
    await ask(greenroom, player("ann"), Debit(currency="gold", amount=30, reason="a hat"))
    await ask(greenroom, player("bea"), Credit(currency="gems", amount=2, reason="found"))
    await ask(greenroom, player("bea"), Notify(template="hello"))
    await _fast_action(greenroom)
    await delivered(greenroom)
    await _end_of_the_cup(greenroom)
    # Nobody of this name: what the detector tells it can only die.
    for at in (1, 2):
        too_fast = Assess(player="nobody", action="boss_kill", at=at, took_ms=1, minimum_ms=2_000, points=50, recent=[])
        await ask(greenroom, Address("fraud", "0"), too_fast)
    await eventually(lambda: dead(greenroom))
    await delivered(greenroom)


async def ask(greenroom: Greenroom, to: Address, command: Command[Any], op: str = "") -> Reply:
    public = Caller(to.key, SERVER)
    reply = await greenroom.persist(to, command, op=op, caller=public)
    assert reply.status == 200, (command, reply)
    return reply


async def delivered(greenroom: Greenroom) -> None:
    """Wait until nothing is under way."""

    async def empty() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        return bool(await greenroom.database.fetch_value("SELECT count(*) = 0 FROM outbox"))

    await eventually(empty)


def dead(greenroom: Greenroom) -> Awaitable[Any]:
    return greenroom.database.fetch_value("SELECT count(*) FROM dead_letter")


async def _with_a_cup(greenroom: Greenroom) -> None:
    """Publish the starter content with one more board, in two parts, that pays at the end of the day."""
    body = load_content(PROJECT / "content").model_dump(mode="json", exclude={"version"})
    rewards = [{"first": 1, "last": 2, "currency": "gold", "amount": 10}]
    body["boards"]["cup"] = {"title": "Cup", "reset": "daily", "shards": CUP_SHARDS, "rewards": rewards}
    version = await content.publish(greenroom.database, body, by="tests")
    await eventually(lambda: all(home.host.turns.content.current.version == version for home in greenroom.homes))


async def _fast_action(greenroom: Greenroom) -> None:
    """An action that is completed faster than it can be done: it counts, and is suspicious."""
    started = await ask(greenroom, player("cleo"), StartAction(type="boss_kill"))
    complete = CompleteAction(action_id=started.data["id"], action_token=started.data["actionToken"])
    await ask(greenroom, player("cleo"), complete)


async def _end_of_the_cup(greenroom: Greenroom) -> None:
    """The cup's period is closed before its time, and a score comes late for it."""
    at = greenroom.homes[0].host.lease.now_ms()
    for shard in range(CUP_SHARDS):
        await ask(greenroom, Address("leaderboard", f"cup/{shard}"), ClosePeriod(period=at // DAY_MS))
    await ask(greenroom, player("bea"), AwardScore(points=1, board="cup"))
    paid = "SELECT count(*) FROM journal WHERE kind = 'player' AND events::text LIKE '%cup, rank%'"
    await eventually(lambda: _holds(greenroom, paid, 2))


async def _holds(greenroom: Greenroom, sql: str, count: int) -> bool:
    return bool(await greenroom.database.fetch_value(sql) == count)


# -- what tests do to it ----------------------------------------------------------------------------------------------


async def verified(connection: Connection, *, strict: bool = False) -> Report:
    """What verify says of what this transaction sees."""
    snapshot = Snapshot(connection)
    snapshot.now_ms = await snapshot.fetch_value("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return await Walk(snapshot, lambda what, done: None, strict=strict).run()


class Undone(Exception):
    """Ends a transaction whose changes nobody is to see."""


@asynccontextmanager
async def tampered(greenroom: Greenroom) -> AsyncIterator[Connection]:
    """A transaction for one corruption, rolled back at the end."""
    try:
        async with greenroom.database.transaction() as connection:
            yield connection
            raise Undone
    except Undone:
        pass


async def newest(connection: Connection, address: Address, like: str = "%") -> dict[str, Any]:
    """The newest turn of the actor whose events look like this, decoded."""
    sql = """
        SELECT kind, key, version, length, op, at, run, turn::text AS turn, events::text AS events FROM journal
        WHERE kind = $1 AND key = $2 AND events::text LIKE $3 ORDER BY version DESC LIMIT 1
    """
    row = await connection.fetch_row(sql, *address, like)
    assert row is not None
    return {**row, "turn": json.loads(row["turn"]), "events": json.loads(row["events"])}


async def last_version(connection: Connection, address: Address) -> int:
    sql = "SELECT max(version + length - 1) FROM journal WHERE kind = $1 AND key = $2"
    version: int = await connection.fetch_value(sql, *address)
    return version


async def insert(connection: Connection, turn: dict[str, Any]) -> None:
    sql = """
        INSERT INTO journal (kind, key, version, length, op, at, run, turn, events)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    """
    plain = [turn[name] for name in ("kind", "key", "version", "length", "op", "at", "run")]
    await connection.execute(sql, *plain, json.dumps(turn["turn"]), json.dumps(turn["events"]))


async def rewrite(connection: Connection, turn: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    """Change a turn where it stands."""
    change(turn)
    sql = """
        UPDATE journal SET turn = $4, events = $5, length = $6, run = $7
        WHERE kind = $1 AND key = $2 AND version = $3
    """
    where = (turn["kind"], turn["key"], turn["version"])
    values = (json.dumps(turn["turn"]), json.dumps(turn["events"]), turn["length"], turn["run"])
    await connection.execute(sql, *where, *values)


async def again(connection: Connection, turn: dict[str, Any], op: str) -> None:
    """The same turn once more at the end of the history, under another op id; a parcel's answers fit."""
    version = await last_version(connection, Address(turn["kind"], turn["key"])) + 1
    shift = version - turn["version"]
    told = dict(turn["turn"])
    if "tells" in told:
        told["reply"] = [[status, at + shift, *data] for status, at, *data in told["reply"]]
    await insert(connection, {**turn, "version": version, "op": op, "turn": told})


async def forget_checkpoint(connection: Connection, address: Address) -> None:
    await connection.execute("DELETE FROM checkpoint WHERE kind = $1 AND key = $2", *address)


async def remove_turn(connection: Connection, turn: dict[str, Any]) -> None:
    sql = "DELETE FROM journal WHERE kind = $1 AND key = $2 AND version = $3"
    await connection.execute(sql, turn["kind"], turn["key"], turn["version"])

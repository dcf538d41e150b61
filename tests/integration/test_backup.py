"""OP-13, RT-21: a backup taken under load holds all that was acknowledged, and becomes a Greenroom elsewhere."""

import asyncio
import gzip
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors.player.profile import Create
from actors.player.score import AwardScore, OwnScore
from actors.runtime.database import Database
from schemas.address import player
from scripts.backup.programs import without_password
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import NAME, EmbeddedPostgres
from scripts.verify.report import Report
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk
from tests.harness import Greenroom, Servers, eventually
from tests.integration.played import ask, play
from tests.integration.tool import Tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAYERS = [f"p{number}" for number in range(8)]
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


class Elsewhere(Servers):
    """The servers of the session, but for Postgres, which is another one with one database."""

    def __init__(self, servers: Servers, dsn: str) -> None:
        self.path, self.folder, self.redis = servers.path, servers.folder, servers.redis
        self.only = dsn

    def dsn(self, database: str, folder: Path | None = None) -> str:
        return self.only

    async def new_database(self) -> str:
        return NAME

    async def drop_database(self, name: str) -> None:
        pass


@dataclass
class Taken:
    """A backup, and what had happened when."""

    file: Path
    facts: dict[str, Any]
    acked_before: set[str] = field(default_factory=set)
    """Op ids of commands that were acknowledged before it was begun."""
    sent: set[str] = field(default_factory=set)
    """Op ids of all commands that were sent until it was done."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2, tell_attempts_max=2) as greenroom:
        await play(greenroom)
        for key in PLAYERS:
            await ask(greenroom, player(key), Create(name=key))
        yield greenroom


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taken(greenroom: Greenroom, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """A backup that is taken while eight players score as fast as they can."""
    folder = tmp_path_factory.mktemp("backups")
    over = asyncio.Event()
    acked: set[str] = set()
    sent: set[str] = set()

    async def score(key: str) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            op = f"{key}-{number}"
            sent.add(op)
            await ask(greenroom, player(key), AwardScore(points=1), op=op)
            acked.add(op)

    async with asyncio.TaskGroup() as game:
        for key in PLAYERS:
            game.create_task(score(key))
        await eventually(lambda: len(acked) > 200)
        before = set(acked)
        facts = await tool_for(greenroom, servers).json("backup", str(folder))
        assert len(acked) > len(before), "the game went on meanwhile"
        over.set()
    return Taken(Path(facts["file"]), facts, before, set(sent))


def tool_for(greenroom: Greenroom, servers: Servers, **environment: str) -> Tool:
    return Tool({"DATABASE_URL": servers.dsn(greenroom.database_name), "GREENROOM_DATA": "/nowhere", **environment})


@pytest_asyncio.fixture(loop_scope="module")
async def empty(servers: Servers) -> AsyncIterator[str]:
    """A database with nothing in it."""
    await servers._over("CREATE DATABASE restored")
    yield servers.dsn("restored")
    await servers.drop_database("restored")


async def verified(database_url: str) -> Report:
    database = Database(database_url, size=1)
    await database.open()
    try:
        async with snapshot_of(database) as snapshot:
            return await Walk(snapshot, lambda what, done: None).run()
    finally:
        await database.close()


async def test_op_13_all_that_was_acknowledged_before_is_in_the_copy_and_it_is_whole(
    taken: Taken, empty: str, greenroom: Greenroom
) -> None:
    restored = await Tool({"DATABASE_URL": empty}).json("restore", str(taken.file))
    report = await verified(empty)
    assert report.findings == []
    assert report.turns == restored["turns"] == taken.facts["turns"]
    copy = Database(empty, size=1)
    await copy.open()
    ops = {row["op"] for row in await copy.fetch("SELECT op FROM journal WHERE kind = 'player' AND key LIKE 'p_'")}
    assert taken.acked_before - ops == set()
    assert {op for op in ops if op.startswith("p")} - taken.sent == set()
    # Each table of the original is there; in those that the load leaves alone, each row is the same.
    tables = {row["relname"] for row in await greenroom.database.fetch(TABLES)}
    assert {row["relname"] for row in await copy.fetch(TABLES)} == tables
    rows = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"
    for table in sorted(tables - {"host", "slot", "outbox", "checkpoint", *(f"journal_{n}" for n in range(8))}):
        sql = rows.format(table)
        assert await copy.fetch_value(sql) == await greenroom.database.fetch_value(sql), table
    assert await copy.fetch_value("SELECT count(*) > 0 FROM dead_letter")
    await copy.close()


async def test_op_13_a_copy_elsewhere_serves_and_knows_nothing_of_the_hosts_of_the_original(
    taken: Taken, servers: Servers, greenroom: Greenroom, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    tool = Tool({"GREENROOM_DATA": str(elsewhere), "GREENROOM_UNSAFE": "true"})
    await tool.json("restore", str(taken.file))
    async with DataFolder(elsewhere) as folder:
        postgres = EmbeddedPostgres(folder, unsafe=True)
        async with Greenroom(Elsewhere(servers, await postgres.start()), hosts=1) as copy:
            hosts = await copy.database.fetch("SELECT endpoint FROM host WHERE run <= $1", greenroom.homes[-1].run)
            assert {row["endpoint"] for row in hosts} == {""}
            assert copy.homes[0].run > greenroom.homes[-1].run, "no run of the original is taken for one of the copy"
            before = (await copy.query(player("p0"), OwnScore(board="main"))).data["score"]
            assert before >= len([op for op in taken.acked_before if op.startswith("p0-")])
            again = await ask(copy, player("p0"), AwardScore(points=1), op="p0-0")
            assert again.data["score"]["current"] == 1, "what was acknowledged is answered again, not done again"
            await ask(copy, player("p0"), AwardScore(points=5))
            assert (await copy.query(player("p0"), OwnScore(board="main"))).data["score"] == before + 5
        assert (await verified(postgres.dsn)).findings == []
        await postgres.stop()
    shutil.rmtree(elsewhere)


async def test_only_its_owner_reads_it(taken: Taken) -> None:
    assert taken.file.stat().st_mode & 0o777 == 0o600
    assert taken.file.name.startswith("greenroom-2")


async def test_it_is_plain_sql_that_describes_itself(taken: Taken) -> None:
    with gzip.open(taken.file, "rt") as file:
        manifest = json.loads(file.readline().removeprefix("-- greenroom backup "))
    assert manifest["turns"] == taken.facts["turns"]
    assert "0001_journal" in manifest["schema"]


async def test_op_13_a_restore_never_writes_over_data(taken: Taken, servers: Servers, greenroom: Greenroom) -> None:
    before = await greenroom.database.fetch_value("SELECT count(*) FROM account")
    said = await tool_for(greenroom, servers).fails("restore", str(taken.file))
    assert "The database is not empty, and a restore never writes over data." in said
    assert await greenroom.database.fetch_value("SELECT count(*) FROM account") == before


def altered(taken: Taken, to: Path, change: tuple[bytes, bytes] = (b"", b""), keep: int | None = None) -> str:
    data = gzip.decompress(taken.file.read_bytes())
    assert change[0] in data
    to.write_bytes(gzip.compress(data.replace(*change, 1)[:keep], 1))
    return str(to)


async def test_op_13_a_backup_of_a_newer_schema_is_refused_before_anything_is_touched(
    taken: Taken, empty: str, tmp_path: Path
) -> None:
    newer = altered(taken, tmp_path / "newer", (b'"schema": {', b'"schema": {"9999_future": "x", '))
    said = await Tool({"DATABASE_URL": empty}).fails("restore", newer)
    assert "of a newer release" in said
    assert "9999_future, which this release does not know" in said


async def test_op_13_a_backup_of_an_older_schema_is_brought_up_to_date(
    taken: Taken, empty: str, tmp_path: Path
) -> None:
    """As a release would find it that has one migration more than the one that made the backup."""
    database = Database(empty, size=1)
    await database.open()
    await Tool({"DATABASE_URL": empty}).json("restore", str(taken.file))
    await database.execute(
        "DROP TABLE mfa_factor, mfa_recovery, mfa_pending, mfa_failure, identity, identity_proof; "
        "DELETE FROM migration WHERE number = 5"
    )
    older = (await Tool({"DATABASE_URL": empty}).json("backup", str(tmp_path / "older")))["file"]
    await database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    restored = await Tool({"DATABASE_URL": empty}).json("restore", older)
    assert restored["migrated"] == ["0005_mfa_oidc"]
    assert await database.fetch_value("SELECT count(*) FROM mfa_factor") == 0
    await database.close()


@pytest.mark.parametrize("how", ["torn", "cut", "damaged", "foreign", "wrong"])
async def test_a_backup_that_is_not_whole_restores_nothing(taken: Taken, empty: str, tmp_path: Path, how: str) -> None:
    path, packed = tmp_path / how, taken.file.read_bytes()
    if how == "torn":
        path.write_bytes(packed[: len(packed) // 2])
    elif how == "cut":
        altered(taken, path, keep=-200)
    elif how == "damaged":
        path.write_bytes(packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:])
    elif how == "foreign":
        path.write_text("SELECT 1;")
    else:
        altered(taken, path, (b"CREATE TABLE public.outbox", b"CREATE TABLE publik.outbox"))
    said = await Tool({"DATABASE_URL": empty}).fails("restore", str(path))
    assert {
        "torn": "is not whole: it ends too early",
        "cut": "is not whole: it ends too early",
        "damaged": "is damaged",
        "foreign": "is damaged, or no backup of Greenroom",
        "wrong": "nothing was restored: psql:<stdin>",
    }[how] in said
    database = Database(empty, size=1)
    await database.open()
    assert await database.fetch_value("SELECT to_regclass('journal') IS NULL")
    await database.close()


async def test_a_backup_is_never_overwritten_and_a_failure_leaves_nothing(
    taken: Taken, greenroom: Greenroom, servers: Servers, tmp_path: Path
) -> None:
    tool = tool_for(greenroom, servers)
    assert "is there already" in await tool.fails("backup", str(taken.file))
    assert "cannot be written: No such file" in await tool.fails("backup", str(tmp_path / "none" / "file"))
    bare = Tool({"DATABASE_URL": servers.dsn("postgres")})
    assert "nothing to back up" in await bare.fails("backup", str(tmp_path / "file"))
    await greenroom.database.execute("CREATE ROLE half_blind LOGIN; GRANT SELECT ON migration, journal TO half_blind")
    try:
        url = servers.dsn(greenroom.database_name).replace("greenroom@", "half_blind@")
        said = await Tool({"DATABASE_URL": url}).fails("backup", str(tmp_path / "file"))
    finally:
        await greenroom.database.execute("DROP OWNED BY half_blind; DROP ROLE half_blind")
    assert "pg_dump could not read the database" in said
    assert "permission denied" in said
    assert list(tmp_path.iterdir()) == []


async def test_a_backup_can_be_looked_at_without_a_database(taken: Taken) -> None:
    facts = await Tool({}).json("restore", "--check", str(taken.file))
    assert facts["turns"] == taken.facts["turns"]


async def test_a_password_is_not_on_the_command_line() -> None:
    address, secrets = without_password("postgresql://me:p%40ss+word@db.example:5432/game?sslmode=require")
    assert address == "postgresql://me@db.example:5432/game?sslmode=require"
    assert secrets == {"PGPASSWORD": "p@ss+word"}
    assert without_password("postgresql:///game?host=/run/pg&password=x") == (
        "postgresql:///game?host=%2Frun%2Fpg",
        {"PGPASSWORD": "x"},
    )
    assert without_password("postgresql://me@/game")[1] == {}

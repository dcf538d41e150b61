"""`greenroom verify` as operators use it: while the game goes on, from a terminal and from a program."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from actors.player.profile import Create
from actors.player.score import AwardScore
from actors.runtime import faults
from actors.runtime.database import Database
from schemas.address import Address, player
from schemas.problems import Refusal
from scripts.embedded.postgres import NAME
from scripts.verify.snapshot import snapshot_of
from scripts.verify.walk import Walk
from tests.harness import Greenroom, Servers, counter, eventually
from tests.harness.kinds import Add, AddDice, AddTotalOf, Close, Send, SetAlarm
from tests.integration.played import ask, delivered, tampered, verified
from tests.integration.tool import Tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAYERS = [f"p{number}" for number in range(8)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, hosts=2) as greenroom:
        for key in PLAYERS:
            await ask(greenroom, player(key), Create(name=key))
        yield greenroom


@pytest.fixture
def tool(greenroom: Greenroom, servers: Servers, tmp_path: Path) -> Tool:
    return Tool({"DATABASE_URL": servers.dsn(greenroom.database_name), "GREENROOM_DATA": str(tmp_path / "none")})


async def test_a_game_in_full_swing_is_verified_without_a_finding(greenroom: Greenroom, servers: Servers) -> None:
    over = asyncio.Event()

    async def score(key: str) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            attributes: dict[str, str | int | bool] = {"team": f"team-{number % 3}"}
            await ask(greenroom, player(key), AwardScore(points=number % 5 + 1, attributes=attributes))

    database = Database(servers.dsn(greenroom.database_name), size=1)
    await database.open()
    seen = []
    async with asyncio.TaskGroup() as game:
        for key in PLAYERS:
            game.create_task(score(key))
        for _ in range(4):
            await more_turns(greenroom)
            async with snapshot_of(database) as snapshot:
                report = await Walk(snapshot, lambda what, done: None).run()
            assert report.findings == []
            seen.append(report.turns)
        over.set()
    await database.close()
    assert seen == sorted(set(seen)), "each verification saw more turns than the one before"


async def more_turns(greenroom: Greenroom) -> None:
    """Wait until the game has gone on for a while."""
    before = await greenroom.database.fetch_value("SELECT count(*) FROM journal")
    grew = "SELECT count(*) > $1 FROM journal"
    await eventually(lambda: greenroom.database.fetch_value(grew, before + 50))


async def test_what_is_under_way_in_the_outbox_is_taken_into_account(greenroom: Greenroom) -> None:
    await delivered(greenroom)
    home = greenroom.home_of(player("p1"))
    faults.arm("after_reply_before_tell=raise")
    await ask(greenroom, player("p1"), AwardScore(points=100))
    await eventually(home.task.done)
    faults.arm("")
    async with greenroom.database.transaction() as connection:
        # Now, before the sweeper of the other host finds it due.
        waiting = await connection.fetch_value("SELECT count(*) FROM outbox")
        report = await verified(connection)
    assert report.findings == []
    assert waiting == 1
    assert "1 in the outbox" in report.looked["K9"]
    await greenroom.heal()
    await delivered(greenroom)


async def test_it_cannot_write(servers: Servers, greenroom: Greenroom) -> None:
    database = Database(servers.dsn(greenroom.database_name), size=1)
    await database.open()
    with pytest.raises(Refusal) as refused:
        async with snapshot_of(database) as snapshot:
            await snapshot.execute("DELETE FROM journal")
    assert "ReadOnlySQLTransaction" in refused.value.message
    await database.close()


async def test_people_see_each_invariant_with_what_was_looked_at(tool: Tool) -> None:
    done = await tool("verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ K8" in done.stdout
    assert "score events" in done.stdout
    assert "needs --history" in done.stdout
    assert "All 9 invariants that could be judged hold." in done.stdout


async def test_programs_get_the_same_as_json(tool: Tool) -> None:
    report = await tool.json("verify")
    assert report["ok"] is True
    assert report["findings"] == []
    verdicts = {one["id"]: one["verdict"] for one in report["invariants"]}
    assert verdicts["K4"] == verdicts["K9"] == "holds"
    assert verdicts["K2"] == "not judged"
    assert report["turns"] >= len(PLAYERS)


async def test_a_breach_ends_with_1_and_says_where_and_what_next(tool: Tool, greenroom: Greenroom) -> None:
    insert = "INSERT INTO outbox (id, slot, kind, key, due, tells) VALUES ('x', 0, 'player', 'p0', now() + '1 h', $1)"
    await greenroom.database.execute(insert, '[["player:p1/1/0", "notify", {"template": "t"}]]')
    try:
        done = await tool("verify")
        assert done.returncode == 1
        assert "K9 is broken" in done.stdout
        assert "player:p0: message player:p1/1/0 (notify) is in the outbox; its sender is player:p1" in done.stdout
        assert "next: " in done.stdout
        assert "K9 broken: 1 finding. Nothing was changed." in done.stdout
        told = await tool("verify", "--json")
        assert told.returncode == 1
        assert '"invariant": "K9", "actor": "player:p0"' in told.stdout
    finally:
        await greenroom.database.execute("DELETE FROM outbox WHERE id = 'x'")


async def test_turns_of_rules_that_are_gone_are_not_held_against_anybody(tool: Tool, greenroom: Greenroom) -> None:
    """After rules were changed, old turns are what they are; only --strict minds."""
    await ask(greenroom, player("p2"), AwardScore(points=3))
    await delivered(greenroom)
    award = "UPDATE journal SET turn = jsonb_set(turn::jsonb, '{data,reason}', '\"another\"')::json "
    newest = "WHERE key = 'p2' AND version = (SELECT max(version) FROM journal WHERE key = 'p2')"
    await greenroom.database.execute(award + newest)
    done = await tool("verify")
    assert done.returncode == 0, done.stdout
    assert "1 actor has turns that today's rules decide otherwise: player:p2 version" in done.stdout
    strict = await tool("verify", "--strict")
    assert strict.returncode == 1
    assert "player:p2: version" in strict.stdout


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Start one with `greenroom serve`"),
        ("postgresql://nobody@127.0.0.1:9/nothing", "Is it running? `greenroom doctor` looks."),
    ],
)
async def test_without_a_database_it_says_what_to_do(tmp_path: Path, url: str, says: str) -> None:
    tool = Tool({"GREENROOM_DATA": str(tmp_path / "none"), **({"DATABASE_URL": url} if url else {})})
    assert says in await tool.fails("verify")


async def test_a_user_without_rights_is_told_which_it_needs(greenroom: Greenroom, servers: Servers) -> None:
    await greenroom.database.execute("CREATE ROLE stranger LOGIN")
    try:
        tool = Tool({"DATABASE_URL": servers.dsn(greenroom.database_name).replace(f"{NAME}@", "stranger@")})
        assert "needs SELECT on all tables" in await tool.fails("verify")
    finally:
        await greenroom.database.execute("DROP ROLE stranger")


async def test_a_database_without_a_journal_is_told_apart(servers: Servers) -> None:
    tool = Tool({"DATABASE_URL": servers.dsn("postgres")})
    assert "`greenroom migrate` makes one" in await tool.fails("verify")


async def test_kinds_of_ones_own_are_judged_too(greenroom: Greenroom) -> None:
    """Replay, dice, consults, reminders and messages, of a kind that verify knows nothing else about."""
    one, two = counter("one"), counter("two")
    for command in (
        Add(amount=50),
        AddDice(),
        Send(to="two", amount=5),
        AddTotalOf(other="two"),
        SetAlarm(name="later", after_ms=3_600_000),
        Close(),
        Close(closed=False),
    ):
        await ask(greenroom, one, command)
    await delivered(greenroom)
    for address in (one, two):
        await greenroom.put_to_sleep(address)
    async with tampered(greenroom) as connection:
        assert (await verified(connection)).findings == []
        await connection.execute("DELETE FROM reminder WHERE kind = 'counter'")
        await connection.execute("DELETE FROM checkpoint WHERE kind = 'counter'")
        await connection.execute("DELETE FROM journal WHERE kind = 'counter' AND key = 'two'")
        report = await verified(connection)
    found = {(finding.invariant, finding.actor, finding.what.split()[0]) for finding in report.findings}
    assert found == {("K9", "counter:one", "message"), ("K9", "counter:one", "its")}


async def test_a_kind_that_no_code_knows_is_told(greenroom: Greenroom) -> None:
    async with greenroom.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO journal (kind, key, version, length, op, at, run, turn, events) "
            "SELECT 'dragon', 'smaug', 1, 1, 'o', 1, min(run), '{}', '[]' FROM host"
        )
        report = await verified(connection)
        assert report.findings == []
        assert "actors of kind 'dragon' (1), which no code knows" in report.unjudged["K5"]
        await connection.execute("DELETE FROM journal WHERE kind = $1 AND key = $2", *Address("dragon", "smaug"))

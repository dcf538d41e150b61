"""The tools against a real journal: what they print, what they change, and how they end."""

import asyncio
import json
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from actors.player.profile import Create
from actors.player.score import AwardScore
from actors.player.wallet import Credit
from actors.runtime.placement import Placement
from actors.times import rfc3339
from schemas.address import Address, player
from schemas.messages import Caller
from schemas.settings import PROJECT, setting_names
from tests.harness import Greenroom, Servers, eventually
from tests.integration.tool import Tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = Path(sys.executable).with_name("greenroom")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, tell_attempts_max=2) as greenroom:
        for key, name, points in (("u-alice", "alice", 12), ("u-bob", "bob", 5)):
            await greenroom.database.execute(
                "INSERT INTO account (id, username, name_folded, name_shown, display_name, password) "
                "VALUES ($1, $2, $2, $2, $2, 'none')",
                *(key, name),
            )
            await greenroom.command(player(key), Create(name=name))
            await award(greenroom, key, points)
        yield greenroom


async def award(greenroom: Greenroom, key: str, points: int) -> None:
    reply = await greenroom.command(player(key), AwardScore(points=points), caller=Caller(key, ("server",)))
    assert reply.status == 200, reply


@pytest.fixture
def tool(greenroom: Greenroom, servers: Servers, tmp_path: Path) -> Tool:
    environment = {"DATABASE_URL": servers.dsn(greenroom.database_name), "GREENROOM_DATA": str(tmp_path / "none")}
    return Tool({**environment, "REDIS_URL": servers.redis.url})


# inspect


async def test_actors_are_listed_with_their_state(tool: Tool) -> None:
    listed = await tool.json("inspect", "list", "player")
    assert [(one["key"], one["state"]["name"]) for one in listed] == [("u-alice", "alice"), ("u-bob", "bob")]
    shown = (await tool("inspect", "list", "player", "--fields", "wallet.gold")).stdout
    assert "wallet.gold" in shown
    assert "100" in shown


async def test_actors_are_found_by_a_condition(tool: Tool) -> None:
    found = await tool.json("inspect", "list", "player", "--where", "score > 10 and name ~ ALI")
    assert [one["key"] for one in found] == ["u-alice"]
    nobody = await tool("inspect", "list", "player", "--where", "scroe > 10")
    assert nobody.returncode == 0
    assert "has a field 'scroe'" in nobody.stderr
    assert "a value" in await tool.fails("inspect", "list", "player", "--where", "score >", code=2)


async def test_a_player_is_found_by_id_by_name_and_by_a_display_name_that_is_unique(
    tool: Tool, greenroom: Greenroom
) -> None:
    for external, name in (("x-1", "Ødegaard"), ("x-2", "Silva"), ("x-3", "Silva")):
        await greenroom.database.execute(
            "INSERT INTO account (id, external_id, display_name) VALUES ($1, $1, $2)", external, name
        )
        await greenroom.command(player(external), Create(name=name))
    for key, name in (("u-alice", "u-alice"), ("u-alice", "ALICE"), ("x-1", "Ødegaard")):
        assert (await tool.json("inspect", "show", "player", name))["key"] == key
    assert "x-2, x-3" in await tool.fails("inspect", "show", "player", "Silva")
    assert "There is no player" in await tool.fails("inspect", "show", "player", "nobody")


async def test_looking_at_an_actor_leaves_it_asleep(tool: Tool, greenroom: Greenroom) -> None:
    await eventually(lambda: player("u-bob") in greenroom.home_of(player("u-bob")).host.cells)
    await greenroom.put_to_sleep(player("u-bob"))
    shown = await tool.json("inspect", "show", "player", "bob")
    assert shown["state"]["tallies"]["main"]["score"] == 5
    assert shown["checkpoint"] == shown["version"]
    assert player("u-bob") not in greenroom.home_of(player("u-bob")).host.cells


async def test_the_state_shown_is_the_state_in_memory(tool: Tool, greenroom: Greenroom) -> None:
    shown = await tool.json("inspect", "show", "player", "alice")
    await greenroom.command(player("u-alice"), Credit(currency="gold", amount=1, reason="a look"))
    awake = greenroom.awake(player("u-alice")).model_dump(mode="json")
    now = await tool.json("inspect", "show", "player", "alice")
    assert now["state"] == awake
    assert now["version"] > shown["version"]


async def test_a_board_is_shown_by_its_first_rows(tool: Tool) -> None:
    async def ranked() -> bool:
        done = await tool("inspect", "show", "leaderboard", "main/0", "--json")
        first = json.loads(done.stdout)["state"]["ladders"]["0"]["first"] if done.returncode == 0 else []
        return [row[2] for row in first][:2] == ["u-alice", "u-bob"]

    await eventually(ranked, 20)


async def test_history_tells_who_asked_what(tool: Tool) -> None:
    turns = await tool.json("inspect", "history", "player", "bob")
    assert [turn["command"] for turn in turns][:2] == ["create", "award_score"]
    assert [turn["callerName"] for turn in turns][:2] == ["greenroom", "bob"]
    assert turns[1]["role"] == "server"
    assert [event["name"] for event in turns[1]["events"]] == ["score_awarded"]
    assert await tool.json("inspect", "history", "player", "bob", "--after", "1", "--limit", "1") == [turns[1]]
    assert await tool.json("inspect", "history", "player", "bob", "--before", "2") == [turns[0]]
    shown = await tool("inspect", "history", "player", "bob", "--events")
    assert "points: 5" in shown.stdout


async def test_the_past_is_shown_by_version_and_by_time(tool: Tool, greenroom: Greenroom) -> None:
    before = await tool.json("inspect", "show", "player", "alice")
    at = await greenroom.database.fetch_value("SELECT max(at) FROM journal WHERE key = 'u-alice'")
    await award(greenroom, "u-alice", 7)
    for moment in (str(before["version"]), rfc3339(at)):
        assert (await tool.json("inspect", "at", "player", "alice", moment))["state"] == before["state"]
    assert "versions" in await tool.fails("inspect", "at", "player", "alice", "999999")
    assert "did not exist" in await tool.fails("inspect", "at", "player", "alice", "2001-01-01T00:00:00Z")
    assert "neither" in await tool.fails("inspect", "at", "player", "alice", "yesterday", code=2)


async def test_the_past_before_a_checkpoint_is_played_from_the_beginning(tool: Tool, greenroom: Greenroom) -> None:
    await greenroom.command(player("u-bob"), Credit(currency="gold", amount=1, reason="wake"))
    await greenroom.put_to_sleep(player("u-bob"))
    first = await tool.json("inspect", "at", "player", "bob", "1")
    assert (first["version"], first["state"]["tallies"]) == (1, {})


async def test_an_actor_is_watched_live(tool: Tool, greenroom: Greenroom) -> None:
    arguments = ["inspect", "watch", "player", "alice", "--turns", "2", "--json"]
    watching = await asyncio.create_subprocess_exec(
        TOOL, *arguments, env=tool.environment, stdout=asyncio.subprocess.PIPE
    )
    assert watching.stdout is not None
    seen = asyncio.ensure_future(watching.stdout.read())
    given = 0

    async def give_until_seen() -> bool:
        nonlocal given
        given += 1
        await greenroom.command(player("u-alice"), Credit(currency="gems", amount=given, reason="watched"))
        return seen.done()

    await eventually(give_until_seen, 30)
    turns = [json.loads(line) for line in (await seen).splitlines()]
    assert await watching.wait() == 0
    assert [turn["command"] for turn in turns] == ["credit", "credit"]
    assert turns[1]["version"] == turns[0]["version"] + 1
    assert "wallet.gems" in [change["path"] for change in turns[1]["changes"]]


async def test_a_broken_history_is_reported_and_not_guessed(tool: Tool, greenroom: Greenroom) -> None:
    await greenroom.command(player("u-broken"), Create(name="broken"))
    await award(greenroom, "u-broken", 1)
    await award(greenroom, "u-broken", 1)
    await greenroom.database.execute("DELETE FROM journal WHERE key = 'u-broken' AND version = 2")
    assert "The history is broken" in await tool.fails("inspect", "show", "player", "u-broken")
    await greenroom.database.execute("DELETE FROM journal WHERE key = 'u-broken'")


async def test_an_unknown_kind_is_told_with_those_that_there_are(tool: Tool) -> None:
    told = await tool.fails("inspect", "list", "dragon")
    assert all(kind in told for kind in ("fraud", "leaderboard", "player"))


# dead letters


async def test_a_dead_letter_is_replayed_once_under_its_own_id(tool: Tool, greenroom: Greenroom) -> None:
    letter = await bury(greenroom, "u-late/1/0", "u-late")
    (listed,) = await tool.json("dead-letters", "list", "--kind", "player")
    assert (listed["id"], listed["to"], listed["reason"]) == (letter, "player:u-late", "player_unknown")
    assert (await tool.json("dead-letters", "show", letter))["data"]["amount"] == 50
    await greenroom.command(player("u-late"), Create(name="late"))
    await tool.json("dead-letters", "replay", letter)

    async def arrived() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        return not await greenroom.database.fetch_value("SELECT EXISTS (SELECT FROM outbox WHERE key = 'u-late')")

    await eventually(arrived, 20)
    assert (await tool.json("inspect", "show", "player", "u-late"))["state"]["wallet"]["gold"] == 150
    assert await tool.json("dead-letters", "list") == []
    assert "There is no dead letter" in await tool.fails("dead-letters", "replay", letter)
    audited = await greenroom.database.fetch_value("SELECT action FROM audit_log WHERE subject = 'player:u-late'")
    assert audited == "dead_letter.replay"


async def test_a_dead_letter_is_discarded_with_a_reason_that_is_kept(tool: Tool, greenroom: Greenroom) -> None:
    letter = await bury(greenroom, "u-gone/1/0", "u-gone")
    await tool.fails("dead-letters", "discard", letter, code=2)
    assert "either ids or --all" in await tool.fails("dead-letters", "discard", "--because", "a test", code=2)
    await tool.json("dead-letters", "discard", "--all", "--kind", "player", "--because", "a test")
    assert await tool.json("dead-letters", "list") == []
    details = await greenroom.database.fetch_value("SELECT details FROM audit WHERE subject = 'player:u-gone'")
    assert json.loads(details)["because"] == "a test"


async def bury(greenroom: Greenroom, letter: str, key: str) -> str:
    """A tell that its receiver refuses until it is a dead letter."""
    tell = [letter, "credit", {"currency": "gold", "amount": 50, "reason": "a test"}]
    await greenroom.database.execute(
        "INSERT INTO outbox (id, slot, kind, key, due, tells) VALUES ($1, $2, 'player', $3, now(), $4)",
        *(letter, Placement.bucket(Address("player", key)), key, json.dumps([tell])),
    )

    async def dead() -> bool:
        await greenroom.database.execute("UPDATE outbox SET due = now()")
        return bool(await greenroom.database.fetch_value("SELECT count(*) FROM dead_letter WHERE id = $1", letter))

    await eventually(dead, 20)
    return letter


# admin, content, migrate


async def test_the_first_administrator_is_made_once(tool: Tool, greenroom: Greenroom) -> None:
    arguments = ("admin", "create-admin", "gardener", "--password-stdin")
    assert (await tool.json(*arguments, given="a quiet place\n"))["created"] is True
    assert (await tool.json(*arguments, given="another password\n"))["created"] is False
    assert await greenroom.database.fetch_value("SELECT roles @> '{admin}' FROM account WHERE username = 'gardener'")
    assert "8 to 64" in await tool.fails(*arguments, given="short\n")
    assert "--grant" in await tool.fails("admin", "create-admin", "alice", "--password-stdin", given="a quiet place\n")
    assert "--password-stdin" in await tool.fails("admin", "create-admin", "gardener", code=2)


async def test_roles_are_granted_and_revoked(tool: Tool) -> None:
    assert (await tool.json("admin", "roles", "alice", "moderator", "--grant"))["roles"] == ["player", "moderator"]
    assert (await tool.json("admin", "roles", "alice", "moderator", "--revoke"))["roles"] == ["player"]
    assert (await tool.json("admin", "roles", "u-alice"))["roles"] == ["player"]
    await tool.fails("admin", "roles", "alice", "moderator", code=2)
    await tool.fails("admin", "roles", "alice", "wizard", "--grant", code=2)


async def test_a_ban_holds_until_it_is_lifted(tool: Tool, greenroom: Greenroom) -> None:
    standing = "SELECT standing FROM standing WHERE user_id = 'u-bob'"
    await tool.json("admin", "ban", "bob", "--reason", "spam", "--until", "2999-01-01T00:00:00Z")
    assert await greenroom.database.fetch_value(standing) == "banned"
    await tool.json("admin", "reinstate", "bob")
    assert await greenroom.database.fetch_value(standing) is None
    assert "over already" in await tool.fails(
        "admin", "ban", "bob", "--reason", "spam", "--until", "2001-01-01T00:00:00Z", code=2
    )
    actors = await greenroom.database.fetch("SELECT actor, action FROM audit WHERE subject = 'u-bob' ORDER BY id")
    assert [row["action"] for row in actors] == ["ban", "reinstate"]
    assert all(row["actor"].startswith("cli:") for row in actors)


async def test_faults_of_content_are_told_with_their_place(tool: Tool, tmp_path: Path) -> None:
    assert (await tool.json("content", "check", str(PROJECT / "content")))["ok"] is True
    (tmp_path / "actions.yaml").write_text("win:\n  points: 0\n  board: main\n")
    done = await tool("content", "check", str(tmp_path), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["faults"][0]["file"] == "actions.yaml"
    assert "actions.yaml:2" in await tool.fails("content", "publish", str(tmp_path))


async def test_a_schema_that_is_up_to_date_stays_as_it_is(tool: Tool) -> None:
    assert (await tool.json("migrate", "--check"))["due"] == []
    assert (await tool.json("migrate"))["ran"] == []


# doctor, and the manners of all


async def test_the_doctor_names_what_is_not_well_and_keeps_secrets(tool: Tool, tmp_path: Path) -> None:
    tool.environment |= {"GREENROOM_HOSTTS": "3", "GREENROOM_ADMIN_USERNAME": "boss"}
    tool.environment |= {"GREENROOM_ADMIN_PASSWORD": "a quiet place"}
    secret = tmp_path / "none" / "ray_token"
    secret.parent.mkdir()
    secret.write_text("0")
    secret.chmod(0o644)
    done = await tool("doctor", "--json")
    report = json.loads(done.stdout)
    found = {finding["about"]: finding for finding in report["findings"]}
    assert done.returncode == 1
    assert "GREENROOM_HOSTTS" in found["names of settings"]["found"]
    assert (found["secrets"]["health"], found["durability"]["health"]) == ("red", "red")
    assert (found["schema"]["health"], found["redis"]["health"]) == ("green", "green")
    assert "a quiet place" not in done.stdout
    assert {setting["name"] for setting in report["settings"]} == set(setting_names().values())
    assert all(setting["meaning"] for setting in report["settings"])
    assert stat.S_IMODE(secret.stat().st_mode) == 0o644


async def test_the_doctor_says_when_nothing_runs(tmp_path: Path) -> None:
    tool = Tool({"GREENROOM_DATA": str(tmp_path / "none")})
    shown = await tool("doctor")
    assert shown.returncode == 0
    assert "is not running" in shown.stdout
    assert "No Greenroom serves" in await tool.fails("inspect", "list", "player")


async def test_a_stale_note_of_a_dead_server_is_not_believed(tmp_path: Path) -> None:
    gone = psutil.Popen([sys.executable, "-c", ""])
    gone.wait(10)
    (tmp_path / "run.json").write_text(json.dumps({"pid": gone.pid, "url": "http://127.0.0.1:1"}))
    (tmp_path / "run.json").chmod(0o600)
    tool = Tool({"GREENROOM_DATA": str(tmp_path)})
    assert "No Greenroom serves" in await tool.fails("inspect", "list", "player")
    assert "did not stop in order" in (await tool("doctor")).stdout


async def test_wrong_settings_are_told_by_their_names(tool: Tool) -> None:
    tool.environment["GREENROOM_HOSTS"] = "none"
    assert "GREENROOM_HOSTS" in await tool.fails("inspect", "list", "player", code=2)


async def test_a_database_that_is_away_is_told_without_a_traceback(tool: Tool) -> None:
    tool.environment["DATABASE_URL"] = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    said = await tool.fails("inspect", "list", "player")
    assert "not reachable" in said
    assert "secret" not in said


async def test_the_help_answers_before_anything_heavy_is_imported(tool: Tool) -> None:
    began = time.monotonic()
    shown = await tool("--help")
    assert shown.returncode == 0
    assert time.monotonic() - began < 10
    program = (
        "import sys, scripts.cli; scripts.cli.group(); print(sorted({'ray', 'asyncpg', 'aiohttp'} & set(sys.modules)))"
    )
    loaded = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT
    )
    assert loaded.stdout.strip() == "[]", loaded.stderr


@pytest.mark.parametrize("typed", ["ins", "inspect sh", "admin rot", "dead-letters dis", "bench --qu"])
async def test_the_shell_completes_commands_and_options(tool: Tool, typed: str) -> None:
    tool.environment |= {"_GREENROOM_COMPLETE": "complete_bash", "COMP_WORDS": f"greenroom {typed}"}
    tool.environment["COMP_CWORD"] = str(len(typed.split()))
    completed = (await tool()).stdout.split()
    assert any(word.startswith(typed.split()[-1]) for word in completed), completed


async def test_every_process_tells_prometheus_where_its_figures_are(greenroom: Greenroom, servers: Servers) -> None:
    (told,) = json.loads(next((servers.path / "metrics").glob("host*.json")).read_text())
    assert told["labels"]["role"] == "host"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{told['targets'][0]}/metrics") as answer:
            assert (answer.status, answer.content_type) == (200, "text/plain")
            assert "greenroom_turns_total" in await answer.text()
        async with session.get(f"http://{told['targets'][0]}/anything") as answer:
            assert answer.status == 404

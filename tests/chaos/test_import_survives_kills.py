"""Kill -9 of each kind of process while goals are imported; import again: nothing is lost, nothing counts twice."""

import asyncio
import contextlib
import csv
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from scripts.goalscorers import expected_boards, read_goals
from tests.acceptance.clients import Door
from tests.acceptance.goals import SAMPLE, import_arguments, imported, user_ids, whole_board
from tests.acceptance.server import GREENROOM, WIDE, Server, until_sql

ROWS = 1_000
HEALED_WITHIN_S = 60.0

pytestmark = [pytest.mark.restarts, pytest.mark.slow]

GAPS = """
SELECT count(*) AS gaps FROM (
    SELECT version, lag(version + length) OVER (PARTITION BY kind, key ORDER BY version) AS due FROM journal
) turns WHERE version <> coalesce(due, 1)
"""
AWARDS = """
SELECT count(*) AS turns, count(DISTINCT (key, op)) AS ops,
       coalesce(sum((e -> 1 ->> 'points')::bigint), 0)::bigint AS points
FROM journal, json_array_elements(events) e WHERE kind = 'player' AND e ->> 0 = 'score_awarded'
"""
DELIVERED = "SELECT NOT EXISTS (SELECT FROM outbox) AS holds"
PLACED = """
SELECT coalesce(sum(json_array_length(turn -> 'tells')), 0)::bigint AS tells
FROM journal WHERE kind = 'leaderboard' AND key LIKE 'main/%' AND turn ->> 'command' = 'parcel'
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(environment=WIDE)
    server.start()
    yield server
    server.stop()
    server.remove()


@pytest_asyncio.fixture
async def door(server: Server) -> AsyncIterator[Door]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Door(server, session)


def descendants(server: Server, is_it: Callable[[str, str], bool]) -> list[int]:
    """The pids of processes that this server started, by their names and command lines."""
    assert server.process is not None
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if is_it(process.name(), " ".join(process.cmdline())):
                found.append(process.pid)
    return found


def is_gcs(program: str, _: str) -> bool:
    return program == "gcs_server"


async def of_host(server: Server, pool: str) -> int:
    rows = await server.sql("SELECT pid FROM host WHERE NOT retired AND pool LIKE $1 ORDER BY run DESC", pool)
    assert rows, f"no host of pool {pool}"
    return int(rows[0]["pid"])


async def victim(server: Server, name: str, importer: int) -> int:
    """The pid to kill."""
    if name == "importer":
        return importer
    if name == "host":
        return await of_host(server, "shared")
    if name == "leaderboard":
        return await of_host(server, "leaderboard:main%")
    if name == "postgres":
        return int(next(server.data.glob("*/postmaster.pid")).read_text().split()[0])
    looks: dict[str, Callable[[str, str], bool]] = {
        "gateway": lambda _, line: "GatewayProcess" in line,
        "redis": lambda program, _: program in ("valkey-server", "redis-server"),
        "gcs_server": is_gcs,
    }
    return descendants(server, looks[name])[0]


async def started_anew(server: Server, killed: int) -> None:
    """Wait until Ray has another head: its death is noticed a moment later, and the game then stops and starts anew."""
    end = time.monotonic() + HEALED_WITHIN_S
    while not any(pid != killed for pid in descendants(server, is_gcs)):
        assert time.monotonic() < end, f"no new head within {HEALED_WITHIN_S:g} s"
        await asyncio.sleep(0.05)


async def commands_work(door: Door) -> None:
    """Wait until the server takes commands again; a kill may have closed its port for a while."""
    end = time.monotonic() + HEALED_WITHIN_S
    while True:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            if (await door.get("/health/ready")).status == 200:
                return
        assert time.monotonic() < end, f"no commands within {HEALED_WITHIN_S:g} s after the kill"
        await asyncio.sleep(0.05)


def file_for(name: str, folder: Path) -> Path:
    """A thousand goals of teams that nobody else has."""
    with SAMPLE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))[:ROWS]
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "team": f"{row['team']} ({name})"} for row in rows)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("goals")


KILLED = ["importer", "host", "leaderboard", "gateway", "redis", "postgres", "gcs_server"]


@pytest.mark.parametrize("name", KILLED)
async def test_an_import_survives_the_death_of(server: Server, door: Door, folder: Path, name: str) -> None:
    file = file_for(name, folder)
    [before] = await server.sql(AWARDS)
    if name == "leaderboard":
        # The board moves into a process of its own soon after its first score.
        has_home = "SELECT EXISTS (SELECT FROM host WHERE NOT retired AND pool LIKE 'leaderboard:main%') AS holds"
        await until_sql(server, has_home, within_s=30)
    importer = await asyncio.create_subprocess_exec(
        *(str(GREENROOM), *import_arguments(server, file), "--concurrency", "2"),
        cwd=server.home,
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    under_way = f"SELECT turns >= $1::bigint + 30 AS holds FROM ({AWARDS}) awards"
    await until_sql(server, under_way, before["turns"], within_s=60)
    killed = await victim(server, name, importer.pid)
    os.kill(killed, signal.SIGKILL)
    killed_at = time.monotonic()
    said = await importer.communicate()
    assert time.monotonic() - killed_at < HEALED_WITHIN_S
    # The importer repeats what got no answer: it does not even notice the death of another.
    assert importer.returncode == (-signal.SIGKILL if name == "importer" else 0), said
    if name == "gcs_server":
        await started_anew(server, killed)
    await commands_work(door)
    report = await imported(server, file)
    assert (report["acknowledged"], report["refused"], report["playersCreated"]) == (report["goals"], {}, 0)
    await until_sql(server, DELIVERED, within_s=30)
    [after] = await server.sql(AWARDS)
    assert after["turns"] == after["ops"] == after["points"] == before["turns"] + len(read_goals(file).goals)
    assert (await server.sql(GAPS))[0]["gaps"] == 0
    assert (await server.sql(PLACED))[0]["tells"] == after["turns"]


async def test_after_all_deaths_the_boards_are_what_the_files_say(server: Server, door: Door, folder: Path) -> None:
    """Goals of different files have equal times, so each file's own scorers and teams are compared, in their order."""
    if not list(folder.glob("*.csv")):
        await imported(server, file_for("alone", folder))
    admin = await door.admin()
    players = await whole_board(door, admin, "main")
    teams = await whole_board(door, admin, "teams")
    for rows in (players, teams):
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(before["score"] >= after["score"] for before, after in itertools.pairwise(rows))
    counted = 0
    for file in folder.glob("*.csv"):
        expected = expected_boards(file)
        ids = await user_ids(door, admin, expected)
        known = set(ids.values())
        told = [(row["userId"], row["username"], row["score"]) for row in players if row["userId"] in known]
        assert told == [(ids[external], name, goals) for external, name, goals in expected.players]
        own = {team for team, _ in expected.teams}
        assert [(row["username"], row["score"]) for row in teams if row["userId"] in own] == expected.teams
        counted += len(expected.players)
    assert len(players) == counted
    assert await server.sql("SELECT * FROM dead_letter") == []

"""A hundred years of goals as a game's history: imported twice, counted once, ranked as an independent count says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.goalscorers import ExpectedBoards, expected_boards
from tests.acceptance.clients import API, Door, User
from tests.acceptance.server import ADMIN, ADMIN_PASSWORD, PROJECT, Server

SAMPLE = PROJECT / "tests" / "data" / "goalscorers.csv"
WHOLE = PROJECT.parent / "shared" / "data" / "goalscorers.csv"
FILE = WHOLE if WHOLE.exists() else SAMPLE

pytestmark = pytest.mark.restarts


async def imported(server: Server, file: Path) -> Any:
    """Run the importer; its own report."""
    ran = await asyncio.to_thread(server.tool, *import_arguments(server, file), within_s=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def import_arguments(server: Server, file: Path) -> list[str]:
    credentials = ["--username", ADMIN, "--password", ADMIN_PASSWORD]
    return ["import-scores", str(file), "--url", server.url, *credentials, "--json"]


async def user_ids(door: Door, admin: User, expected: ExpectedBoards) -> dict[str, str]:
    """Ids of the scorers, found again by provisioning them once more."""
    found: dict[str, str] = {}
    for first in range(0, len(expected.players), 500):
        batch = expected.players[first : first + 500]
        items = [{"externalId": external, "displayName": name} for external, name, _ in batch]
        answer = await door.post(f"{API}/players/provision", {"items": items}, as_=admin)
        assert {item["created"] for item in answer.body["items"]} == {False}
        found |= {item["externalId"]: item["userId"] for item in answer.body["items"]}
    return found


async def whole_board(door: Door, admin: User, board: str) -> list[Any]:
    """All rows of a board, from its top to its end, fifty by fifty."""
    rows = (await door.get(f"{API}/leaderboard/top", as_=admin, board=board, limit="100")).body
    while True:
        answer = await door.get(
            f"{API}/actors/leaderboard/{board}/around", as_=admin, subject=rows[-1]["userId"], window="50"
        )
        more = [row for row in answer.body["data"] if row["rank"] > rows[-1]["rank"]]
        if not more:
            return list(rows)
        rows += more


async def assert_boards_are_as_expected(door: Door, admin: User, expected: ExpectedBoards) -> None:
    """Both boards, rank by rank, ties included, through the public API."""
    ids = await user_ids(door, admin, expected)
    players = [
        {"rank": rank, "userId": ids[external], "username": name, "score": goals}
        for rank, (external, name, goals) in enumerate(expected.players, 1)
    ]
    teams = [
        {"rank": rank, "userId": team, "username": team, "score": goals}
        for rank, (team, goals) in enumerate(expected.teams, 1)
    ]
    assert await whole_board(door, admin, "main") == players
    assert await whole_board(door, admin, "teams") == teams


async def test_the_boards_of_a_history_are_what_an_independent_count_says(spare: Server, spare_door: Door) -> None:
    expected = expected_boards(FILE)
    goals = sum(count for _, _, count in expected.players)
    first = await imported(spare, FILE)
    assert (first["goals"], first["acknowledged"], first["refused"]) == (goals, goals, {})
    assert first["playersCreated"] == len(expected.players)
    admin = await spare_door.admin()
    await assert_boards_are_as_expected(spare_door, admin, expected)


async def test_a_second_import_counts_nothing_twice(spare: Server, spare_door: Door) -> None:
    expected = expected_boards(FILE)
    again = await imported(spare, FILE)
    assert (again["acknowledged"], again["playersCreated"], again["refused"]) == (again["goals"], 0, {})
    admin = await spare_door.admin()
    await assert_boards_are_as_expected(spare_door, admin, expected)
    [row] = await spare.sql(
        "SELECT count(*) AS goals FROM journal WHERE kind = 'player' AND turn ->> 'command' = 'award_score'"
    )
    assert row["goals"] == again["goals"]


async def test_what_was_skipped_is_reported_with_its_reason(spare: Server) -> None:
    ran = await asyncio.to_thread(spare.tool, "import-scores", str(FILE), "--dry-run", "--json")
    report = json.loads(ran.stdout)
    skipped = report["skipped"]
    assert {"own goal", "no scorer"} <= set(skipped)
    assert report["goals"] + sum(entry["count"] for entry in skipped.values()) == report["rows"]

"""Imports of goals, and the boards that they must lead to, read row by row through the public API."""

import asyncio
import json
from pathlib import Path
from typing import Any

from scripts.goalscorers import ExpectedBoards
from tests.acceptance.clients import API, Door, User
from tests.acceptance.server import ADMIN, ADMIN_PASSWORD, PROJECT, Server

SAMPLE = PROJECT / "tests" / "data" / "goalscorers.csv"


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
    """Both boards, rank by rank, ties included, through the public API. Nobody else may have scored on them before."""
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

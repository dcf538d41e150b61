"""A hundred years of goals as a game's history: imported twice, counted once, ranked as an independent count says."""

import asyncio
import json

import pytest

from scripts.goalscorers import expected_boards
from tests.acceptance.clients import Door
from tests.acceptance.goals import SAMPLE, assert_boards_are_as_expected, imported
from tests.acceptance.server import PROJECT, Server

WHOLE = PROJECT.parent / "shared" / "data" / "goalscorers.csv"
FILE = WHOLE if WHOLE.exists() else SAMPLE

pytestmark = pytest.mark.restarts


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
        """SELECT count(*) AS goals FROM journal WHERE kind = 'player' AND turn ->> 'command' = 'award_score'
           AND turn -> 'data' ->> 'board' = 'main'"""
    )
    assert row["goals"] == again["goals"]


async def test_what_was_skipped_is_reported_with_its_reason(spare: Server) -> None:
    ran = await asyncio.to_thread(spare.tool, "import-scores", str(FILE), "--dry-run", "--json")
    report = json.loads(ran.stdout)
    skipped = report["skipped"]
    assert {"own goal", "no scorer"} <= set(skipped)
    assert report["goals"] + sum(entry["count"] for entry in skipped.values()) == report["rows"]

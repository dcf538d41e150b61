"""Importing a file of goals: what is read, what is skipped, and that nothing counts twice whatever breaks."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from greenroom_client import Backoff, Client, Tokens
from scripts.goalscorers import NotAGoalFile
from scripts.import_scores import Outcome, expected_boards, import_goals, import_scores, read_goals

HEADER = "date,home_team,away_team,team,scorer,minute,own_goal,penalty\n"
ROWS = HEADER + (
    "1916-07-02,Chile,Uruguay,Uruguay,José Piendibene,44,FALSE,FALSE\n"
    "1916-07-02,Chile,Uruguay,Uruguay,Isabelino Gradín,90+3,FALSE,TRUE\n"
    "1916-07-02,Chile,Uruguay,Chile,Isabelino Gradín,NA,FALSE,FALSE\n"
    "1916-07-02,Chile,Uruguay,Uruguay,José Piendibene,44,FALSE,FALSE\n"
    "1916-07-03,Chile,Uruguay,Chile,NA,NA,FALSE,FALSE\n"
    "1916-07-03,Chile,Uruguay,Chile,Luckless Defender,12,TRUE,FALSE\n"
    "1916-07-03,Chile,Uruguay,Chile,,12,FALSE,FALSE\n"
    "yesterday,Chile,Uruguay,Chile,Somebody,12,FALSE,FALSE\n"
    "1916-07-03,Chile,Uruguay,Chile\n"
)


@pytest.fixture
def goals_csv(tmp_path: Path) -> Path:
    path = tmp_path / "goals.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


class TrustedDoor:
    """Provisions and awards by the rules of idempotency; answers some requests only after doing what they ask."""

    def __init__(self, trouble: float = 0.0) -> None:
        self.random = random.Random(7)
        self.trouble = trouble
        self.players: dict[str, str] = {}
        self.awards: dict[tuple[str, str], dict[str, Any]] = {}
        self.batch_bytes: list[int] = []

    async def serve(self, request: web.Request) -> web.Response:
        text = await request.read()
        self.batch_bytes.append(len(text))
        body = json.loads(text)
        if self.random.random() < self.trouble:
            return web.json_response({"code": "OVERLOADED", "message": ""}, status=503, headers={"Retry-After": "0"})
        answer = self.provision(body) if request.path.endswith("provision") else self.award(body)
        if self.random.random() < self.trouble:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer)

    def provision(self, body: dict[str, Any]) -> dict[str, Any]:
        answers = []
        for item in body["items"]:
            created = item["externalId"] not in self.players
            user_id = self.players.setdefault(item["externalId"], f"u{len(self.players)}")
            answers.append({"externalId": item["externalId"], "userId": user_id, "created": created})
        return {"items": answers}

    def award(self, body: dict[str, Any]) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        for item in body["items"]:
            known = self.awards.setdefault((item["userId"], item["op"]), item)
            if known != item:
                error = {"code": "OP_REUSED", "message": ""}
                answers.append({"op": item["op"], "status": 422, "error": error})
            elif self.random.random() < self.trouble:
                answers.append({"op": item["op"], "status": 503, "error": {"code": "OVERLOADED", "message": ""}})
            else:
                answers.append({"op": item["op"], "score": {"previous": 0, "current": 1}, "rank": {"current": 1}})
        return {"items": answers}

    def boards(self) -> tuple[list[str], list[str]]:
        names = {user_id: external_id for external_id, user_id in self.players.items()}
        goals: Counter[str] = Counter()
        reached: dict[str, str] = {}
        for item in self.awards.values():
            for subject in (names[item["userId"]], item["attributes"]["team"]):
                goals[subject] += item["points"]
                reached[subject] = max(reached.get(subject, ""), item["at"])
        ranked = sorted(goals, key=lambda subject: (-goals[subject], reached[subject]))
        return [s for s in ranked if s in self.players], [s for s in ranked if s not in self.players]


@asynccontextmanager
async def trusted(door: TrustedDoor) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_post("/api/v1/{path:.*}", door.serve)
    backoff = Backoff(base_s=0.001, cap_s=0.002, attempts_max=100)
    server = TestServer(app)
    tokens = Tokens(access_token="s")
    async with server, Client(str(server.make_url("")), tokens=tokens, backoff=backoff) as client:
        yield client


def many_goals(path: Path, rows: int) -> Path:
    """A file with ties, namesakes, doubles and unordered days."""
    dice = random.Random(11)
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for _ in range(rows):
            team = dice.choice(["Curaçao", "Türkiye", "Ísland", "Côte d'Ivoire"])
            scorer = dice.choice(["NA", "Ødegaard", "Nuñez", "Šuker", "Łukasz", "Ivić", "Ståle", "Mbappé", "Çelik"])
            day = f"19{dice.randint(16, 99)}-07-{dice.randint(1, 9):02}"
            file.write(
                f"{day},{team},Chile,{team},{scorer},{dice.randint(1, 3)},{dice.random() < 0.05},FALSE\n".upper()
            )
    return path


def test_own_goals_and_rows_without_a_scorer_are_skipped_with_their_lines(goals_csv: Path) -> None:
    file = read_goals(goals_csv)
    assert dict(file.skipped) == {"no scorer": [6, 8], "own goal": [7], "not readable": [9, 10]}
    assert len(file.goals) == 4
    assert file.rows == 9


def test_a_scorer_is_a_name_in_a_team(goals_csv: Path) -> None:
    assert read_goals(goals_csv).players() == {
        "goalscorers:Uruguay:José Piendibene": "José Piendibene",
        "goalscorers:Uruguay:Isabelino Gradín": "Isabelino Gradín",
        "goalscorers:Chile:Isabelino Gradín": "Isabelino Gradín",
    }


def test_equal_rows_are_different_goals_with_ops_of_their_own(goals_csv: Path) -> None:
    first, *_, last = read_goals(goals_csv).goals
    assert (first.scorer, first.minute) == (last.scorer, last.minute)
    assert first.op != last.op
    assert [goal.op for goal in read_goals(goals_csv).goals] == [goal.op for goal in read_goals(goals_csv).goals]


def test_a_goal_happens_at_its_place_within_its_day(goals_csv: Path) -> None:
    goals = read_goals(goals_csv).goals
    assert [goal.at for goal in goals] == [datetime(1916, 7, 2, 0, 0, 0, n * 1000, tzinfo=UTC) for n in range(4)]
    assert goals[3].award("u1")["at"] == "1916-07-02T00:00:00.003Z"


def test_odd_minutes_are_kept_and_missing_ones_left_out(goals_csv: Path) -> None:
    assert [goal.award("u1")["attributes"].get("minute") for goal in read_goals(goals_csv).goals] == [
        "44",
        "90+3",
        None,
        "44",
    ]


def test_names_are_composed_however_the_file_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "goals.csv"
    path.write_text(HEADER + "1916-07-02,A,B,A, Jose\u0301 ,1,FALSE,FALSE\n", encoding="utf-8")
    assert read_goals(path).goals[0].scorer == "José"


@pytest.mark.parametrize("scorer", [b"Jos\xe9", b"Jos\x00e", b"\xe2\x80\xaeesoJ", b"x" * 65])
def test_a_name_that_no_server_would_take_is_skipped_alone(tmp_path: Path, scorer: bytes) -> None:
    path = tmp_path / "goals.csv"
    good = b"1916-07-02,A,B,A,Pel\xc3\xa9,1,FALSE,FALSE\n"
    path.write_bytes(HEADER.encode() + b"1916-07-02,A,B,A," + scorer + b",1,FALSE,FALSE\n" + good)
    file = read_goals(path)
    assert [goal.scorer for goal in file.goals] == ["Pelé"]
    assert dict(file.skipped) == {"not readable": [2]}


def test_a_file_of_something_else_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("item,price\nsword,3\n")
    with pytest.raises(NotAGoalFile, match="no column date, team, scorer, own_goal"):
        read_goals(path)


def test_the_independent_count_ranks_ties_by_who_was_there_first(goals_csv: Path) -> None:
    goals_csv.write_text(ROWS.replace("yesterday", "1916-07-04").rsplit("\n", 2)[0] + "\n", encoding="utf-8")
    boards = expected_boards(goals_csv)
    assert boards.players == [
        ("goalscorers:Uruguay:José Piendibene", "José Piendibene", 2),
        ("goalscorers:Uruguay:Isabelino Gradín", "Isabelino Gradín", 1),
        ("goalscorers:Chile:Isabelino Gradín", "Isabelino Gradín", 1),
        ("goalscorers:Chile:Somebody", "Somebody", 1),
    ]
    assert boards.teams == [("Uruguay", 3), ("Chile", 2)]


async def test_an_import_through_trouble_equals_the_independent_count(tmp_path: Path) -> None:
    path = many_goals(tmp_path / "goals.csv", 3_000)
    door = TrustedDoor(trouble=0.2)
    async with trusted(door) as client:
        outcome = await import_goals(client, read_goals(path))
    expected = expected_boards(path)
    assert outcome.complete
    assert not outcome.refused
    assert door.boards() == ([who for who, *_ in expected.players], [team for team, _ in expected.teams])


async def test_importing_twice_counts_once(goals_csv: Path) -> None:
    door = TrustedDoor()
    async with trusted(door) as client:
        first = await import_goals(client, read_goals(goals_csv))
        second = await import_goals(client, read_goals(goals_csv))
    assert (first.players_created, second.players_created) == (3, 0)
    assert len(door.awards) == 4
    assert second.complete


async def test_a_file_that_has_grown_in_the_middle_adds_only_what_is_new(goals_csv: Path) -> None:
    door = TrustedDoor()
    async with trusted(door) as client:
        await import_goals(client, read_goals(goals_csv))
        goals_csv.write_text(ROWS.replace(HEADER, HEADER + "1916-07-02,A,B,Chile,Newly Found,1,FALSE,FALSE\n"))
        outcome = await import_goals(client, read_goals(goals_csv))
    assert len(door.awards) == 5
    assert (outcome.acknowledged, outcome.moved) == (1, 4)
    assert outcome.complete


async def test_no_batch_is_larger_than_a_server_accepts(tmp_path: Path) -> None:
    door = TrustedDoor()
    async with trusted(door) as client:
        await import_goals(client, read_goals(many_goals(tmp_path / "goals.csv", 2_000)))
    assert max(door.batch_bytes) <= 64 * 1024
    assert max(door.batch_bytes) > 32 * 1024


async def test_a_refused_goal_is_reported_with_its_line(goals_csv: Path) -> None:
    door = TrustedDoor()
    refuse = {"op": "", "status": 404, "error": {"code": "player_unknown", "message": ""}}

    async def forgetful(request: web.Request) -> web.Response:
        body = await request.json()
        if request.path.endswith("provision"):
            return web.json_response(door.provision(body))
        return web.json_response({"items": [refuse for _ in body["items"]]})

    app = web.Application()
    app.router.add_post("/api/v1/{path:.*}", forgetful)
    async with TestServer(app) as server, Client(str(server.make_url("")), tokens=Tokens(access_token="s")) as client:
        outcome = await import_goals(client, read_goals(goals_csv))
    assert dict(outcome.refused) == {"player_unknown": [2, 3, 4, 5]}
    assert not outcome.complete


def run_command(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(import_scores)
    return CliRunner().invoke(app, list(arguments))


def test_a_dry_run_reports_and_sends_nothing(goals_csv: Path) -> None:
    result = run_command(str(goals_csv), "--dry-run", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["rows"], report["goals"], report["acknowledged"]) == (9, 4, 0)
    assert report["skipped"]["own goal"] == {"count": 1, "lines": [7]}


def test_the_report_for_people_names_the_reasons(goals_csv: Path) -> None:
    result = run_command(str(goals_csv), "--dry-run")
    assert "skipped: own goal" in result.stdout


def test_an_import_without_an_account_says_what_is_missing(goals_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENROOM_ADMIN_USERNAME", raising=False)
    monkeypatch.delenv("GREENROOM_ADMIN_PASSWORD", raising=False)
    result = run_command(str(goals_csv), "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "GREENROOM_ADMIN_USERNAME" in result.output


def test_an_empty_outcome_of_an_empty_file_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "goals.csv"
    path.write_text(HEADER)
    assert Outcome(read_goals(path)).complete

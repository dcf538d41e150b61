"""`greenroom verify --history`: what clients were told, held against the journal."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors.player.profile import Create, PublicProfile
from actors.player.score import AwardScore
from actors.runtime.database import Connection
from schemas.address import player
from schemas.messages import Caller
from schemas.settings import PROJECT
from scripts.terminal import Failed
from scripts.verify.history import read_history
from scripts.verify.report import Report
from scripts.verify.snapshot import Snapshot
from scripts.verify.walk import Walk
from tests.harness import Greenroom, Servers
from tests.integration.played import delivered, tampered
from tests.integration.tool import Tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEE = player("dee")
GOALS = 4

Lines = list[dict[str, Any]]


class Client:
    """Writes down what it sends and sees, as any client may."""

    def __init__(self, greenroom: Greenroom) -> None:
        self.greenroom = greenroom
        self.lines: Lines = []

    async def award(self, op: str, points: int) -> None:
        sent = time.monotonic()
        reply = await self.greenroom.command(DEE, AwardScore(points=points), op=op, caller=Caller("dee", ("server",)))
        line = {"actor": str(DEE), "command": "award_score", "op": op, "sent": sent, "answered": time.monotonic()}
        told = reply.data if reply.status == 200 else None
        self.lines.append({**line, "status": reply.status, "version": reply.version, "reply": told})

    async def look(self) -> None:
        sent = time.monotonic()
        reply = await self.greenroom.query(DEE, PublicProfile())
        line = {"actor": str(DEE), "query": "public_profile", "sent": sent, "answered": time.monotonic()}
        self.lines.append({**line, "version": reply.version})

    def pushes(self, *seqs: int) -> None:
        for number, seq in enumerate(seqs):
            told = "update" if number else "initial"
            self.lines.append({"subscriber": "s1", "actor": str(DEE), "seq": seq, "told": told})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers) as greenroom:
        await greenroom.command(DEE, Create(name="dee"))
        yield greenroom


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(greenroom: Greenroom) -> Lines:
    """Goals with a look after each, the first goal asked again, one refused and one without an answer."""
    client = Client(greenroom)
    for number in range(1, GOALS + 1):
        await client.award(f"goal-{number}", number)
        await client.look()
    await client.award("goal-1", 1)
    client.lines.append({"actor": str(DEE), "command": "award_score", "op": "never", "sent": 0.0, "status": 403})
    client.lines.append({"actor": str(DEE), "command": "award_score", "op": "goal-4", "sent": time.monotonic()})
    client.lines.append({"actor": str(DEE), "command": "award_score", "op": "silent", "sent": time.monotonic()})
    client.pushes(1, 2, 3, 4, 5)
    await delivered(greenroom)
    return client.lines


async def judged(connection: Connection, lines: Lines, folder: Path) -> Report:
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return await Walk(Snapshot(connection), lambda what, done: None, history=read_history(path)).run()


async def test_a_history_that_is_true_gives_no_finding(greenroom: Greenroom, played: Lines, tmp_path: Path) -> None:
    async with tampered(greenroom) as connection:
        report = await judged(connection, played, tmp_path)
    assert report.findings == []
    assert {"K1", "K2", "K3", "K10", "K11", "K12", "K13"} <= set(report.looked)
    assert report.looked["K1"].startswith(f"{GOALS} acknowledged requests")
    assert report.looked["K13"] == "2 repeated requests"


def of(lines: Lines, op: str) -> dict[str, Any]:
    return next(line for line in lines if line.get("op") == op)


def acknowledged_and_lost(lines: Lines) -> None:
    of(lines, "goal-2")["op"] = "goal-99"


def refused_and_done(lines: Lines) -> None:
    of(lines, "goal-2").update(status=403, reply=None, version=None)


def version_of_nobody(lines: Lines) -> None:
    of(lines, "goal-2").update(version=77)


def answered_differently(lines: Lines) -> None:
    lines.append({**of(lines, "goal-3"), "reply": {"score": {"previous": 3, "current": 7}}})


def stale_look(lines: Lines) -> None:
    looks = [line for line in lines if "query" in line]
    looks[-1]["version"] = looks[0]["version"]


def goal_before_its_time(lines: Lines) -> None:
    """The third goal was sent after a look that saw the fourth."""
    of(lines, "goal-3").update(sent=of(lines, "goal-1")["sent"] + 1e6, answered=of(lines, "goal-1")["sent"] + 1e6 + 1)


def missed_push(lines: Lines) -> None:
    lines.remove(next(line for line in lines if line.get("seq") == 3))


def doubled_push(lines: Lines) -> None:
    lines.append(next(line for line in lines if line.get("seq") == 3))


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        (acknowledged_and_lost, "K1"),
        (refused_and_done, "K3"),
        (version_of_nobody, "K12"),
        (answered_differently, "K13"),
        (stale_look, "K10"),
        (goal_before_its_time, "K10"),
        (missed_push, "K11"),
        (doubled_push, "K11"),
    ],
)
async def test_what_a_client_should_not_have_seen_is_found(
    greenroom: Greenroom, played: Lines, tmp_path: Path, change: Callable[[Lines], None], invariant: str
) -> None:
    lines = [dict(line) for line in played]
    change(lines)
    async with tampered(greenroom) as connection:
        report = await judged(connection, lines, tmp_path)
    assert {(one.invariant, one.actor) for one in report.findings} == {(invariant, str(DEE))}, report.findings


async def test_a_request_with_two_turns_is_found(greenroom: Greenroom, played: Lines, tmp_path: Path) -> None:
    """The table refuses that: here it has lost its constraint."""
    async with tampered(greenroom) as connection:
        await connection.execute("ALTER TABLE journal DROP CONSTRAINT journal_op")
        await connection.execute("UPDATE journal SET op = 'goal-1' WHERE key = 'dee' AND op = 'goal-4'")
        unknown = [line for line in played if line.get("op") != "goal-1"]
        unknown.append({"actor": str(DEE), "command": "award_score", "op": "goal-1", "sent": 0.0, "status": 503})
        known = {one.invariant for one in (await judged(connection, played, tmp_path)).findings}
        report = await judged(connection, unknown, tmp_path)
    assert "K1" in known
    assert ("K2", str(DEE)) in {(one.invariant, one.actor) for one in report.findings}


async def test_an_op_id_of_an_account_is_found_under_its_name_space(tmp_path: Path) -> None:
    line = {"actor": "player:dee", "command": "x", "op": "goal", "user": "u-1", "sent": 1}
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(line) + "\n\n")
    [request] = read_history(path).requests
    assert request.key == (player("dee"), "u-1:goal")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no json", "line 1"),
        ("[]", "line 1: is not a JSON object"),
        ('{"actor": "player:a"}', "has none of `command`, `query` and `subscriber`"),
        ('{"actor": "somebody", "query": "x", "sent": 1, "answered": 2, "version": 3}', "actor: 'somebody' is not an"),
        ('{"actor": "player:a", "command": "x", "op": "o"}', "sent: Field required"),
    ],
)
async def test_a_file_that_is_no_history_is_told_by_its_lines(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(Failed, match=r"docs/guides/verify\.md") as failed:
        read_history(path)
    assert why in str(failed.value)
    assert failed.value.code == 2


async def test_the_command_takes_a_history(
    greenroom: Greenroom, servers: Servers, played: Lines, tmp_path: Path
) -> None:
    tool = Tool({"DATABASE_URL": servers.dsn(greenroom.database_name), "GREENROOM_DATA": str(tmp_path / "none")})
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in played))
    report = await tool.json("verify", "--history", str(path))
    assert {one["id"]: one["verdict"] for one in report["invariants"]}["K1"] == "holds"
    path.write_text("no json\n")
    assert "line 1" in await tool.fails("verify", "--history", str(path), code=2)


async def test_the_example_of_the_guide_is_a_history(tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "guides" / "verify.md").read_text()
    [example] = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    path = tmp_path / "history.jsonl"
    path.write_text(example)
    history = read_history(path)
    assert [request.op for request in history.requests] == ["goal-17", "goal-18"]
    assert len(history.queries) == len(history.pushes) == 1

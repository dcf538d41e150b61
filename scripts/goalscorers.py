"""A file of goals, as it comes, read into the goals that count and the rows that do not, with the reason."""

import csv
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

COLUMNS = ("date", "team", "scorer", "own_goal")
NOTHING = ("", "NA")
NAME_CHARS_MAX = 64


class NotAGoalFile(Exception):
    """The file cannot be what it should be; says why."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal that counts. `op` is the same in every run, so no number of runs counts it twice."""

    line: int
    op: str
    scorer: str
    team: str
    at: datetime
    reason: str
    minute: str | None

    @property
    def external_id(self) -> str:
        """A scorer is a name in a team: namesakes of other countries are other players."""
        return f"goalscorers:{self.team}:{self.scorer}"

    def award(self, user_id: str) -> dict[str, Any]:
        """The trusted award as it goes over the wire."""
        minute = {"minute": self.minute} if self.minute is not None else {}
        return {
            "op": self.op,
            "userId": user_id,
            "points": 1,
            "board": "main",
            "reason": self.reason,
            "attributes": {"team": self.team, **minute},
            "at": self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03}Z",
        }


@dataclass(slots=True)
class GoalFile:
    """What a file holds: goals in its order, and the line numbers of the other rows by reason."""

    goals: list[Goal] = field(default_factory=list)
    skipped: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    @property
    def rows(self) -> int:
        return len(self.goals) + sum(map(len, self.skipped.values()))

    def players(self) -> dict[str, str]:
        """Display name by external id, in order of first appearance."""
        return {goal.external_id: goal.scorer for goal in self.goals}


def read_goals(path: Path) -> GoalFile:
    """Read the file in one pass.

    A goal's time is its date plus the row's position within that date in milliseconds, so that goals of one day keep
    the order of the file and every goal has a time of its own. Equal rows are different goals: they are told apart by
    how many like them came before.
    """
    file = GoalFile()
    positions: Counter[date] = Counter()
    occurrences: Counter[tuple[str, ...]] = Counter()
    for line, row in _rows(path):
        day = _day(row["date"])
        if day is None:
            file.skipped["not readable"].append(line)
            continue
        content = tuple(row.values())
        position, occurrence = positions[day], occurrences[content]
        positions[day] += 1
        occurrences[content] += 1
        reason = _why_it_does_not_count(row)
        if reason is not None:
            file.skipped[reason].append(line)
            continue
        file.goals.append(
            Goal(
                line=line,
                op=_op(content, occurrence),
                scorer=row["scorer"],
                team=row["team"],
                at=datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=position),
                reason="penalty" if row.get("penalty") == "TRUE" else "goal",
                minute=None if row.get("minute", "") in NOTHING else row["minute"],
            )
        )
    return file


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    # What is not UTF-8 becomes lone surrogates, which mark the row as unreadable instead of ending the import.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise NotAGoalFile(f"{path}, line 1: no column {', '.join(missing)} among {', '.join(header) or 'none'}")
        for cells in reader:
            if cells:
                tidy = (unicodedata.normalize("NFC", cell).strip() for cell in cells)
                whole = len(cells) == len(header)
                yield reader.line_num, dict(zip(header, tidy, strict=True)) if whole else {"date": ""}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _why_it_does_not_count(row: dict[str, str]) -> str | None:
    if row["scorer"] in NOTHING:
        return "no scorer"
    if row["own_goal"] == "TRUE":
        return "own goal"
    if row["own_goal"] != "FALSE" or not all(map(_is_name, (row["scorer"], row["team"]))):
        return "not readable"
    return None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_CHARS_MAX and not any(unicodedata.category(char).startswith("C") for char in text)


def _op(content: Iterable[str], occurrence: int) -> str:
    text = json.dumps([*content, occurrence])
    return "goal-" + blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class ExpectedBoards:
    """Both boards, best first: (external id, display name, goals) and (team, goals)."""

    players: list[tuple[str, str, int]]
    teams: list[tuple[str, int]]


def expected_boards(path: Path) -> ExpectedBoards:
    """Count the file by itself, with nothing but the rule: most goals first, ties by who had them all earlier."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    goals: Counter[tuple[str, str]] = Counter()
    team_goals: Counter[str] = Counter()
    last: dict[Any, tuple[str, int]] = {}
    for number, row in enumerate(rows):
        scorer, team = (unicodedata.normalize("NFC", row[name]).strip() for name in ("scorer", "team"))
        if scorer in ("", "NA") or row["own_goal"] == "TRUE":
            continue
        goals[team, scorer] += 1
        team_goals[team] += 1
        for who in ((team, scorer), team):
            last[who] = max(last.get(who, ("", 0)), (row["date"], number))
    players = sorted(goals, key=lambda who: (-goals[who], last[who]))
    teams = sorted(team_goals, key=lambda team: (-team_goals[team], last[team]))
    return ExpectedBoards(
        players=[(f"goalscorers:{team}:{name}", name, goals[team, name]) for team, name in players],
        teams=[(team, team_goals[team]) for team in teams],
    )

"""Scores and boards against a plain model: whatever is awarded in whatever order and day, both rank the same."""

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.leaderboard.gathers import Rank, Top
from actors.times import DAY_MS
from tests.unit.stage import Person, Stage

NAMES = ("alice", "bob", "carol")
TEAMS = ("reds", "blues")


class Boards(RuleBasedStateMachine):
    """Points are summed by board and period; a higher score comes first, of equal ones the earlier."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.people = {name: Person(self.stage, name) for name in NAMES}
        self.scores: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(dict)
        """By board and period, each subject's score, and when it was reached."""

    @rule(who=st.sampled_from(NAMES), points=st.integers(1, 5), team=st.sampled_from((*TEAMS, "")))
    def award(self, who: str, points: int, team: str) -> None:
        attributes: dict[str, Any] = {"team": team} if team else {}
        self.people[who].award(points, attributes=attributes)
        self._count("main", 0, who, points)
        if team:
            self._count("teams", 0, team, points)

    @rule(who=st.sampled_from(NAMES), points=st.integers(1, 5))
    def award_today(self, who: str, points: int) -> None:
        self.people[who].award(points, board="daily")
        self._count("daily", self.stage.at // DAY_MS, who, points)

    @rule(seconds=st.sampled_from([0.001, 60, 40_000, 90_000]))
    def wait(self, seconds: float) -> None:
        self.stage.wait(seconds)

    def _count(self, board: str, period: int, subject: str, points: int) -> None:
        entry = self.scores[board, period].setdefault(subject, [0, 0])
        entry[0] += points
        entry[1] = self.stage.at

    def _ranked(self, board: str) -> list[tuple[str, int]]:
        entries = self.scores.get((board, self.stage.at // DAY_MS if board == "daily" else 0), {})
        ordered = sorted(entries.items(), key=lambda item: (-item[1][0], item[1][1], item[0]))
        return [(subject, score) for subject, (score, _) in ordered]

    @invariant()
    def boards_agree(self) -> None:
        for board in ("main", "daily", "teams"):
            top = self.stage.gather(Top(limit=10), board)
            assert [(row["userId"], row["score"]) for row in top] == self._ranked(board)

    @invariant()
    def scores_and_ranks_agree(self) -> None:
        for board in ("main", "daily"):
            ranked = dict(self._ranked(board))
            order = list(ranked)
            for name, person in self.people.items():
                assert person.ask("own_score", board=board)["score"] == ranked.get(name, 0)
                row = self.stage.gather(Rank(subject=name), board) if name in ranked else None
                assert (row["rank"] if row else None) == (order.index(name) + 1 if name in ranked else None)

    def teardown(self) -> None:
        self.stage.check()


TestBoards = Boards.TestCase
TestBoards.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

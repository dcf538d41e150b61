"""K8: a player's scores are the sums of its score events, and a board's entries are the sums of those scores."""

from collections import defaultdict
from typing import NamedTuple

from actors.content import PLAYER, Content
from actors.core import Actor, Event
from actors.leaderboard.gathers import shard_of
from actors.leaderboard.place import Place
from actors.leaderboard.shard import Leaderboard, board_name
from actors.player.actions import ActionCompleted
from actors.player.score import ScoreAwarded
from actors.player.state import Player
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

Ranking = tuple[str, int]
"""A board and a period of it."""

_TURN_BY_TURN = "`greenroom inspect history player {key} --events` shows the turn. A row was changed: restore it."
_BOARD = (
    "`greenroom inspect history leaderboard {key} --events` shows what was placed. See the K9 findings for the cause."
)


class Spot(NamedTuple):
    """An entry of a ladder."""

    score: int
    reached: int
    shard: str


class Sum:
    """What was earned on one ranking, and when last."""

    __slots__ = ("at", "points")

    def __init__(self) -> None:
        self.points = 0
        self.at = 0

    def add(self, points: int, at: int) -> None:
        self.at = max(self.at, at) if self.points else at
        self.points += points


class Scores(Watcher):
    """Boards come before players in the journal: each player's sums are compared when its history is over.

    What boards are told by messages that wait is not on them yet. A period that is closed has no entries any more.
    """

    kinds = frozenset({"guild", "leaderboard", "player"})

    def __init__(self, report: Report, content: Content) -> None:
        super().__init__(report)
        self._content = content
        self._ladders: dict[Ranking, dict[str, Spot]] = {}
        self._closed: dict[str, int] = {}
        """The last closed period, by shard."""
        self._unread: set[str] = set()
        """Boards of which a shard could not be played."""
        self._waiting: dict[tuple[Ranking, str], int] = defaultdict(int)
        self._own: dict[Ranking, Sum] = {}
        """What the player at hand told boards about itself."""
        self._score: dict[Ranking, int] = {}
        """The sums of its events."""
        self._said: dict[Ranking, int] = {}
        """The scores that its last events say."""
        self._others: dict[Ranking, dict[str, Sum]] = {}
        """What players told boards about other subjects, and guilds about themselves."""
        self._unsure = 0
        self._scores = 0
        self._entries = 0

    def waits(self, message: Waiting) -> None:
        if message.to.kind == "leaderboard" and message.name == Place.wire_name:
            fields = message.fields
            period, points = fields.get("period", 0), fields.get("points", 0)
            if isinstance(period, int) and isinstance(points, int):
                ranking = (board_name(message.to.key), period)
                self._waiting[ranking, str(fields.get("subject", ""))] += points

    # -- players --------------------------------------------------------------------------------------------------

    def turn(self, past: Past) -> None:
        if past.address.kind == "leaderboard":
            return
        for event in past.events:
            if isinstance(event, ScoreAwarded | ActionCompleted):
                self._scores += 1
                self._add(past, event)
                if not past.certain:
                    self._assume(past, event)
        if past.certain:
            for _, tell in past.tells:
                if isinstance(tell.command, Place):
                    self._told(past.address, board_name(tell.to.key), tell.command)
        elif past.address.kind != "player":
            self._unsure += 1

    def _add(self, past: Past, event: ScoreAwarded | ActionCompleted) -> None:
        for board, score in event.scores.items():
            ranking = (board, event.periods.get(board, 0))
            self._score[ranking] = self._score.get(ranking, 0) + event.points
            # From what the turn before said: one wrong turn is told once.
            due = self._said.get(ranking, 0) + event.points
            self._said[ranking] = score
            if score != due:
                what = f"{past}: {due - event.points} + {event.points} on {board} became {score} instead of {due}"
                self.report.found("K8", past.address, what, _TURN_BY_TURN.format(key=past.address.key))

    def _told(self, by: Address, board: str, place: Place) -> None:
        ranking = (board, place.period)
        sums = self._own
        if by == ("player", place.subject):
            found = sums.get(ranking)
            if found is None:
                found = sums[ranking] = Sum()
        else:
            found = self._others.setdefault(ranking, {}).setdefault(place.subject, Sum())
        found.add(place.points, place.at)

    def _assume(self, past: Past, event: Event[Player]) -> None:
        """What boards of players must have been told, when the rules do not say so any more."""
        assert isinstance(event, ScoreAwarded | ActionCompleted)  # noqa: S101 - for the type checker
        self._unsure += 1
        for board in event.scores:
            found = self._own.setdefault((board, event.periods.get(board, 0)), Sum())
            found.add(event.points, event.at)

    # -- the end of a history -------------------------------------------------------------------------------------

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        if address.kind == "leaderboard":
            self._board(address, actor)
        else:
            self._player(address, actor)
            self._own, self._score, self._said = {}, {}, {}

    def _board(self, address: Address, actor: Actor | None) -> None:
        board = board_name(address.key)
        if not isinstance(actor, Leaderboard):
            self._unread.add(board)
            return
        self._closed[address.key] = actor.closed
        for period, ladder in actor.ladders.items():
            entries = self._ladders.setdefault((board, period), {})
            for score, reached, subject, _ in ladder.rows():
                self._entries += 1
                if subject in entries:
                    what = f"{subject} has two entries on {board}, another in shard {entries[subject].shard}"
                    todo = "Was the number of shards of the board changed? Publish the former number again."
                    self.report.found("K8", address, what, todo)
                entries[subject] = Spot(score, reached, address.key)

    def _player(self, address: Address, actor: Actor | None) -> None:
        if isinstance(actor, Player):
            for board, tally in actor.tallies.items():
                due = self._score.get((board, tally.period), 0)
                if tally.score != due:
                    what = f"its score on {board} is {tally.score}, its score events add up to {due}"
                    self.report.found("K8", address, what, _TURN_BY_TURN.format(key=address.key))
        for ranking, sum_ in self._own.items():
            self._compare(ranking, address.key, sum_, f"the score events of {address}")

    def _compare(self, ranking: Ranking, subject: str, sum_: Sum, whose: str) -> None:
        board, period = ranking
        if board in self._unread:
            return
        entry = self._ladders.get(ranking, {}).pop(subject, None)
        waiting = self._waiting.get((ranking, subject), 0)
        due = sum_.points - waiting
        where = f"{board} (period {period})" if period else board
        if entry is None:
            shard = self._shard(board, subject)
            if due and not 0 < period <= self._closed.get(shard, -1):
                what = f"{subject} has no entry on {where}, though {whose} give it {due}"
                self.report.found("K8", f"leaderboard:{shard}", what, _BOARD.format(key=shard))
        elif entry.score != due:
            what = f"{subject} has {entry.score} on {where}, {whose} give it {due}"
            self.report.found("K8", f"leaderboard:{entry.shard}", what, _BOARD.format(key=entry.shard))
        elif not waiting and entry.reached != sum_.at:
            what = f"{subject} reached {entry.score} on {where} at {entry.reached}, its last score was at {sum_.at}"
            self.report.found("K8", f"leaderboard:{entry.shard}", what, _BOARD.format(key=entry.shard))

    def _shard(self, board: str, subject: str) -> str:
        known = self._content.boards.get(board)
        return f"{board}/{shard_of(known, subject) if known else 0}"

    async def end(self, snapshot: object) -> None:
        unsure = set()
        for ranking, subjects in self._others.items():
            board = ranking[0]
            if self._unsure and self._ranks_others(board):
                unsure.add(board)
                continue
            for subject, sum_ in subjects.items():
                self._compare(ranking, subject, sum_, "players' score events")
        for (board, period), left in self._ladders.items():
            if board in self._unread or (self._unsure and self._ranks_others(board)):
                unsure.add(board)
                continue
            for subject, spot in left.items():
                what = f"{subject} has {spot.score} on {board} (period {period}), which no score event explains"
                self.report.found("K8", f"leaderboard:{spot.shard}", what, _BOARD.format(key=spot.shard))
        self.report.judged("K8", self._scores, f"score events, {self._entries:,} entries of boards")
        if unsure | self._unread:
            named = ", ".join(sorted(unsure | self._unread))
            self.report.not_judged("K8", f"entries of {named}, as some turns are not explained by today's rules")

    def _ranks_others(self, board: str) -> bool:
        known = self._content.boards.get(board)
        return known is None or known.subject != PLAYER

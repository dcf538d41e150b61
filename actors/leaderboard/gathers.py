"""What a board answers: its shards are asked, and their answers become one."""

from collections.abc import Generator
from typing import Annotated, Any
from zlib import crc32

from pydantic import Field

from actors.content import Board, Content
from actors.core import Ask, Caller, Gather, Query, Rejected, Reply, Rounds, Turn
from actors.leaderboard.ladder import SCORE_MAX, Row, Score
from actors.leaderboard.shard import Leaderboard, merged, ranked, shard_address
from schemas import limits
from schemas.shape import Integer, Key


def board_of(content: Content, name: str) -> Board:
    """The board of this name; refused as board_unknown when there is none."""
    board = content.boards.get(name)
    if board is None:
        raise Rejected("board_unknown", f"There is no board {name!r}.")
    return board


def shard_of(board: Board, subject: str) -> int:
    """The shard that ranks the subject."""
    return crc32(subject.encode()) % board.shards


def answers(replies: list[Reply]) -> list[Any]:
    """What was answered; the first refusal is raised."""
    for reply in replies:
        if reply.status != 200:
            raise Rejected.unpack(reply.status, reply.data)
    return [reply.data for reply in replies]


class FirstRows(Query[Leaderboard]):
    """The first entries of the shard in the present period."""

    limit: Annotated[int, Field(ge=1, le=limits.TOP_ROWS_MAX)]

    def answer(self, shard: Leaderboard, turn: Turn) -> list[Any]:
        return shard.present(turn).rows(0, self.limit)


class Entry(Query[Leaderboard]):
    """A subject's entry and its rank within the shard; null when it has none."""

    subject: str

    def answer(self, shard: Leaderboard, turn: Turn) -> dict[str, Any]:
        ladder = shard.present(turn)
        return {"rank": ladder.rank(self.subject), "row": ladder.row(self.subject)}


Spot = Annotated[list[Annotated[int, Field(ge=-limits.INTEGER_MAX, le=SCORE_MAX)]], Field(min_length=2, max_length=2)]
"""[score, reached]"""


class Above(Query[Leaderboard]):
    """How many entries of a period come before each of these places, given as [score, reached]; null for null."""

    period: int | None = None
    subject: str
    places: list[Spot | None]

    def answer(self, shard: Leaderboard, turn: Turn) -> list[Any]:
        ladder = shard.present(turn) if self.period is None else shard.ladders.get(self.period)
        if ladder is None:
            return [None if place is None else 0 for place in self.places]
        return [
            None if place is None else ladder.above(ladder.key(place[0], place[1], self.subject))
            for place in self.places
        ]


class Near(Query[Leaderboard]):
    """The entries next to a place, whether or not it is taken in this shard, and how many come before it."""

    score: Score
    reached: Integer
    subject: Key
    window: Annotated[int, Field(ge=1, le=limits.AROUND_ROWS_MAX)]

    def answer(self, shard: Leaderboard, turn: Turn) -> dict[str, Any]:
        ladder = shard.present(turn)
        above = ladder.above(ladder.key(self.score, self.reached, self.subject))
        here = above + (ladder.row(self.subject) is not None)
        return {
            "above": above,
            "better": ladder.rows(above - self.window, above),
            "worse": ladder.rows(here, here + self.window),
        }


class Top(Gather):
    """The first rows of a board."""

    kind = "leaderboard"
    public = True
    cached = True

    limit: Annotated[int, Field(ge=1, le=limits.TOP_ROWS_MAX)] = 10

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        board = board_of(content, key)
        query = FirstRows(limit=self.limit)
        replies = yield [Ask(shard_address(key, shard), query, watch=True) for shard in range(board.shards)]
        rows = [row for rows in answers(replies) for row in rows]
        return ranked(merged(rows, high_first=board.order == "high_first")[: self.limit])


Found = Generator[list[Ask], list[Reply], dict[str, Any] | None]


class Rank(Gather):
    """A subject's row of a board."""

    kind = "leaderboard"
    public = True

    subject: Key

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        found = yield from self.find(key, content)
        if found is None:
            raise Rejected("not_ranked")
        return found

    def find(self, name: str, content: Content) -> Found:
        """The row, or None when the subject has none."""
        board = board_of(content, name)
        own = shard_of(board, self.subject)
        [entry] = answers((yield [Ask(shard_address(name, own), Entry(subject=self.subject))]))
        if entry["row"] is None:
            return None
        rank, row = entry["rank"], entry["row"]
        others = [shard for shard in range(board.shards) if shard != own]
        if others:
            query = Above(subject=self.subject, places=[row[:2]])
            counts = answers((yield [Ask(shard_address(name, shard), query) for shard in others]))
            rank += sum(count for [count] in counts)
        return ranked([row], rank)[0]


class Me(Gather):
    """The caller's own row of a board."""

    kind = "leaderboard"
    public = True

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        return (yield from Rank(subject=caller.user).gather(key, caller, content))


class Around(Gather):
    """The rows next to a subject (by default the caller), its own in the middle."""

    kind = "leaderboard"
    public = True

    window: Annotated[int, Field(ge=1, le=limits.AROUND_ROWS_MAX)] = 5
    subject: Key | None = None

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        board = board_of(content, key)
        subject = self.subject or caller.user
        own = shard_address(key, shard_of(board, subject))
        [entry] = answers((yield [Ask(own, Entry(subject=subject))]))
        row: Row | None = entry["row"]
        if row is None:
            raise Rejected("not_ranked")
        query = Near(score=row[0], reached=row[1], subject=subject, window=self.window)
        parts = answers((yield [Ask(shard_address(key, shard), query) for shard in range(board.shards)]))
        high_first = board.order == "high_first"
        better = merged([row for part in parts for row in part["better"]], high_first=high_first)[-self.window :]
        worse = merged([row for part in parts for row in part["worse"]], high_first=high_first)[: self.window]
        above = sum(part["above"] for part in parts)
        return ranked([*better, row, *worse], above - len(better) + 1)


class SumRanks(Gather):
    """Completes the answer to a placement: the ranks within its shard become ranks on the whole board."""

    kind = "leaderboard"

    board: Key
    shard: int

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        ranks = {"previous": first["previous"], "current": first["current"]}
        others = [shard for shard in range(board_of(content, self.board).shards) if shard != self.shard]
        if ranks["current"] is None or not others:
            return ranks
        query = Above(period=first["period"], subject=first["subject"], places=[first["before"], first["after"]])
        for previous, current in answers((yield [Ask(shard_address(self.board, shard), query) for shard in others])):
            if previous is not None:
                ranks["previous"] += previous
            ranks["current"] += current
        return ranks

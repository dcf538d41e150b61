"""How points come to a shard, and which rank they make."""

from typing import Any

from actors.core import Command, Effects, Event, Turn
from actors.leaderboard.ladder import Ladder
from actors.leaderboard.resets import opening
from actors.leaderboard.shard import Leaderboard, shard_board
from schemas import limits
from schemas.shape import Amount, Key


class Place(Command[Leaderboard]):
    """A subject earned points; replies with its rank before and after."""

    subject: Key
    name: Key
    points: Amount
    at: int
    period: int = 0

    def decide(self, shard: Leaderboard, turn: Turn) -> Effects:
        board = shard_board(turn)
        if 0 < self.period <= shard.closed:
            return {"previous": None, "current": None}
        ladder = shard.ladders.get(self.period)
        if ladder is None:
            yield from opening(self.period, board, turn)
            ladder = Ladder(high_first=board.order == "high_first")
        old, new = ladder.after(self.subject, self.points, self.at)
        previous, current = ladder.ranks(old, new)
        yield Placed(
            subject=self.subject,
            name=self.name,
            points=self.points,
            at=self.at,
            period=self.period,
            high_first=ladder.high_first,
            shown=min(previous or current, current) <= limits.TOP_ROWS_MAX,
        )
        reply: dict[str, Any] = {"previous": previous, "current": current}
        if board.shards > 1:
            reply |= {"subject": self.subject, "period": self.period, "after": ladder.score_of(new)}
            reply["before"] = None if old is None else ladder.score_of(old)
        return reply


class Placed(Event[Leaderboard]):
    """Points were counted. `shown` says that one of the first rows changed."""

    subject: str
    name: str
    points: int
    at: int
    period: int
    high_first: bool
    shown: bool

    def apply(self, shard: Leaderboard) -> None:
        ladder = shard.ladders.get(self.period)
        if ladder is None:
            ladder = shard.ladders[self.period] = Ladder(high_first=self.high_first)
        ladder.add(self.subject, self.name, self.points, self.at)
        if self.shown:
            shard.top_changes += 1

"""How points come to a shard, and which rank they make."""

from typing import Any

from actors.core import Command, Effects, Event, Rejected, Turn
from actors.leaderboard.ladder import SCORE_MAX, Ladder
from actors.leaderboard.resets import opening
from actors.leaderboard.shard import Leaderboard, shard_board
from schemas import limits
from schemas.shape import Amount, Integer, Key


class Place(Command[Leaderboard]):
    """A subject earned points; replies with its rank before and after."""

    subject: Key
    name: Key
    points: Amount
    at: Integer
    period: Integer = 0

    def decide(self, shard: Leaderboard, turn: Turn) -> Effects:
        board = shard_board(turn)
        if 0 < self.period <= shard.closed:
            return {"previous": None, "current": None}
        opened = shard.ladders.get(self.period)
        ladder = opened or Ladder(high_first=board.order == "high_first")
        old, new = ladder.after(self.subject, self.points, self.at)
        if ladder.spot(new)[0] > SCORE_MAX:
            raise Rejected("score_too_high", f"No score on a board goes beyond {SCORE_MAX}.")
        if opened is None:
            yield from opening(self.period, board, turn)
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
            reply |= {"subject": self.subject, "period": self.period, "after": ladder.spot(new)}
            reply["before"] = None if old is None else ladder.spot(old)
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

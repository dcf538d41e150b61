"""The end of a period: late scores are waited for, the first ranks are rewarded, the ladder is cleared."""

from typing import Annotated, Any

from pydantic import Field

from actors.content import Board
from actors.core import Address, Command, Effects, Event, Remind, Tell, Turn
from actors.leaderboard.ladder import Row, Score
from actors.leaderboard.shard import Leaderboard, board_name, merged, shard_address, shard_board
from actors.periods import end_of
from actors.player.inbox import Notify
from actors.player.wallet import Credit
from schemas import limits
from schemas.shape import Integer, Key, Shape

GRACE_MS = 60_000
"""How long after its end a period still takes scores that were earned in it."""
PERIODS_AWAITED_MAX = 10


def opening(period: int, board: Board, turn: Turn) -> Effects:
    """What goes with the first score of a period: its end is set, and shard 0 knows whose result to wait for."""
    end = end_of(board.reset, board.seasons, period)
    if end is not None:
        yield Remind(f"close:{period}", max(end + GRACE_MS, turn.at), ClosePeriod(period=period))
        yield Tell(_first_shard(turn), OpenPart(period=period, shard=_shard(turn)))
    return None


def _shard(turn: Turn) -> str:
    return turn.key.rpartition("/")[2]


def _first_shard(turn: Turn) -> Address:
    return shard_address(board_name(turn.key), 0)


class ClosePeriod(Command[Leaderboard]):
    """The period is over: its first rows go to shard 0, and the ladder is cleared."""

    period: Integer

    def decide(self, shard: Leaderboard, turn: Turn) -> Effects:
        ladder = shard.ladders.get(self.period)
        if ladder is None or self.period <= shard.closed:
            return {}
        rewards = shard_board(turn).rewards
        rows = ladder.rows(0, max((reward.last for reward in rewards), default=0))
        finishes = [Finish(score=row[0], reached=row[1], subject=row[2], name=row[3]) for row in rows]
        yield PeriodClosed(period=self.period)
        yield Tell(_first_shard(turn), ClosePart(period=self.period, shard=_shard(turn), rows=finishes))
        return {}


class PeriodClosed(Event[Leaderboard]):
    """The ladder of the period was cleared."""

    period: int

    def apply(self, shard: Leaderboard) -> None:
        shard.closed = max(shard.closed, self.period)
        if shard.ladders.pop(self.period, None) is not None:
            shard.top_changes += 1


class OpenPart(Command[Leaderboard]):
    """A shard has entries in a period, so its result belongs to the end."""

    period: Integer
    shard: Key

    def decide(self, shard: Leaderboard, turn: Turn) -> Effects:
        if self.shard not in shard.opened.get(str(self.period), []):
            yield PartOpened(period=self.period, shard=self.shard)
        return {}


class PartOpened(Event[Leaderboard]):
    """Shard 0 will wait for this shard's result."""

    period: int
    shard: str

    def apply(self, shard: Leaderboard) -> None:
        shard.opened.setdefault(str(self.period), []).append(self.shard)
        while len(shard.opened) > PERIODS_AWAITED_MAX:
            oldest = min(shard.opened, key=int)
            del shard.opened[oldest]
            shard.results.pop(oldest, None)


class Finish(Shape):
    """Where a subject ended."""

    score: Score
    reached: Integer
    subject: Key
    name: Key

    @property
    def row(self) -> Row:
        """The entry as ladders tell it."""
        return [self.score, self.reached, self.subject, self.name]


class ClosePart(Command[Leaderboard]):
    """A shard's first rows at the end; with the last of them the rewards are paid."""

    period: Integer
    shard: Key
    rows: Annotated[list[Finish], Field(max_length=limits.REWARDED_RANKS_MAX)]

    def decide(self, shard: Leaderboard, turn: Turn) -> Effects:
        period = str(self.period)
        if period not in shard.opened:
            return {}
        rows = [finish.row for finish in self.rows]
        results = {**shard.results.get(period, {}), self.shard: rows}
        yield PartClosed(period=self.period, shard=self.shard, rows=rows)
        if set(results) < set(shard.opened[period]):
            return {}
        yield PeriodRewarded(period=self.period)
        board = shard_board(turn)
        finished = [row for part in results.values() for row in part]
        yield from _rewards(board, board_name(turn.key), merged(finished, high_first=board.order == "high_first"))
        return {}


def _rewards(board: Board, name: str, rows: list[Row]) -> Effects:
    for reward in board.rewards:
        for rank in range(reward.first, min(reward.last, len(rows)) + 1):
            to = Address("player", rows[rank - 1][2])
            yield Tell(
                to, Credit(currency=reward.currency, amount=reward.amount, reason=f"{name}, rank {rank}", owed=True)
            )
            data: dict[str, str | int | bool] = {"board": name, "rank": rank, "amount": reward.amount}
            yield Tell(to, Notify(template="board_reward", data={**data, "currency": reward.currency}))
    return None


class PartClosed(Event[Leaderboard]):
    """A shard's result is in."""

    period: int
    shard: str
    rows: list[Any]

    def apply(self, shard: Leaderboard) -> None:
        shard.results.setdefault(str(self.period), {})[self.shard] = [list(row) for row in self.rows]


class PeriodRewarded(Event[Leaderboard]):
    """All results were in, and the rewards are on their way."""

    public = True

    period: int

    def apply(self, shard: Leaderboard) -> None:
        shard.opened.pop(str(self.period), None)
        shard.results.pop(str(self.period), None)

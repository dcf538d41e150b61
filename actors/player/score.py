"""What a player earns, and how it reaches the boards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from actors.content import PLAYER, Board
from actors.core import (
    Address,
    Ask,
    Caller,
    Command,
    Effects,
    Event,
    Gather,
    Query,
    Rejected,
    Rounds,
    Tell,
    Turn,
)
from actors.leaderboard.gathers import Rank, SumRanks, board_of, shard_of
from actors.leaderboard.place import Place
from actors.leaderboard.shard import shard_address
from actors.periods import period_of
from actors.player.state import Player, Tally
from actors.times import DAY_MS, milliseconds
from schemas import limits
from schemas.shape import Amount, Attributes, Key, Text

_NOTHING = Tally()


@dataclass(slots=True)
class Gain:
    """Points that a player is about to earn. `source` is the action type or the reason of the award."""

    board: str
    points: int
    at: int
    source: str
    attributes: Mapping[str, str | int | bool]

    def boards(self, turn: Turn) -> list[tuple[str, Board, int]]:
        """The boards that count it, the first one first, each with its present period.

        What was earned in another period is too late (or early) for a board that is reset.
        """
        content = turn.content
        counting = []
        for name in (self.board, *content.followers(self.board)):
            board = content.boards[name]
            period = period_of(board.reset, board.seasons, turn.at)
            timely = self.at == turn.at or period == period_of(board.reset, board.seasons, self.at)
            if name == self.board and not timely:
                raise Rejected("period_over", f"The score was not earned in the present period of {name}.")
            if name == self.board or (timely and (board.actions is None or self.source in board.actions)):
                counting.append((name, board, period))
        return counting

    def tallies(self, player: Player, boards: list[tuple[str, Board, int]]) -> tuple[dict[str, int], dict[str, int]]:
        """The player's scores afterwards and their periods, by board; refused when one would be too high."""
        scores, periods = {}, {}
        for name, board, period in boards:
            if name != self.board and board.subject != PLAYER:
                continue
            tally = player.tallies.get(name, _NOTHING)
            if period < tally.period:
                continue
            if name not in player.tallies and len(player.tallies) >= limits.BOARDS_PER_PLAYER_MAX:
                raise Rejected(
                    "boards_too_many", f"A player has scores on {limits.BOARDS_PER_PLAYER_MAX} boards at most."
                )
            score = self.points + (tally.score if period == tally.period else 0)
            if score > limits.INTEGER_MAX:
                raise Rejected("score_too_high", f"The score on {name} would be beyond {limits.INTEGER_MAX}.")
            scores[name] = score
            if period:
                periods[name] = period
        return scores, periods

    def placements(self, player: Player, boards: list[tuple[str, Board, int]]) -> Iterator[Tell]:
        """What the boards are told. The reply waits for the rank on the first."""
        for name, board, period in boards:
            subject, title = player.id, player.name
            if board.subject != PLAYER:
                subject = title = str(self.attributes.get(board.subject, ""))
            if not subject:
                continue
            shard = shard_of(board, subject)
            place = Place(subject=subject, name=title, points=self.points, at=self.at, period=period)
            if name != self.board:
                yield Tell(shard_address(name, shard), place)
                continue
            then = SumRanks(board=name, shard=shard) if board.shards > 1 else None
            yield Tell(shard_address(name, shard), place, into="rank", then=then)

    def reply(self, player: Player, turn: Turn, scores: Mapping[str, int]) -> dict[str, Any]:
        """What the client is told: its score on the board that it played for, before and after."""
        previous = score_on(player, self.board, turn)
        return {"score": {"previous": previous, "current": scores.get(self.board, previous)}}


def score_on(player: Player, board: str, turn: Turn) -> int:
    """The player's score on the board in its present period."""
    tally = player.tallies.get(board, _NOTHING)
    found = turn.content.boards[board]
    if found.reset != "never" and tally.period < period_of(found.reset, found.seasons, turn.at):
        return 0
    return tally.score


def scores_now(player: Player, turn: Turn) -> dict[str, int]:
    """The player's scores on the boards that there are, in their present periods."""
    return {board: score_on(player, board, turn) for board in player.tallies if board in turn.content.boards}


def keep_tallies(player: Player, scores: Mapping[str, int], periods: Mapping[str, int]) -> None:
    """Take over the scores of an event."""
    for board, score in scores.items():
        player.tallies[board] = Tally(score, periods.get(board, 0))


class AwardScore(Command[Player]):
    """A trusted game server gives points. `at` is when they were earned, as RFC 3339; without it, now."""

    public = True
    callers = frozenset({"server"})

    points: Amount
    board: Key = "main"
    reason: Text | None = None
    attributes: Attributes | None = None
    at: Annotated[str, Field(max_length=limits.TIME_CHARS_MAX)] | None = None

    def decide(self, player: Player, turn: Turn) -> Effects:
        board_of(turn.content, self.board)
        gain = Gain(self.board, self.points, self._earned_at(turn), self.reason or "award", self.attributes or {})
        boards = gain.boards(turn)
        scores, periods = gain.tallies(player, boards)
        yield ScoreAwarded(
            board=self.board,
            points=self.points,
            at=gain.at,
            reason=self.reason or "",
            by=turn.caller.user,
            attributes=self.attributes or {},
            scores=scores,
            periods=periods,
        )
        yield from gain.placements(player, boards)
        return gain.reply(player, turn, scores)

    def _earned_at(self, turn: Turn) -> int:
        if self.at is None:
            return turn.at
        try:
            at = milliseconds(self.at)
        except ValueError:
            message = "`at` must be a time with an offset, for example 2026-01-31T12:00:00Z."
            raise Rejected("INVALID", message, field="at") from None
        if at > turn.at + DAY_MS:
            raise Rejected("INVALID", "`at` must not lie in the future.", field="at")
        return at


class ScoreAwarded(Event[Player]):
    """Points were given. `scores` are the player's scores afterwards, by board."""

    public = True

    board: str
    points: int
    at: int
    reason: str
    by: str
    attributes: dict[str, str | int | bool]
    scores: dict[str, int]
    periods: dict[str, int]

    def apply(self, player: Player) -> None:
        keep_tallies(player, self.scores, self.periods)

    def push(self) -> Mapping[str, Any]:
        return {"score": self.scores}


class OwnScore(Query[Player]):
    """What the player itself knows of its score on a board: all but the rank (see Score)."""

    board: Key

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        board_of(turn.content, self.board)
        return {"score": score_on(player, self.board, turn)}


class Score(Gather):
    """A player's score and rank on a board, and the player's version."""

    kind = "player"
    public = True

    board: Key = "main"

    def gather(self, key: str, caller: Caller, content: Any, first: Any = None) -> Rounds:
        board = board_of(content, self.board)
        reply, *_ = yield [Ask(Address("player", key), OwnScore(board=self.board))]
        if reply.status != 200:
            raise Rejected.unpack(reply.status, reply.data)
        rank = None
        if board.subject == PLAYER:
            row = yield from Rank(subject=key).find(self.board, content)
            rank = row["rank"] if row else None
        return {"score": reply.data["score"], "rank": rank, "version": reply.version}

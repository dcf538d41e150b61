"""One shard of a leaderboard: the entries of the subjects that hash to it, for each period that is open."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from actors.content import Board
from actors.core import Actor, Address, Rejected, Turn
from actors.leaderboard.ladder import Ladder, Row
from actors.periods import period_of

if TYPE_CHECKING:
    from actors.content import Content

VIEW_ROWS = 10


def shard_address(board: str, shard: int) -> Address:
    """Where this shard of the board is; shards count from 0."""
    return Address("leaderboard", f"{board}/{shard}")


def board_name(key: str) -> str:
    """The board to which the shard with this key belongs."""
    return key.rpartition("/")[0]


class Leaderboard(Actor):
    """Who ranks where, among the subjects of one shard."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind = "leaderboard"
    placement = "dedicated"
    pushes = "view"
    checkpoint_every: ClassVar[int] = 1_000

    ladders: dict[int, Ladder] = {}
    """By period; boards that are never reset have only period 0."""
    closed: int = -1
    """The last period that was closed; its late scores no longer count."""
    top_changes: int = 0
    """How often one of the first rows changed."""
    opened: dict[str, list[str]] = {}
    """Shard 0 only, by period: the shards that have entries, until all their results are in."""
    results: dict[str, dict[str, list[Row]]] = {}
    """Shard 0 only, by period and shard: the first rows at the end."""

    def ladder(self) -> Ladder | None:
        """The ladder of the newest period."""
        return self.ladders[max(self.ladders)] if self.ladders else None

    def present(self, turn: Turn) -> Ladder:
        """The ladder of the period in which the turn is; an empty one when nothing was placed in it."""
        board = shard_board(turn)
        period = period_of(board.reset, board.seasons, turn.at)
        return self.ladders.get(period) or Ladder(high_first=board.order == "high_first")

    def pack_state(self) -> Any:
        return {
            "ladders": [[period, self.ladders[period].pack()] for period in sorted(self.ladders)],
            "closed": self.closed,
            "top_changes": self.top_changes,
            "opened": self.opened,
            "results": self.results,
        }

    @classmethod
    def unpack_state(cls, packed: Any) -> "Leaderboard":
        ladders = {period: Ladder.unpack(ladder) for period, ladder in packed["ladders"]}
        return cls.model_construct(**{**packed, "ladders": ladders})

    def checkpoint_due(self, events_since: int) -> bool:
        """Writing n entries is worth it after a fifth of n events: a constant cost for each event."""
        entries = sum(map(len, self.ladders.values()))
        return events_since >= max(self.checkpoint_every, entries // 5)

    def visible(self) -> int:
        return self.top_changes

    def view(self) -> Any:
        """The first rows, with what merging shards needs, under the order of the board."""
        ladder = self.ladder()
        if ladder is None:
            return {"period": 0, "highFirst": True, "rows": []}
        return {"period": max(self.ladders), "highFirst": ladder.high_first, "rows": ladder.rows(0, VIEW_ROWS)}

    @classmethod
    def parts(cls, key: str, content: "Content") -> list[Address]:
        board = content.boards.get(key)
        if board is None:
            raise Rejected("board_unknown", f"There is no board {key!r}.")
        return [shard_address(key, shard) for shard in range(board.shards)]

    @classmethod
    def merge_views(cls, views: list[Any]) -> Any:
        """The first rows of the whole board as clients see them."""
        newest = max((view["period"] for view in views if view), default=0)
        rows = [row for view in views if view and view["period"] == newest for row in view["rows"]]
        high_first = all(view["highFirst"] for view in views if view and view["rows"])
        return ranked(merged(rows, high_first=high_first)[:VIEW_ROWS])

    @classmethod
    def changes(cls, before: Any, after: Any) -> list[Any]:
        """The rows that are new, moved or scored; those that left have `rank: null`."""
        known = {row["userId"]: row for row in before or []}
        here = {row["userId"] for row in after or []}
        changed = [row for row in after or [] if known.get(row["userId"]) != row]
        return changed + [{**row, "rank": None} for user, row in known.items() if user not in here]


def merged(rows: list[Row], *, high_first: bool) -> list[Row]:
    """Rows of several shards in the order of the board."""
    sign = -1 if high_first else 1
    return sorted(rows, key=lambda row: (sign * row[0], row[1], row[2]))


def ranked(rows: list[Row], first: int = 1) -> list[dict[str, Any]]:
    """Rows as clients see them."""
    return [
        {"rank": rank, "userId": subject, "username": name, "score": score}
        for rank, (score, _, subject, name) in enumerate(rows, first)
    ]


def shard_board(turn: Turn) -> Board:
    """The content of the board that the turn's shard belongs to."""
    board = turn.content.boards.get(board_name(turn.key))
    if board is None:
        raise Rejected("board_unknown", f"There is no board {board_name(turn.key)!r}.")
    return board

"""The order of one shard in one period: exact ranks among a million entries in microseconds."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Annotated, Any

from pydantic import Field
from sortedcontainers import SortedList

_PACK = Struct(">QQ")
_HEAD = _PACK.size
_SCORE_BASE = 1 << 63
_TIME_BASE = 1 << 62

SCORE_MAX = 1 << 62

Score = Annotated[int, Field(ge=0, le=SCORE_MAX)]
"""What many players earn together may be more than one of them can."""

Row = list[Any]
"""[score, reached, subject, name] of one entry."""


class Ladder:
    """Entries by score; equal scores by the time they were reached, then by subject.

    The sort key of an entry is bytes that hold all three, so comparing is one memcmp and a key gives back its row.
    """

    __slots__ = ("_keys", "_names", "_order", "_sign")

    def __init__(self, *, high_first: bool = True) -> None:
        self._sign = -1 if high_first else 1
        self._order: Any = SortedList()
        self._keys: dict[str, bytes] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def high_first(self) -> bool:
        return self._sign < 0

    def key(self, score: int, reached: int, subject: str) -> bytes:
        """What entries are sorted by: the best score first, and of equal ones the one that was reached first."""
        return _PACK.pack(_SCORE_BASE + self._sign * score, _TIME_BASE + reached) + subject.encode()

    def row(self, subject: str) -> Row | None:
        """The subject's entry; None when it has none."""
        key = self._keys.get(subject)
        return None if key is None else self._row(key)

    def _row(self, key: bytes) -> Row:
        subject = key[_HEAD:].decode()
        return [*self.spot(key), subject, self._names.get(subject, subject)]

    def above(self, key: bytes) -> int:
        """How many entries come before the key, whether or not it is on the ladder."""
        count: int = self._order.bisect_left(key)
        return count

    def rank(self, subject: str) -> int | None:
        """From 1; None when the subject has no entry."""
        key = self._keys.get(subject)
        return None if key is None else self.above(key) + 1

    def after(self, subject: str, points: int, at: int) -> tuple[bytes | None, bytes]:
        """The subject's key now (None: it has no entry), and what it would be with these points.

        Points commute: whatever the order in which they arrive, the entry ends the same.
        """
        old = self._keys.get(subject)
        if old is None:
            return None, self.key(points, at, subject)
        score, reached = _PACK.unpack_from(old)
        return old, _PACK.pack(score + self._sign * points, max(reached, _TIME_BASE + at)) + old[_HEAD:]

    def ranks(self, old: bytes | None, new: bytes) -> tuple[int | None, int]:
        """The rank of an entry that moves from one key to another, before and after."""
        above: int = self._order.bisect_left(new)
        if old is None:
            return None, above + 1
        return self._order.bisect_left(old) + 1, above + (old >= new)

    def add(self, subject: str, name: str, points: int, at: int) -> None:
        """Count the points."""
        old, new = self.after(subject, points, at)
        if old is not None:
            self._order.remove(old)
        self._keys[subject] = new
        if name != subject:
            self._names[subject] = name
        elif subject in self._names:
            del self._names[subject]
        self._order.add(new)

    def spot(self, key: bytes) -> list[int]:
        """[score, reached] of a key."""
        score, reached = _PACK.unpack_from(key)
        return [self._sign * (score - _SCORE_BASE), reached - _TIME_BASE]

    def rows(self, start: int = 0, stop: int | None = None) -> list[Row]:
        """The entries from one place to another, best first."""
        return [self._row(key) for key in self._order.islice(max(0, start), stop)]

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]], *, high_first: bool = True) -> "Ladder":
        """A ladder with these entries, given in any order; faster than adding one after the other."""
        ladder = cls(high_first=high_first)
        for score, reached, subject, name in rows:
            ladder._keys[subject] = ladder.key(score, reached, subject)
            if name != subject:
                ladder._names[subject] = name
        ladder._order = SortedList(ladder._keys.values())
        return ladder

    def pack(self) -> list[Any]:
        """Sort keys in order, and the names that differ from their subjects: no work for each entry but a copy."""
        return [self.high_first, list(self._order), list(self._names), list(self._names.values())]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "Ladder":
        high_first, keys, subjects, names = packed
        ladder = cls(high_first=high_first)
        ladder._order = SortedList(keys)
        ladder._keys = {key[_HEAD:].decode(): key for key in keys}
        ladder._names = dict(zip(subjects, names, strict=True))
        return ladder

"""What a group commit writes together: turns, the parcels that they send, and what waits for the commit."""

from typing import Any

from actors.runtime.cell import Await, Cell, Delivery, Played
from schemas import limits
from schemas.address import Address
from schemas.messages import Reply


class Parcel:
    """The tells of one group to one actor, on their way."""

    __slots__ = ("id", "packed", "tells", "to", "turns")

    def __init__(self, parcel_id: str, to: Address) -> None:
        self.id = parcel_id
        self.to = to
        self.tells: list[list[Any]] = []
        self.packed = b""
        """The tells as JSON, as the outbox keeps them and the receiver gets them."""
        self.turns: list[tuple[Played, Await] | None] = []


class Late:
    """A tell that its receiver refused: to be tried again later, or buried when its attempts are used up.

    While nothing of its parcel was accepted, the parcel itself stays and comes again (`whole`); otherwise the tell goes
    on by itself, under its own id. So neither is ever there beside the turn that it led to.
    """

    __slots__ = ("attempts", "bucket", "buried", "delay_ms", "parcel", "reason", "tell", "to", "whole")

    def __init__(
        self,
        parcel: str,
        to: Address,
        bucket: int,
        tell: list[Any],
        *,
        attempts: int,
        delay_ms: int,
        buried: bool,
        reason: str,
    ) -> None:
        self.parcel = parcel
        self.whole = False
        self.to = to
        self.bucket = bucket
        self.tell = tell
        self.attempts = attempts
        self.delay_ms = delay_ms
        self.buried = buried
        self.reason = reason


class Near:
    """Tells that were played before the commit: who sent them, and who has had the turn that they are."""

    __slots__ = ("asked", "played", "senders")

    def __init__(self, senders: set[Cell], played: Played, asked: list[tuple[Played, Await] | None]) -> None:
        self.senders = senders
        self.played = played
        self.asked = asked
        """What waits for the answer to each tell."""

    @property
    def cells(self) -> set[Cell]:
        """All whose turns these are."""
        return {*self.senders, self.played.cell}


class Group:
    """Turns that are committed together, and the replies that wait for it."""

    __slots__ = ("bytes", "far", "finished", "late", "near", "parcels", "turns", "views", "waiting")

    def __init__(self) -> None:
        self.turns: list[Played] = []
        self.waiting: list[tuple[Cell, Delivery, Reply]] = []
        """Queries and refusals that have seen uncommitted state of the cell."""
        self.views: list[tuple[Cell, int, Any]] = []
        """Views to publish once the state they show is committed: the actor, its version, the view."""
        self.finished: list[tuple[Cell, str]] = []
        self.late: list[tuple[Cell, Late]] = []
        self.bytes = 0
        self.parcels: list[Parcel] = []
        self.near: list[Near] = []
        self.far: frozenset[Address] = frozenset()
        """Whom the group tells something by parcels: until they are delivered, nothing may overtake them."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write, and nobody waits for what is written."""
        return not (self.turns or self.waiting or self.views or self.finished or self.late)

    @property
    def full(self) -> bool:
        """Whether it takes in no more."""
        return len(self.turns) >= limits.GROUP_ROWS_MAX or self.bytes >= limits.GROUP_BYTES_MAX

    def without(self, lost: set[Cell]) -> tuple["Group", list[Delivery]]:
        """The group less these actors, and the deliveries that must be taken anew."""
        rest = Group()
        again: list[Delivery] = []
        for turn in self.turns:
            if turn.cell not in lost:
                rest.turns.append(turn)
                rest.bytes += turn.bytes
                continue
            if turn.origin is not None:
                again.append(turn.origin)
            again.extend(turn.joined or ())
        for cell, delivery, reply in self.waiting:
            if cell in lost:
                again.append(delivery)
            else:
                rest.waiting.append((cell, delivery, reply))
        rest.views = [item for item in self.views if item[0] not in lost]
        rest.finished = [item for item in self.finished if item[0] not in lost]
        rest.late = [item for item in self.late if item[0] not in lost]
        rest.near = [near for near in self.near if near.played.cell not in lost]
        rest.far = self.far
        return rest, again

    @property
    def cells(self) -> set[Cell]:
        """The actors that have turns in it, or whose state was seen."""
        return {turn.cell for turn in self.turns} | {cell for cell, _, _ in self.waiting}

    def parts(self) -> list[set[Cell]]:
        """The actors of the group, those together whose turns only make sense together."""
        parts: list[set[Cell]] = []
        for cell in sorted(self.cells, key=lambda cell: cell.address):
            if not any(cell in part for part in parts):
                parts.append(bound_to({cell}, [self]))
        return parts


def bound_to(cells: set[Cell], groups: list[Group]) -> set[Cell]:
    """These actors, and all whose turns in these groups were played together with theirs: a tell and the turn that it
    became are committed together or not at all."""
    bound = set(cells)
    nears = [near for group in groups for near in group.near]
    grown = bool(nears)
    while grown:
        grown = False
        for near in nears:
            members = near.cells
            if not members <= bound and not members.isdisjoint(bound):
                bound |= members
                grown = True
    return bound

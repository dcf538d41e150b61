"""Checkpoints: the states of actors as they are stored beside the journal, so that waking replays only a tail."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from actors.runtime import faults
from actors.runtime.cell import Cell
from actors.runtime.group import Group
from schemas.messages import pack


def due_checkpoints(group: Group) -> list[Cell]:
    """The actors of the group that have had enough events since their last checkpoint."""
    due = []
    for cell in {turn.cell for turn in group.turns if turn.length}:
        # Only a cell whose newest turn is in this group: its state in memory is the state after this commit.
        if (
            cell.actor is not None
            and cell.awake
            and cell.last_group is group
            and cell.actor.checkpoint_due(cell.version - cell.checkpointed)
        ):
            due.append(cell)
    return due


COLUMNS = 6
"""Of a row of checkpoints."""


def checkpoint_columns(cells: Iterable[Cell]) -> list[list[Any]]:
    """The present state of these actors, as the statements of the journal take it."""
    rows = []
    for cell in sorted(cells, key=lambda cell: cell.address):
        assert cell.actor is not None  # noqa: S101 - an awake cell has its actor
        state = pack(cell.actor.pack_state())
        if faults.armed and faults.point("checkpoint_half"):
            state = state[: len(state) // 2]
        checksum = hashlib.blake2b(state, digest_size=16).digest()
        rows.append((cell.address.kind, cell.address.key, cell.version, cell.actor.state_version, checksum, state))
        cell.checkpointed = cell.version
    return transposed(rows) if rows else [[] for _ in range(COLUMNS)]


def transposed(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """The rows' columns, as a statement takes them."""
    return [list(column) for column in zip(*rows, strict=True)]

"""Remembers, across the death of the process, whose turn was being taken: a page of memory kept in a file."""

import mmap
from pathlib import Path

from schemas.address import Address

_BYTES = 512


class LastTurn:
    """`mark` costs a few hundred nanoseconds, so every turn is marked; the page survives kill -9."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"\0" * _BYTES)
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _BYTES)

    def mark(self, address: Address | None) -> None:
        """The turn of this actor begins; None: it is over."""
        if address is None:
            self._page[0] = 0
        else:
            text = f"{address.kind}:{address.key}\0".encode()[: _BYTES - 1]
            self._page[: len(text)] = text


def read_last_turn(path: Path) -> Address | None:
    """The actor whose turn a dead process had begun and not finished."""
    try:
        text = path.read_bytes().partition(b"\0")[0].decode()
        return Address.parse(text) if text else None
    except (OSError, ValueError):
        return None

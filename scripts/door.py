"""The places at a node's door: so many gateways listen at a time, and whoever else is ready takes over at once."""

import asyncio
import fcntl
import os
from pathlib import Path

TRY_AGAIN_S = 0.01


class Place:
    """One place of the node's `count`. It is a lock on a file, so it ends with its process, whatever that dies of.

    Nodes that share a machine share the folder, and have places of their own.
    """

    def __init__(self, folder: Path, count: int, node: str) -> None:
        self._files = [folder / f"door-{node}-{number}.lock" for number in range(count)]
        self._held = -1

    def take(self) -> bool:
        """Take a place that nobody has; False while there is none."""
        for path in self._files:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                self._held = file
                return True
        return False

    async def wait(self) -> None:
        """Return with a place."""
        while not self.take():
            await asyncio.sleep(TRY_AGAIN_S)

    def leave(self) -> None:
        """Let another have it."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

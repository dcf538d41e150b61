"""What a player's state keeps of its money."""

from typing import Any

from actors.player.state.facet import Facet
from actors.times import rfc3339


class Entry(Facet):
    """A line of the ledger: what changed, why, and the balance after it."""

    at: int
    currency: str
    change: int
    balance: int
    reason: str

    def shown(self) -> dict[str, Any]:
        """The line as its player sees it."""
        return {**self.model_dump(mode="python"), "at": rfc3339(self.at)}

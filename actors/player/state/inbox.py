"""What a player's state keeps of its inbox."""

from typing import Any

from actors.player.state.facet import Facet
from actors.times import rfc3339


class Message(Facet):
    """A notification in the inbox."""

    id: str
    template: str
    data: dict[str, str | int | bool]
    at: int
    expires_at: int
    read: bool = False

    def shown(self) -> dict[str, Any]:
        """The message as its player sees it."""
        times = {"at": rfc3339(self.at), "expiresAt": rfc3339(self.expires_at)}
        return {"id": self.id, "template": self.template, "data": dict(self.data), **times, "read": self.read}

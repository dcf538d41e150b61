"""What a player's state keeps of its inbox, and of how it wants to be told."""

from dataclasses import dataclass, field
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
    about: str = ""
    """What it is about, so that it is read when that was."""

    def shown(self) -> dict[str, Any]:
        """The message as its player sees it."""
        times = {"at": rfc3339(self.at), "expiresAt": rfc3339(self.expires_at)}
        return {"id": self.id, "template": self.template, "data": dict(self.data), **times, "read": self.read}


@dataclass(slots=True)
class NoticeSettings:
    """How the player wants to be told."""

    language: str = ""
    """Empty: the usual one of the content."""
    off: list[str] = field(default_factory=list)
    """Kinds of notifications that the player does not want."""
    mail: bool = False
    push: bool = False

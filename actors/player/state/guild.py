"""What a player's state keeps of guilds: the one it belongs to, and those that invite it."""

from dataclasses import dataclass
from typing import Any

from actors.times import rfc3339


@dataclass(slots=True)
class Membership:
    """The guild that the player belongs to. The ticket is the guild's name for this one stay in it."""

    guild: str
    name: str
    ticket: str
    since: int

    def shown(self) -> dict[str, Any]:
        """The membership as its player sees it."""
        return {"guild": self.guild, "name": self.name, "since": rfc3339(self.since)}


@dataclass(slots=True)
class Invited:
    """A guild that would have the player."""

    name: str
    invitation: str
    by: str
    expires_at: int

    def shown(self, guild: str) -> dict[str, Any]:
        """The invitation as its player sees it."""
        return {"guild": guild, "name": self.name, "by": self.by, "expiresAt": rfc3339(self.expires_at)}

"""The state of a player, shared by all facets."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from actors.core import Actor
from actors.times import rfc3339
from schemas.messages import Caller


class Facet(BaseModel):
    """A part of the player's state."""

    model_config = ConfigDict(extra="forbid")


@dataclass(slots=True)
class Tally:
    """What the player earned on one board in its present period."""

    score: int = 0
    period: int = 0


class Held(Facet):
    """An action that was started and not completed. `proof` is what the token's signature must hash to."""

    type: str
    family: str
    at: int
    expires_at: int
    proof: str
    attributes: dict[str, str | int | bool] = {}


class Used(Facet):
    """An action that was completed. The proof tells a forged token from one that is used twice."""

    at: int
    proof: str


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


class Player(Actor):
    """One player of the game."""

    kind = "player"
    unknown = "player_unknown"
    pushes = "turn"

    id: str = ""
    name: str = ""
    created_at: int = 0

    tallies: dict[str, Tally] = {}
    """By board."""
    held: dict[str, Held] = {}
    """Open actions, by id, oldest first."""
    used: dict[str, Used] = {}
    """Completed actions, by id, oldest first."""
    paces: dict[str, list[int]] = {}
    """Times within the last minute, by what is limited; oldest first."""
    recent: list[list[int]] = []
    """The newest completions that fraud rules look at, as [at, took_ms, points]; oldest first."""
    unassessed: int = 0
    """Completions that no fraud detector had assessed when they counted."""

    wallet: dict[str, int] = {}
    ledger: list[Entry] = []
    inbox: list[Message] = []

    def exists(self) -> bool:
        return bool(self.id)

    def sheet(self) -> dict[str, Any]:
        """The player as it sees itself."""
        return {
            "userId": self.id,
            "username": self.name,
            "createdAt": rfc3339(self.created_at),
            "scores": {board: tally.score for board, tally in self.tallies.items()},
            "wallet": dict(self.wallet),
            "inbox": {"unread": sum(not message.read for message in self.inbox)},
        }

    def view(self) -> Any:
        return self.sheet()

    @classmethod
    def may_subscribe(cls, key: str, caller: Caller) -> bool:
        return caller.internal or caller.user == key

"""Who a player is: how it comes to be, and what it and others see of it."""

from collections.abc import Mapping
from typing import Any

from actors.core import ANYONE, Command, Effects, Event, Query, Turn
from actors.player.character import character_of
from actors.player.score import scores_now
from actors.player.state import Player
from actors.times import rfc3339
from schemas.shape import Line


class Create(Command[Player]):
    """The player comes to be. Again it only takes over the name."""

    creates = True

    name: Line

    def decide(self, player: Player, turn: Turn) -> Effects:
        told = {"userId": turn.key, "username": self.name}
        if not player.exists():
            start = {name: currency.start for name, currency in turn.content.currencies.items() if currency.start}
            yield Created(id=turn.key, name=self.name, at=turn.at, wallet=start)
            return told
        if player.name != self.name:
            yield Renamed(name=self.name)
        return told


class Created(Event[Player]):
    """A player came to be."""

    public = True

    id: str
    name: str
    at: int
    wallet: dict[str, int]

    def apply(self, player: Player) -> None:
        player.id = self.id
        player.name = self.name
        player.created_at = self.at
        player.wallet = dict(self.wallet)

    def push(self) -> Mapping[str, Any]:
        return {"username": self.name}


class Renamed(Event[Player]):
    """A player is called otherwise now; boards learn it with its next score."""

    public = True

    name: str

    def apply(self, player: Player) -> None:
        player.name = self.name

    def push(self) -> Mapping[str, Any]:
        return {"username": self.name}


class Profile(Query[Player]):
    """The whole sheet, for the player itself."""

    public = True
    callers = frozenset({"owner", "server", "moderator", "operator"})

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        return {**player.sheet(), "scores": scores_now(player, turn), **character_of(player, turn)}


class PublicProfile(Query[Player]):
    """What anyone may know of a player."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        return {
            "userId": player.id,
            "username": player.name,
            "createdAt": rfc3339(player.created_at),
            "scores": scores_now(player, turn),
            "level": player.level,
            "equipment": {slot: worn.item for slot, worn in player.worn.items()},
        }

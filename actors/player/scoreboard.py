"""Points by signed actions: one request for an action's hash and time, one that gives both back."""

from typing import Annotated

from pydantic import Field

from actors.core import Command, Consult, Effects, Rejected, Turn
from actors.player.actions import Completion, redeem, standing, start
from actors.player.state import Player
from actors.player.way import Way
from schemas import limits
from schemas.shape import Key

FAMILY = "scoreboard"


class GenerateAction(Command[Player]):
    """Begin an action of the family's type."""

    public = True

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return standing(player, Way.find(turn, FAMILY), turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        way = Way.find(turn, FAMILY)
        made = yield from start(player, way, turn)
        return {"actionId": made.id, "hash": made.signature, "timestamp": turn.at, "points": way.type.points}


class UpdateScore(Command[Player]):
    """Finish an action with the hash and the timestamp that came with it."""

    public = True

    action_id: Key
    hash: Key
    timestamp: Annotated[int, Field(ge=0, le=limits.INTEGER_MAX)]

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return self._redeem(player, turn).consult(player, turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        return (yield from self._redeem(player, turn).score(player, turn))

    def _redeem(self, player: Player, turn: Turn) -> Completion:
        held = player.held.get(self.action_id)
        try:
            completion = redeem(player, f"{self.action_id}.{self.hash}", FAMILY, turn)
        except Rejected as refusal:
            if refusal.code == "TOKEN_INVALID" and held is not None and held.family == FAMILY:
                raise Rejected("timestamp_invalid", "This action has expired.") from None
            if refusal.code in ("TOKEN_INVALID", "SIGNATURE_INVALID"):
                raise Rejected("hash_invalid", "This is not the hash of an open action.") from None
            raise
        if completion.held.at != self.timestamp:
            raise Rejected("timestamp_invalid", "This is not the timestamp that came with the action.")
        return completion

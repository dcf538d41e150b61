"""Points by single-use tokens: one request for a token, one that increments the score with it."""

from actors.core import Command, Consult, Effects, Rejected, Turn
from actors.player.actions import Completion, redeem, standing, start
from actors.player.state import Player
from actors.player.way import Way
from schemas.shape import Key

FAMILY = "tokens"


class RequestToken(Command[Player]):
    """Ask for a token that is good for one increment, for a short time."""

    public = True

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return standing(player, Way.find(turn, FAMILY), turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        made = yield from start(player, Way.find(turn, FAMILY), turn)
        return {"actionToken": made.token}


class IncrementScore(Command[Player]):
    """Use a token: the score goes up by the points of the family's action type."""

    public = True

    action_token: Key

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return self._redeem(player, turn).consult(player, turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        return (yield from self._redeem(player, turn).score(player, turn))

    def _redeem(self, player: Player, turn: Turn) -> Completion:
        try:
            return redeem(player, self.action_token, FAMILY, turn)
        except Rejected as refusal:
            if refusal.code in ("TOKEN_INVALID", "SIGNATURE_INVALID"):
                raise Rejected("TOKEN_INVALID", refusal.message, status=400) from None
            raise

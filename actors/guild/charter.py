"""A founding whose name is granted or refused: the founder is asked to pay, or it is over."""

from actors.core import Command, Effects, Event, Tell, Turn
from actors.guild.answers import FoundingFailed
from actors.guild.state import Guild
from actors.player.guild_entry import PayFounding
from schemas.address import player as player_address
from schemas.shape import Key


class AnswerClaim(Command[Guild]):
    """The directory says whether the name is ours; `because` says why not."""

    creates = True

    founding: Key
    because: str = ""

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        if guild.standing != "founding" or guild.founding != self.founding:
            return {}
        if self.because:
            yield FoundingFailed(founding=self.founding, because=self.because)
            return {"standing": "failed", "reason": self.because}
        yield NameGranted(founding=self.founding)
        founder = next(iter(guild.entering))
        asked = PayFounding(guild=turn.key, name=guild.name, founding=self.founding, cost=dict(guild.cost))
        yield Tell(player_address(founder), asked, into="payment")
        return {}


class NameGranted(Event[Guild]):
    """The name is ours; the founder is asked to pay."""

    founding: str

    def apply(self, guild: Guild) -> None:
        """What changes is who knows it."""

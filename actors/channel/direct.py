"""What only direct channels have: one of the two may shut it to the other, and is told of something new but once."""

from collections.abc import Mapping
from typing import Any

from actors.channel.state import Channel, Place, Shutter
from actors.core import ANYONE, Command, Effects, Event, Tell, Turn
from actors.player.inbox import ReadAbout
from schemas.address import player
from schemas.shape import Count, Key


class Shut(Command[Channel]):
    """One of the two does not want to hear from the other any more, or wants to again; the other one is not told.

    Of several such words, which may come in any order, the one with the highest number counts.
    """

    creates = True

    user: Key
    closed: bool
    number: Count

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        known = channel.shutters.get(self.user)
        if known is None or known.number < self.number:
            yield WasShut(user=self.user, closed=self.closed, number=self.number)
        return {}


class WasShut(Event[Channel]):
    """The channel is closed, or open, to what the other one says."""

    user: str
    closed: bool
    number: int

    def apply(self, channel: Channel) -> None:
        channel.shutters[self.user] = Shutter(self.number, self.closed)


class MarkRead(Command[Channel]):
    """One of the two has read what was said; of the next message it is told again."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        Place.of(turn)
        user = turn.caller.user
        if user in channel.alerted:
            yield WasRead(user=user)
            yield Tell(player(user), ReadAbout(about=turn.key))
        return {}


class WasRead(Event[Channel]):
    """One of the two knows what was said."""

    user: str

    def apply(self, channel: Channel) -> None:
        channel.alerted.pop(self.user, None)

    def push(self) -> Mapping[str, Any]:
        return {"read": self.user, "onlyFor": self.user}

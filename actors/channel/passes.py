"""Who is in a guild's channel: those who belong to the guild; each player tells when that begins and ends."""

from collections.abc import Mapping
from typing import Any

from actors.channel.state import Channel, Member
from actors.core import Command, Effects, Event, Turn
from schemas import limits
from schemas.shape import Count, Key, Line


class Pass(Command[Channel]):
    """A player belongs to the guild from now on, or does not any more.

    Of several such words, which may come in any order, the one with the highest number counts.
    """

    creates = True

    user: Key
    name: Line
    inside: bool
    number: Count

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        if self.number > channel.passes.get(self.user, 0):
            yield Passed(user=self.user, name=self.name, inside=self.inside, number=self.number, at=turn.at)
        return {}


class Passed(Event[Channel]):
    """A player came in with its guild's pass, or gave it back."""

    public = True

    user: str
    name: str
    inside: bool
    number: int
    at: int

    def apply(self, channel: Channel) -> None:
        channel.passes.pop(self.user, None)
        channel.passes[self.user] = self.number
        if self.inside:
            channel.members[self.user] = Member(self.name, self.at)
        else:
            channel.members.pop(self.user, None)
        while len(channel.passes) > limits.CHANNEL_MEMBERS_MAX:
            # A guild is far smaller: these have left it long ago.
            del channel.passes[next(user for user in channel.passes if user not in channel.members)]

    def push(self) -> Mapping[str, Any]:
        return {"joined": {self.user: self.name}} if self.inside else {"departed": {self.user: "left"}}

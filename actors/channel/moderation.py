"""What is done about what should not be said: members report it, moderators take it away and silence who said it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.channel.desk import MODERATORS, FileReport, desk_address
from actors.channel.members import MemberLeft, insider
from actors.channel.state import Channel
from actors.channel.talk import Deleted
from actors.core import ANYONE, Command, Effects, Event, Rejected, Tell, Turn
from actors.times import MINUTE_MS, rfc3339
from schemas import limits
from schemas.shape import Amount, Key, Text

MINUTES_MAX = 365 * 24 * 60
"""How long a player can be silenced at once."""


class ReportMessage(Command[Channel]):
    """Show a message to the moderators."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    message: Amount
    reason: Text

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        insider(channel, turn)
        user = turn.caller.user
        message = channel.find(self.message)
        if message is None or message.deleted or not message.visible_to(user):
            raise Rejected("message_unknown", "There is no such message among the newest.")
        yield MessageReported(number=self.message, by=user, at=turn.at)
        report = FileReport(
            channel=turn.key,
            message=self.message,
            author=message.by,
            text=message.text,
            said_at=message.at,
            by=user,
            reason=self.reason,
        )
        yield Tell(desk_address(), report)
        return {"message": self.message}


class MessageReported(Event[Channel]):
    """A member finds that a message should not stand; moderators have it on their desk."""

    public = True

    number: int
    by: str
    at: int

    def apply(self, channel: Channel) -> None:
        """The desk keeps the case."""


class RemoveMessage(Command[Channel]):
    """A moderator takes a message away, however old it is."""

    public = True
    callers = MODERATORS
    creates = True

    message: Amount
    reason: Text

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        message = channel.find(self.message)
        if message is None and (self.message > turn.version or self.message <= channel.forgotten):
            raise Rejected("message_unknown", "There is no such message.")
        gone = channel.amended.get(self.message) == 0 if message is None else message.deleted
        if not gone:
            only_for = "" if message is None else message.only_for
            yield Deleted(number=self.message, by=turn.caller.user, reason=self.reason, at=turn.at, only_for=only_for)
        return {"message": self.message}


class Silence(Command[Channel]):
    """A moderator lets a player say nothing in this channel for so many minutes; 0 ends it."""

    public = True
    callers = MODERATORS
    creates = True

    player: Key
    minutes: Annotated[int, Field(ge=0, le=MINUTES_MAX)]
    reason: Text

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        until = turn.at + self.minutes * MINUTE_MS if self.minutes else 0
        current = {user for user, end in channel.silenced.items() if end > turn.at}
        if until and len(current - {self.player}) >= limits.SILENCED_MAX:
            raise Rejected("silenced_too_many")
        yield Silenced(user=self.player, until=until, at=turn.at, by=turn.caller.user, reason=self.reason)
        return {"until": rfc3339(until) if until else None}


class Silenced(Event[Channel]):
    """A player may say nothing here until then."""

    public = True

    user: str
    until: int
    at: int
    by: str
    reason: str

    def apply(self, channel: Channel) -> None:
        channel.silenced = {user: end for user, end in channel.silenced.items() if end > self.at}
        channel.silenced.pop(self.user, None)
        if self.until:
            channel.silenced[self.user] = self.until

    def push(self) -> Mapping[str, Any]:
        return {"silenced": {self.user: rfc3339(self.until) if self.until else None}}


class Expel(Command[Channel]):
    """A moderator puts a player out of a room."""

    public = True
    callers = MODERATORS
    creates = True

    player: Key
    reason: Text

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        if turn.key not in turn.content.chat.rooms:
            raise Rejected("not_a_room", "Players are put out of rooms only; silence does for other channels.")
        if self.player in channel.members:
            yield MemberLeft(user=self.player)
        return {}

"""Channels: rooms, guilds' and direct ones; what is said there, and who is in them."""

from datetime import datetime

from greenroom_client.game.noun import Done, Noun
from greenroom_client.models import Model


class Message(Model):
    """What somebody said; `message` is its number in the channel, and the `seq` of its push."""

    message: int
    user_id: str
    username: str
    text: str
    mentions: list[str]
    at: datetime
    edited_at: datetime | None = None
    deleted: bool = False


class History(Model):
    """Messages, newest first; `next` is where the following page begins, None at the end."""

    messages: list[Message]
    next: int | None


class Sent(Model):
    """A message that is in the journal; words of the filter are asterisks in `text`."""

    message: int
    text: str
    at: datetime


class Inside(Model):
    """How many are in the channel."""

    members: int


class Listener(Model):
    """Somebody in a channel."""

    user_id: str
    username: str
    joined_at: datetime


class Members(Model):
    """Who is in a channel, in the order in which they came."""

    count: int
    members: list[Listener]


class Channel(Noun):
    """One channel; subscribe to `channel.topic` for what is said."""

    kind = "channel"

    @property
    def topic(self) -> str:
        """What to subscribe to."""
        return f"channel:{self.key}"

    async def join(self, *, op: str | None = None) -> int:
        """Come into a room; answers how many are in it."""
        return (await self._command(Inside, "join", op)).members

    async def leave(self, *, op: str | None = None) -> None:
        """Go out of a room."""
        await self._command(Done, "leave", op)

    async def send(self, text: str, mentions: list[str] | None = None, *, op: str | None = None) -> Sent:
        """Say something; `mentions` are user ids of members that are told of it."""
        return await self._command(Sent, "send", op, text=text, mentions=mentions)

    async def edit(self, message: int, text: str, *, op: str | None = None) -> None:
        """Say otherwise what one has said not long ago."""
        await self._command(Done, "edit", op, message=message, text=text)

    async def delete(self, message: int, *, op: str | None = None) -> None:
        """Take back what one has said not long ago."""
        await self._command(Done, "delete", op, message=message)

    async def history(self, before: int | None = None, limit: int = 50) -> History:
        """A page of what was said, before a message or up to now."""
        return await self._query(History, "history", before=before, limit=limit)

    async def members(self, after: int = 0, limit: int = 100) -> Members:
        """Who is in it, but for the first `after`."""
        return await self._query(Members, "members", after=after, limit=limit)

    async def mark_read(self, *, op: str | None = None) -> None:
        """Have read it: the next direct message is a notification again."""
        await self._command(Done, "mark_read", op)

    async def report(self, message: int, reason: str, *, op: str | None = None) -> None:
        """Show a message to the moderators."""
        await self._command(Done, "report_message", op, message=message, reason=reason)


def guild_channel(guild: str) -> str:
    """The key of a guild's channel."""
    return f"guild.{guild}"


def direct_channel(one: str, other: str) -> str:
    """The key of the direct channel of two users."""
    first, second = sorted((one, other))
    return f"direct.{first}.{second}"

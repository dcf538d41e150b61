"""What a player was told: a durable list that is read, deleted, and cleared of what is out of date."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Rejected, Turn
from actors.player.notices import notice, notice_settings
from actors.player.state import Message, Player
from schemas import limits
from schemas.shape import Integer, Key, Text

Id = Annotated[str, Field(min_length=1, max_length=limits.ID_CHARS_MAX)]
Details = Annotated[dict[Key, Text | Integer | bool], Field(max_length=limits.ATTRIBUTES_MAX)]


class Notify(Command[Player]):
    """Puts a message into the inbox, if it is wanted there. `template` names its text, `data` fills it in."""

    template: Key
    data: Details = {}
    lives_days: Annotated[int, Field(ge=1, le=limits.NOTICE_DAYS_MAX)] | None = None
    """None: as long as the content says."""
    sender: Key | None = None
    """The player whose doing it is; nothing comes from one that was blocked or muted."""
    about: Key | None = None
    """What it is about, such as a channel: it is read when that was (see ReadAbout)."""
    latest: bool = False
    """Whether it takes the place of an unread one about the same, instead of not being told."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        return (
            yield from notice(
                player,
                turn,
                self.template,
                dict(self.data),
                sender=self.sender,
                about=self.about or "",
                lives_days=self.lives_days,
                latest=self.latest,
            )
        )


class ReadAbout(Command[Player]):
    """What the messages are about was seen elsewhere."""

    about: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        unread = [message.id for message in player.inbox if message.about == self.about and not message.read]
        if unread:
            yield MessagesRead(ids=unread)
        return {"read": len(unread)}


def _known(player: Player, wanted: list[str], turn: Turn) -> list[Message]:
    found = [message for message in player.inbox if message.id in wanted and message.expires_at > turn.at]
    if len(found) < len(set(wanted)):
        raise Rejected("message_unknown", "There is no such message.")
    return found


class MarkRead(Command[Player]):
    """Messages were read."""

    public = True

    ids: Annotated[list[Id], Field(min_length=1, max_length=limits.INBOX_MAX)]

    def decide(self, player: Player, turn: Turn) -> Effects:
        unread = [message.id for message in _known(player, self.ids, turn) if not message.read]
        if unread:
            yield MessagesRead(ids=unread)
        return {"read": len(unread)}


class MessagesRead(Event[Player]):
    """Messages are no longer unread."""

    ids: list[str]

    def apply(self, player: Player) -> None:
        for message in player.inbox:
            if message.id in self.ids:
                message.read = True

    def push(self) -> Mapping[str, Any]:
        return {"read": self.ids}


class DeleteMessages(Command[Player]):
    """Messages go out of the inbox; those that are gone already are none the worse for it."""

    public = True

    ids: Annotated[list[Id], Field(min_length=1, max_length=limits.INBOX_MAX)]

    def decide(self, player: Player, turn: Turn) -> Effects:
        here = [message.id for message in player.inbox if message.id in self.ids]
        if here:
            yield MessagesDeleted(ids=here)
        return {"deleted": len(here)}


class MessagesDeleted(Event[Player]):
    """Messages left the inbox."""

    ids: list[str]

    def apply(self, player: Player) -> None:
        player.inbox = [message for message in player.inbox if message.id not in self.ids]

    def push(self) -> Mapping[str, Any]:
        return {"deleted": self.ids}


class Inbox(Query[Player]):
    """The messages that are not out of date, newest first, and how many are unread."""

    public = True

    limit: Annotated[int, Field(ge=1, le=limits.INBOX_MAX)] = limits.PAGE_ITEMS
    unread: bool = False
    """Only those."""

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        present = [message for message in reversed(player.inbox) if message.expires_at > turn.at]
        wanted = [message for message in present if not (self.unread and message.read)]
        return {
            "unread": sum(not message.read for message in present),
            "messages": [_worded(message, player, turn) for message in wanted[: self.limit]],
        }


def _worded(message: Message, player: Player, turn: Turn) -> dict[str, Any]:
    """The message with its words, in the player's language as it is now."""
    language = notice_settings(player).language
    title, body = turn.content.notifications.rendered(message.template, language, message.data)
    return {**message.shown(), "title": title, "body": body}

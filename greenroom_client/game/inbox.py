"""Notifications: the durable inbox, and how its player wants to be told."""

from datetime import datetime

from greenroom_client.game.noun import Done, Noun
from greenroom_client.models import Model


class Notification(Model):
    """A notification, in the player's language."""

    id: str
    template: str
    title: str
    body: str
    data: dict[str, str | int | bool]
    at: datetime
    expires_at: datetime
    read: bool


class Messages(Model):
    """What the inbox holds, newest first, and how much of it is unread."""

    unread: int
    messages: list[Notification]


class Choice(Model):
    """A kind of notification; one that is not optional cannot be switched off."""

    kind: str
    title: str
    optional: bool


class Notices(Model):
    """How the player wants to be told; `kinds` are those that it can switch off by `off`."""

    language: str
    off: list[str]
    mail: bool
    push: bool
    kinds: list[Choice] = []


class Inbox(Noun):
    """The notifications of one's own player; new ones are pushed on `player:me`."""

    async def messages(self, limit: int = 50, *, unread: bool = False) -> Messages:
        """What is there, or only what is unread."""
        return await self._query(Messages, "inbox", limit=limit, unread=unread)

    async def mark_read(self, *ids: str, op: str | None = None) -> None:
        """These were read."""
        await self._command(Done, "mark_read", op, ids=list(ids))

    async def delete(self, *ids: str, op: str | None = None) -> None:
        """Away with these."""
        await self._command(Done, "delete_messages", op, ids=list(ids))

    async def notices(self) -> Notices:
        """How one is told."""
        return await self._query(Notices, "notices")

    async def set_notices(
        self,
        *,
        language: str | None = None,
        off: list[str] | None = None,
        mail: bool | None = None,
        push: bool | None = None,
        op: str | None = None,
    ) -> Notices:
        """Say how one wants to be told; what is left out stays."""
        return await self._command(Notices, "set_notices", op, language=language, off=off, mail=mail, push=push)

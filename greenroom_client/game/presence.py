"""Who is there: friends and members of channels, now over REST, and as it changes over a connection."""

from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote

from pydantic import TypeAdapter

from greenroom_client.frames import Frame
from greenroom_client.models import Model, Push
from greenroom_client.subscription import Subscription

PRESENCE_TOPIC = "presence:me"


class Status(StrEnum):
    """Whether somebody is there."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


class Present(Model):
    """Somebody, and whether it is there; None when it is no friend any more."""

    user_id: str
    status: Status | None


class _Reader(Protocol):
    async def get(self, path: str, **params: str | int) -> Any: ...


class _Talker(Protocol):
    async def ask(self, frame: Frame) -> Frame: ...

    async def subscribe(self, topic: str, *, after: int | None = None) -> Subscription: ...


_PRESENT = TypeAdapter(list[Present])


class PresenceNow:
    """Who is there at this moment."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    async def of_friends(self) -> list[Present]:
        """Each friend."""
        return _shown((await self._reader.get("/friends"))["friends"])

    async def in_channel(self, key: str, after: int = 0, limit: int = 100) -> list[Present]:
        """Each member of a channel that the caller is in, but for the first `after`."""
        return _shown(
            (await self._reader.get(f"/channels/{quote(key, safe='')}/members", after=after, limit=limit))["members"]
        )


class PresenceWatch:
    """Who is there as it changes, and what others see of oneself."""

    def __init__(self, talker: _Talker) -> None:
        self._talker = talker

    async def say(self, status: Status) -> None:
        """Be away from this connection, or back."""
        await self._talker.ask({"type": "presence", "status": status.value})

    async def watch(self) -> Subscription:
        """Listen; `present` reads what comes, the subscription's `initial` too."""
        return await self._talker.subscribe(PRESENCE_TOPIC)


def present(push: Push) -> list[Present]:
    """Who a push of `presence:me` is about."""
    return _PRESENT.validate_python(push.data if isinstance(push.data, list) else [push.data])


def _shown(entries: list[Any]) -> list[Present]:
    return [Present(user_id=entry["userId"], status=entry["presence"]) for entry in entries]

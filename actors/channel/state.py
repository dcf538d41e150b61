"""The state of a channel: its members, its newest messages, and what became of older ones."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.core import Actor, Rejected, Turn
from actors.times import DAY_MS, rfc3339
from schemas.messages import Caller

if TYPE_CHECKING:
    from actors.content.chat import Room

DIRECT, GUILD = "direct", "guild"
MODERATOR = "moderator"
VIEW_MESSAGES = 50
"""The newest messages that somebody who begins to listen is shown."""


@dataclass(slots=True)
class Member:
    """Who is in the channel, and since when."""

    name: str
    at: int


@dataclass(slots=True)
class Message:
    """Something that was said. `number` is its place in the channel's history, and its id."""

    number: int
    by: str
    name: str
    text: str
    at: int
    mentions: list[str] = field(default_factory=list)
    edited_at: int = 0
    edit: int = 0
    """The number of the event that edited it last."""
    deleted: bool = False
    unheard: bool = False
    """Only its author sees it: the other one has blocked it."""

    def shown(self) -> dict[str, Any]:
        """The message as clients see it."""
        shown: dict[str, Any] = {
            "message": self.number,
            "userId": self.by,
            "username": self.name,
            "text": "" if self.deleted else self.text,
            "mentions": [] if self.deleted else list(self.mentions),
            "at": rfc3339(self.at),
        }
        if self.deleted:
            return {**shown, "deleted": True}
        return {**shown, "editedAt": rfc3339(self.edited_at)} if self.edited_at else shown

    def visible_to(self, user: str) -> bool:
        """Whether this user may know of it."""
        return not self.unheard or self.by == user

    @property
    def only_for(self) -> str:
        """The one user who is told what becomes of it; empty when everybody is."""
        return self.by if self.unheard else ""


@dataclass(slots=True)
class Voice:
    """What one member said lately: enough to know when it is too much."""

    times: list[int] = field(default_factory=list)
    """Oldest first."""
    text: str = ""
    """A digest of the last text."""
    repeats: int = 0
    since: int = 0
    """When that text was first said."""


@dataclass(slots=True)
class Shutter:
    """Whether one of two has closed the direct channel to the other. The highest number is the latest word."""

    number: int = 0
    closed: bool = False


class Channel(Actor):
    """A place where players talk."""

    kind = "channel"
    unknown = "channel_unknown"
    pushes = "turn"

    members: dict[str, Member] = {}
    messages: list[Message] = []
    """Oldest first."""
    amended: dict[int, int] = {}
    """Of messages that are no longer here: the event that edited them last, or 0 for a deleted one."""
    forgotten: int = 0
    """Messages up to this number are shown to nobody any more."""
    voices: dict[str, Voice] = {}
    silenced: dict[str, int] = {}
    """Until when, by user."""
    passes: dict[str, int] = {}
    """Guild channels only: the number of the latest word of each player on whether it belongs to the guild."""
    shutters: dict[str, Shutter] = {}
    """Direct channels only, by the user whose it is."""
    alerted: dict[str, int] = {}
    """Direct channels only: who was told of something new and has not read it since, and of which message."""

    def find(self, number: int) -> Message | None:
        """The message, if it is among the newest."""
        return next((message for message in reversed(self.messages) if message.number == number), None)

    def view(self) -> Any:
        """What anyone in the channel may see."""
        return self._shown("")

    def shown_to(self, caller: Caller) -> Any:
        return self._shown(caller.user)

    def _shown(self, user: str) -> dict[str, Any]:
        seen = [message.shown() for message in self.messages if message.visible_to(user)]
        return {"members": len(self.members), "messages": seen[-VIEW_MESSAGES:]}

    @classmethod
    def may_subscribe(cls, key: str, caller: Caller) -> bool:
        pair = pair_of(key)
        return caller.internal or not pair or caller.user in pair

    def may_listen(self, key: str, caller: Caller) -> bool:
        return caller.user in self.members or bool(pair_of(key)) or MODERATOR in caller.roles


def pair_of(key: str) -> tuple[str, ...]:
    """The two users of a direct channel, in order; nobody when the key is none of one."""
    kind, *users = key.split(".")
    if kind == DIRECT and len(users) == 2 and "" < users[0] < users[1]:
        return tuple(users)
    return ()


def guild_channel_key(guild: str) -> str:
    """The key of a guild's channel."""
    return f"{GUILD}.{guild}"


def direct_key(one: str, other: str) -> str:
    """The key of the direct channel of two users."""
    first, second = sorted((one, other))
    return f"{DIRECT}.{first}.{second}"


class Place(NamedTuple):
    """What kind of channel the turn is in: a room of the content, a pair's own, or, with neither, a guild's."""

    room: "Room | None"
    other: str
    """The other one of a direct channel."""

    @classmethod
    def of(cls, turn: Turn) -> "Place":
        """Refused when there is no such channel, or when it is a direct one of others."""
        room = turn.content.chat.rooms.get(turn.key)
        pair = pair_of(turn.key)
        if room is None and not pair and not turn.key.startswith(f"{GUILD}."):
            raise Rejected("channel_unknown", f"There is no channel {turn.key!r}.")
        if not pair:
            return cls(room, "")
        if turn.caller.user not in pair:
            raise Rejected("FORBIDDEN", "A direct channel is open to its two only.")
        return cls(None, pair[pair[0] == turn.caller.user])


def oldest_shown(channel: Channel, turn: Turn) -> int:
    """The time before which messages are shown to nobody."""
    return turn.at - turn.content.chat.retention_days * DAY_MS

"""Who is in a channel: rooms are joined and left, a direct channel has its two."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.channel.state import MODERATOR, Channel, Member, Place
from actors.core import ANYONE, Command, Consult, Effects, Event, Query, Rejected, Reply, Turn
from actors.player.chat import Introduction
from actors.times import rfc3339
from schemas import limits
from schemas.address import player


def introduction(user: str, then: Consult | None = None) -> Consult:
    """The question who a player is, and what is asked next."""
    return Consult(player(user), Introduction(), then=then)


def name_in(reply: Reply | None) -> str:
    """The name in an answer to it; refused when there is no such player, or none that answers now."""
    if reply is None:
        raise Rejected("UNAVAILABLE", "Players cannot be asked now; try again.", retry_after_s=1)
    if not reply.data.get("userId"):
        raise Rejected("player_unknown")
    return str(reply.data["username"])


class Join(Command[Channel]):
    """Come into a room."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    def consults(self, channel: Channel, turn: Turn) -> Consult | None:
        Place.of(turn)
        return None if turn.caller.user in channel.members else introduction(turn.caller.user)

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        place = Place.of(turn)
        user = turn.caller.user
        if user in channel.members:
            return {"members": len(channel.members)}
        if place.room is None:
            raise Rejected("not_a_room", "Direct channels are opened by a message, and guilds' by belonging to them.")
        if len(channel.members) >= place.room.members_max:
            raise Rejected("channel_full")
        yield MemberJoined(user=user, name=name_in(turn.answer), at=turn.at)
        return {"members": len(channel.members) + 1}


class MemberJoined(Event[Channel]):
    """Somebody is in the channel from now on."""

    public = True

    user: str
    name: str
    at: int

    def apply(self, channel: Channel) -> None:
        channel.members[self.user] = Member(self.name, self.at)

    def push(self) -> Mapping[str, Any]:
        return {"joined": {self.user: self.name}}


class Leave(Command[Channel]):
    """Go out of a room; its pushes end with that."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        place = Place.of(turn)
        if place.room is None:
            raise Rejected("not_a_room", "Only rooms can be left.")
        if turn.caller.user in channel.members:
            yield MemberLeft(user=turn.caller.user)
        return {}


class MemberLeft(Event[Channel]):
    """Somebody is no longer in the channel."""

    public = True

    user: str

    def apply(self, channel: Channel) -> None:
        channel.members.pop(self.user, None)

    def push(self) -> Mapping[str, Any]:
        return {"departed": {self.user: "left"}}


class Members(Query[Channel]):
    """Who is in the channel, in the order in which they came, and whose `presence` may be told: that of all, or, in a
    direct channel, of friends alone."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    after: Annotated[int, Field(ge=0, le=limits.CHANNEL_MEMBERS_MAX)] = 0
    """How many to leave out."""
    limit: Annotated[int, Field(ge=1, le=limits.CHANNEL_MEMBERS_MAX)] = 100

    def answer(self, channel: Channel, turn: Turn) -> dict[str, Any]:
        # Anybody can open a direct channel with anybody: to watch over it is no reason to.
        presence = "friends" if insider(channel, turn).other else "all"
        listed = list(channel.members.items())[self.after : self.after + self.limit]
        shown = [{"userId": user, "username": who.name, "joinedAt": rfc3339(who.at)} for user, who in listed]
        return {"count": len(channel.members), "members": shown, "presence": presence}


def insider(channel: Channel, turn: Turn) -> Place:
    """The place, for those who are in it, and for moderators; refused for others."""
    if turn.caller.internal or MODERATOR in turn.caller.roles:
        return Place(turn.content.chat.rooms.get(turn.key), "")
    place = Place.of(turn)
    if not place.other and turn.caller.user not in channel.members:
        raise Rejected("not_a_member", "Join the channel first.")
    return place

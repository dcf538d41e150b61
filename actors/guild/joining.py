"""How players come to a guild by themselves: they join an open one, or ask to."""

from typing import Any

from actors.core import ANYONE, Command, Consult, Effects, Event, Forget, Rejected, Remind, Tell, Turn
from actors.guild.asking import answered, asked
from actors.guild.entry import enter, settled
from actors.guild.state import Guild, Request
from actors.player.inbox import Notify
from actors.times import rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key


def _request_of(guild: Guild, player: str, turn: Turn) -> Request:
    """The player's request to join, if it is still open; refused as `request_unknown`."""
    request = guild.asking(player, turn.at)
    if request is None:
        raise Rejected("request_unknown", "There is no such request.")
    return request


class Join(Command[Guild]):
    """Become a member of an open guild, or of one that has invited the caller; else ask to."""

    public = True
    callers = frozenset({ANYONE})

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        return None if self._settled(guild, turn) else asked(turn.caller.user)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        player = turn.caller.user
        done = self._settled(guild, turn)
        if done:
            return done
        name = answered(turn)["name"]
        if guild.open or guild.invited(player, turn.at):
            return (yield from enter(guild, turn, player, name))
        guild.refuse_when_full(turn)
        if player not in guild.requests and len(guild.requests) >= limits.GUILD_REQUESTS_MAX:
            raise Rejected("requests_too_many", "Too many ask to join already.")
        expires_at = turn.at + turn.content.guilds.invitation_ms
        request = turn.new_id()
        yield JoinRequested(player=player, name=name, request=request, expires_at=expires_at)
        yield Remind(f"request:{player}", expires_at, ExpireRequest(player=player, request=request))
        told = Notify(
            template="guild_join_request",
            data={"guild": turn.key, "name": guild.name, "player": player, "username": name},
            about=f"guild.{turn.key}.{player}",
        )
        for officer in guild.officers:
            yield Tell(player_address(officer), told)
        return {"status": "requested", "expiresAt": rfc3339(expires_at)}

    def _settled(self, guild: Guild, turn: Turn) -> dict[str, Any] | None:
        """The reply when there is nothing to do."""
        player = turn.caller.user
        request = guild.asking(player, turn.at)
        if request is not None and not guild.open and player not in guild.invitations:
            return {"status": "requested", "expiresAt": rfc3339(request.expires_at)}
        return settled(guild, player)


class JoinRequested(Event[Guild]):
    """Somebody would like to join."""

    public = True

    player: str
    name: str
    request: str
    expires_at: int

    def apply(self, guild: Guild) -> None:
        guild.requests[self.player] = Request(self.request, self.name, self.expires_at)

    def push(self) -> dict[str, Any]:
        return {"requests": {self.player: self.name}}


class CancelRequest(Command[Guild]):
    """The caller would not like to join any more."""

    public = True
    callers = frozenset({ANYONE})

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        player = turn.caller.user
        request = _request_of(guild, player, turn)
        yield RequestEnded(player=player, request=request.id, how="cancelled")
        yield Forget(f"request:{player}")
        return {"status": "cancelled"}


class AcceptRequest(Command[Guild]):
    """Somebody who asked to join is let in."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        guild.allow("review", turn)
        return None if settled(guild, self.player) else asked(self.player)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("review", turn)
        done = settled(guild, self.player)
        if done:
            return done
        _request_of(guild, self.player, turn)
        return (yield from enter(guild, turn, self.player, answered(turn)["name"], turn.caller.user))


class DeclineRequest(Command[Guild]):
    """Somebody who asked to join is not let in."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("review", turn)
        request = _request_of(guild, self.player, turn)
        yield RequestEnded(player=self.player, request=request.id, how="declined")
        yield Forget(f"request:{self.player}")
        told = Notify(template="guild_request_declined", data={"guild": turn.key, "name": guild.name})
        yield Tell(player_address(self.player), told)
        return {"status": "declined"}


class ExpireRequest(Command[Guild]):
    """Nobody answered a request in time."""

    creates = True

    player: Key
    request: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        request = guild.requests.get(self.player)
        if request is not None and request.id == self.request:
            yield RequestEnded(player=self.player, request=self.request, how="expired")
        return {}


class RequestEnded(Event[Guild]):
    """A request is no more: `cancelled`, `declined` or `expired`."""

    player: str
    request: str
    how: str

    def apply(self, guild: Guild) -> None:
        guild.requests.pop(self.player, None)

    def push(self) -> dict[str, Any]:
        return {"requests": {self.player: None}}

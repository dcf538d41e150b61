"""How players come to a guild: they join an open one, ask to, or are invited."""

from typing import Any

from actors.core import ANYONE, Command, Consult, Effects, Event, Forget, Rejected, Remind, Tell, Turn
from actors.guild.asking import answered, asked
from actors.guild.state import Entry, Guild, Invitation, Request
from actors.player.guild import ReceiveInvitation, WithdrawInvitation
from actors.player.guild_entry import EnterGuild
from actors.player.inbox import Notify
from actors.times import rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key


def _enter(guild: Guild, turn: Turn, player: str, name: str, by: str = "") -> Effects:
    """Keep a place for the player and let it in; refused as `guild_full` when there is none."""
    guild.refuse_when_full(turn)
    ticket = turn.new_id()
    yield EntryOpened(player=player, name=name, ticket=ticket, by=by)
    yield from _forget(guild, player)
    yield Tell(player_address(player), EnterGuild(guild=turn.key, name=guild.name, ticket=ticket), into="membership")
    return {"status": "entering"}


def _forget(guild: Guild, player: str) -> Effects:
    if player in guild.invitations:
        yield Forget(f"invitation:{player}")
    if player in guild.requests:
        yield Forget(f"request:{player}")
    return None


def _status(guild: Guild, player: str) -> dict[str, Any] | None:
    if player in guild.members:
        return {"status": "member"}
    if player in guild.entering:
        return {"status": "entering"}
    return None


def _invitation_of(guild: Guild, player: str, turn: Turn) -> Invitation:
    """The player's invitation, if it is still open; refused as `invitation_unknown` or `invitation_expired`."""
    invitation = guild.invitations.get(player)
    if invitation is None:
        raise Rejected("invitation_unknown", "There is no such invitation.")
    if invitation.expires_at <= turn.at:
        raise Rejected("invitation_expired", "The invitation is over.")
    return invitation


def _request_of(guild: Guild, player: str, turn: Turn) -> Request:
    """The player's request to join, if it is still open; refused as `request_unknown`."""
    request = guild.requests.get(player)
    if request is None or request.expires_at <= turn.at:
        raise Rejected("request_unknown", "There is no such request.")
    return request


class EntryOpened(Event[Guild]):
    """Somebody is let in, and a place is kept until its player confirms it."""

    player: str
    name: str
    ticket: str
    by: str

    def apply(self, guild: Guild) -> None:
        guild.entering[self.player] = Entry(self.name, self.ticket)
        guild.invitations.pop(self.player, None)
        guild.requests.pop(self.player, None)


# -- joining and asking to ---------------------------------------------------------------------------------------------


class Join(Command[Guild]):
    """Become a member of an open guild, or of one that has invited the caller; else ask to."""

    public = True
    callers = frozenset({ANYONE})

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        return None if self._settled(guild, turn) else asked(turn.caller.user)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        player = turn.caller.user
        settled = self._settled(guild, turn)
        if settled:
            return settled
        name = answered(turn)["name"]
        invitation = guild.invitations.get(player)
        if guild.open or (invitation is not None and invitation.expires_at > turn.at):
            return (yield from _enter(guild, turn, player, name))
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
        request = guild.requests.get(player)
        if request is not None and request.expires_at > turn.at and not guild.open and player not in guild.invitations:
            return {"status": "requested", "expiresAt": rfc3339(request.expires_at)}
        return _status(guild, player)


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
        return None if _status(guild, self.player) else asked(self.player)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("review", turn)
        settled = _status(guild, self.player)
        if settled:
            return settled
        _request_of(guild, self.player, turn)
        return (yield from _enter(guild, turn, self.player, answered(turn)["name"], turn.caller.user))


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


# -- invitations -------------------------------------------------------------------------------------------------------


class Invite(Command[Guild]):
    """Ask a player to join. One who has asked to join is let in."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        guild.allow("invite", turn)
        return None if self._settled(guild, turn) else asked(self.player)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        inviter = guild.allow("invite", turn)
        settled = self._settled(guild, turn)
        if settled:
            return settled
        name = answered(turn)["name"]
        request = guild.requests.get(self.player)
        if request is not None and request.expires_at > turn.at:
            return (yield from _enter(guild, turn, self.player, name, turn.caller.user))
        guild.refuse_when_full(turn)
        if self.player not in guild.invitations and len(guild.invitations) >= limits.GUILD_INVITATIONS_MAX:
            raise Rejected("invitations_too_many", "Too many invitations are open.")
        expires_at = turn.at + turn.content.guilds.invitation_ms
        invitation = turn.new_id()
        yield PlayerInvited(
            player=self.player, name=name, invitation=invitation, by=turn.caller.user, expires_at=expires_at
        )
        expire = ExpireInvitation(player=self.player, invitation=invitation)
        yield Remind(f"invitation:{self.player}", expires_at, expire)
        told = ReceiveInvitation(
            guild=turn.key,
            name=guild.name,
            invitation=invitation,
            by=inviter.name,
            expires_at=expires_at,
            inviter=turn.caller.user,
        )
        yield Tell(player_address(self.player), told)
        return {"status": "invited", "expiresAt": rfc3339(expires_at)}

    def _settled(self, guild: Guild, turn: Turn) -> dict[str, Any] | None:
        invitation = guild.invitations.get(self.player)
        if invitation is not None and invitation.expires_at > turn.at:
            return {"status": "invited", "expiresAt": rfc3339(invitation.expires_at)}
        return _status(guild, self.player)


class PlayerInvited(Event[Guild]):
    """Somebody is asked to join."""

    public = True

    player: str
    name: str
    invitation: str
    by: str
    expires_at: int

    def apply(self, guild: Guild) -> None:
        guild.invitations[self.player] = Invitation(self.invitation, self.name, self.by, self.expires_at)

    def push(self) -> dict[str, Any]:
        return {"invitations": {self.player: self.name}}


class AcceptInvitation(Command[Guild]):
    """The caller, who was invited, becomes a member."""

    public = True
    callers = frozenset({ANYONE})

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        if _status(guild, turn.caller.user):
            return None
        _invitation_of(guild, turn.caller.user, turn)
        return asked(turn.caller.user)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        settled = _status(guild, turn.caller.user)
        if settled:
            return settled
        invitation = _invitation_of(guild, turn.caller.user, turn)
        return (yield from _enter(guild, turn, turn.caller.user, answered(turn)["name"], invitation.by))


class DeclineInvitation(Command[Guild]):
    """The caller, who was invited, would rather not."""

    public = True
    callers = frozenset({ANYONE})

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        return (yield from _end(guild, turn, turn.caller.user, "declined"))


class RevokeInvitation(Command[Guild]):
    """An invitation is taken back."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("invite", turn)
        return (yield from _end(guild, turn, self.player, "revoked"))


def _end(guild: Guild, turn: Turn, player: str, how: str) -> Effects:
    invitation = _invitation_of(guild, player, turn)
    yield InvitationEnded(player=player, invitation=invitation.id, how=how)
    yield Forget(f"invitation:{player}")
    yield Tell(player_address(player), WithdrawInvitation(guild=turn.key, invitation=invitation.id))
    return {"status": how}


class ExpireInvitation(Command[Guild]):
    """An invitation was not answered in time. One that is being accepted is no invitation any more."""

    creates = True

    player: Key
    invitation: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        invitation = guild.invitations.get(self.player)
        if invitation is not None and invitation.id == self.invitation:
            yield InvitationEnded(player=self.player, invitation=self.invitation, how="expired")
        return {}


class InvitationEnded(Event[Guild]):
    """An invitation is no more: `declined`, `revoked` or `expired`."""

    player: str
    invitation: str
    how: str

    def apply(self, guild: Guild) -> None:
        guild.invitations.pop(self.player, None)

    def push(self) -> dict[str, Any]:
        return {"invitations": {self.player: None}}

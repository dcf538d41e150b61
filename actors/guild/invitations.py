"""How a guild asks players to join: invitations, and what comes of them."""

from typing import Any

from actors.core import ANYONE, Command, Consult, Effects, Event, Forget, Rejected, Remind, Tell, Turn
from actors.guild.asking import answered, asked
from actors.guild.entry import enter, settled
from actors.guild.state import Guild, Invitation
from actors.player.guild import ReceiveInvitation, WithdrawInvitation
from actors.times import rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key


def _invitation_of(guild: Guild, player: str, turn: Turn) -> Invitation:
    """The player's invitation, if it is still open; refused as `invitation_unknown` or `invitation_expired`."""
    invitation = guild.invitations.get(player)
    if invitation is None:
        raise Rejected("invitation_unknown", "There is no such invitation.")
    if invitation.expires_at <= turn.at:
        raise Rejected("invitation_expired", "The invitation is over.")
    return invitation


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
        done = self._settled(guild, turn)
        if done:
            return done
        name = answered(turn)["name"]
        if guild.asking(self.player, turn.at):
            return (yield from enter(guild, turn, self.player, name, turn.caller.user))
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
        invitation = guild.invited(self.player, turn.at)
        if invitation is not None:
            return {"status": "invited", "expiresAt": rfc3339(invitation.expires_at)}
        return settled(guild, self.player)


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
        if settled(guild, turn.caller.user):
            return None
        _invitation_of(guild, turn.caller.user, turn)
        return asked(turn.caller.user)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        done = settled(guild, turn.caller.user)
        if done:
            return done
        invitation = _invitation_of(guild, turn.caller.user, turn)
        return (yield from enter(guild, turn, turn.caller.user, answered(turn)["name"], invitation.by))


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

"""Who belongs to a guild and who leads it: leaving, ranks, the end, and what members and others may know."""

from typing import Any

from actors.core import ANYONE, Command, Effects, Event, Forget, Query, Rejected, Tell, Turn
from actors.guild.directory import ReleaseName, directory_address
from actors.guild.listing import listed
from actors.guild.state import RANKS, Booking, Guild, Role
from actors.player.guild import ExitGuild, WithdrawInvitation
from actors.player.inbox import Notify
from actors.player.wallet import Credit
from schemas.address import player as player_address
from schemas.shape import Key, Text

# -- leaving -----------------------------------------------------------------------------------------------------------


def _exit(guild: Guild, turn: Turn, player: str, because: str, into: str = "") -> Tell:
    ticket = guild.members[player].ticket
    told = ExitGuild(guild=turn.key, name=guild.name, ticket=ticket, because=because)
    return Tell(player_address(player), told, into=into)


class Leave(Command[Guild]):
    """The caller belongs to the guild no longer. A leader hands over first, or disbands."""

    public = True
    callers = frozenset({ANYONE})

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        player = turn.caller.user
        if guild.member(player).role == "leader":
            raise Rejected("leader_cannot_leave", "Hand the guild over to another member first, or disband it.")
        yield MemberLeft(player=player, because="left", by=player)
        yield listed(guild, turn, members=len(guild.members) - 1)
        yield _exit(guild, turn, player, "left", into="membership")
        return {"status": "left"}


class Kick(Command[Guild]):
    """A member of lower rank must go."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        caller = guild.allow("kick", turn)
        if RANKS[guild.known(self.player).role] >= RANKS[caller.role]:
            raise Rejected("role_too_low", "Only members of lower rank can be told to go.")
        yield MemberLeft(player=self.player, because="kicked", by=turn.caller.user)
        yield listed(guild, turn, members=len(guild.members) - 1)
        yield _exit(guild, turn, self.player, "kicked")
        return {"status": "kicked"}


class MemberLeft(Event[Guild]):
    """Somebody belongs to the guild no longer: `left` or `kicked`."""

    public = True

    player: str
    because: str
    by: str

    def apply(self, guild: Guild) -> None:
        del guild.members[self.player]
        guild.revision += 1

    def push(self) -> dict[str, Any]:
        return {"members": {self.player: None}, "departed": {self.player: self.because}}


class Disband(Command[Guild]):
    """The guild is no more. Its bank goes to the leader; its storage must be empty."""

    public = True
    callers = frozenset({ANYONE})

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.lead(turn)
        if guild.storage:
            raise Rejected("storage_not_empty", "Take the items out of the storage first.")
        leader = turn.caller.user
        paid_out = {currency: amount for currency, amount in sorted(guild.bank.items()) if amount}
        yield Disbanded(by=leader, members=list(guild.members), paid_out=paid_out, at=turn.at)
        for currency, amount in paid_out.items():
            credit = Credit(currency=currency, amount=amount, reason=f"bank of {guild.name}", owed=True)
            yield Tell(player_address(leader), credit)
        yield Tell(directory_address(), ReleaseName(guild=turn.key, founding=guild.founding))
        for player in guild.members:
            because = "left" if player == leader else "disbanded"
            yield _exit(guild, turn, player, because, into="membership" if player == leader else "")
        for player, invitation in guild.invitations.items():
            yield Forget(f"invitation:{player}")
            withdrawn = WithdrawInvitation(guild=turn.key, invitation=invitation.id)
            yield Tell(player_address(player), withdrawn)
        for player in guild.requests:
            yield Forget(f"request:{player}")
        for territory in guild.territories:
            yield Forget(f"income:{territory}")
        return {"status": "disbanded"}


class Disbanded(Event[Guild]):
    """The guild is no more; what was in its bank is on its way to who led it."""

    public = True

    by: str
    members: list[str]
    paid_out: dict[str, int]
    at: int

    def apply(self, guild: Guild) -> None:
        guild.standing = "disbanded"
        for currency, amount in self.paid_out.items():
            guild.book(Booking(self.at, self.by, currency, -amount, 0, "disbanded"))
        guild.bank = {}
        guild.members = {}
        guild.entering = {}
        guild.invitations = {}
        guild.requests = {}
        guild.territories = {}

    def push(self) -> dict[str, Any]:
        return {"disbanded": True, "departed": dict.fromkeys(self.members, "disbanded")}


# -- ranks -------------------------------------------------------------------------------------------------------------


class Promote(Command[Guild]):
    """A member becomes an officer."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.lead(turn)
        role = guild.known(self.player).role
        if role == "member":
            guilds = turn.content.guilds
            most = guilds.officers_max + guilds.perks_of(guild.level).officers
            if len(guild.officers) - 1 >= most:
                raise Rejected("officers_too_many", f"This guild has {most} officers at most.")
            yield from _ranked(guild, turn, {self.player: "officer"})
        return {"role": "officer" if role == "member" else role}


class Demote(Command[Guild]):
    """An officer becomes a member."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.lead(turn)
        role = guild.known(self.player).role
        if role == "leader":
            raise Rejected("leader_cannot_step_down", "Hand the guild over to another member instead.")
        if role == "officer":
            yield from _ranked(guild, turn, {self.player: "member"})
        return {"role": "member"}


class TransferLeadership(Command[Guild]):
    """Another member leads from now on; who led becomes an officer."""

    public = True
    callers = frozenset({ANYONE})

    player: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.lead(turn)
        yield from _hand_over(guild, turn, self.player)
        return {"leader": self.player}


class AppointLeader(Command[Guild]):
    """A moderator makes a member the leader, because the one there was is gone for good."""

    public = True
    callers = frozenset({"moderator"})

    player: Key
    reason: Text

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        yield from _hand_over(guild, turn, self.player)
        return {"leader": self.player}


def _hand_over(guild: Guild, turn: Turn, player: str) -> Effects:
    if guild.known(player).role != "leader":
        yield from _ranked(guild, turn, {guild.leader: "officer", player: "leader"})
    return None


def _ranked(guild: Guild, turn: Turn, roles: dict[str, Role]) -> Effects:
    yield RolesChanged(roles=roles, by=turn.caller.user)
    for player, role in roles.items():
        if player != turn.caller.user:
            told = Notify(template="guild_role", data={"guild": turn.key, "name": guild.name, "role": role})
            yield Tell(player_address(player), told)
    return None


class RolesChanged(Event[Guild]):
    """Members have other roles now."""

    public = True

    roles: dict[str, Role]
    by: str

    def apply(self, guild: Guild) -> None:
        for player, role in self.roles.items():
            guild.members[player].role = role

    def push(self) -> dict[str, Any]:
        return {"members": dict(self.roles)}


# -- what it says of itself --------------------------------------------------------------------------------------------


class Describe(Command[Guild]):
    """Change what the guild says of itself, and whether anyone may join."""

    public = True
    callers = frozenset({ANYONE})

    description: Text | None = None
    open: bool | None = None

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("describe", turn)
        description = guild.description if self.description is None else self.description
        open_ = guild.open if self.open is None else self.open
        if (description, open_) != (guild.description, guild.open):
            yield Redescribed(description=description, open=open_)
            yield listed(guild, turn, open_=open_)
        return {"description": description, "open": open_}


class Redescribed(Event[Guild]):
    """The guild says something else of itself."""

    public = True

    description: str
    open: bool

    def apply(self, guild: Guild) -> None:
        guild.description = self.description
        guild.open = self.open
        guild.revision += 1

    def push(self) -> dict[str, Any]:
        return {"description": self.description, "open": self.open}


# -- who may know what -------------------------------------------------------------------------------------------------

STAFF = frozenset({"server", "moderator", "operator", "admin"})
"""Roles that see what only members see."""


def for_members(guild: Guild, turn: Turn) -> None:
    """Refused as `not_a_member` to anybody else."""
    if not (turn.caller.internal or STAFF.intersection(turn.caller.roles)):
        guild.member(turn.caller.user)


class Profile(Query[Guild]):
    """What anyone may know of the guild: what it is, and who belongs to it."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, guild: Guild, turn: Turn) -> dict[str, Any]:
        return {"guild": turn.key, **guild.card(), "roster": guild.roster()}


class Candidates(Query[Guild]):
    """Open invitations and requests, for members."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, guild: Guild, turn: Turn) -> dict[str, Any]:
        for_members(guild, turn)
        invitations = [pair for pair in guild.invitations.items() if pair[1].expires_at > turn.at]
        requests = [pair for pair in guild.requests.items() if pair[1].expires_at > turn.at]
        return {
            "invitations": [invitation.shown(player) for player, invitation in invitations],
            "requests": [request.shown(player) for player, request in requests],
        }


class Belonging(Query[Guild]):
    """Whether a player belongs to the guild, and in which role; for whoever keeps something for members only."""

    creates = True

    player: Key

    def answer(self, guild: Guild, turn: Turn) -> dict[str, Any]:
        member = guild.members.get(self.player)
        return {"member": member is not None, "role": member.role if member else None, "name": guild.name}

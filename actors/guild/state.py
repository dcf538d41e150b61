"""The state of a guild: who belongs to it, who leads it, and what they hold in common."""

from dataclasses import dataclass, field
from typing import Any, Literal

from actors.content.guilds import Permission
from actors.core import Actor, Address, Rejected, Turn
from actors.player.state import Lot, Mark
from actors.times import rfc3339
from schemas import limits
from schemas.messages import Caller

Role = Literal["leader", "officer", "member"]
RANKS: dict[str, int] = {"member": 0, "officer": 1, "leader": 2}


@dataclass(slots=True)
class Member:
    """Somebody who belongs to the guild, and whose player says so too."""

    name: str
    role: Role
    ticket: str
    since: int
    earned: int = 0
    """The experience that the guild has from this member, in this stay."""

    def shown(self, player: str) -> dict[str, Any]:
        """The member as others see it."""
        told = {"userId": player, "username": self.name, "role": self.role, "since": rfc3339(self.since)}
        return {**told, "earned": self.earned}


@dataclass(slots=True)
class Entry:
    """Somebody who was let in, and whose player has not confirmed it yet; the place is kept."""

    name: str
    ticket: str


@dataclass(slots=True)
class Invitation:
    """An open invitation."""

    id: str
    name: str
    by: str
    expires_at: int

    def shown(self, player: str) -> dict[str, Any]:
        """The invitation as members see it."""
        return {"userId": player, "username": self.name, "by": self.by, "expiresAt": rfc3339(self.expires_at)}


@dataclass(slots=True)
class Request:
    """Somebody who would like to join."""

    id: str
    name: str
    expires_at: int

    def shown(self, player: str) -> dict[str, Any]:
        """The request as members see it."""
        return {"userId": player, "username": self.name, "expiresAt": rfc3339(self.expires_at)}


@dataclass(slots=True)
class Booking:
    """A line of the bank's ledger: what came or went, and what there was then."""

    at: int
    by: str
    currency: str
    change: int
    balance: int
    reason: str

    def shown(self) -> dict[str, Any]:
        """The booking as members see it."""
        told = {"at": rfc3339(self.at), "by": self.by, "currency": self.currency, "change": self.change}
        return {**told, "balance": self.balance, "reason": self.reason}


@dataclass(slots=True)
class Holding:
    """A territory that the guild holds. No income while it is contested."""

    since: int
    pays_at: int
    contested_by: str = ""

    def shown(self) -> dict[str, Any]:
        """The holding as anyone sees it."""
        return {"since": rfc3339(self.since), "contestedBy": self.contested_by or None}


@dataclass(slots=True)
class Stored:
    """What lies in one slot of the storage. A unique item keeps its id and its history."""

    item: str
    quantity: int
    history: list[Mark] = field(default_factory=list)

    def lot(self, slot: str, quantity: int) -> Lot:
        """So much of it, on its own."""
        return Lot(id=slot, item=self.item, quantity=quantity, history=list(self.history))


@dataclass(slots=True)
class Move:
    """A line of the storage's log."""

    at: int
    by: str
    item: str
    change: int

    def shown(self) -> dict[str, Any]:
        """The line as members see it."""
        return {"at": rfc3339(self.at), "by": self.by, "item": self.item, "change": self.change}


class Guild(Actor):
    """Who belongs to it, who leads it, and what they hold in common."""

    kind = "guild"
    unknown = "guild_unknown"
    pushes = "turn"

    standing: Literal["", "founding", "standing", "disbanded"] = ""
    """Nobody can found a guild under the key of one that stood."""
    founding: str = ""
    """The id of the founding; a founding that came to nothing leaves the key to others."""
    cost: dict[str, int] = {}
    """While it is founded: what the founder pays."""
    name: str = ""
    description: str = ""
    open: bool = False
    """Whether anyone may join without being asked."""
    founded_at: int = 0

    members: dict[str, Member] = {}
    """By player; exactly one of them leads. While it is founded: nobody."""
    entering: dict[str, Entry] = {}
    invitations: dict[str, Invitation] = {}
    requests: dict[str, Request] = {}

    level: int = 1
    experience: int = 0
    territories: dict[str, Holding] = {}

    bank: dict[str, int] = {}
    ledger: list[Booking] = []
    storage: dict[str, Stored] = {}
    """By the id of the slot's content."""
    log: list[Move] = []
    revision: int = 0
    """Grows with everything that the directory shows."""

    def exists(self) -> bool:
        return self.standing == "standing"

    @property
    def leader(self) -> str:
        """The player who leads; empty while nobody does."""
        return next((player for player, member in self.members.items() if member.role == "leader"), "")

    @property
    def officers(self) -> list[str]:
        """Those who look after requests: officers, and the leader."""
        return [player for player, member in self.members.items() if member.role != "member"]

    def member(self, player: str) -> Member:
        """The caller as a member; refused as `not_a_member`."""
        member = self.members.get(player)
        if member is None:
            raise Rejected("not_a_member", "Only members of the guild may do this.")
        return member

    def known(self, player: str) -> Member:
        """A member that somebody else names; refused as `member_unknown`."""
        member = self.members.get(player)
        if member is None:
            raise Rejected("member_unknown", "There is no such member.")
        return member

    def invited(self, player: str, at: int) -> Invitation | None:
        """The player's invitation, as long as it is open."""
        invitation = self.invitations.get(player)
        return invitation if invitation is not None and invitation.expires_at > at else None

    def asking(self, player: str, at: int) -> Request | None:
        """The player's request to join, as long as it is open."""
        request = self.requests.get(player)
        return request if request is not None and request.expires_at > at else None

    def allow(self, permission: Permission, turn: Turn) -> Member:
        """The caller, if its role may do this; refused as `role_too_low`."""
        member = self.member(turn.caller.user)
        roles = turn.content.guilds.roles
        granted = {"officer": roles.officer, "member": roles.member}.get(member.role)
        if granted is not None and permission not in granted:
            raise Rejected("role_too_low", f"The role {member.role} may not {permission.replace('_', ' ')}.")
        return member

    def lead(self, turn: Turn) -> Member:
        """The caller, if it leads the guild; refused as `role_too_low`."""
        member = self.member(turn.caller.user)
        if member.role != "leader":
            raise Rejected("role_too_low", "Only the leader of the guild may do this.")
        return member

    def refuse_when_full(self, turn: Turn) -> None:
        """Refused as `guild_full` when every place is taken or kept for somebody."""
        if len(self.members) + len(self.entering) >= turn.content.guilds.members_max:
            raise Rejected("guild_full", f"A guild has {turn.content.guilds.members_max} members at most.")

    def room_for(self, currency: str) -> int:
        """How much more of it the bank can hold."""
        if currency not in self.bank and len(self.bank) >= limits.CURRENCIES_MAX:
            return 0
        return limits.INTEGER_MAX - self.bank.get(currency, 0)

    def card(self) -> dict[str, Any]:
        """What anyone may know of it, but for its key."""
        return {
            "name": self.name,
            "description": self.description,
            "open": self.open,
            "level": self.level,
            "experience": self.experience,
            "members": len(self.members),
            "leader": self.leader,
            "foundedAt": rfc3339(self.founded_at),
            "territories": {name: holding.shown() for name, holding in self.territories.items()},
        }

    def roster(self) -> list[dict[str, Any]]:
        """The members, those of higher rank first, then those who are here longer."""
        ranked = sorted(self.members.items(), key=lambda pair: (-RANKS[pair[1].role], pair[1].since, pair[0]))
        return [member.shown(player) for player, member in ranked]

    def view(self) -> Any:
        return {**self.card(), "roster": self.roster(), "bank": dict(self.bank)}

    def may_listen(self, key: str, caller: Caller) -> bool:
        return caller.user in self.members

    # -- what events have in common ---------------------------------------------------------------------------------

    def book(self, booking: Booking) -> None:
        """Enter a change of the bank."""
        self.bank[booking.currency] = booking.balance
        self.ledger.append(booking)
        if len(self.ledger) > limits.GUILD_LOG_MAX:
            del self.ledger[0]

    def note(self, move: Move) -> None:
        """Enter a change of the storage."""
        self.log.append(move)
        if len(self.log) > limits.GUILD_LOG_MAX:
            del self.log[0]


def guild_address(key: str) -> Address:
    return Address("guild", key)

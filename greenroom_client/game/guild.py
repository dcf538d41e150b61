"""A guild: who belongs to it, who may come in, and who leads it."""

from datetime import datetime
from typing import Any

from greenroom_client.game.character import Membership
from greenroom_client.game.guild_hoard import Bank, Storage
from greenroom_client.game.noun import Noun, asked
from greenroom_client.models import Model


class Entered(Model):
    """What came of asking to be let in: `member`, `entering`, `requested` or `invited`.

    Until when an open request or invitation is good is `expires_at`.
    """

    status: str
    expires_at: datetime | None = None


class Status(Model):
    """What somebody's membership, invitation or request is now."""

    status: str


class Role(Model):
    """The role that somebody has now."""

    role: str


class Leader(Model):
    """Who leads now."""

    leader: str


class Founding(Model):
    """A guild that was founded. `claim` holds how far that is; None when the answer is late, not when it is lost."""

    guild: str
    name: str
    claim: dict[str, Any] | None = None


class Description(Model):
    """How a guild describes itself, and whether anyone may join."""

    description: str
    open: bool


class Territory(Model):
    """A territory that a guild holds; it brings nothing while it is contested."""

    since: datetime
    contested_by: str | None


class Member(Model):
    """Somebody of the guild, and the experience that it brought."""

    user_id: str
    username: str
    role: str
    since: datetime
    earned: int


class Profile(Model):
    """What anyone may know of a guild."""

    guild: str
    name: str
    description: str
    open: bool
    level: int
    experience: int
    members: int
    leader: str
    founded_at: datetime
    territories: dict[str, Territory]
    roster: list[Member]


class Candidate(Model):
    """Somebody who was invited (`by` whom), or who asks."""

    user_id: str
    username: str
    by: str | None = None
    expires_at: datetime


class Candidates(Model):
    """Whose invitations and requests are open."""

    invitations: list[Candidate]
    requests: list[Candidate]


class Guild(Noun):
    """One guild, by its key; who may do what is decided by the caller's role in it."""

    kind = "guild"

    @property
    def bank(self) -> Bank:
        """Its money."""
        return Bank(self._asker, self.key)

    @property
    def storage(self) -> Storage:
        """Its items."""
        return Storage(self._asker, self.key)

    async def profile(self) -> Profile:
        """What anyone may know of it."""
        return await self._query(Profile, "profile")

    async def found(
        self, name: str, *, open: bool | None = None, description: str | None = None, op: str | None = None
    ) -> Founding:
        """Found it under this key, and lead it; it costs what the content says."""
        return await self._command(Founding, "create", op, name=name, open=open, description=description)

    async def join(self, *, op: str | None = None) -> Entered:
        """Come in, or ask to."""
        return await self._command(Entered, "join", op)

    async def leave(self, *, op: str | None = None) -> None:
        """Belong to it no more."""
        await self._command(Status, "leave", op)

    async def cancel_request(self, *, op: str | None = None) -> None:
        """Do not ask any more."""
        await self._command(Status, "cancel_request", op)

    async def accept_invitation(self, *, op: str | None = None) -> Entered:
        """Come in, when invited."""
        return await self._command(Entered, "accept_invitation", op)

    async def decline_invitation(self, *, op: str | None = None) -> None:
        """Rather not."""
        await self._command(Status, "decline_invitation", op)

    # For those whose role allows it

    async def candidates(self) -> Candidates:
        """Who was invited, and who asks."""
        return await self._query(Candidates, "candidates")

    async def invite(self, user_id: str, *, op: str | None = None) -> Entered:
        """Ask somebody to join; who has asked already is let in."""
        return await self._command(Entered, "invite", op, player=user_id)

    async def revoke_invitation(self, user_id: str, *, op: str | None = None) -> None:
        """Take an invitation back."""
        await self._command(Status, "revoke_invitation", op, player=user_id)

    async def accept_request(self, user_id: str, *, op: str | None = None) -> Entered:
        """Let somebody in who asked."""
        return await self._command(Entered, "accept_request", op, player=user_id)

    async def decline_request(self, user_id: str, *, op: str | None = None) -> None:
        """Do not."""
        await self._command(Status, "decline_request", op, player=user_id)

    async def kick(self, user_id: str, *, op: str | None = None) -> None:
        """Put a member of lower rank out."""
        await self._command(Status, "kick", op, player=user_id)

    async def describe(
        self, description: str | None = None, *, open: bool | None = None, op: str | None = None
    ) -> Description:
        """Say what it is, and whether anyone may join; what is left out stays."""
        return await self._command(Description, "describe", op, description=description, open=open)

    # For its leader

    async def promote(self, user_id: str, *, op: str | None = None) -> str:
        """Make a member an officer; answers its role."""
        return (await self._command(Role, "promote", op, player=user_id)).role

    async def demote(self, user_id: str, *, op: str | None = None) -> str:
        """Make an officer a member; answers its role."""
        return (await self._command(Role, "demote", op, player=user_id)).role

    async def transfer_leadership(self, user_id: str, *, op: str | None = None) -> None:
        """Let somebody else lead."""
        await self._command(Leader, "transfer_leadership", op, player=user_id)

    async def disband(self, *, op: str | None = None) -> None:
        """End it; the storage must be empty, and the bank comes to the leader."""
        await self._command(Status, "disband", op)


class Listing(Model):
    """A guild in the directory."""

    guild: str
    name: str
    level: int
    open: bool
    members: int


class GuildPage(Model):
    """Guilds that were found; `next` goes on, None at the end."""

    guilds: list[Listing]
    next: str | None


class Invitation(Model):
    """A guild that would have the player."""

    guild: str
    name: str
    by: str
    expires_at: datetime


class OwnGuild(Model):
    """The player's guild, and the invitations that are good still."""

    guild: Membership | None
    invitations: list[Invitation]


class Guilds(Noun):
    """Guilds as one finds them, and one's own."""

    async def own(self) -> OwnGuild:
        """The player's own guild, and who invites it."""
        return await self._query(OwnGuild, "own_guild")

    async def search(
        self,
        name: str | None = None,
        *,
        level_min: int | None = None,
        level_max: int | None = None,
        open: bool | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> GuildPage:
        """Guilds by the beginning of their names' words, by level and openness."""
        wanted = {"name": name, "level_min": level_min, "level_max": level_max, "open": open, "after": after}
        return await asked(self._asker, "guild_directory", "main", GuildPage, "search", limit=limit, **wanted)

"""The player's side of guilds: which one it belongs to, which invite it, and what its deeds bring to its own."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effect, Effects, Event, Query, Tell, Turn
from actors.guild.experience import Contribute
from actors.guild.state import guild_address
from actors.player.actions import ActionCompleted
from actors.player.inbox import Notify
from actors.player.notices import hears
from actors.player.score import ScoreAwarded
from actors.player.state import Player, reaction
from actors.player.state.guild import Invited
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Integer, Key, Line


class ExitGuild(Command[Player]):
    """A stay in a guild is over."""

    guild: Key
    name: Key
    ticket: Key
    because: Key
    """`left`, `kicked` or `disbanded`."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if player.guild is None or player.guild.ticket != self.ticket:
            return {"guild": player.guild.guild if player.guild else None}
        yield GuildLeft(guild=self.guild, name=self.name, ticket=self.ticket, because=self.because, at=turn.at)
        if self.because != "left":
            told = Notify(template=f"guild_{self.because}", data={"guild": self.guild, "name": self.name})
            yield Tell(player_address(player.id), told)
        return {"guild": None}


class GuildLeft(Event[Player]):
    """The player belongs to no guild any more."""

    public = True

    guild: str
    name: str
    ticket: str
    because: str
    at: int

    def apply(self, player: Player) -> None:
        player.guild = None

    def push(self) -> Mapping[str, Any]:
        return {"guild": None}


class ReceiveInvitation(Command[Player]):
    """A guild would have the player."""

    guild: Key
    name: Key
    invitation: Key
    by: Line
    expires_at: Integer
    inviter: Key | None = None
    """The member who invites; from one that was blocked or muted nothing comes, and it is not told so."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if not hears(player, self.inviter):
            return {"received": True}
        yield GuildInvitationReceived(
            guild=self.guild,
            name=self.name,
            invitation=self.invitation,
            by=self.by,
            expires_at=self.expires_at,
            inviter=self.inviter,
            at=turn.at,
        )
        told = Notify(template="guild_invitation", data={"guild": self.guild, "name": self.name, "by": self.by})
        yield Tell(player_address(player.id), told)
        return {"received": True}


class GuildInvitationReceived(Event[Player]):
    """An invitation came. With too many, the oldest are shown no more; their guilds still know them."""

    guild: str
    name: str
    invitation: str
    by: str
    expires_at: int
    inviter: str | None = None
    at: int

    def apply(self, player: Player) -> None:
        kept = player.guild_invitations
        for guild in [guild for guild, invited in kept.items() if invited.expires_at <= self.at or guild == self.guild]:
            del kept[guild]
        if len(kept) >= limits.INVITATIONS_HELD_MAX:
            del kept[next(iter(kept))]
        kept[self.guild] = Invited(self.name, self.invitation, self.by, self.expires_at)

    def push(self) -> Mapping[str, Any]:
        return {"guildInvitations": {self.guild: self.name}}


class WithdrawInvitation(Command[Player]):
    """An invitation is over: declined, taken back, or its guild is no more."""

    guild: Key
    invitation: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        yield GuildInvitationWithdrawn(guild=self.guild, invitation=self.invitation)
        return {}


class GuildInvitationWithdrawn(Event[Player]):
    """An invitation is good no more, if it was shown at all."""

    guild: str
    invitation: str

    def apply(self, player: Player) -> None:
        invited = player.guild_invitations.get(self.guild)
        if invited is not None and invited.invitation == self.invitation:
            del player.guild_invitations[self.guild]

    def push(self) -> Mapping[str, Any]:
        return {"guildInvitations": {self.guild: None}}


@reaction(ActionCompleted, ScoreAwarded)
def brings_deeds_home(player: Player, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
    """A member's points are experience of its guild, told whenever so many have come together."""
    membership, deeds = player.guild, turn.content.guilds.deeds
    if membership is None or deeds is None:
        return
    times = 0
    for event in events:
        if isinstance(event, ScoreAwarded | ActionCompleted):
            score = event.scores.get(deeds.board, 0)
            times += score // deeds.every - max(0, score - event.points) // deeds.every
    if times > 0:
        amount = min(times * deeds.experience, limits.INTEGER_MAX)
        yield Tell(
            guild_address(membership.guild),
            Contribute(player=player.id, ticket=membership.ticket, experience=amount),
        )


class GuildStanding(Query[Player]):
    """What a guild must know of somebody who founds it, joins it or pays: name, guild and money. A player that does
    not exist has no name."""

    creates = True

    currencies: Annotated[list[Key], Field(max_length=limits.CURRENCIES_MAX)] = []

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        balances = {currency: player.wallet.get(currency, 0) for currency in self.currencies}
        return {"name": player.name, "guild": player.guild.guild if player.guild else "", "balances": balances}


class OwnGuild(Query[Player]):
    """The player's guild, and the invitations of others that are good still."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        open_ = [pair for pair in player.guild_invitations.items() if pair[1].expires_at > turn.at]
        return {
            "guild": player.guild.shown() if player.guild else None,
            "invitations": [invited.shown(guild) for guild, invited in open_],
        }

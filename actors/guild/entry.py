"""How a guild lets somebody in: it keeps a place, until the player confirms that it belongs to it."""

from typing import Any

from actors.core import Effects, Event, Forget, Tell, Turn
from actors.guild.state import Entry, Guild
from actors.player.guild_entry import EnterGuild
from schemas.address import player as player_address


def enter(guild: Guild, turn: Turn, player: str, name: str, by: str = "") -> Effects:
    """Keep a place for the player and let it in; refused as `guild_full` when there is none."""
    guild.refuse_when_full(turn)
    ticket = turn.new_id()
    yield EntryOpened(player=player, name=name, ticket=ticket, by=by)
    yield from _forget_asked(guild, player)
    yield Tell(player_address(player), EnterGuild(guild=turn.key, name=guild.name, ticket=ticket), into="membership")
    return {"status": "entering"}


def _forget_asked(guild: Guild, player: str) -> Effects:
    if player in guild.invitations:
        yield Forget(f"invitation:{player}")
    if player in guild.requests:
        yield Forget(f"request:{player}")
    return None


def settled(guild: Guild, player: str) -> dict[str, Any] | None:
    """The reply about who is in already, or about to be; None about all others."""
    if player in guild.members:
        return {"status": "member"}
    if player in guild.entering:
        return {"status": "entering"}
    return None


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

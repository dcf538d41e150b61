"""What a guild asks a player before it decides about it."""

from typing import Any

from actors.core import Consult, Rejected, Turn
from actors.player.guild import GuildStanding
from schemas.address import player as player_address


def asked(player: str, currencies: list[str] | None = None) -> Consult:
    """Ask the player for its guild and name, and for its balances of these currencies."""
    return Consult(player_address(player), GuildStanding(currencies=currencies or []))


def said(turn: Turn) -> dict[str, Any]:
    """What the player said; refused as UNAVAILABLE when it said nothing."""
    if turn.answer is None:
        raise Rejected("UNAVAILABLE", "The player cannot be asked now.", retry_after_s=1)
    told: dict[str, Any] = turn.answer.data
    return told


def answered(turn: Turn, *, free: bool = True) -> dict[str, Any]:
    """What the player said to `asked`. Refused as in `said`, as `player_unknown` when there is none, and, if it must be
    free to enter a guild, as `already_in_guild` when it belongs to one."""
    standing = said(turn)
    if not standing["name"]:
        raise Rejected("player_unknown")
    if free and standing["guild"]:
        raise Rejected("already_in_guild", "A player belongs to one guild at a time.")
    return standing

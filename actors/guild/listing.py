"""How the directory learns what has changed of a guild."""

from actors.core import Tell, Turn
from actors.guild.directory import ListGuild, directory_address
from actors.guild.state import Guild


def listed(
    guild: Guild,
    turn: Turn,
    *,
    members: int | None = None,
    level: int | None = None,
    open_: bool | None = None,
) -> Tell:
    """Tells the directory how the guild is after the event that goes with it, which raises the revision by one."""
    listing = ListGuild(
        guild=turn.key,
        founding=guild.founding,
        name=guild.name,
        level=guild.level if level is None else level,
        open=guild.open if open_ is None else open_,
        members=len(guild.members) if members is None else members,
        revision=guild.revision + 1,
    )
    return Tell(directory_address(), listing)

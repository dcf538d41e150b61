"""How a guild grows: by what its members do and give. Its level follows, and its rank among guilds."""

from collections.abc import Iterator, Mapping
from typing import Any

from actors.core import Command, Effect, Effects, Event, Tell, Turn
from actors.guild.listing import listed
from actors.guild.state import Guild
from actors.leaderboard.gathers import shard_of
from actors.leaderboard.place import Place
from actors.leaderboard.shard import shard_address
from actors.periods import period_of
from schemas import limits
from schemas.shape import Amount, Key


def gained(guild: Guild, turn: Turn, amount: int, player: str) -> Iterator[Effect]:
    """The guild has so much more experience, thanks to this player."""
    amount = min(amount, limits.INTEGER_MAX - guild.experience)
    if amount <= 0:
        return
    experience = guild.experience + amount
    level = max(guild.level, turn.content.guilds.level_of(experience))
    yield ExperienceGained(amount=amount, experience=experience, level=level, player=player)
    if level > guild.level:
        yield listed(guild, turn, level=level)
    name = turn.content.guilds.board
    board = turn.content.boards.get(name) if name is not None else None
    if name is not None and board is not None:
        period = period_of(board.reset, board.seasons, turn.at)
        place = Place(subject=turn.key, name=guild.name, points=amount, at=turn.at, period=period)
        yield Tell(shard_address(name, shard_of(board, turn.key)), place)


class ExperienceGained(Event[Guild]):
    """The guild has grown. `experience` and `level` are what it has now."""

    public = True

    amount: int
    experience: int
    level: int
    player: str

    def apply(self, guild: Guild) -> None:
        guild.experience = self.experience
        if self.level > guild.level:
            guild.level = self.level
            guild.revision += 1
        member = guild.members.get(self.player)
        if member is not None:
            member.earned += self.amount

    def push(self) -> Mapping[str, Any]:
        return {"experience": self.experience, "level": self.level}


class Contribute(Command[Guild]):
    """What a member did is worth so much to the guild, if it belongs to it still."""

    creates = True

    player: Key
    ticket: Key
    experience: Amount

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        yield Contributed(player=self.player, ticket=self.ticket, experience=self.experience)
        member = guild.members.get(self.player)
        if member is not None and member.ticket == self.ticket:
            yield from gained(guild, turn, self.experience, self.player)
        return {}


class Contributed(Event[Guild]):
    """A player's deeds were told. Of one who does not belong here they change nothing."""

    player: str
    ticket: str
    experience: int

    def apply(self, guild: Guild) -> None:
        """The gain is an event of its own."""

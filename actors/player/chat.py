"""What a player hears of others, and they of it: introductions, its guild's channel, players it muted or blocked."""

from collections.abc import Iterator, Mapping
from typing import Any

from actors.channel.direct import Shut
from actors.channel.passes import Pass
from actors.channel.state import direct_key, guild_channel_key
from actors.core import Address, Command, Effect, Effects, Event, Query, Rejected, Tell, Turn
from actors.player.friends import TieChanged, another, wish
from actors.player.guild import GuildLeft
from actors.player.guild_entry import FoundingPaid, GuildEntered
from actors.player.state import Player, reaction
from schemas import limits
from schemas.shape import Key


@reaction(GuildEntered, FoundingPaid, GuildLeft)
def talks_with_its_guild(player: Player, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
    """Whoever belongs to a guild is in its channel, as long as it does."""
    for number, event in enumerate(events, turn.version + 1):
        if isinstance(event, GuildEntered | FoundingPaid | GuildLeft):
            inside = not isinstance(event, GuildLeft)
            channel = Address("channel", guild_channel_key(event.guild))
            yield Tell(channel, Pass(user=turn.key, name=player.name, inside=inside, number=number))


class MutePlayer(Command[Player]):
    """Be told no more of what somebody does, such as mentions. Clients hide what it says in rooms."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        other = another(turn, self.player)
        if other in player.muted:
            return {}
        if len(player.muted) >= limits.MUTED_MAX:
            raise Rejected("muted_too_many", f"At most {limits.MUTED_MAX} players can be muted.")
        yield PlayerMuted(user=other, at=turn.at)
        return {}


class PlayerMuted(Event[Player]):
    """Nothing that this other player does is told any more."""

    user: str
    at: int

    def apply(self, player: Player) -> None:
        player.muted[self.user] = self.at

    def push(self) -> Mapping[str, Any]:
        return {"muted": {self.user: True}}


class UnmutePlayer(Command[Player]):
    """Be told again."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        if self.player in player.muted:
            yield PlayerUnmuted(user=self.player)
        return {}


class PlayerUnmuted(Event[Player]):
    """What this other player does is told again."""

    user: str

    def apply(self, player: Player) -> None:
        player.muted.pop(self.user, None)

    def push(self) -> Mapping[str, Any]:
        return {"muted": {self.user: False}}


def _shut(turn: Turn, other: str, number: int, *, closed: bool) -> Tell:
    return Tell(Address("channel", direct_key(turn.key, other)), Shut(user=turn.key, closed=closed, number=number))


class BlockPlayer(Command[Player]):
    """Let somebody reach this player no more: no direct message, no request, no invitation. It is not told so."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        other = another(turn, self.player)
        if other in player.blocked:
            return {}
        if len(player.blocked) >= limits.BLOCKED_MAX:
            raise Rejected("blocked_too_many", f"At most {limits.BLOCKED_MAX} players can be blocked.")
        tie = player.ties.get(other)
        number = player.wishes + 1
        yield PlayerBlocked(user=other, wishes=number, at=turn.at)
        yield _shut(turn, other, number, closed=True)
        if tie is None:
            return {}
        if tie.mine:
            yield from wish(player, turn, other, wants=False, theirs=0, number=number + 1)
            return {}
        yield TieChanged(user=other, name=tie.name, mine=0, theirs=0, wishes=number, at=turn.at)
        return {}


class PlayerBlocked(Event[Player]):
    """Another player cannot reach this one any more."""

    user: str
    wishes: int
    at: int

    def apply(self, player: Player) -> None:
        player.wishes = self.wishes
        player.blocked[self.user] = self.at

    def push(self) -> Mapping[str, Any]:
        return {"blocked": {self.user: True}}


class UnblockPlayer(Command[Player]):
    """Let somebody reach this player again."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        if self.player in player.blocked:
            number = player.wishes + 1
            yield PlayerUnblocked(user=self.player, wishes=number)
            yield _shut(turn, self.player, number, closed=False)
        return {}


class PlayerUnblocked(Event[Player]):
    """Another player can reach this one again."""

    user: str
    wishes: int

    def apply(self, player: Player) -> None:
        player.wishes = self.wishes
        player.blocked.pop(self.user, None)

    def push(self) -> Mapping[str, Any]:
        return {"blocked": {self.user: False}}


class Introduction(Query[Player]):
    """Who this is, and whether there is such a player at all."""

    creates = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        return {"userId": player.id, "username": player.name}

"""Friends: both must wish it. Each tells the other its wishes and what it knows of the other's, and both agree in the
end, in whatever order that arrives."""

from collections.abc import Mapping
from typing import Any

from actors.core import Command, Effects, Event, Query, Rejected, Tell, Turn
from actors.player.notices import Details, notice
from actors.player.state import Player, Tie
from actors.times import rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Count, Key, Line


def ties_wished(player: Player) -> int:
    """Friends, and requests to others that wait for an answer."""
    return sum(tie.mine > 0 for tie in player.ties.values())


def _tie(player: Player, other: str) -> Tie:
    return player.ties.get(other) or Tie("", 0)


def another(turn: Turn, user: str) -> str:
    """The user, who is somebody else; refused as `that_is_you` when it is the player itself."""
    if user == turn.key:
        raise Rejected("that_is_you")
    return user


def wish(player: Player, turn: Turn, other: str, *, wants: bool, theirs: int, number: int = 0) -> Effects:
    """A new wish of this player about the other, who is told; `theirs` is the other's as it is known from now on."""
    tie = _tie(player, other)
    number = number or player.wishes + 1
    mine = number if wants else 0
    yield TieChanged(user=other, name=tie.name, mine=mine, theirs=theirs, wishes=number, at=turn.at)
    yield Tell(player_address(other), _told(player, turn, wants=wants, number=number, believes=theirs))
    return None


def _told(player: Player, turn: Turn, *, wants: bool, number: int, believes: int) -> "HearWish":
    return HearWish(user=turn.key, name=player.name, wants=wants, number=number, believes=believes)


class RequestFriend(Command[Player]):
    """Ask somebody to be a friend, or accept when it asked first."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        other = another(turn, self.player)
        tie = _tie(player, other)
        if tie.mine:
            return {"friends": tie.friends}
        if other in player.blocked:
            raise Rejected("blocked_by_you", "You have blocked this player.")
        if ties_wished(player) >= limits.FRIENDS_MAX:
            raise Rejected("friends_too_many", f"Friends and open requests are {limits.FRIENDS_MAX} at most.")
        yield from wish(player, turn, other, wants=True, theirs=tie.theirs)
        return {"friends": tie.theirs > 0}


class AcceptFriend(Command[Player]):
    """Be friends with somebody who asked."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        tie = _tie(player, self.player)
        if tie.friends:
            return {"friends": True}
        if not tie.theirs:
            raise Rejected("request_unknown", "This player has not asked, or not any more.")
        return (yield from RequestFriend(player=self.player).decide(player, turn))


class DeclineFriend(Command[Player]):
    """Do not be friends with somebody who asked."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        tie = _tie(player, self.player)
        if tie.theirs and not tie.mine:
            yield TieChanged(user=self.player, name=tie.name, mine=0, theirs=0, wishes=player.wishes, at=turn.at)
            yield Tell(player_address(self.player), HearDeclined(user=turn.key, number=tie.theirs))
        return {}


class RemoveFriend(Command[Player]):
    """End a friendship, or take back a request."""

    public = True

    player: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        if _tie(player, self.player).mine:
            yield from wish(player, turn, self.player, wants=False, theirs=0)
        return {}


class HearWish(Command[Player]):
    """Another player wishes to be friends, or does not any more, and says which wish of this one it knows of."""

    creates = True

    user: Key
    name: Line
    wants: bool
    number: Count
    believes: Count

    def decide(self, player: Player, turn: Turn) -> Effects:
        tie = _tie(player, self.user)
        if not player.exists() or self.number < tie.theirs:
            return {}
        if self.user in player.blocked:
            yield from self._in_vain(player, turn)
            return {}
        if not self.wants:
            yield from self._ended(player, tie, turn)
            return {}
        asking = sum(1 for other in player.ties.values() if other.theirs and not other.mine)
        if not tie.theirs and not tie.mine and asking >= limits.FRIEND_REQUESTS_MAX:
            yield TieChanged(user=self.user, name=tie.name, mine=0, theirs=0, wishes=player.wishes, at=turn.at)
            yield Tell(player_address(self.user), HearDeclined(user=turn.key, number=self.number))
            return {}
        yield TieChanged(
            user=self.user, name=self.name, mine=tie.mine, theirs=self.number, wishes=player.wishes, at=turn.at
        )
        if self.believes != tie.mine:
            yield from self._again(player, tie, turn)
        if not tie.theirs:
            template = "friend_accepted" if tie.mine else "friend_request"
            data: Details = {"from": self.user, "name": self.name}
            yield from notice(player, turn, template, data, sender=self.user, about=f"friend.{self.user}")
        return {}

    def _in_vain(self, player: Player, turn: Turn) -> Effects:
        """A blocked player asks: nothing happens, unless it takes this one for a friend still."""
        if self.wants and self.believes:
            yield TieChanged(user=self.user, name="", mine=0, theirs=0, wishes=player.wishes, at=turn.at)
            no = _told(player, turn, wants=False, number=player.wishes, believes=0)
            yield Tell(player_address(self.user), no)
        return None

    def _ended(self, player: Player, tie: Tie, turn: Turn) -> Effects:
        if tie.mine:
            # The friendship is over on this side too; or the request was answered with a no.
            yield from wish(player, turn, self.user, wants=False, theirs=0)
            return None
        if tie.theirs:
            yield TieChanged(user=self.user, name=tie.name, mine=0, theirs=0, wishes=player.wishes, at=turn.at)
        return None

    def _again(self, player: Player, tie: Tie, turn: Turn) -> Effects:
        """What the other one believes is out of date: say again how it is."""
        number = tie.mine or player.wishes
        yield Tell(
            player_address(self.user),
            _told(player, turn, wants=tie.mine > 0, number=number, believes=self.number),
        )
        return None


class HearDeclined(Command[Player]):
    """Another player does not want to be friends: the request of this number is over."""

    user: Key
    number: Count

    def decide(self, player: Player, turn: Turn) -> Effects:
        tie = _tie(player, self.user)
        if tie.mine and tie.mine == self.number and not tie.theirs:
            yield from wish(player, turn, self.user, wants=False, theirs=0)
        return {}


class TieChanged(Event[Player]):
    """What this player and another one want of each other, as it is known from now on."""

    public = True

    user: str
    name: str
    mine: int
    theirs: int
    wishes: int
    at: int

    @property
    def status(self) -> str | None:
        """`friend`, `requested` by this player, `asking` for it, or None when there is nothing between the two."""
        if self.mine and self.theirs:
            return "friend"
        if self.mine:
            return "requested"
        return "asking" if self.theirs else None

    def apply(self, player: Player) -> None:
        player.wishes = self.wishes
        before = player.ties.pop(self.user, None)
        if self.mine or self.theirs:
            was_friends = before is not None and before.friends
            at = before.at if before is not None and was_friends and self.mine and self.theirs else self.at
            player.ties[self.user] = Tie(self.name, at, self.mine, self.theirs)

    def push(self) -> Mapping[str, Any]:
        return {"friends": {self.user: {"username": self.name, "status": self.status} if self.status else None}}


class Friends(Query[Player]):
    """Friends, requests in both directions, and who was blocked or muted."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        def shown(wanted: bool, theirs: bool) -> list[dict[str, Any]]:
            return [
                {"userId": user, "username": tie.name, "since": rfc3339(tie.at)}
                for user, tie in player.ties.items()
                if bool(tie.mine) == wanted and bool(tie.theirs) == theirs
            ]

        return {
            "friends": shown(wanted=True, theirs=True),
            "requested": shown(wanted=True, theirs=False),
            "asking": shown(wanted=False, theirs=True),
            "blocked": list(player.blocked),
            "muted": list(player.muted),
        }


class FriendIds(Query[Player]):
    """Whose presence the player may know: that of its friends, and they its own."""

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        return {"friends": [user for user, tie in player.ties.items() if tie.friends]}

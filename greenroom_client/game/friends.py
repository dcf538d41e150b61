"""Friends, those who ask to be, and those whom one does not want to hear."""

from datetime import datetime

from greenroom_client.game.noun import Done, Noun
from greenroom_client.models import Model


class Friend(Model):
    """Another player, and since when it is so."""

    user_id: str
    username: str
    since: datetime


class Circle(Model):
    """Friends, whom the player has asked, who asks it, and whom it blocked or muted."""

    friends: list[Friend]
    requested: list[Friend]
    asking: list[Friend]
    blocked: list[str]
    muted: list[str]


class Agreed(Model):
    """Whether they are friends now."""

    friends: bool


class Friends(Noun):
    """What one's own player wants of others."""

    async def circle(self) -> Circle:
        """All of them."""
        return await self._query(Circle, "friends")

    async def request(self, user_id: str, *, op: str | None = None) -> bool:
        """Ask somebody to be a friend, or agree when it asked first; answers whether they are friends now."""
        return (await self._command(Agreed, "request_friend", op, player=user_id)).friends

    async def accept(self, user_id: str, *, op: str | None = None) -> bool:
        """Be friends with somebody who asked."""
        return (await self._command(Agreed, "accept_friend", op, player=user_id)).friends

    async def decline(self, user_id: str, *, op: str | None = None) -> None:
        """Do not be friends with somebody who asked."""
        await self._command(Done, "decline_friend", op, player=user_id)

    async def remove(self, user_id: str, *, op: str | None = None) -> None:
        """End a friendship, or take back a request."""
        await self._command(Done, "remove_friend", op, player=user_id)

    async def block(self, user_id: str, *, op: str | None = None) -> None:
        """Let somebody reach this player no more; it is not told so."""
        await self._command(Done, "block_player", op, player=user_id)

    async def unblock(self, user_id: str, *, op: str | None = None) -> None:
        """Let somebody reach this player again."""
        await self._command(Done, "unblock_player", op, player=user_id)

    async def mute(self, user_id: str, *, op: str | None = None) -> None:
        """Be told no more of what somebody does."""
        await self._command(Done, "mute_player", op, player=user_id)

    async def unmute(self, user_id: str, *, op: str | None = None) -> None:
        """Be told again."""
        await self._command(Done, "unmute_player", op, player=user_id)

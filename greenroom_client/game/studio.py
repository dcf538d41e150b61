"""What a studio's own game server gives and takes (role `server`), beside scores."""

from greenroom_client.game.items import Claimed
from greenroom_client.game.noun import Asker, told
from greenroom_client.models import Model


class Balance(Model):
    """What there is of the currency now."""

    balance: int


class Experience(Model):
    """The experience and level of the player now."""

    experience: int
    level: int


class Held(Model):
    """Whether the guild holds the territory."""

    held: bool


class Contested(Model):
    """Who contests a territory, if anyone is named."""

    contested_by: str | None


class Studio:
    """Each call says to whom, and happens once under its op id."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def grant_currency(
        self, user_id: str, currency: str, amount: int, reason: str, *, op: str | None = None
    ) -> int:
        """Money for a player; answers the balance."""
        given = {"currency": currency, "amount": amount, "reason": reason}
        return (await told(self._asker, "player", user_id, Balance, "grant_currency", op, **given)).balance

    async def award_items(self, user_id: str, items: dict[str, int], reason: str, *, op: str | None = None) -> Claimed:
        """Items for a player; what does not fit into the bag waits."""
        given = {"items": items, "reason": reason}
        return await told(self._asker, "player", user_id, Claimed, "award_items", op, **given)

    async def award_experience(self, user_id: str, amount: int, reason: str, *, op: str | None = None) -> Experience:
        """Experience for a player."""
        given = {"amount": amount, "reason": reason}
        return await told(self._asker, "player", user_id, Experience, "award_experience", op, **given)

    async def claim_territory(self, guild: str, territory: str, *, op: str | None = None) -> None:
        """A guild has won a territory."""
        await told(self._asker, "guild", guild, Held, "claim_territory", op, territory=territory)

    async def lose_territory(self, guild: str, territory: str, *, op: str | None = None) -> None:
        """A guild has lost a territory."""
        await told(self._asker, "guild", guild, Held, "lose_territory", op, territory=territory)

    async def contest_territory(
        self, guild: str, territory: str, by: str | None = None, *, op: str | None = None
    ) -> None:
        """A territory is fought for, or not any more (`by` left out)."""
        await told(self._asker, "guild", guild, Contested, "contest_territory", op, territory=territory, by=by)

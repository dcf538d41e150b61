"""A player's character: level, stats, resources, effects, skills, and money with its ledger."""

from datetime import datetime

from greenroom_client.game.items import Worn
from greenroom_client.game.noun import Noun, asked
from greenroom_client.models import Model


class Stat(Model):
    """A stat, and what it adds up from."""

    value: int
    base: int
    equipment: int
    effects: int


class Regeneration(Model):
    """How much comes back at a time, and how often."""

    amount: int
    every_s: int


class Resource(Model):
    """What is spent and comes back with time, such as health; `full_at` is None when it is full."""

    current: int
    max: int
    regeneration: Regeneration
    full_at: datetime | None = None


class Effect(Model):
    """An effect that works until `ends_at`."""

    effect: str
    title: str
    ends_at: datetime


class BagRoom(Model):
    """How full the bag is; `waiting` counts the lots that found no room."""

    used: int
    capacity: int
    waiting: int


class Membership(Model):
    """The guild that a player belongs to."""

    guild: str
    name: str
    since: datetime


class Unread(Model):
    """What the sheet tells of the inbox."""

    unread: int


class Unlocked(Model):
    """How many tiers of achievements there are."""

    unlocked: int


class Sheet(Model):
    """The whole character, as its player sees it."""

    user_id: str
    username: str
    created_at: datetime
    scores: dict[str, int]
    wallet: dict[str, int]
    level: int
    experience: int
    next_level_at: int | None
    stats: dict[str, Stat]
    resources: dict[str, Resource]
    effects: list[Effect]
    skills: list[str]
    equipment: dict[str, Worn]
    bag: BagRoom
    achievements: Unlocked
    guild: Membership | None
    inbox: Unread


class PublicSheet(Model):
    """What anyone may know of a player; `equipment` names the items by slot."""

    user_id: str
    username: str
    created_at: datetime
    scores: dict[str, int]
    level: int
    equipment: dict[str, str]


class LedgerEntry(Model):
    """What changed in the wallet, why, and the balance after it."""

    at: datetime
    currency: str
    change: int
    balance: int
    reason: str


class Wallet(Model):
    """What the player owns of each currency, what waits for room, and the newest changes, newest first."""

    balances: dict[str, int]
    surplus: dict[str, int] = {}
    ledger: list[LedgerEntry]


class Character(Noun):
    """The player's own character, and what others show of theirs."""

    async def sheet(self) -> Sheet:
        """All of it."""
        return await self._query(Sheet, "profile")

    async def of(self, user_id: str) -> PublicSheet:
        """The public part of somebody's."""
        return await asked(self._asker, self.kind, user_id, PublicSheet, "public_profile")

    async def wallet(self, limit: int = 50) -> Wallet:
        """Money, and the newest `limit` lines of its ledger."""
        return await self._query(Wallet, "wallet", limit=limit)

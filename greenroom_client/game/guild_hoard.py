"""What a guild holds in common: the bank and the storage, each with a ledger."""

from datetime import datetime
from typing import Any

from greenroom_client.game.items import Lot
from greenroom_client.game.noun import Noun
from greenroom_client.models import Model


class BankLine(Model):
    """Who changed a balance, and what it is since."""

    at: datetime
    by: str
    currency: str
    change: int
    balance: int
    reason: str


class BankAccount(Model):
    """What the bank holds, and the newest changes, newest first."""

    balances: dict[str, int]
    ledger: list[BankLine]


class Deposit(Model):
    """A payment. `payment` holds what came of it; None when the answer is late, not when it is lost."""

    deposit: str
    payment: dict[str, Any] | None = None


class Balance(Model):
    """What the bank holds of a currency now."""

    currency: str
    balance: int


class Bank(Noun):
    """The bank of a guild."""

    kind = "guild"

    async def account(self, limit: int = 50) -> BankAccount:
        """What it holds, and the newest `limit` lines of its ledger."""
        return await self._query(BankAccount, "bank", limit=limit)

    async def deposit(self, currency: str, amount: int, *, op: str | None = None) -> Deposit:
        """Pay in."""
        return await self._command(Deposit, "deposit", op, currency=currency, amount=amount)

    async def withdraw(
        self, currency: str, amount: int, member: str | None = None, *, op: str | None = None
    ) -> Balance:
        """Take out, for oneself or for a member."""
        return await self._command(Balance, "withdraw", op, currency=currency, amount=amount, member=member)


class StorageMove(Model):
    """Who put something in, or took it out."""

    at: datetime
    by: str
    item: str
    change: int


class StorageRoom(Model):
    """What lies in the storage, and the newest changes, newest first."""

    slots: int
    stored: list[Lot]
    log: list[StorageMove]


class Stored(Model):
    """Items on their way into the storage. `handover` is None when the answer is late, not when it is lost."""

    move: str | None
    handover: dict[str, Any] | None = None


class TakenOut(Model):
    """What left the storage for the caller's bag."""

    items: dict[str, int]


class Storage(Noun):
    """The storage of a guild. `items` are counts by name, `ids` whole stacks or unique items."""

    kind = "guild"

    async def room(self, limit: int = 50) -> StorageRoom:
        """What lies in it, and the newest `limit` lines of its log."""
        return await self._query(StorageRoom, "storage", limit=limit)

    async def store(
        self, items: dict[str, int] | None = None, ids: list[str] | None = None, *, op: str | None = None
    ) -> Stored:
        """Put something in, out of one's bag."""
        return await self._command(Stored, "store_items", op, items=items, ids=ids)

    async def take_out(
        self, items: dict[str, int] | None = None, ids: list[str] | None = None, *, op: str | None = None
    ) -> dict[str, int]:
        """Take something out, into one's bag; answers what."""
        return (await self._command(TakenOut, "take_out_items", op, items=items, ids=ids)).items

"""What a player owns of each currency, and every change to it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Rejected, Turn
from actors.player.state import Entry, Player
from schemas import limits
from schemas.shape import Amount, Key, Text


def credited(player: Player, turn: Turn, currency: str, amount: int, reason: str) -> "WalletChanged":
    """The amount comes into the wallet; refused when there is no such currency, or no room for so much."""
    if currency not in turn.content.currencies:
        raise Rejected("currency_unknown", f"There is no currency {currency!r}.")
    balance = player.wallet.get(currency, 0) + amount
    if balance > limits.INTEGER_MAX:
        raise Rejected("balance_too_high", f"No more than {limits.INTEGER_MAX} {currency} can be held.")
    if currency not in player.wallet and len(player.wallet) >= limits.CURRENCIES_MAX:
        raise Rejected("currencies_too_many")
    return WalletChanged(currency=currency, change=amount, balance=balance, reason=reason, at=turn.at)


def debited(player: Player, turn: Turn, currency: str, amount: int, reason: str) -> "WalletChanged":
    """The amount leaves the wallet; refused as `balance_too_low` when there is not so much."""
    balance = player.wallet.get(currency, 0) - amount
    if balance < 0:
        raise Rejected("balance_too_low", f"There are not {amount} {currency} in the wallet.")
    return WalletChanged(currency=currency, change=-amount, balance=balance, reason=reason, at=turn.at)


class Credit(Command[Player]):
    """Puts an amount into the wallet."""

    currency: Key
    amount: Amount
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        changed = credited(player, turn, self.currency, self.amount, self.reason)
        yield changed
        return {"balance": changed.balance}


class GrantCurrency(Command[Player]):
    """A trusted game server puts an amount into the wallet."""

    public = True
    callers = frozenset({"server"})

    currency: Key
    amount: Amount
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        changed = credited(player, turn, self.currency, self.amount, self.reason)
        yield changed
        return {"balance": changed.balance}


class Debit(Command[Player]):
    """Takes an amount out of the wallet, or nothing."""

    currency: Key
    amount: Amount
    reason: Text

    def decide(self, player: Player, turn: Turn) -> Effects:
        changed = debited(player, turn, self.currency, self.amount, self.reason)
        yield changed
        return {"balance": changed.balance}


class WalletChanged(Event[Player]):
    """An amount came or went. `balance` is what there is now."""

    public = True

    currency: str
    change: int
    balance: int
    reason: str
    at: int

    def apply(self, player: Player) -> None:
        player.wallet[self.currency] = self.balance
        player.ledger.append(
            Entry(at=self.at, currency=self.currency, change=self.change, balance=self.balance, reason=self.reason)
        )
        if len(player.ledger) > limits.LEDGER_ENTRIES_MAX:
            del player.ledger[0]

    def push(self) -> Mapping[str, Any]:
        return {"wallet": {self.currency: self.balance}}


class Wallet(Query[Player]):
    """What the player owns, and the newest changes to it, newest first."""

    public = True

    limit: Annotated[int, Field(ge=1, le=limits.LEDGER_ENTRIES_MAX)] = 50

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        newest = player.ledger[: -self.limit - 1 : -1]
        return {"balances": dict(player.wallet), "ledger": [entry.shown() for entry in newest]}

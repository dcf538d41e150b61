"""What a player owns of each currency, and every change to it; what a full wallet cannot take waits until it can."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effect, Effects, Event, Query, Rejected, Turn
from actors.player.state import Entry, Player, reaction
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


def room_for(player: Player, currency: str) -> int:
    """How much more of a currency the wallet takes."""
    if currency not in player.wallet and len(player.wallet) >= limits.CURRENCIES_MAX:
        return 0
    return limits.INTEGER_MAX - player.wallet.get(currency, 0)


def owed(
    player: Player, turn: Turn, currency: str, amount: int, reason: str
) -> Iterator["WalletChanged | SurplusKept"]:
    """An amount that has left where it was comes: what the wallet has no room for waits beside it."""
    fits = min(amount, room_for(player, currency))
    if fits:
        balance = player.wallet.get(currency, 0) + fits
        yield WalletChanged(currency=currency, change=fits, balance=balance, reason=reason, at=turn.at)
    if fits < amount:
        surplus = player.surplus.get(currency, 0) + amount - fits
        if surplus > limits.SURPLUS_MAX:
            raise Rejected("balance_too_high", f"No more than {limits.SURPLUS_MAX} {currency} can wait.")
        yield SurplusKept(currency=currency, amount=amount - fits, surplus=surplus, reason=reason, at=turn.at)


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
    owed: bool = False
    """It has left where it was: what finds no room waits until there is some."""

    def decide(self, player: Player, turn: Turn) -> Effects:
        if self.owed:
            yield from owed(player, turn, self.currency, self.amount, self.reason)
            return {"balance": min(player.wallet.get(self.currency, 0) + self.amount, limits.INTEGER_MAX)}
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
        _write(player, self.currency, self.change, self.balance, self.reason, self.at)

    def push(self) -> Mapping[str, Any]:
        return {"wallet": {self.currency: self.balance}}


def _write(player: Player, currency: str, change: int, balance: int, reason: str, at: int) -> None:
    player.wallet[currency] = balance
    player.ledger.append(Entry(at=at, currency=currency, change=change, balance=balance, reason=reason))
    if len(player.ledger) > limits.LEDGER_ENTRIES_MAX:
        del player.ledger[0]


class SurplusKept(Event[Player]):
    """An amount came that the wallet had no room for. `surplus` is all that waits now."""

    public = True

    currency: str
    amount: int
    surplus: int
    reason: str
    at: int

    def apply(self, player: Player) -> None:
        player.surplus[self.currency] = self.surplus

    def push(self) -> Mapping[str, Any]:
        return {"surplus": {self.currency: self.surplus}}


class SurplusTaken(Event[Player]):
    """Some of what waited is in the wallet now. `surplus` is what still waits."""

    public = True

    currency: str
    amount: int
    surplus: int
    balance: int
    at: int

    def apply(self, player: Player) -> None:
        if self.surplus:
            player.surplus[self.currency] = self.surplus
        else:
            del player.surplus[self.currency]
        _write(player, self.currency, self.amount, self.balance, "surplus", self.at)

    def push(self) -> Mapping[str, Any]:
        return {"wallet": {self.currency: self.balance}, "surplus": {self.currency: self.surplus}}


@reaction(WalletChanged)
def takes_what_waited(player: Player, events: list[Event[Any]], turn: Turn) -> Iterator[Effect]:
    """As soon as there is room in the wallet, what waited comes in."""
    for currency, waiting in sorted(player.surplus.items()):
        fits = min(waiting, room_for(player, currency))
        if fits > 0:
            balance = player.wallet.get(currency, 0) + fits
            left = waiting - fits
            yield SurplusTaken(currency=currency, amount=fits, surplus=left, balance=balance, at=turn.at)


class Wallet(Query[Player]):
    """What the player owns, what waits for room, and the newest changes to the wallet, newest first."""

    public = True

    limit: Annotated[int, Field(ge=1, le=limits.LEDGER_ENTRIES_MAX)] = limits.PAGE_ITEMS

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        newest = player.ledger[: -self.limit - 1 : -1]
        shown = [entry.shown() for entry in newest]
        return {"balances": dict(player.wallet), "surplus": dict(player.surplus), "ledger": shown}

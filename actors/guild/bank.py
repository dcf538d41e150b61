"""The bank of a guild: what members pay in, what is taken out of it, and by whom."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import ANYONE, Command, Consult, Effects, Event, Query, Rejected, Tell, Turn
from actors.guild.asking import answered, asked
from actors.guild.members import for_members
from actors.guild.state import Booking, Guild
from actors.player.guild_entry import PayGuild
from actors.player.wallet import Credit
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Amount, Key


class Deposit(Command[Guild]):
    """A member pays into the bank. The reply waits for the payment, and for the bank's new balance."""

    public = True
    callers = frozenset({ANYONE})

    currency: Key
    amount: Amount

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        self._refuse_what_cannot_be(guild, turn)
        return asked(turn.caller.user, [self.currency])

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        self._refuse_what_cannot_be(guild, turn)
        standing = answered(turn, free=False)
        if standing["balances"].get(self.currency, 0) < self.amount:
            raise Rejected("balance_too_low", f"There are not {self.amount} {self.currency} in the wallet.")
        deposit = turn.new_id()
        player = turn.caller.user
        yield DepositAsked(deposit=deposit, player=player, currency=self.currency, amount=self.amount)
        pay = PayGuild(guild=turn.key, deposit=deposit, currency=self.currency, amount=self.amount)
        yield Tell(player_address(player), pay, into="payment")
        return {"deposit": deposit}

    def _refuse_what_cannot_be(self, guild: Guild, turn: Turn) -> None:
        guild.member(turn.caller.user)
        if self.currency not in turn.content.currencies:
            raise Rejected("currency_unknown", f"There is no currency {self.currency!r}.")
        if guild.bank.get(self.currency, 0) + self.amount > limits.INTEGER_MAX:
            raise Rejected("bank_too_full", f"The bank holds no more than {limits.INTEGER_MAX} {self.currency}.")


class DepositAsked(Event[Guild]):
    """A member is asked to pay what it offered; the bank is as before until it did."""

    deposit: str
    player: str
    currency: str
    amount: int

    def apply(self, guild: Guild) -> None:
        """The payment comes by a message."""


class Withdraw(Command[Guild]):
    """An amount goes from the bank to a member, by default to the caller."""

    public = True
    callers = frozenset({ANYONE})

    currency: Key
    amount: Amount
    member: Key | None = None

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        guild.allow("withdraw", turn)
        member = self.member or turn.caller.user
        guild.known(member)
        balance = guild.bank.get(self.currency, 0) - self.amount
        if balance < 0:
            raise Rejected("bank_too_low", f"There are not {self.amount} {self.currency} in the bank.")
        yield Withdrawn(
            by=turn.caller.user,
            member=member,
            currency=self.currency,
            amount=self.amount,
            balance=balance,
            at=turn.at,
        )
        credit = Credit(currency=self.currency, amount=self.amount, reason=f"withdrawal from {guild.name}", owed=True)
        yield Tell(player_address(member), credit, into="wallet")
        return {"currency": self.currency, "balance": balance}


class Withdrawn(Event[Guild]):
    """The bank holds less. `balance` is what there is now."""

    public = True

    by: str
    member: str
    currency: str
    amount: int
    balance: int
    at: int

    def apply(self, guild: Guild) -> None:
        reason = "withdrawal" if self.by == self.member else f"withdrawal for {self.member}"
        guild.book(Booking(self.at, self.by, self.currency, -self.amount, self.balance, reason))

    def push(self) -> Mapping[str, Any]:
        return {"bank": {self.currency: self.balance}}


class Bank(Query[Guild]):
    """What the bank holds and the newest changes to it, newest first; for members."""

    public = True
    callers = frozenset({ANYONE})

    limit: Annotated[int, Field(ge=1, le=limits.GUILD_LOG_MAX)] = limits.PAGE_ITEMS

    def answer(self, guild: Guild, turn: Turn) -> dict[str, Any]:
        for_members(guild, turn)
        newest = guild.ledger[: -self.limit - 1 : -1]
        return {"balances": dict(guild.bank), "ledger": [booking.shown() for booking in newest]}

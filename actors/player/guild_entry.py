"""How a player answers guilds: it enters one at a time, pays for founding one, and pays into its bank."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Tell, Turn
from actors.guild.answers import CancelEntry, ConfirmEntry, FailFounding, Found, ReceiveDeposit
from actors.guild.state import guild_address
from actors.player.state import Membership, Player
from actors.player.wallet import WalletChanged
from schemas import limits
from schemas.shape import Amount, Key

Cost = Annotated[dict[Key, Amount], Field(max_length=limits.CURRENCIES_MAX)]


def paid(player: Player, turn: Turn, currency: str, amount: int, reason: str) -> WalletChanged:
    """The amount leaves the wallet, which holds it."""
    balance = player.wallet[currency] - amount
    return WalletChanged(currency=currency, change=-amount, balance=balance, reason=reason, at=turn.at)


class EnterGuild(Command[Player]):
    """A guild lets the player in. The first one counts; another is told that it came too late."""

    guild: Key
    name: Key
    ticket: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        to = guild_address(self.guild)
        if player.guild is not None:
            yield GuildEntryDeclined(guild=self.guild, name=self.name, ticket=self.ticket)
            yield Tell(to, CancelEntry(player=player.id, ticket=self.ticket), into="guild")
            return {"entered": False, "reason": "already_in_guild"}
        yield GuildEntered(guild=self.guild, name=self.name, ticket=self.ticket, at=turn.at)
        yield Tell(to, ConfirmEntry(player=player.id, ticket=self.ticket, name=player.name), into="guild")
        return {"entered": True}


class GuildEntered(Event[Player]):
    """The player belongs to a guild."""

    public = True

    guild: str
    name: str
    ticket: str
    at: int

    def apply(self, player: Player) -> None:
        player.guild = Membership(self.guild, self.name, self.ticket, self.at)
        player.guild_invitations.pop(self.guild, None)

    def push(self) -> Mapping[str, Any]:
        return {"guild": {"guild": self.guild, "name": self.name}}


class GuildEntryDeclined(Event[Player]):
    """A guild let the player in that belonged to another by then."""

    guild: str
    name: str
    ticket: str

    def apply(self, player: Player) -> None:
        player.guild_invitations.pop(self.guild, None)


class PayFounding(Command[Player]):
    """The name is granted: the founder pays and belongs to its guild, or the founding comes to nothing."""

    guild: Key
    name: Key
    founding: Key
    cost: Cost

    def decide(self, player: Player, turn: Turn) -> Effects:
        to = guild_address(self.guild)
        because = self._hindrance(player)
        fields: dict[str, Any] = {"guild": self.guild, "name": self.name, "founding": self.founding, "cost": self.cost}
        if because:
            yield FoundingDeclined(**fields, because=because)
            yield Tell(to, FailFounding(founding=self.founding, because=because), into="guild")
            return {"paid": False, "reason": because}
        yield FoundingPaid(**fields, at=turn.at)
        for currency, amount in sorted(self.cost.items()):
            yield paid(player, turn, currency, amount, f"founding of {self.name}")
        yield Tell(to, Found(founding=self.founding, player=player.id, username=player.name), into="guild")
        return {"paid": True}

    def _hindrance(self, player: Player) -> str:
        if player.guild is not None:
            return "already_in_guild"
        if any(player.wallet.get(currency, 0) < amount for currency, amount in self.cost.items()):
            return "balance_too_low"
        return ""


class FoundingPaid(Event[Player]):
    """The player has founded a guild and belongs to it."""

    public = True

    guild: str
    name: str
    founding: str
    cost: dict[str, int]
    at: int

    def apply(self, player: Player) -> None:
        player.guild = Membership(self.guild, self.name, self.founding, self.at)

    def push(self) -> Mapping[str, Any]:
        return {"guild": {"guild": self.guild, "name": self.name}}


class FoundingDeclined(Event[Player]):
    """The player could not found the guild when it came to paying."""

    guild: str
    name: str
    founding: str
    cost: dict[str, int]
    because: str

    def apply(self, player: Player) -> None:
        """The player is as before."""


class PayGuild(Command[Player]):
    """An amount goes from the wallet into the bank of a guild, if it is there."""

    guild: Key
    deposit: Key
    currency: Key
    amount: Amount

    def decide(self, player: Player, turn: Turn) -> Effects:
        fields: dict[str, Any] = {
            "guild": self.guild,
            "deposit": self.deposit,
            "currency": self.currency,
            "amount": self.amount,
        }
        if player.wallet.get(self.currency, 0) < self.amount:
            yield GuildPaymentDeclined(**fields)
            return {"paid": False, "reason": "balance_too_low"}
        yield GuildPaid(**fields)
        changed = paid(player, turn, self.currency, self.amount, f"deposit at {self.guild}")
        yield changed
        yield Tell(
            guild_address(self.guild),
            ReceiveDeposit(
                deposit=self.deposit, player=player.id, name=player.name, currency=self.currency, amount=self.amount
            ),
            into="bank",
        )
        return {"paid": True, "balance": changed.balance}


class GuildPaid(Event[Player]):
    """The player pays into the bank of its guild; the wallet's change follows."""

    guild: str
    deposit: str
    currency: str
    amount: int

    def apply(self, player: Player) -> None:
        """The wallet says what changed."""


class GuildPaymentDeclined(Event[Player]):
    """There was not so much in the wallet."""

    guild: str
    deposit: str
    currency: str
    amount: int

    def apply(self, player: Player) -> None:
        """Nothing was paid."""

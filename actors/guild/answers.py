"""What players answer to their guild: they founded it, entered it, or paid into its bank, or could not."""

from collections.abc import Mapping
from typing import Any

from actors.core import Command, Effects, Event, Tell, Turn
from actors.guild.directory import ReleaseName, directory_address
from actors.guild.experience import gained
from actors.guild.listing import listed
from actors.guild.state import Booking, Guild, Member
from actors.player.guild import ExitGuild
from actors.player.wallet import Credit
from schemas.address import player as player_address
from schemas.shape import Amount, Key, Line

# -- founding ---------------------------------------------------------------------------------------------------------


class Found(Command[Guild]):
    """The founder has paid: the guild stands."""

    creates = True

    founding: Key
    player: Key
    username: Line

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        if guild.standing != "founding" or guild.founding != self.founding:
            return {"standing": guild.standing}
        yield Founded(founding=self.founding, player=self.player, username=self.username, name=guild.name, at=turn.at)
        yield listed(guild, turn, members=1)
        return {"standing": "standing"}


class Founded(Event[Guild]):
    """The guild stands, with its founder as leader and only member."""

    public = True

    founding: str
    player: str
    username: str
    name: str
    at: int

    def apply(self, guild: Guild) -> None:
        guild.standing = "standing"
        guild.cost = {}
        guild.founded_at = self.at
        guild.entering = {}
        guild.members = {self.player: Member(self.username, "leader", self.founding, self.at)}
        guild.revision += 1

    def push(self) -> Mapping[str, Any]:
        return {"members": {self.player: "leader"}}


class FailFounding(Command[Guild]):
    """The founder could not pay, or belongs to a guild by now: the founding comes to nothing."""

    creates = True

    founding: Key
    because: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        if guild.standing != "founding" or guild.founding != self.founding:
            return {"standing": guild.standing}
        yield FoundingFailed(founding=self.founding, because=self.because)
        yield Tell(directory_address(), ReleaseName(guild=turn.key, founding=self.founding))
        return {"standing": "failed", "reason": self.because}


class FoundingFailed(Event[Guild]):
    """The guild did not come to be, and its key is free."""

    founding: str
    because: str

    def apply(self, guild: Guild) -> None:
        guild.standing = ""
        guild.founding = guild.name = guild.description = ""
        guild.cost = {}
        guild.entering = {}
        guild.open = False
        guild.founded_at = 0


# -- entering ---------------------------------------------------------------------------------------------------------


class ConfirmEntry(Command[Guild]):
    """A player who was let in belongs to the guild now."""

    creates = True

    player: Key
    ticket: Key
    name: Line

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        entry = guild.entering.get(self.player)
        if not guild.exists() or entry is None or entry.ticket != self.ticket:
            yield EntryTooLate(player=self.player, ticket=self.ticket, name=self.name)
            gone = ExitGuild(guild=turn.key, name=guild.name, ticket=self.ticket, because="disbanded")
            yield Tell(player_address(self.player), gone)
            return {"entered": False, "reason": "guild_unknown"}
        members = len(guild.members) + 1
        yield Joined(player=self.player, ticket=self.ticket, name=self.name, at=turn.at)
        yield listed(guild, turn, members=members)
        return {"entered": True, "members": members}


class Joined(Event[Guild]):
    """Somebody belongs to the guild."""

    public = True

    player: str
    ticket: str
    name: str
    at: int

    def apply(self, guild: Guild) -> None:
        del guild.entering[self.player]
        guild.members[self.player] = Member(self.name, "member", self.ticket, self.at)
        guild.revision += 1

    def push(self) -> Mapping[str, Any]:
        return {"members": {self.player: "member"}}


class EntryTooLate(Event[Guild]):
    """Somebody entered when the guild was no more."""

    player: str
    ticket: str
    name: str

    def apply(self, guild: Guild) -> None:
        """Nobody belongs to it."""


class CancelEntry(Command[Guild]):
    """A player who was let in belongs to another guild."""

    creates = True

    player: Key
    ticket: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        entry = guild.entering.get(self.player)
        if entry is not None and entry.ticket == self.ticket:
            yield EntryCancelled(player=self.player, ticket=self.ticket)
        return {"entered": False}


class EntryCancelled(Event[Guild]):
    """The place that was kept for somebody is free."""

    player: str
    ticket: str

    def apply(self, guild: Guild) -> None:
        del guild.entering[self.player]


# -- paying in --------------------------------------------------------------------------------------------------------


class ReceiveDeposit(Command[Guild]):
    """A player has paid into the bank. What cannot be taken goes back."""

    creates = True

    deposit: Key
    player: Key
    name: Line
    currency: Key
    amount: Amount

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        fields: dict[str, Any] = {
            "deposit": self.deposit,
            "player": self.player,
            "name": self.name,
            "currency": self.currency,
            "amount": self.amount,
        }
        if not guild.exists() or self.amount > guild.room_for(self.currency):
            yield DepositReturned(**fields)
            back = Credit(currency=self.currency, amount=self.amount, reason=f"returned by {turn.key}", owed=True)
            yield Tell(player_address(self.player), back)
            return {"accepted": False}
        balance = guild.bank.get(self.currency, 0) + self.amount
        yield Deposited(**fields, balance=balance, at=turn.at)
        guilds = turn.content.guilds
        donation = guilds.donations.get(self.currency)
        if donation is not None:
            experience = self.amount // donation.per * donation.experience
            percent = 100 + guilds.perks_of(guild.level).donation_percent
            yield from gained(guild, turn, experience * percent // 100, self.player)
        return {"accepted": True, "currency": self.currency, "balance": balance}


class Deposited(Event[Guild]):
    """The bank holds more. `balance` is what there is now."""

    public = True

    deposit: str
    player: str
    name: str
    currency: str
    amount: int
    balance: int
    at: int

    def apply(self, guild: Guild) -> None:
        guild.book(Booking(self.at, self.player, self.currency, self.amount, self.balance, "deposit"))

    def push(self) -> Mapping[str, Any]:
        return {"bank": {self.currency: self.balance}}


class DepositReturned(Event[Guild]):
    """What a player paid goes back."""

    deposit: str
    player: str
    name: str
    currency: str
    amount: int

    def apply(self, guild: Guild) -> None:
        """The bank is as before."""

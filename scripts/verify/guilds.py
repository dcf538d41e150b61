"""K15: guilds and players agree on who belongs where; and the part of K6 that lies in banks."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from actors.core import Actor
from actors.guild import answers, bank, members, territory
from actors.guild.directory import GuildDirectory
from actors.guild.state import Guild
from actors.player import guild, guild_entry
from actors.player.state import Player
from schemas import limits
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

_BELONGS = (
    "See the K9 findings: a message about joining or leaving was lost or doubled. A moderator can kick or invite."
)
_ROW = "`greenroom inspect history guild {key} --events` shows the turn. A row was changed: restore it from a backup."
_FLOW = "See the K9 findings: a payment to a guild was lost, doubled or changed on its way."


# -- who belongs where, and what banks hold ---------------------------------------------------------------------------


class Guilds(Watcher):
    """Guilds come before players in the journal: what each says of its members is kept until the players were read."""

    kinds = frozenset({"guild", "player"})

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._members: dict[str, tuple[str, str]] = {}
        """By ticket: guild and player."""
        self._on_the_way: set[str] = set()
        """Tickets of those who enter or leave, as the guilds or the messages under way say."""
        self._count = 0
        self._bank: Counter[str] = Counter()
        """What the events of the guild at hand add up to."""
        self._paid: Counter[str] = Counter()
        self._arrived: Counter[str] = Counter()
        """Taken into banks, returned, or waiting."""

    def waits(self, message: Waiting) -> None:
        fields = message.fields
        if message.name in (guild.ExitGuild.wire_name, answers.ConfirmEntry.wire_name):
            self._on_the_way.add(str(fields.get("ticket")))
        elif message.name == answers.Found.wire_name:
            self._on_the_way.add(str(fields.get("founding")))
        elif message.name == answers.ReceiveDeposit.wire_name and isinstance(amount := fields.get("amount"), int):
            self._arrived[str(fields.get("currency"))] += amount

    def turn(self, past: Past) -> None:
        for event in past.events:
            if isinstance(event, guild_entry.GuildPaid):
                self._paid[event.currency] += event.amount
            elif isinstance(event, answers.DepositReturned):
                self._arrived[event.currency] += event.amount
            elif isinstance(event, answers.Deposited):
                self._arrived[event.currency] += event.amount
                self._changed(past, event.currency, event.amount, event.balance)
            elif isinstance(event, bank.Withdrawn):
                self._changed(past, event.currency, -event.amount, event.balance)
            elif isinstance(event, territory.IncomeCollected):
                for currency, amount in event.amounts.items():
                    self._changed(past, currency, amount, event.balances[currency])
            elif isinstance(event, members.Disbanded):
                for currency, amount in event.paid_out.items():
                    self._changed(past, currency, -amount, 0)

    def _changed(self, past: Past, currency: str, change: int, balance: int) -> None:
        due = self._bank[currency] + change
        self._bank[currency] = balance
        if balance != due:
            what = f"{past}: {due - change} {change:+} {currency} in the bank became {balance} instead of {due}"
            self.report.found("K6", past.address, what, _ROW.format(key=past.address.key))

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        if isinstance(actor, Guild):
            self._guild_left(address, actor)
        elif isinstance(actor, Player) and actor.guild is not None:
            self._player_left(address, actor)
        self._bank = Counter()

    def _guild_left(self, address: Address, actor: Guild) -> None:
        for player, member in actor.members.items():
            self._members[member.ticket] = (address.key, player)
        self._on_the_way.update(entry.ticket for entry in actor.entering.values())
        leaders = [player for player, member in actor.members.items() if member.role == "leader"]
        if len(leaders) != (1 if actor.exists() else 0):
            what = f"{len(leaders)} of its {len(actor.members)} members lead it"
            self.report.found("K15", address, what, _ROW.format(key=address.key))
        for currency in {*actor.bank, *self._bank}:
            held, due = actor.bank.get(currency, 0), self._bank[currency]
            if held != due:
                what = f"its bank holds {held} {currency}, its ledger adds up to {due}"
                self.report.found("K6", address, what, _ROW.format(key=address.key))

    def _player_left(self, address: Address, actor: Player) -> None:
        membership = actor.guild
        if membership is None:
            return
        self._count += 1
        known = self._members.pop(membership.ticket, None)
        if known == (membership.guild, address.key):
            return
        if known is not None or membership.ticket not in self._on_the_way:
            what = f"it says it belongs to guild {membership.guild}, which does not say so"
            self.report.found("K15", address, what, _BELONGS)

    async def end(self, snapshot: Any) -> None:
        for key, player in self._members.values():
            what = f"it says that player {player} belongs to it, who does not say so"
            self.report.found("K15", Address("guild", key), what, _BELONGS)
        for currency in sorted({*self._paid, *self._arrived}):
            paid, arrived = self._paid[currency], self._arrived[currency]
            if paid != arrived:
                what = (
                    f"{paid:,} {currency} were paid to guilds; {arrived:,} arrived, went back or are under way: "
                    f"{arrived - paid:+,}"
                )
                self.report.found("K6", f"currency {currency}", what, _FLOW)
        if self._count or self._members:
            self.report.judged("K15", self._count, "players who belong to guilds")


# -- bounds -----------------------------------------------------------------------------------------------------------


def of_guild(actor: Guild) -> Iterator[tuple[str, int, int]]:
    """What a guild holds, how much of it there is, and how much there may be."""
    yield "members", len(actor.members) + len(actor.entering), limits.GUILD_MEMBERS_MAX
    yield "invitations", len(actor.invitations), limits.GUILD_INVITATIONS_MAX
    yield "requests", len(actor.requests), limits.GUILD_REQUESTS_MAX
    yield "territories", len(actor.territories), limits.TERRITORIES_MAX
    yield "slots of its storage", len(actor.storage), limits.GUILD_SLOTS_MAX
    yield "ledger entries", len(actor.ledger), limits.GUILD_LOG_MAX
    yield "log entries", len(actor.log), limits.GUILD_LOG_MAX
    for currency, balance in actor.bank.items():
        yield f"{currency} in the bank", balance, limits.INTEGER_MAX
        yield f"{currency} owed", -balance, 0


def of_directory(actor: GuildDirectory) -> Iterator[tuple[str, int, int]]:
    """The same of the directory."""
    yield "guilds", len(actor.shelf), limits.GUILDS_MAX

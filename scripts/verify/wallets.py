"""K6: what players hold of each currency, and what is under way, is what was given less what was taken."""

from collections import Counter
from typing import Any

from actors.core import Actor
from actors.player.profile import Created
from actors.player.state import Player
from actors.player.wallet import Credit, SurplusKept, SurplusTaken, WalletChanged
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.watcher import Waiting, Watcher

_ROW = "`greenroom inspect history player {key} --events` shows the turn. A row was changed: restore it from a backup."
_SENDS_NONE = frozenset({"achievement", "channel", "desk", "fraud", "guild_directory", "trade"})
"""Kinds whose rules never send credits. What trades hand over is judged by K7."""
_FLOW = "See the K9 findings: a credit was lost, doubled or changed on its way."


class Wallets(Watcher):
    """Sums of one player at a time, and of the whole economy by currency."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._wallet: Counter[str] = Counter()
        """The sums of the player at hand."""
        self._said: Counter[str] = Counter()
        """The balances that its last events say."""
        self._surplus: Counter[str] = Counter()
        """What waits for room in its wallet."""
        self.held: Counter[str] = Counter()
        self.started: Counter[str] = Counter()
        self.granted: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """What other actors sent, by credits."""
        self.received: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        """Credits in the outbox, dead, or given up with a dead letter."""
        self._unsure = 0
        self._changes = 0

    def waits(self, message: Waiting) -> None:
        amount = message.fields.get("amount")
        if message.to.kind == "player" and message.name == Credit.wire_name and isinstance(amount, int):
            self.waiting[str(message.fields.get("currency"))] += amount

    def turn(self, past: Past) -> None:
        if past.address.kind != "player":
            if past.certain:
                for _, tell in past.tells:
                    if isinstance(tell.command, Credit):
                        self.sent[tell.command.currency] += tell.command.amount
            elif past.address.kind not in _SENDS_NONE:
                self._unsure += 1
            return
        for part in past.parts:
            for event in part.events:
                if isinstance(event, Created):
                    self._wallet.update(event.wallet)
                    self._said.update(event.wallet)
                    self.started.update(event.wallet)
                elif isinstance(event, WalletChanged):
                    self._changed(past, event.currency, event.change, event.balance)
                    self._moved(past, part.name, event.currency, event.change)
                elif isinstance(event, SurplusKept):
                    self._kept(past, event.currency, event.amount, event.surplus)
                    self._moved(past, part.name, event.currency, event.amount)
                elif isinstance(event, SurplusTaken):
                    self._kept(past, event.currency, -event.amount, event.surplus)
                    self._changed(past, event.currency, event.amount, event.balance)

    def _changed(self, past: Past, currency: str, change: int, balance: int) -> None:
        self._changes += 1
        self._wallet[currency] += change
        # From what the turn before said: one wrong turn is told once.
        due = self._said[currency] + change
        self._said[currency] = balance
        if balance != due:
            what = f"{past}: {due - change} {change:+} {currency} became {balance} instead of {due}"
            self.report.found("K6", past.address, what, _ROW.format(key=past.address.key))

    def _kept(self, past: Past, currency: str, change: int, surplus: int) -> None:
        due = self._surplus[currency] + change
        self._surplus[currency] = surplus
        if surplus != due:
            what = f"{past}: {due - change} {change:+} {currency} that wait became {surplus} instead of {due}"
            self.report.found("K6", past.address, what, _ROW.format(key=past.address.key))

    def _moved(self, past: Past, name: str, currency: str, change: int) -> None:
        if change < 0:
            self.taken[currency] -= change
        elif name == Credit.wire_name and past.is_parcel:
            self.received[currency] += change
        else:
            self.granted[currency] += change

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        if address.kind != "player":
            return
        self.held.update(self._wallet)
        self.held.update(self._surplus)
        if isinstance(actor, Player):
            for currency in sorted({*actor.wallet, *self._wallet}):
                self._compare(address, f"{currency}, its ledger", actor.wallet.get(currency, 0), self._wallet[currency])
            for currency in sorted({*actor.surplus, *self._surplus}):
                waiting = actor.surplus.get(currency, 0)
                self._compare(address, f"{currency} that wait, which", waiting, self._surplus[currency])
        self._wallet, self._said, self._surplus = Counter(), Counter(), Counter()

    def _compare(self, address: Address, what: str, held: int, due: int) -> None:
        if held != due:
            told = f"it holds {held} {what} adds up to {due}"
            self.report.found("K6", address, told, _ROW.format(key=address.key))

    async def end(self, snapshot: Any) -> None:
        currencies = sorted({*self.held, *self.started, *self.granted, *self.sent, *self.waiting})
        if self._unsure:
            self.report.not_judged(
                "K6", f"credits under way: {self._unsure:,} turns are not explained by today's rules"
            )
        for currency in currencies:
            sent, arrived = self.sent[currency], self.received[currency] + self.waiting[currency]
            if not self._unsure and sent != arrived:
                what = (
                    f"{sent:,} {currency} were sent to players; {self.received[currency]:,} arrived and "
                    f"{self.waiting[currency]:,} are under way or dead: {arrived - sent:+,}"
                )
                self.report.found("K6", f"currency {currency}", what, _FLOW)
            given = self.started[currency] + self.granted[currency] + self.received[currency] - self.taken[currency]
            if self.held[currency] != given:
                what = f"players hold {self.held[currency]:,} {currency}, {given:,} were given and not taken"
                self.report.found("K6", f"currency {currency}", what, _FLOW)
        sums = ", ".join(f"{self.held[currency]:,} {currency}" for currency in currencies)
        self.report.judged("K6", self._changes, "changes of wallets" + (f"; players hold {sums}" if sums else ""))

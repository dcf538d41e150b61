"""The players of a chaos run: what they do, how often, and what they do when no answer comes."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from schemas.address import Address
from scripts.chaos.game import Company, Game
from scripts.chaos.history import Attempt, History, Operation
from scripts.chaos.wires import Wire

RETRIES_MAX = 3
RETRY_PAUSE_S = (0.1, 0.4, 1.2)
"""The ceilings of the pauses before the first, second and third repetition."""
LOOKS = 0.12
GEAR_SHARE = 0.2
REASON = "chaos"


class Player(ABC):
    """One coroutine with one way to the server. It asks one thing at a time, and keeps to its pace."""

    def __init__(self, name: str, user: str, wire: Wire, history: History, dice: random.Random, pace_s: float) -> None:
        self.name = name
        self.user = user
        self.wire = wire
        self.history = history
        self.dice = dice
        self.pace_s = pace_s
        self._numbers = 0

    async def play(self, stop: asyncio.Event) -> None:
        """Play until told to stop; what is under way then is finished."""
        due = time.monotonic() + self.dice.uniform(0, self.pace_s)
        while not stop.is_set():
            wait_s = due - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            # One who was kept waiting does not make up for it: that would be a storm after each fault.
            due = max(due + self.pace_s * self.dice.uniform(0.7, 1.3), time.monotonic())
            await self.act()

    @abstractmethod
    async def act(self) -> None:
        """Do one thing."""

    async def command(self, actor: Address, name: str, data: dict[str, Any], *, idle_without: str = "") -> Operation:
        """Ask under a fresh op id, and again under the same one while the outcome is unknown.

        A reply that has no part named `idle_without` says that there was nothing to do.
        """
        self._numbers += 1
        operation = Operation(actor, name, f"{self.name}-{self._numbers}", self.user)
        for repetition in range(RETRIES_MAX + 1):
            attempt = await self.wire.command(actor, name, data, operation.op)
            operation.attempts.append(attempt)
            self.history.attempted(
                operation, attempt, effect=not (idle_without and attempt.ok and idle_without not in attempt.data)
            )
            if not attempt.unknown:
                break
            if repetition < RETRIES_MAX:
                await asyncio.sleep(attempt.retry_after_s + self.dice.uniform(0, RETRY_PAUSE_S[repetition]))
        self.history.operations.append(operation)
        return operation

    async def look(self, actor: Address, name: str) -> Attempt:
        """Ask a question; nobody repeats those."""
        attempt = await self.wire.query(actor, name)
        self.history.seen(Operation(actor, name, "", self.user), attempt)
        return attempt


class Trusted(Player):
    """A studio's server: gives points, currency, items and experience to anyone."""

    def __init__(self, *given: Any, players: Sequence[Address], game: Game, company: Company) -> None:
        super().__init__(*given)
        self.players = players
        self.game = game
        self.company = company

    async def act(self) -> None:
        someone = self.dice.choice(self.players)
        draw = self.dice.random()
        if draw < LOOKS:
            await self.look(someone, "public_profile")
        elif draw < 0.3 and self.game.currency is not None:
            order = {"currency": self.game.currency, "amount": self.dice.randint(1, 9), "reason": REASON}
            await self.command(someone, "grant_currency", order)
        elif draw < 0.5 and self.game.goods and self.company.guests:
            await self.command(self._guest(), "award_items", {"items": self._things(), "reason": REASON})
        elif draw < 0.55:
            await self.command(someone, "award_experience", {"amount": self.dice.randint(1, 5), "reason": REASON})
        else:
            await self.command(someone, "award_score", {"points": self.dice.randint(1, 5), "reason": REASON})

    def _guest(self) -> Address:
        """One who does something with what it gets."""
        return Address("player", self.dice.choice(self.company.guests))

    def _things(self) -> dict[str, int]:
        if self.game.gear and self.dice.random() < GEAR_SHARE:
            return {self.dice.choice(self.game.gear): 1}
        return {self.dice.choice(self.game.goods): self.dice.randint(1, 5)}

"""Territories of a guild: won and lost where the fighting is, and what they yield."""

from typing import Any

from actors.content.guilds import Territory
from actors.core import Command, Effects, Event, Forget, Rejected, Remind, Turn
from actors.guild.state import Booking, Guild, Holding
from schemas import limits
from schemas.shape import Key


def _territory_of(turn: Turn, name: str) -> Territory:
    territory = turn.content.guilds.territories.get(name)
    if territory is None:
        raise Rejected("territory_unknown", f"There is no territory {name!r}.")
    return territory


def _income(guild: Guild, turn: Turn, territory: str, due: int) -> Remind:
    return Remind(f"income:{territory}", due, CollectIncome(territory=territory, due=due))


class ClaimTerritory(Command[Guild]):
    """The guild has won a territory. Whoever decides about the fight takes it from its last owner."""

    public = True
    callers = frozenset({"server"})

    territory: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        found = _territory_of(turn, self.territory)
        if self.territory in guild.territories:
            return {"held": True}
        if len(guild.territories) >= limits.TERRITORIES_MAX:
            raise Rejected("territories_too_many", f"A guild holds {limits.TERRITORIES_MAX} territories at most.")
        due = turn.at + found.every_ms
        yield TerritoryClaimed(territory=self.territory, at=turn.at, pays_at=due)
        yield _income(guild, turn, self.territory, due)
        return {"held": True}


class TerritoryClaimed(Event[Guild]):
    """A territory is the guild's."""

    public = True

    territory: str
    at: int
    pays_at: int

    def apply(self, guild: Guild) -> None:
        guild.territories[self.territory] = Holding(self.at, self.pays_at)

    def push(self) -> dict[str, Any]:
        return {"territories": {self.territory: "held"}}


class ContestTerritory(Command[Guild]):
    """Another guild fights for a territory, or (with nobody) has given up. Meanwhile it yields nothing."""

    public = True
    callers = frozenset({"server"})

    territory: Key
    by: Key | None = None

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        holding = guild.territories.get(self.territory)
        if holding is None:
            raise Rejected("territory_not_held", "The guild does not hold this territory.")
        if holding.contested_by != (self.by or ""):
            yield TerritoryContested(territory=self.territory, by=self.by or "")
        return {"contestedBy": self.by}


class TerritoryContested(Event[Guild]):
    """A territory is fought for, or not any more."""

    public = True

    territory: str
    by: str

    def apply(self, guild: Guild) -> None:
        guild.territories[self.territory].contested_by = self.by

    def push(self) -> dict[str, Any]:
        return {"territories": {self.territory: "contested" if self.by else "held"}}


class LoseTerritory(Command[Guild]):
    """A territory is the guild's no longer."""

    public = True
    callers = frozenset({"server"})

    territory: Key

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        if self.territory in guild.territories:
            yield TerritoryLost(territory=self.territory, at=turn.at)
            yield Forget(f"income:{self.territory}")
        return {"held": False}


class TerritoryLost(Event[Guild]):
    """A territory is somebody else's, or nobody's."""

    public = True

    territory: str
    at: int

    def apply(self, guild: Guild) -> None:
        del guild.territories[self.territory]

    def push(self) -> dict[str, Any]:
        return {"territories": {self.territory: None}}


class CollectIncome(Command[Guild]):
    """A territory yields what is due, for each period that has passed."""

    creates = True

    territory: Key
    due: int

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        holding = guild.territories.get(self.territory)
        found = turn.content.guilds.territories.get(self.territory)
        if holding is None or found is None or holding.pays_at != self.due:
            return {}
        every_ms = found.every_ms
        times = 1 + max(0, turn.at - self.due) // every_ms
        due = self.due + times * every_ms
        percent = 100 + turn.content.guilds.perks_of(guild.level).income_percent
        amounts: dict[str, int] = {}
        if not holding.contested_by:
            for currency, amount in sorted(found.income.items()):
                income = min(times * amount * percent // 100, guild.room_for(currency))
                if income:
                    amounts[currency] = income
        balances = {currency: guild.bank.get(currency, 0) + amount for currency, amount in amounts.items()}
        yield IncomeCollected(territory=self.territory, amounts=amounts, balances=balances, pays_at=due, at=turn.at)
        yield _income(guild, turn, self.territory, due)
        return {}


class IncomeCollected(Event[Guild]):
    """A territory has yielded something, or, while it is contested, nothing. `balances` are what the bank holds now."""

    public = True

    territory: str
    amounts: dict[str, int]
    balances: dict[str, int]
    pays_at: int
    at: int

    def apply(self, guild: Guild) -> None:
        guild.territories[self.territory].pays_at = self.pays_at
        for currency, amount in self.amounts.items():
            balance = self.balances[currency]
            guild.book(Booking(self.at, "", currency, amount, balance, f"income of {self.territory}"))

    def push(self) -> dict[str, Any]:
        return {"bank": dict(self.balances)} if self.balances else {}

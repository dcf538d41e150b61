"""How a guild comes to be: its name is claimed, its founder pays, then it stands."""

from actors.core import ANYONE, Command, Consult, Effects, Event, Rejected, Tell, Turn
from actors.guild.asking import answered, asked
from actors.guild.claims import ClaimName, NameStanding
from actors.guild.directory import directory_address
from actors.guild.naming import GuildName, check_key
from actors.guild.state import Entry, Guild
from schemas.shape import Text


class Create(Command[Guild]):
    """Found the guild under this key. The reply waits for its name and for the payment."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    name: GuildName
    open: bool = True
    description: Text | None = None

    def consults(self, guild: Guild, turn: Turn) -> Consult | None:
        self._refuse_when_taken(guild, turn)
        founder = asked(turn.caller.user, sorted(turn.content.guilds.cost))
        return Consult(directory_address(), NameStanding(name=self.name), then=founder)

    def decide(self, guild: Guild, turn: Turn) -> Effects:
        self._refuse_when_taken(guild, turn)
        for named in turn.earlier:
            if named is not None and named.data["holder"]:
                raise Rejected("guild_name_taken", "This name is taken, or looks like one that is.")
        founder = answered(turn)
        cost = turn.content.guilds.cost
        for currency, amount in sorted(cost.items()):
            if founder["balances"].get(currency, 0) < amount:
                raise Rejected("balance_too_low", f"Founding a guild costs {amount} {currency}.")
        founding = turn.new_id()
        yield FoundingBegun(
            founding=founding,
            founder=turn.caller.user,
            founder_name=founder["name"],
            name=self.name,
            open=self.open,
            description=self.description or "",
            cost=dict(cost),
            at=turn.at,
        )
        claim = ClaimName(guild=turn.key, founding=founding, name=self.name)
        yield Tell(directory_address(), claim, into="claim")
        return {"guild": turn.key, "name": self.name}

    def _refuse_when_taken(self, guild: Guild, turn: Turn) -> None:
        check_key(turn.key)
        if guild.standing:
            raise Rejected("guild_key_taken", f"There is or was a guild {turn.key!r}.")


class FoundingBegun(Event[Guild]):
    """Somebody founds the guild. Until the name is granted and paid for, it does not stand."""

    founding: str
    founder: str
    founder_name: str
    name: str
    open: bool
    description: str
    cost: dict[str, int]
    at: int

    def apply(self, guild: Guild) -> None:
        guild.standing = "founding"
        guild.founding = self.founding
        guild.cost = dict(self.cost)
        guild.name = self.name
        guild.open = self.open
        guild.description = self.description
        guild.founded_at = self.at
        guild.entering = {self.founder: Entry(self.founder_name, self.founding)}

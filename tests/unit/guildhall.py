"""What tests of guilds have in common: how one is founded, asked, and looked into."""

from typing import Any

from actors.core import Address, Caller
from actors.guild.directory import GuildDirectory, Search, directory_address
from actors.guild.state import Guild
from actors.player.state import Player
from tests.unit.stage import Person, Stage, catalog


def say(person: Person, command: str, guild: str = "red-dragons", **fields: Any) -> dict[str, Any]:
    """The person says it to the guild."""
    message = catalog().kind("guild").command(command).model_validate(fields)
    return person.stage.send(Address("guild", guild), message, Caller(person.user))


def ask(person: Person, query: str, guild: str = "red-dragons", **fields: Any) -> Any:
    message = catalog().kind("guild").queries[query].model_validate(fields)
    return person.stage.query(Address("guild", guild), message, Caller(person.user))


def found(person: Person, key: str = "red-dragons", name: str | None = None, **fields: Any) -> dict[str, Any]:
    return say(person, "create", key, name=name or key.replace("-", " ").title(), **fields)


def guild_of(stage: Stage, key: str = "red-dragons") -> Guild:
    guild = stage.actor(Address("guild", key))
    assert isinstance(guild, Guild)
    return guild


def directory_of(stage: Stage) -> GuildDirectory:
    directory = stage.actor(directory_address())
    assert isinstance(directory, GuildDirectory)
    return directory


def search(stage: Stage, **fields: Any) -> list[str]:
    return [row["guild"] for row in stage.query(directory_address(), Search.model_validate(fields))["guilds"]]


def roles(stage: Stage, key: str = "red-dragons") -> dict[str, str]:
    return {player: member.role for player, member in guild_of(stage, key).members.items()}


def told(person: Person) -> list[str]:
    """The templates of what is in the inbox, newest first."""
    return [message["template"] for message in person.ask("inbox")["messages"]]


def gold(person: Person) -> int:
    return int(person.ask("wallet")["balances"].get("gold", 0))


def check_sides(stage: Stage) -> None:
    """Guilds and players agree on who belongs where, and each guild that stands has one leader."""
    belongs, has = set(), set()
    for address, actor in stage.actors.items():
        if isinstance(actor, Player) and actor.guild is not None:
            belongs.add((address.key, actor.guild.guild, actor.guild.ticket))
        if isinstance(actor, Guild):
            has |= {(player, address.key, member.ticket) for player, member in actor.members.items()}
            leaders = [player for player, member in actor.members.items() if member.role == "leader"]
            assert len(leaders) == (1 if actor.exists() else 0), address
            assert not actor.entering, address
    assert belongs == has

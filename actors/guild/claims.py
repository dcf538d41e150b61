"""How a guild that is founded gets its name."""

from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Tell, Turn
from actors.guild.charter import AnswerClaim
from actors.guild.directory import GuildDirectory, Listing
from actors.guild.naming import GuildName, skeletons
from actors.guild.state import guild_address
from schemas import limits
from schemas.shape import Key


class ClaimName(Command[GuildDirectory]):
    """A guild would be called so. The first that asks gets the name; no other may look like it."""

    guild: Key
    founding: Key
    name: GuildName

    def decide(self, directory: GuildDirectory, turn: Turn) -> Effects:
        looks = skeletons(self.name)
        because = self._hindrance(directory, looks)
        fields: dict[str, Any] = {"guild": self.guild, "founding": self.founding, "name": self.name}
        yield NameRefused(**fields, because=because) if because else NameClaimed(**fields, skeletons=looks)
        answer = AnswerClaim(founding=self.founding, because=because)
        yield Tell(guild_address(self.guild), answer, into="founding")
        return {"granted": not because}

    def _hindrance(self, directory: GuildDirectory, looks: list[str]) -> str:
        if directory.shelf.holder(looks) is not None:
            return "guild_name_taken"
        return "guilds_too_many" if len(directory.shelf) >= limits.GUILDS_MAX else ""


class NameClaimed(Event[GuildDirectory]):
    """The name belongs to the guild. Its skeletons are kept, so that it stays unique when what looks alike changes."""

    guild: str
    founding: str
    name: str
    skeletons: Annotated[list[str], Field(max_length=2)]

    def apply(self, directory: GuildDirectory) -> None:
        directory.shelf.put(self.guild, Listing(self.founding, self.name, list(self.skeletons)))


class NameRefused(Event[GuildDirectory]):
    """The name is another's."""

    guild: str
    founding: str
    name: str
    because: str

    def apply(self, directory: GuildDirectory) -> None:
        """The directory is as before."""


class NameStanding(Query[GuildDirectory]):
    """Whose name this is, or looks like; nobody's when the holder is empty."""

    name: GuildName

    def answer(self, directory: GuildDirectory, turn: Turn) -> dict[str, Any]:
        return {"holder": directory.shelf.holder(skeletons(self.name)) or ""}

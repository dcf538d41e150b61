"""What guilds, players and the channels of guilds told each other, recalled from the events it led to."""

from collections.abc import Callable
from typing import Any

from actors.channel.passes import Pass, Passed
from actors.core import Command, Event
from actors.guild import answers, claims, storing, territory
from actors.guild.charter import AnswerClaim, NameGranted
from actors.guild.directory import GuildListed, ListGuild, NameReleased, ReleaseName
from actors.guild.experience import Contribute, Contributed
from actors.player import guild, guild_entry, guild_items

Recall = Callable[[list[Event[Any]]], Command[Any]]


def same_fields(command: type[Command[Any]], *kinds: type[Event[Any]]) -> Recall:
    """The command whose fields all stand in the first event, which is one of these kinds."""

    def recall(events: list[Event[Any]]) -> Command[Any]:
        first = events[0]
        if type(first) not in kinds or not set(command.model_fields) <= set(type(first).model_fields):
            raise TypeError(f"{type(first).__name__} does not say what {command.__name__} said")
        return command.model_construct(**{name: getattr(first, name) for name in command.model_fields})

    return recall


def _answer_claim(events: list[Event[Any]]) -> Command[Any]:
    first = events[0]
    if isinstance(first, answers.FoundingFailed):
        return AnswerClaim(founding=first.founding, because=first.because)
    if isinstance(first, NameGranted):
        return AnswerClaim(founding=first.founding)
    raise TypeError(type(first).__name__)


def _contest(events: list[Event[Any]]) -> Command[Any]:
    [event] = events
    if not isinstance(event, territory.TerritoryContested):
        raise TypeError(type(event).__name__)
    return territory.ContestTerritory(territory=event.territory, by=event.by or None)


RECALLED: dict[tuple[str, str], Recall] = {
    ("guild", "answer_claim"): _answer_claim,
    ("guild", "contest_territory"): _contest,
    **{
        (command.actor.kind, command.wire_name): same_fields(command, *kinds)
        for command, *kinds in (
            (answers.Found, answers.Founded),
            (answers.FailFounding, answers.FoundingFailed),
            (answers.ConfirmEntry, answers.Joined, answers.EntryTooLate),
            (answers.CancelEntry, answers.EntryCancelled),
            (answers.ReceiveDeposit, answers.Deposited, answers.DepositReturned),
            (storing.ReceiveItems, storing.ItemsStored, storing.ItemsReturned),
            (Contribute, Contributed),
            (territory.ClaimTerritory, territory.TerritoryClaimed),
            (territory.LoseTerritory, territory.TerritoryLost),
            (Pass, Passed),
            (claims.ClaimName, claims.NameClaimed, claims.NameRefused),
            (ListGuild, GuildListed),
            (ReleaseName, NameReleased),
            (guild.ExitGuild, guild.GuildLeft),
            (guild.ReceiveInvitation, guild.GuildInvitationReceived),
            (guild.WithdrawInvitation, guild.GuildInvitationWithdrawn),
            (guild_entry.EnterGuild, guild_entry.GuildEntered, guild_entry.GuildEntryDeclined),
            (guild_entry.PayFounding, guild_entry.FoundingPaid, guild_entry.FoundingDeclined),
            (guild_entry.PayGuild, guild_entry.GuildPaid, guild_entry.GuildPaymentDeclined),
            (guild_items.HandIn, guild_items.HandedIn, guild_items.HandInDeclined),
        )
    },
}

"""P8: nothing that an actor holds is beyond its bound."""

from collections.abc import Iterator
from typing import Any

from actors.core import Actor
from actors.fraud.state import Fraudwatch
from actors.guild.directory import GuildDirectory
from actors.guild.state import Guild
from actors.leaderboard.ladder import SCORE_MAX
from actors.leaderboard.resets import PERIODS_AWAITED_MAX
from actors.leaderboard.shard import Leaderboard
from actors.player.state import Player
from schemas import limits
from schemas.address import Address
from scripts.verify.guilds import of_directory, of_guild
from scripts.verify.report import Report
from scripts.verify.watcher import Watcher

Measure = tuple[str, int, int]
"""What, how many there are, how many there may be."""


def of_player(player: Player) -> Iterator[Measure]:
    yield "open actions", len(player.held), limits.ACTIONS_HELD_MAX
    yield "used actions", len(player.used), limits.ACTIONS_USED_MAX
    yield "completions remembered", len(player.recent), limits.COMPLETIONS_REMEMBERED_MAX
    yield "boards", len(player.tallies), limits.BOARDS_PER_PLAYER_MAX
    yield "currencies", len(player.wallet), limits.CURRENCIES_MAX
    yield "ledger entries", len(player.ledger), limits.LEDGER_ENTRIES_MAX
    yield "messages", len(player.inbox), limits.INBOX_MAX
    for name, times in player.paces.items():
        yield f"times under {name}", len(times), limits.ACTIONS_PER_MINUTE_MAX
    for board, tally in player.tallies.items():
        yield f"points on {board}", tally.score, limits.INTEGER_MAX
    for currency, balance in player.wallet.items():
        yield currency, balance, limits.INTEGER_MAX
        yield f"{currency} owed", -balance, 0
    for currency, waiting in player.surplus.items():
        yield f"{currency} that wait", waiting, limits.SURPLUS_MAX


def of_leaderboard(shard: Leaderboard) -> Iterator[Measure]:
    yield "periods awaited", len(shard.opened), PERIODS_AWAITED_MAX
    yield "periods with results", len(shard.results), PERIODS_AWAITED_MAX
    for period, ladder in shard.ladders.items():
        ends = [*ladder.rows(0, 1), *ladder.rows(len(ladder) - 1)]
        yield f"points in period {period}", max((row[0] for row in ends), default=0), SCORE_MAX


def of_fraudwatch(detector: Fraudwatch) -> Iterator[Measure]:
    yield "suspects", len(detector.suspects), limits.DETECTOR_PLAYERS_MAX
    yield "cases", len(detector.cases), limits.CASES_PER_DETECTOR_MAX
    yield "places", len(detector.places), limits.SIGHTED_PLACES_MAX
    yield "players at a place", max(map(len, detector.places.values()), default=0), limits.SIGHTED_PLAYERS_MAX
    most = max((len(case.incidents) for case in detector.cases.values()), default=0)
    yield "incidents of a case", most, limits.INCIDENTS_PER_CASE_MAX


class Bounds(Watcher):
    """Each actor as it is at the end of its history."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._count = 0

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        self._count += 1
        for what, count, most in _measures(actor):
            if count > most:
                todo = (
                    "A rule lets this grow without bound, which is a bug: report it. Until then the actor costs more."
                )
                self.report.found("P8", address, f"it has {count:,} {what}, {most:,} at most", todo)

    async def end(self, snapshot: Any) -> None:
        self.report.judged("P8", self._count, "states")


def _measures(actor: Actor | None) -> Iterator[Measure]:
    if isinstance(actor, Player):
        yield from of_player(actor)
    elif isinstance(actor, Leaderboard):
        yield from of_leaderboard(actor)
    elif isinstance(actor, Fraudwatch):
        yield from of_fraudwatch(actor)
    elif isinstance(actor, Guild):
        yield from of_guild(actor)
    elif isinstance(actor, GuildDirectory):
        yield from of_directory(actor)

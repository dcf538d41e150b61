"""K14: an action token is used once at most, by the player it was given to, before it expires."""

from typing import Any

from actors.core import Actor
from actors.player.actions import ActionCompleted, ActionStarted
from schemas.address import Address
from scripts.verify.past import Past
from scripts.verify.report import Report
from scripts.verify.watcher import Watcher

_ROW = "`greenroom inspect history player {key} --events` shows both turns. Its score counts points twice: restore it."


class Tokens(Watcher):
    """All tokens of one player at a time."""

    kinds = frozenset({"player"})

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._started: dict[str, ActionStarted] = {}
        self._completed: dict[str, int] = {}
        self._count = 0

    def turn(self, past: Past) -> None:
        for event in past.events:
            if isinstance(event, ActionStarted):
                self._started[event.id] = event
            elif isinstance(event, ActionCompleted):
                self._count += 1
                self._complete(past, event)

    def _complete(self, past: Past, event: ActionCompleted) -> None:
        started = self._started.get(event.id)
        before = self._completed.setdefault(event.id, past.version)
        if before != past.version:
            self._found(past, f"its token {event.id} was used at version {before} and again at {past.version}")
        elif started is None:
            self._found(past, f"{past}: token {event.id} was used, and never given to this player")
        elif started.proof != event.proof or started.type != event.type:
            self._found(past, f"{past}: token {event.id} was used with another proof or for another action")
        elif event.at >= started.expires_at:
            self._found(past, f"{past}: token {event.id} was used {event.at - started.expires_at} ms after its end")

    def _found(self, past: Past, what: str) -> None:
        self.report.found("K14", past.address, what, _ROW.format(key=past.address.key))

    def left(self, address: Address, actor: Actor | None, version: int) -> None:
        self._started, self._completed = {}, {}

    async def end(self, snapshot: Any) -> None:
        self.report.judged("K14", self._count, "used tokens")

"""How play is judged: rules hit, suspicion adds up and decays, and what follows from it."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effect, Effects, Event, Query, Record, Tell, Turn
from actors.fraud.rules import Hit, Play, hits
from actors.fraud.state import MILLI, CaseFile, Flag, Fraudwatch, Incident, Suspect, whole
from actors.player.inbox import Notify
from actors.times import SECOND_MS
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Count, Integer, Key

WARNING = "Your play looks unusual."

_CLEAR = Suspect()

Sample = Annotated[list[Integer], Field(min_length=3, max_length=3)]
"""[at, took_ms, points] of a completion."""
SUSPICION_MAX = limits.INTEGER_MAX
"""In thousandths, as in the state; more would not change what follows."""


def verdict(suspect: Suspect, at: int, suspicion: int, warning: str | None = None) -> dict[str, Any]:
    """What a player's actor needs to know. Suspicion is in whole points."""
    standing = suspect.standing(at)
    if standing == "flagged" and warning is None:
        warning = "Your play looked unusual; your limits are halved for a while."
    return {
        "standing": standing,
        "suspicion": whole(suspicion),
        "warning": warning,
        "halved_until": suspect.halved_until,
        "refused": suspect.refused(at),
    }


class Standing(Query[Fraudwatch]):
    """How a player stands at the moment."""

    player: Key

    def answer(self, detector: Fraudwatch, turn: Turn) -> dict[str, Any]:
        suspect = detector.suspects.get(self.player, _CLEAR)
        return verdict(suspect, turn.at, suspect.now(turn.at, turn.content.fraud))


class Assess(Command[Fraudwatch]):
    """Judge a completion before it counts; with `late`, one that has counted already."""

    player: Key
    action: Key
    at: Count
    took_ms: Count
    minimum_ms: Count
    points: Count
    recent: Annotated[list[Sample], Field(max_length=limits.COMPLETIONS_REMEMBERED_MAX)]
    over_halved: bool = False
    """The player would be refused under halved limits; then it is not judged when they are."""
    late: bool = False

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        fraud = turn.content.fraud
        suspect = detector.suspects.get(self.player, _CLEAR)
        now = suspect.now(turn.at, fraud)
        spared = self.over_halved and not self.late and suspect.halved_until > turn.at
        if suspect.refused(turn.at) or spared:
            return verdict(suspect, turn.at, now)
        play = Play(self.action, self.at, self.took_ms, self.minimum_ms, self.points, self.recent)
        found = hits(fraud, play)
        if not found:
            return verdict(suspect, turn.at, now)
        if self.mark in suspect.judged:
            # An answer came too late for the player, who went on unassessed or tried again.
            return verdict(suspect, turn.at, now, WARNING)
        after = yield from suspected(detector, turn, self.player, found, self.mark)
        return after

    @property
    def mark(self) -> list[int]:
        """What tells the completion from every other of the player's, whenever it is judged."""
        return [self.at - self.took_ms, len(self.recent), self.recent[-1][0] if self.recent else 0]


class Report(Command[Fraudwatch]):
    """Another detector found something about a player that this one watches."""

    player: Key
    rule: Key
    points: Count
    evidence: Annotated[dict[Key, Integer | Key | list[Integer]], Field(max_length=limits.ATTRIBUTES_MAX)]

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        return (yield from suspected(detector, turn, self.player, [Hit(self.rule, self.points, self.evidence)]))


def suspected(
    detector: Fraudwatch, turn: Turn, player: str, found: list[Hit], mark: list[int] | None = None
) -> Effects:
    """What follows from hits, on the completion of this mark if it was one; returns the verdict."""
    fraud = turn.content.fraud
    suspect = detector.suspects.get(player, _CLEAR)
    before = suspect.now(turn.at, fraud)
    suspicion = min(before + MILLI * sum(hit.points for hit in found), SUSPICION_MAX)
    incidents = [_incident(hit, turn) for hit in found]
    yield Suspected(player=player, at=turn.at, suspicion=suspicion, incidents=incidents, judged=mark or [])
    yield from _recorded(player, suspicion, incidents)
    changed = suspect.model_copy(update={"suspicion": suspicion, "at": turn.at})
    if suspicion > MILLI * fraud.flag_above:
        yield from _flagged(detector, turn, player, changed, before, incidents)
    said = verdict(changed, turn.at, suspicion, WARNING)
    # The action that raises a flag still passes under the limits that held when it was done.
    return {**said, "halved_until": suspect.halved_until}


def _incident(hit: Hit, turn: Turn) -> dict[str, Any]:
    return {"id": turn.new_id(), "rule": hit.rule, "points": hit.points, "at": turn.at, "evidence": hit.evidence}


def _recorded(player: str, suspicion: int, incidents: list[dict[str, Any]]) -> Iterator[Record]:
    for incident in incidents:
        yield Record("incident", {**incident, "player": player, "suspicion": suspicion})


def _flagged(
    detector: Fraudwatch, turn: Turn, player: str, changed: Suspect, before: int, incidents: list[dict[str, Any]]
) -> Iterator[Effect]:
    """Suspicion is above the flag: limits are halved, a case is opened, and worse when it is not the first time.

    A flag is raised when suspicion rises above the threshold; further hits while it is above belong to the same flag.
    """
    fraud = turn.content.fraud
    case = detector.open_case(player)
    case_id = case.id if case else f"{turn.key}-{turn.new_id()}"
    raised = before <= MILLI * fraud.flag_above
    flags = [flag for flag in changed.flags if flag.at > turn.at - fraud.flags_within_s * SECOND_MS]
    changed.flags = [*flags, Flag(at=turn.at, case=case_id)] if raised else flags
    changed.halved_until = turn.at + fraud.halved_s * SECOND_MS
    yield Flagged(
        player=player,
        case=case_id,
        at=turn.at,
        flags=changed.flags,
        halved_until=changed.halved_until,
        suspicion=changed.suspicion,
        incidents=incidents,
    )
    reason = f"fraud case {case_id}"
    sanction = {"user_id": player, "reason": reason, "by": "fraud", "at": turn.at}
    if raised and len(changed.flags) >= fraud.flags_until_ban:
        changed.banned, changed.sanctioned_at = True, turn.at
        yield Banned(player=player, case=case_id, at=turn.at)
        yield Record("sanction", {**sanction, "standing": "banned", "until": None})
    elif changed.suspicion > MILLI * fraud.suspend_above:
        changed.suspended_until, changed.sanctioned_at = turn.at + fraud.suspend_s * SECOND_MS, turn.at
        yield Suspended(player=player, case=case_id, at=turn.at, until=changed.suspended_until)
        yield Record("sanction", {**sanction, "standing": "suspended", "until": changed.suspended_until})
    elif raised:
        yield Tell(player_address(player), Notify(template="account_flagged", data={"case": case_id}))


class Suspected(Event[Fraudwatch]):
    """Rules hit. `suspicion` is what it adds up to, in thousandths; `judged` marks the completion, if it was one."""

    player: str
    at: int
    suspicion: int
    incidents: list[dict[str, Any]]
    judged: list[int] = []

    def apply(self, detector: Fraudwatch) -> None:
        suspect = detector.suspect(self.player)
        suspect.suspicion = self.suspicion
        suspect.at = self.at
        if self.judged:
            suspect.judged.append(list(self.judged))
            del suspect.judged[: -limits.COMPLETIONS_REMEMBERED_MAX]
        while len(detector.suspects) > limits.DETECTOR_PLAYERS_MAX:
            del detector.suspects[next(iter(detector.suspects))]


class Flagged(Event[Fraudwatch]):
    """The player's limits are halved, and there is a case to look at."""

    public = True

    player: str
    case: str
    at: int
    flags: list[Flag]
    halved_until: int
    suspicion: int
    incidents: list[dict[str, Any]]

    def apply(self, detector: Fraudwatch) -> None:
        suspect = detector.suspect(self.player)
        suspect.flags = [flag.model_copy() for flag in self.flags]
        suspect.halved_until = self.halved_until
        case = detector.cases.get(self.case)
        if case is None:
            case = CaseFile(id=self.case, player=self.player, opened_at=self.at, suspicion=self.suspicion)
            detector.cases[self.case] = case
        case.suspicion = max(case.suspicion, self.suspicion)
        case.incidents += [Incident.model_validate(incident) for incident in deepcopy(self.incidents)]
        del case.incidents[: -limits.INCIDENTS_PER_CASE_MAX]
        if len(detector.cases) > limits.CASES_PER_DETECTOR_MAX:
            done = (case.id for case in detector.cases.values() if case.status != "open")
            del detector.cases[next(done, next(iter(detector.cases)))]


class Suspended(Event[Fraudwatch]):
    """The player may not play until a time."""

    public = True

    player: str
    case: str
    at: int
    until: int

    def apply(self, detector: Fraudwatch) -> None:
        suspect = detector.suspect(self.player)
        suspect.suspended_until = self.until
        suspect.sanctioned_at = self.at
        detector.cases[self.case].outcome = "suspended"


class Banned(Event[Fraudwatch]):
    """The player may not play any more."""

    public = True

    player: str
    case: str
    at: int

    def apply(self, detector: Fraudwatch) -> None:
        suspect = detector.suspect(self.player)
        suspect.banned = True
        suspect.sanctioned_at = self.at
        detector.cases[self.case].outcome = "banned"

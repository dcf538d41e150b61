"""What moderators do: look at cases, confirm or dismiss them."""

from typing import Any, Literal

from actors.content import Content
from actors.core import (
    Address,
    Ask,
    Caller,
    Command,
    Effects,
    Event,
    Gather,
    Query,
    Record,
    Rejected,
    Rounds,
    Tell,
    Turn,
)
from actors.fraud.state import CaseFile, Fraudwatch, detector_of_case
from actors.leaderboard.gathers import answers
from actors.player.inbox import Notify
from actors.times import rfc3339
from schemas import limits
from schemas.address import player as player_address
from schemas.shape import Key, Text

MODERATORS = frozenset({"moderator"})

Status = Literal["open", "confirmed", "dismissed"]


def _case(detector: Fraudwatch, case_id: str) -> CaseFile:
    case = detector.cases.get(case_id)
    if case is None:
        raise Rejected("case_unknown", f"There is no case {case_id!r}.")
    return case


def _decided(case: CaseFile, status: Status, turn: Turn, reason: str) -> dict[str, Any]:
    """The case as it will be."""
    closed = {"closedAt": rfc3339(turn.at), "by": turn.caller.user, "reason": reason}
    return {**case.shown(), "status": status, **closed}


class ConfirmCase(Command[Fraudwatch]):
    """A moderator agrees: what was done stands."""

    public = True
    callers = MODERATORS

    case_id: Key
    reason: Text | None = None

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        case = _case(detector, self.case_id)
        if case.status == "confirmed":
            return case.shown()
        if case.status != "open":
            raise Rejected("case_closed", f"The case was {case.status} by {case.by}.")
        confirmed = CaseConfirmed(case=self.case_id, by=turn.caller.user, reason=self.reason or "", at=turn.at)
        yield confirmed
        return _decided(case, "confirmed", turn, confirmed.reason)


class CaseConfirmed(Event[Fraudwatch]):
    """A case was decided against the player."""

    case: str
    by: str
    reason: str
    at: int

    def apply(self, detector: Fraudwatch) -> None:
        _close(detector.cases[self.case], "confirmed", self.by, self.reason, self.at)


def _close(case: CaseFile, status: str, by: str, reason: str, at: int) -> None:
    case.status, case.by, case.reason, case.closed_at = status, by, reason, at


class DismissCase(Command[Fraudwatch]):
    """A moderator finds the player innocent: flag, limits, suspension and ban of the case are undone."""

    public = True
    callers = MODERATORS

    case_id: Key
    reason: Text

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        case = _case(detector, self.case_id)
        by = turn.caller.user
        if case.status == "dismissed":
            return case.shown()
        yield CaseDismissed(case=self.case_id, player=case.player, by=by, reason=self.reason, at=turn.at)
        if case.outcome != "flagged":
            row = {"user_id": case.player, "standing": "clear", "until": None, "reason": self.reason}
            yield Record("sanction", {**row, "by": by, "at": turn.at})
        yield Tell(player_address(case.player), Notify(template="case_dismissed", data={"case": self.case_id}))
        return _decided(case, "dismissed", turn, self.reason)


class CaseDismissed(Event[Fraudwatch]):
    """A case was decided for the player, who starts with a clean sheet."""

    public = True

    case: str
    player: str
    by: str
    reason: str
    at: int

    def apply(self, detector: Fraudwatch) -> None:
        _close(detector.cases[self.case], "dismissed", self.by, self.reason, self.at)
        _clear(detector, self.player, self.case)


def _clear(detector: Fraudwatch, player: str, case_id: str | None) -> None:
    suspect = detector.suspect(player)
    suspect.suspicion = suspect.halved_until = suspect.suspended_until = 0
    suspect.banned = False
    suspect.flags = [flag for flag in suspect.flags if case_id is not None and flag.case != case_id]


class Pardon(Command[Fraudwatch]):
    """The account was reinstated: the detector no longer holds anything against the player."""

    public = True
    callers = MODERATORS

    player: Key
    reason: Text

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        if self.player in detector.suspects:
            yield Pardoned(player=self.player, by=turn.caller.user, reason=self.reason)
        return {}


class Pardoned(Event[Fraudwatch]):
    """Suspicion, flags, suspension and ban of a player are forgotten."""

    player: str
    by: str
    reason: str

    def apply(self, detector: Fraudwatch) -> None:
        _clear(detector, self.player, None)


class CaseHere(Query[Fraudwatch]):
    """A case of this detector with its incidents."""

    case_id: Key

    def answer(self, detector: Fraudwatch, turn: Turn) -> dict[str, Any]:
        return _case(detector, self.case_id).shown()


class Case(Gather):
    """A case with its incidents, from the detector that holds it."""

    kind = "fraud"
    public = True
    callers = MODERATORS

    case_id: Key

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        detector = detector_of_case(self.case_id)
        if detector not in [Address("fraud", str(number)) for number in range(content.fraud.detectors)]:
            raise Rejected("case_unknown", f"There is no case {self.case_id!r}.")
        [case] = answers((yield [Ask(detector, CaseHere(case_id=self.case_id))]))
        return case


class CasesHere(Query[Fraudwatch]):
    """The newest cases of this detector, newest first."""

    status: Status | None = None
    limit: int

    def answer(self, detector: Fraudwatch, turn: Turn) -> list[Any]:
        found = [case for case in reversed(detector.cases.values()) if self.status in (None, case.status)]
        return [case.shown() for case in found[: self.limit]]


class Cases(Gather):
    """The newest cases of all detectors, newest first."""

    kind = "fraud"
    public = True
    callers = MODERATORS

    status: Status | None = None
    limit: int = 100

    def gather(self, key: str, caller: Caller, content: Content, first: Any = None) -> Rounds:
        query = CasesHere(status=self.status, limit=min(self.limit, limits.COLLECTION_ITEMS_MAX))
        replies = yield [Ask(Address("fraud", str(number)), query) for number in range(content.fraud.detectors)]
        found = [case for cases in answers(replies) for case in cases]
        found.sort(key=lambda case: (case["openedAt"], case["id"]), reverse=True)
        return found[: query.limit]

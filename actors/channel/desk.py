"""The moderators' desk: what players reported, until a moderator has looked at it."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from actors.core import Actor, Address, Command, Effects, Event, Query, Rejected, Turn
from actors.times import rfc3339
from schemas import limits
from schemas.shape import Amount, Key, Text

MODERATORS = frozenset({"moderator"})
MOMENT_MAX = 253_402_300_799_999
"""The last millisecond that can be written as a time."""


def desk_address() -> Address:
    """Where reports go."""
    return Address("desk", "chat")


@dataclass(slots=True)
class Case:
    """A message that was reported, and by whom for what reason."""

    id: str
    channel: str
    message: int
    author: str
    text: str
    said_at: int
    opened_at: int
    reports: dict[str, str] = field(default_factory=dict)
    """The reasons, by user."""
    status: str = "open"
    by: str = ""
    note: str = ""
    closed_at: int = 0

    def shown(self) -> dict[str, Any]:
        """The case as moderators see it."""
        times = {"saidAt": rfc3339(self.said_at), "openedAt": rfc3339(self.opened_at)}
        closed = {"closedAt": rfc3339(self.closed_at)} if self.closed_at else {}
        return {
            "id": self.id,
            "channel": self.channel,
            "message": self.message,
            "author": self.author,
            "text": self.text,
            **times,
            "reports": [{"by": user, "reason": reason} for user, reason in self.reports.items()],
            "status": self.status,
            "by": self.by,
            "note": self.note,
            **closed,
        }


class Desk(Actor):
    """All cases that are open, and the newest that are closed."""

    kind = "desk"

    cases: dict[str, Case] = {}
    """By id, oldest first."""


class FileReport(Command[Desk]):
    """A member of a channel reported a message. Reports of one message are one case."""

    channel: Key
    message: Amount
    author: Key
    text: Text
    said_at: Annotated[int, Field(ge=0, le=MOMENT_MAX)]
    by: Key
    reason: Text

    def decide(self, desk: Desk, turn: Turn) -> Effects:
        case_id = f"{self.channel}:{self.message}"
        case = desk.cases.get(case_id)
        known = case is not None and (self.by in case.reports or len(case.reports) >= limits.REPORTERS_MAX)
        if not known:
            yield ReportFiled(case=case_id, at=turn.at, **self.model_dump())
        return {"case": case_id}


class ReportFiled(Event[Desk]):
    """A message was reported."""

    public = True

    case: str
    channel: str
    message: int
    author: str
    text: str
    said_at: int
    by: str
    reason: str
    at: int

    def apply(self, desk: Desk) -> None:
        case = desk.cases.get(self.case)
        if case is None:
            while len(desk.cases) >= limits.CHAT_CASES_MAX:
                closed = (case_id for case_id, other in desk.cases.items() if other.status != "open")
                del desk.cases[next(closed, next(iter(desk.cases)))]
            case = Case(self.case, self.channel, self.message, self.author, self.text, self.said_at, self.at)
            desk.cases[self.case] = case
        case.reports[self.by] = self.reason


class CloseCase(Command[Desk]):
    """A moderator has looked at a case: it was right to report it, or not."""

    public = True
    callers = MODERATORS

    case_id: Key
    verdict: Literal["upheld", "dismissed"]
    note: Text

    def decide(self, desk: Desk, turn: Turn) -> Effects:
        case = desk.cases.get(self.case_id)
        if case is None:
            raise Rejected("case_unknown", f"There is no case {self.case_id!r}.")
        if case.status != self.verdict:
            yield CaseClosed(case=self.case_id, verdict=self.verdict, by=turn.caller.user, note=self.note, at=turn.at)
        return {"case": self.case_id, "status": self.verdict}


class CaseClosed(Event[Desk]):
    """A case was decided."""

    public = True

    case: str
    verdict: str
    by: str
    note: str
    at: int

    def apply(self, desk: Desk) -> None:
        case = desk.cases[self.case]
        case.status, case.by, case.note, case.closed_at = self.verdict, self.by, self.note, self.at


class Reports(Query[Desk]):
    """Cases of a status, newest first."""

    public = True
    callers = MODERATORS

    status: Literal["open", "upheld", "dismissed"] = "open"
    limit: Annotated[int, Field(ge=1, le=limits.HISTORY_PAGE_MAX)] = limits.PAGE_ITEMS

    def answer(self, desk: Desk, turn: Turn) -> list[Any]:
        found = [case for case in reversed(desk.cases.values()) if case.status == self.status]
        return [case.shown() for case in found[: self.limit]]

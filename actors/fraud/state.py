"""The state of a fraud detector: suspects, cases, and who was seen behind which address or device."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from actors.core import Actor, Address
from actors.fraud.decay import decayed
from actors.times import SECOND_MS, rfc3339

if TYPE_CHECKING:
    from actors.content import Fraud

MILLI = 1_000
"""Suspicion is kept in thousandths of a point."""
SANCTION_SPREADS_MS = 10_000


def whole(suspicion: int) -> int:
    """Suspicion in points, rounded."""
    return (suspicion + MILLI // 2) // MILLI


class Entry(BaseModel):
    """A part of the detector's state."""

    model_config = ConfigDict(extra="forbid")


class Flag(Entry):
    """When the player was flagged, and the case that was opened for it."""

    at: int
    case: str


class Suspect(Entry):
    """A player of whom something is known. `suspicion` is in thousandths, as it was at `at`."""

    suspicion: int = 0
    at: int = 0
    flags: list[Flag] = []
    """Oldest first."""
    halved_until: int = 0
    suspended_until: int = 0
    banned: bool = False
    sanctioned_at: int = 0
    """When the player was last suspended or banned."""
    judged: list[list[int]] = []
    """The newest completions that rules hit (see Assess.mark)."""

    def now(self, at: int, rules: "Fraud") -> int:
        """Suspicion at a time, in thousandths of a point."""
        return decayed(self.suspicion, at - self.at, rules.half_life_s * SECOND_MS)

    def standing(self, at: int) -> str:
        """`clear`, `flagged`, `suspended` or `banned` at this time."""
        if self.banned:
            return "banned"
        if self.suspended_until > at:
            return "suspended"
        return "flagged" if self.halved_until > at else "clear"

    def refused(self, at: int) -> bool:
        """Whether play is refused here: only until the sanction has reached every gateway, which then refuses it,
        or lets it through when a moderator reinstates the account."""
        return self.standing(at) in ("suspended", "banned") and at < self.sanctioned_at + SANCTION_SPREADS_MS


class Incident(Entry):
    """One hit of one rule, with what proves it."""

    id: str
    rule: str
    points: int
    at: int
    evidence: dict[str, Any]


class CaseFile(Entry):
    """A flagged player for people to look at."""

    id: str
    player: str
    status: str = "open"
    outcome: str = "flagged"
    opened_at: int
    suspicion: int
    incidents: list[Incident] = []
    by: str = ""
    reason: str = ""
    closed_at: int | None = None

    def shown(self) -> dict[str, Any]:
        """The case as a moderator sees it."""
        incidents = [
            {
                **incident.model_dump(),
                "at": rfc3339(incident.at),
                "evidence": {to_camel(name): value for name, value in deepcopy(incident.evidence).items()},
            }
            for incident in self.incidents
        ]
        return {
            "id": self.id,
            "userId": self.player,
            "status": self.status,
            "outcome": self.outcome,
            "suspicion": whole(self.suspicion),
            "openedAt": rfc3339(self.opened_at),
            "closedAt": None if self.closed_at is None else rfc3339(self.closed_at),
            "by": self.by,
            "reason": self.reason,
            "incidents": incidents,
        }


class Fraudwatch(Actor):
    """Watches the players that hash to it."""

    kind = "fraud"
    placement = "dedicated"

    suspects: dict[str, Suspect] = {}
    """By player; the longest silent first."""
    cases: dict[str, CaseFile] = {}
    """By id, oldest first."""
    places: dict[str, dict[str, int]] = {}
    """By address or device: when each player was seen there last; the longest silent first."""

    def suspect(self, player: str) -> Suspect:
        """What is known of the player, to be changed by events; takes it to the end of the line."""
        suspect = self.suspects.pop(player, None) or Suspect()
        self.suspects[player] = suspect
        return suspect

    def open_case(self, player: str) -> CaseFile | None:
        """The player's case that nobody has decided yet."""
        suspect = self.suspects.get(player)
        for flag in reversed(suspect.flags if suspect else []):
            case = self.cases.get(flag.case)
            if case is not None and case.status == "open":
                return case
        return None


def detector_of(player: str, rules: "Fraud") -> Address:
    """The detector that watches the player."""
    return Address("fraud", str(crc32(player.encode()) % rules.detectors))


def detector_of_case(case_id: str) -> Address:
    """The detector that holds the case: its key stands before the dash of the id."""
    return Address("fraud", case_id.partition("-")[0])

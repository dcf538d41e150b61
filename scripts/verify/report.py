"""What a verification found: each invariant with its verdict, and each breach with the actor and what to do."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FINDINGS_KEPT_MAX = 1_000
"""Of each invariant; further ones are only counted."""

INVARIANTS: dict[str, str] = {
    "K1": "an acknowledged request has its one turn",
    "K2": "a request of unknown outcome has one turn at most",
    "K3": "a refused request has no turn",
    "K4": "histories have no gap, no overlap, one writer a turn",
    "K5": "replay gives what checkpoints hold",
    "K6": "currency held and under way = given - taken",
    "K7": "an item has one owner",
    "K8": "scores are sums of events, boards of scores",
    "K9": "a message was played once, or waits",
    "K10": "who asks later sees nothing older",
    "K11": "pushes have no gap and no repeat",
    "K12": "no reply showed what the journal does not hold",
    "K13": "a repeated request got the same reply",
    "K14": "a token was used once at most, in its time",
    "K15": "guilds and players agree on who belongs where",
    "K16": "a reward was given once, and all of it",
    "P8": "nothing is beyond its bound",
}

HOLDS, BROKEN, UNJUDGED = "holds", "broken", "not judged"


class Finding(NamedTuple):
    """One breach. `todo` says what to do next."""

    invariant: str
    actor: str
    what: str
    todo: str


@dataclass
class Report:
    """Filled while the journal is read."""

    actors: int = 0
    turns: int = 0
    events: int = 0
    seconds: float = 0.0
    at: str = ""
    looked: dict[str, str] = field(default_factory=dict)
    """By invariant: what was looked at, such as `61,234 turns`."""
    unjudged: dict[str, str] = field(default_factory=dict)
    """By invariant: why it, or a part of it, could not be judged."""
    remarks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, dict[Finding, None]] = field(default_factory=dict)

    def found(self, invariant: str, actor: object, what: str, todo: str) -> None:
        """A breach; the same one again counts once."""
        finding = Finding(invariant, str(actor), what, todo)
        kept = self._kept.setdefault(invariant, {})
        if finding in kept:
            return
        self.counts[invariant] += 1
        if len(kept) < FINDINGS_KEPT_MAX:
            kept[finding] = None

    def judged(self, invariant: str, count: int, what: str) -> None:
        """So many things were looked at for it."""
        self.looked[invariant] = f"{count:,} {what}"

    def not_judged(self, invariant: str, why: str) -> None:
        """Why the invariant, or a part of it, could not be judged."""
        known = self.unjudged.get(invariant)
        self.unjudged[invariant] = f"{known}; {why}" if known else why

    @property
    def ok(self) -> bool:
        return not self.counts

    @property
    def findings(self) -> list[Finding]:
        return [finding for invariant in INVARIANTS for finding in self._kept.get(invariant, ())]

    def verdict(self, invariant: str) -> str:
        if self.counts[invariant]:
            return BROKEN
        return HOLDS if invariant in self.looked else UNJUDGED

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "ok": self.ok,
            "at": self.at,
            "seconds": round(self.seconds, 3),
            "actors": self.actors,
            "turns": self.turns,
            "events": self.events,
            "invariants": [
                {
                    "id": invariant,
                    "title": title,
                    "verdict": self.verdict(invariant),
                    "lookedAt": self.looked.get(invariant),
                    "notJudged": self.unjudged.get(invariant),
                    "findings": self.counts[invariant],
                }
                for invariant, title in INVARIANTS.items()
            ],
            "findings": [
                {"invariant": one.invariant, "actor": one.actor, "what": one.what, "next": one.todo}
                for one in self.findings
            ],
            "remarks": self.remarks,
        }

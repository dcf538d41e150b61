"""How points are earned: an action is started for a token, and completed with it."""

import hmac
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from actors.content import PerMinute
from actors.core import Command, Consult, Effect, Effects, Event, Query, Rejected, Tell, Turn
from actors.fraud.assess import Assess, Standing
from actors.fraud.state import detector_of
from actors.player import pace
from actors.player.score import Gain, keep_tallies, score_on
from actors.player.state import Held, Player, Used
from actors.player.way import Way
from actors.times import HOUR_MS, SECOND_MS, rfc3339, whole_seconds
from schemas import limits
from schemas.shape import Attributes, Key

PROOF_CHARS = 32
USED_KEPT_MS = HOUR_MS
"""How long a used token is told apart from one that never was."""


def proof_of(signature: str) -> str:
    """What the state keeps of a signature: enough to verify it, too little to make a token."""
    return sha256(signature.encode()).hexdigest()[:PROOF_CHARS]


def proves(signature: str, proof: str) -> bool:
    """Whether the proof is of this signature; how long that takes tells nothing about it."""
    return hmac.compare_digest(proof_of(signature), proof)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the fraud detector said, or that it did not."""

    halved: bool = False
    unassessed: bool = False
    warning: str | None = None

    @classmethod
    def of(cls, turn: Turn) -> "Judgement":
        """Refused as SUSPICIOUS_ACTIVITY when the player may not play, as UNAVAILABLE when nobody may unassessed."""
        if not turn.consulted:
            return cls()
        if turn.answer is None or turn.answer.status != 200:
            if turn.content.fraud.fail_closed:
                raise Rejected("UNAVAILABLE", "The action could not be assessed in time.", retry_after_s=1)
            return cls(halved=True, unassessed=True)
        said = turn.answer.data
        if said["refused"]:
            raise Rejected("SUSPICIOUS_ACTIVITY", "Your account is under review for unusual play.")
        return cls(halved=said["halved_until"] > turn.at, warning=said["warning"])


class StartAction(Command[Player]):
    """Begin an action; the reply has the token that completes it."""

    public = True

    type: Key
    attributes: Attributes | None = None

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return standing(player, Way.find(turn, "actions", self.type), turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        way = Way.find(turn, "actions", self.type)
        made = yield from start(player, way, turn, self.attributes)
        return {
            "id": made.id,
            "actionToken": made.token,
            "expectedScore": score_on(player, way.type.board, turn) + way.type.points,
            "expiresAt": rfc3339(turn.at + way.family.lives_s * SECOND_MS),
        }


def standing(player: Player, way: Way, turn: Turn) -> Consult | None:
    """The consult before a token is given out, if the action type has fraud rules; refused when starts are too many."""
    pace.guard(player, *way.starts, turn.at)
    if not way.type.fraud:
        return None
    return Consult(detector_of(player.id, turn.content.fraud), Standing(player=player.id))


class Made(NamedTuple):
    """A token that was given out."""

    id: str
    signature: str

    @property
    def token(self) -> str:
        """What the client gets, and completes the action with."""
        return f"{self.id}.{self.signature}"


def start(
    player: Player, way: Way, turn: Turn, attributes: Mapping[str, Any] | None = None
) -> Generator[Effect, None, Made]:
    """Give out a token."""
    name, per_minute = way.starts
    pace.guard(player, name, per_minute, turn.at)
    pace.guard(player, name, per_minute, turn.at, halved=Judgement.of(turn).halved)
    _refuse_when_full(player, turn)
    action_id = turn.new_id()
    signature = turn.sign(f"{player.id}:{turn.at}:{turn.new_id()}:{action_id}:{way.name}")
    yield ActionStarted(
        id=action_id,
        type=way.name,
        family=way.family_name,
        at=turn.at,
        expires_at=turn.at + way.family.lives_s * SECOND_MS,
        proof=proof_of(signature),
        attributes=dict(attributes or {}),
        pace="" if per_minute == "unlimited" else name,
    )
    return Made(action_id, signature)


def _refuse_when_full(player: Player, turn: Turn) -> None:
    if len(player.held) < limits.ACTIONS_HELD_MAX:
        return
    soonest = min(held.expires_at for held in player.held.values())
    if soonest > turn.at:
        wait_s = whole_seconds(soonest - turn.at)
        raise Rejected("RATE_LIMITED", "Too many actions are open; complete them first.", retry_after_s=wait_s)


class ActionStarted(Event[Player]):
    """An action was started. `proof` verifies its token; `pace` is what it counts under."""

    id: str
    type: str
    family: str
    at: int
    expires_at: int
    proof: str
    attributes: dict[str, str | int | bool]
    pace: str

    def apply(self, player: Player) -> None:
        _forget_old(player, self.at)
        player.held[self.id] = Held(
            type=self.type,
            family=self.family,
            at=self.at,
            expires_at=self.expires_at,
            proof=self.proof,
            attributes=self.attributes,
        )
        if self.pace:
            pace.count(player, self.pace, self.at)


def _forget_old(player: Player, at: int) -> None:
    for action_id in [action_id for action_id, held in player.held.items() if held.expires_at <= at]:
        del player.held[action_id]
    while player.used:
        oldest = next(iter(player.used))
        if len(player.used) <= limits.ACTIONS_USED_MAX and player.used[oldest].at > at - USED_KEPT_MS:
            break
        del player.used[oldest]


@dataclass(frozen=True, slots=True)
class Completion:
    """An open action that its player wants to complete, after all that can be checked without a detector."""

    id: str
    held: Held
    way: Way

    def took_ms(self, turn: Turn) -> int:
        """The time since the start; a clock that was set back makes it no less than nothing."""
        return max(0, turn.at - self.held.at)

    def assess(self, player: Player, turn: Turn, *, late: bool = False) -> Assess:
        """What the fraud detector is asked; `late` when the points have counted already."""
        assess = Assess(
            player=player.id,
            action=self.held.type,
            at=turn.at,
            took_ms=self.took_ms(turn),
            minimum_ms=self.way.type.minimum_ms,
            points=self.way.type.points,
            recent=[],
            over_halved=pace.over(player, *self.way.completions, turn.at, halved=True) > 0,
            late=late,
        )
        # The state's many numbers were checked when they came; to do so again would cost more than all the rest.
        return assess.model_copy(update={"recent": list(player.recent)})

    def consult(self, player: Player, turn: Turn) -> Consult | None:
        """The question to the fraud detector; None when the action type has no fraud rules."""
        if not self.way.type.fraud:
            return None
        return Consult(detector_of(player.id, turn.content.fraud), self.assess(player, turn))

    def score(self, player: Player, turn: Turn) -> Effects:
        """Consume the token, count the points, tell the boards; in one commit. Returns the reply."""
        judgement = Judgement.of(turn)
        name, per_minute = self.way.completions
        pace.guard(player, name, per_minute, turn.at, halved=judgement.halved)
        gain = Gain(self.way.type.board, self.way.type.points, turn.at, self.held.type, self.held.attributes)
        boards = gain.boards(turn)
        scores, periods = gain.tallies(player, boards)
        yield ActionCompleted(
            id=self.id,
            type=self.held.type,
            family=self.held.family,
            board=gain.board,
            points=gain.points,
            at=turn.at,
            took_ms=self.took_ms(turn),
            proof=self.held.proof,
            scores=scores,
            periods=periods,
            pace="" if per_minute == "unlimited" else name,
            watched=self.way.type.fraud,
            unassessed=judgement.unassessed,
        )
        yield from gain.placements(player, boards)
        if judgement.unassessed:
            yield Tell(detector_of(player.id, turn.content.fraud), self.assess(player, turn, late=True))
        warning = {"warning": judgement.warning} if judgement.warning else {}
        return {**gain.reply(player, turn, scores), **warning, "links": _links(self.id, gain.board, player.id)}


class CompleteAction(Command[Player]):
    """Finish an action with its token: its points count, once."""

    public = True

    action_id: Key
    action_token: Key

    def consults(self, player: Player, turn: Turn) -> Consult | None:
        return self._redeem(player, turn).consult(player, turn)

    def decide(self, player: Player, turn: Turn) -> Effects:
        return (yield from self._redeem(player, turn).score(player, turn))

    def _redeem(self, player: Player, turn: Turn) -> Completion:
        token = self.action_token
        return redeem(player, token if token.partition(".")[0] == self.action_id else ".", "actions", turn)


def redeem(player: Player, token: str, family: str, turn: Turn) -> Completion:
    """The open action of a token; refused in the order of SC-10: rate limit, unknown or expired, signature, used."""
    action_id, _, signature = token.partition(".")
    held = player.held.get(action_id)
    used = player.used.get(action_id)
    name, per_minute = _completions(held, family, turn)
    pace.guard(player, name, per_minute, turn.at)
    known = used or held
    if known is None or (held is not None and (held.expires_at <= turn.at or held.family != family)):
        raise Rejected("TOKEN_INVALID", "This token is unknown or has expired.")
    if not proves(signature, known.proof):
        raise Rejected("SIGNATURE_INVALID", "The token's signature is wrong.")
    if held is None:
        raise Rejected("TOKEN_USED", "This token was used before.")
    return Completion(action_id, held, Way.find(turn, family, held.type))


def _completions(held: Held | None, family: str, turn: Turn) -> tuple[str, PerMinute]:
    """The limit of completions; for unknown tokens that of the family."""
    if held is not None and held.type in turn.content.actions:
        return Way.find(turn, family, held.type).completions
    return f"{family}.complete", getattr(turn.content.limits, family).completions_per_minute


def _links(action_id: str, board: str, user_id: str) -> dict[str, str]:
    return {
        "self": f"/api/v1/actions/{action_id}",
        "score": f"/api/v1/players/{user_id}/score?board={board}",
        "leaderboard": f"/api/v1/leaderboard/top?board={board}",
        "around": f"/api/v1/leaderboard/around?board={board}",
    }


class ActionCompleted(Event[Player]):
    """A token was used and its points counted. `scores` are the player's scores afterwards, by board."""

    public = True

    id: str
    type: str
    family: str
    board: str
    points: int
    at: int
    took_ms: int
    proof: str
    scores: dict[str, int]
    periods: dict[str, int]
    pace: str
    watched: bool
    unassessed: bool

    def apply(self, player: Player) -> None:
        del player.held[self.id]
        player.used[self.id] = Used(at=self.at, proof=self.proof)
        _forget_old(player, self.at)
        keep_tallies(player, self.scores, self.periods)
        player.unassessed += self.unassessed
        if self.watched:
            player.recent.append([self.at, self.took_ms, self.points])
            del player.recent[: -limits.COMPLETIONS_REMEMBERED_MAX]
        if self.pace:
            pace.count(player, self.pace, self.at)

    def push(self) -> Mapping[str, Any]:
        return {"score": self.scores}


class Action(Query[Player]):
    """An action that is `active`, `expired` or `consumed`. Refused as `action_unknown` when it is none of these."""

    public = True

    action_id: Key

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        held = player.held.get(self.action_id)
        if held is not None:
            state = "active" if turn.at < held.expires_at else "expired"
            times = {"startedAt": rfc3339(held.at), "expiresAt": rfc3339(held.expires_at)}
            return {"id": self.action_id, "type": held.type, "state": state, **times}
        used = player.used.get(self.action_id)
        if used is None:
            raise Rejected("action_unknown", "There is no such action, or it was too long ago.")
        return {"id": self.action_id, "state": "consumed", "completedAt": rfc3339(used.at)}

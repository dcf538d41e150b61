"""What the server answers, as typed values; unknown fields are ignored, so that servers may grow."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

Json = dict[str, Any]


class Model(BaseModel):
    """camelCase outside, snake_case inside, unchangeable."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Tokens(Model):
    """What proves who somebody is: a short-lived access token and a refresh token that is good for one use."""

    access_token: str
    refresh_token: str = ""

    @property
    def claims(self) -> Json:
        """The access token's claims, unverified (the server verifies); empty when it is no JWT."""
        try:
            payload = self.access_token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError, binascii.Error):
            return {}
        return claims if isinstance(claims, dict) else {}

    @property
    def user_id(self) -> str:
        return str(self.claims.get("sub", ""))

    @property
    def expires_at_s(self) -> float | None:
        """When the access token ends, in Unix time."""
        expiry = self.claims.get("exp")
        return float(expiry) if isinstance(expiry, int | float) else None


class Change(Model):
    """A number before and after."""

    previous: int | None = None
    current: int | None = None


class Award(Model):
    """What a score change did; the rank is empty when the board was late, while the score is safe either way."""

    score: Change
    rank: Change = Change()
    warning: Any = None

    @field_validator("rank", mode="before")
    @classmethod
    def _known_later(cls, rank: Any) -> Any:
        return {} if rank is None else rank


class AwardOrder(Model):
    """One award of a batch; its op id makes it count once, however often it is sent."""

    op: str
    user_id: str
    points: int
    board: str | None = None
    reason: str | None = None
    attributes: dict[str, str | int | bool] | None = None
    at: datetime | str | None = None


class Provisioned(Model):
    """A player that a studio's server made."""

    external_id: str
    user_id: str
    created: bool


class Action(Model):
    """An action that was started and waits to be completed."""

    id: str
    action_token: str
    expected_score: int
    expires_at: datetime


class Standing(Model):
    """One line of a board."""

    rank: int
    user_id: str
    username: str = ""
    score: int


class Score(Model):
    """A player's score on a board."""

    score: int
    rank: int | None = None
    version: int = 0


class Reply(Model):
    """The answer to a command or query of an actor."""

    data: Any = None
    version: int | None = None
    code: int = Field(default=200)


class Push(Model):
    """Something that a topic told; `seq` numbers what the topic tells.

    With `reset`, `data` is the present state, and what was told between the last push and this one is not replayed.
    """

    topic: str
    type: str
    seq: int = 0
    data: Any = None
    changes: Any = None
    reset: bool = False

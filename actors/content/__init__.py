"""What designers write, checked as a whole: one version of it is a `Content`."""

from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from actors.content.fraud import (
    Burst,
    Fraud,
    FraudRule,
    Identical,
    Periodic,
    ScoreRate,
    Shared,
    TooFast,
    faults_of_fraud,
)
from actors.content.part import Faults, Part
from actors.content.scoring import (
    PLAYER,
    ActionType,
    Board,
    Currency,
    Family,
    Limits,
    PerMinute,
    Reward,
    faults_of_actions,
    faults_of_boards,
)
from schemas import limits
from schemas.shape import Count, Key, Text


class Content(Part):
    """One version of everything that designers write."""

    version: Count = 0
    note: Text | None = None
    actions: Annotated[dict[Key, ActionType], Field(max_length=limits.COLLECTION_ITEMS_MAX)] = {}
    boards: Annotated[dict[Key, Board], Field(max_length=limits.BOARDS_PER_PLAYER_MAX)] = {}
    currencies: Annotated[dict[Key, Currency], Field(max_length=limits.CURRENCIES_MAX)] = {}
    limits: Limits = Limits()
    fraud: Fraud = Fraud()

    def followers(self, board: str) -> list[str]:
        """The boards on which a score event of this board counts too, in order of name."""
        return self._followers.get(board, [])

    @cached_property
    def _followers(self) -> dict[str, list[str]]:
        following: dict[str, list[str]] = {}
        for name, board in sorted(self.boards.items()):
            if board.follows is not None:
                following.setdefault(board.follows, []).append(name)
        return following

    @model_validator(mode="after")
    def _no_dangling_references(self, info: ValidationInfo) -> Self:
        faults = list(dangling(self))
        if faults and not (info.context or {}).get("lenient"):
            raise PydanticCustomError("dangling", "{faults}", {"faults": "; ".join(f"{w}: {m}" for w, m in faults)})
        return self


def dangling(content: Content) -> Faults:
    """References to what is not there, as (place, what would be right)."""
    return [*faults_of_actions(content), *faults_of_boards(content), *faults_of_fraud(content.fraud)]


__all__ = [
    "PLAYER",
    "ActionType",
    "Board",
    "Burst",
    "Content",
    "Currency",
    "Family",
    "Fraud",
    "FraudRule",
    "Identical",
    "Limits",
    "Part",
    "PerMinute",
    "Periodic",
    "Reward",
    "ScoreRate",
    "Shared",
    "TooFast",
    "dangling",
]

"""What designers write, checked as a whole: one version of it is a `Content`."""

from bisect import bisect_right
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from actors.content.achievements import Achievement, Tier, faults_of_achievements
from actors.content.character import Character, Effect, Skill, faults_of_character
from actors.content.chat import Chat, faults_of_chat
from actors.content.crafting import Recipe, Station, faults_of_crafting
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
from actors.content.guilds import Guilds, faults_of_guilds
from actors.content.items import Item, faults_of_items
from actors.content.notifications import Notifications, faults_of_notifications
from actors.content.part import Faults, Part
from actors.content.quests import Objective, Quest, Requires, faults_of_quests
from actors.content.resets import ResetTime
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
from actors.content.triggers import Listening, Trigger, listeners
from schemas import limits
from schemas.shape import Count, Key, Text


class Content(Part):
    """One version of everything that designers write."""

    version: Count = 0
    note: Text | None = None
    actions: Annotated[dict[Key, ActionType], Field(max_length=limits.COLLECTION_ITEMS_MAX)] = {}
    boards: Annotated[dict[Key, Board], Field(max_length=limits.BOARDS_PER_PLAYER_MAX)] = {}
    currencies: Annotated[dict[Key, Currency], Field(max_length=limits.CURRENCIES_MAX)] = {}
    character: Character = Character()
    effects: Annotated[dict[Key, Effect], Field(max_length=limits.CONTENT_ENTRIES_MAX)] = {}
    skills: Annotated[dict[Key, Skill], Field(max_length=limits.CONTENT_ENTRIES_MAX)] = {}
    items: Annotated[dict[Key, Item], Field(max_length=limits.CONTENT_ENTRIES_MAX)] = {}
    stations: Annotated[dict[Key, Station], Field(max_length=limits.STATIONS_MAX)] = {}
    recipes: Annotated[dict[Key, Recipe], Field(max_length=limits.CONTENT_ENTRIES_MAX)] = {}
    resets: Annotated[dict[Key, ResetTime], Field(max_length=limits.RESETS_MAX)] = {}
    quests: Annotated[dict[Key, Quest], Field(max_length=limits.QUESTS_MAX)] = {}
    achievements: Annotated[dict[Key, Achievement], Field(max_length=limits.ACHIEVEMENTS_MAX)] = {}
    fraud: Fraud = Fraud()
    guilds: Guilds = Guilds()
    chat: Chat = Chat()
    notifications: Notifications = Notifications()
    limits: Limits = Limits()  # last: from here on the name means this field

    def followers(self, board: str) -> list[str]:
        """The boards on which a score event of this board counts too, in order of name."""
        return self._followers.get(board, [])

    def names_after(self, section: str, name: str | None) -> list[str]:
        """The names of a section's entries in order, those after this one."""
        names = self._names[section]
        return names if name is None else names[bisect_right(names, name) :]

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {"items": sorted(self.items), "recipes": sorted(self.recipes)}

    @cached_property
    def _followers(self) -> dict[str, list[str]]:
        following: dict[str, list[str]] = {}
        for name, board in sorted(self.boards.items()):
            if board.follows is not None:
                following.setdefault(board.follows, []).append(name)
        return following

    @cached_property
    def listeners(self) -> dict[str, Listening]:
        """What looks at an event of a player, by the event's name."""
        return listeners(self)

    def opened_by(self, quest: str) -> list[str]:
        """The quests that wait for the completion of this one."""
        return self._opened_by.get(quest, [])

    @cached_property
    def _opened_by(self) -> dict[str, list[str]]:
        opened: dict[str, list[str]] = {}
        for name, quest in self.quests.items():
            for other in quest.requires.quests:
                opened.setdefault(other, []).append(name)
        return opened

    @model_validator(mode="after")
    def _no_dangling_references(self, info: ValidationInfo) -> Self:
        faults = list(dangling(self))
        if faults and not (info.context or {}).get("lenient"):
            raise PydanticCustomError("dangling", "{faults}", {"faults": "; ".join(f"{w}: {m}" for w, m in faults)})
        return self


def dangling(content: Content) -> Faults:
    """References to what is not there, as (place, what would be right)."""
    return [
        *faults_of_actions(content),
        *faults_of_boards(content),
        *faults_of_fraud(content.fraud),
        *faults_of_chat(content),
        *faults_of_notifications(content),
        *faults_of_character(content),
        *faults_of_items(content),
        *faults_of_crafting(content),
        *faults_of_quests(content),
        *faults_of_achievements(content),
        *faults_of_guilds(content),
    ]


__all__ = [
    "PLAYER",
    "Achievement",
    "ActionType",
    "Board",
    "Burst",
    "Character",
    "Chat",
    "Content",
    "Currency",
    "Effect",
    "Family",
    "Fraud",
    "FraudRule",
    "Guilds",
    "Identical",
    "Item",
    "Limits",
    "Notifications",
    "Objective",
    "Part",
    "PerMinute",
    "Periodic",
    "Quest",
    "Recipe",
    "Requires",
    "ResetTime",
    "Reward",
    "ScoreRate",
    "Shared",
    "Skill",
    "Station",
    "Tier",
    "TooFast",
    "Trigger",
    "dangling",
]

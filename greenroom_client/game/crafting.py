"""Crafting: recipes, and the work that is under way or stands in line."""

from datetime import datetime

from greenroom_client.game.noun import Noun
from greenroom_client.models import Model


class Recipe(Model):
    """What can be made, of what, where, how long it takes, and the chance in percent."""

    recipe: str
    title: str
    station: str | None
    level: int
    ingredients: dict[str, int]
    tools: list[str]
    takes_s: int
    chance: int
    outputs: dict[str, int]
    enough: bool
    """Whether the bag holds the ingredients."""


class RecipePage(Model):
    """Recipes by name; `next` continues after the page, None at the end."""

    recipes: list[Recipe]
    next: str | None


class Begun(Model):
    """A piece of work that was begun, or stands in line."""

    id: str
    starts_at: datetime
    ready_at: datetime


class Job(Begun):
    """A piece of work: `waiting`, `running`, or `ready` for a moment."""

    recipe: str
    station: str | None
    state: str


class Jobs(Model):
    """The work of a player, the earliest first."""

    jobs: list[Job]


class GivenBack(Model):
    """What came back."""

    items: dict[str, int]


class Crafting(Noun):
    """What one's own player makes."""

    async def recipes(self, station: str | None = None, after: str | None = None, limit: int = 50) -> RecipePage:
        """What can be made, at one station or anywhere."""
        return await self._query(RecipePage, "recipes", station=station, after=after, limit=limit)

    async def craft(self, recipe: str, *, op: str | None = None) -> Begun:
        """Begin; the ingredients are used up at once, and what is made comes by itself."""
        return await self._command(Begun, "craft", op, recipe=recipe)

    async def jobs(self) -> list[Job]:
        """What is under way and in line."""
        return (await self._query(Jobs, "crafting")).jobs

    async def cancel(self, job_id: str, *, op: str | None = None) -> dict[str, int]:
        """Give a piece of work up; answers what came back."""
        return (await self._command(GivenBack, "cancel_craft", op, id=job_id)).items

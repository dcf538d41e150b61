"""Content of crafting: recipes, and the stations at which they are made."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from actors.content.part import Faults, Part, missing
from actors.times import DAY_S
from schemas import limits
from schemas.shape import Amount, Count, Key, Line, Text

if TYPE_CHECKING:
    from actors.content import Content

Ingredients = Annotated[dict[Key, Amount], Field(max_length=limits.INGREDIENTS_MAX)]


class Station(Part):
    """Where things are made; each player has one piece of work under way at each, and more in line."""

    title: Line
    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] = 1
    """The least level of a player who works there."""
    queue: Annotated[int, Field(ge=1, le=limits.CRAFTING_QUEUE_MAX)] = 5
    """How many pieces of work one player may have there."""


class Recipe(Part):
    """How something is made."""

    title: Line
    text: Text | None = None
    station: Key | None = None
    """None: by hand, anywhere."""
    level: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] = 1
    ingredients: Annotated[Ingredients, Field(min_length=1)]
    """What is used up."""
    tools: Annotated[list[Key], Field(max_length=limits.INGREDIENTS_MAX)] = []
    """What must be in the bag or worn, and stays."""
    takes_s: Annotated[int, Field(ge=1, le=7 * DAY_S)]
    chance: Annotated[int, Field(ge=1, le=100)] = 100
    """Of a hundred tries, how many succeed."""
    outputs: Annotated[Ingredients, Field(min_length=1)]
    salvage: Ingredients = {}
    """What is left when it fails."""
    experience: Count = 0


def faults_of_crafting(content: "Content") -> Faults:
    """What recipes name and is not there, and recipes that go in a circle."""
    faults: Faults = []
    for name, recipe in content.recipes.items():
        place = f"recipes.{name}"
        if recipe.station is not None:
            faults += missing(f"{place}.station", "station", recipe.station, content.stations)
        for part in ("ingredients", "outputs", "salvage"):
            for item_name, count in getattr(recipe, part).items():
                faults += missing(f"{place}.{part}.{item_name}", "item", item_name, content.items)
                item = content.items.get(item_name)
                if item is not None and item.unique and count > limits.UNIQUE_OUTPUTS_MAX:
                    what = f"no more than {limits.UNIQUE_OUTPUTS_MAX} of a unique item"
                    faults.append((f"{place}.{part}.{item_name}", what))
        for index, tool in enumerate(recipe.tools):
            faults += missing(f"{place}.tools.{index}", "item", tool, content.items)
    return faults + [_circle(content, circle) for circle in circles(_made_of(content))]


def _made_of(content: "Content") -> dict[str, list[str]]:
    """By item, what recipes need for it."""
    needs: dict[str, list[str]] = {}
    for recipe in content.recipes.values():
        for output in recipe.outputs:
            needs.setdefault(output, []).extend(recipe.ingredients)
    return needs


def _circle(content: "Content", circle: list[str]) -> tuple[str, str]:
    output, ingredient = circle[0], circle[1]
    recipe = next(
        name
        for name, recipe in content.recipes.items()
        if output in recipe.outputs and ingredient in recipe.ingredients
    )
    return f"recipes.{recipe}.ingredients.{ingredient}", f"goes in a circle: {' needs '.join(circle)}"


def circles(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """A circle for each way back that a walk through the graph finds, its first name again at the end."""
    done: set[str] = set()
    for start in graph:
        walk = [(start, iter(graph.get(start, ())))] if start not in done else []
        path, on_path = [start], {start}
        while walk:
            node, following = walk[-1]
            other = next(following, None)
            if other is None:
                walk.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif other in on_path:
                yield [*path[path.index(other) :], other]
            elif other not in done:
                walk.append((other, iter(graph.get(other, ()))))
                path.append(other)
                on_path.add(other)

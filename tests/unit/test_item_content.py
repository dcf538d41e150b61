"""What designers can get wrong about characters, items and recipes, each with its file, line and field."""

from pathlib import Path

import pytest

from tests.unit.test_content import faults

CHARACTER = """\
levels: [100, 300]
stats:
  strength: {title: Strength, base: 5}
resources:
  health: {title: Health, base: 10, stat: strength, per_stat: 2}
slots: {hand: Hand}
"""


def fault(folder: Path, **files: str) -> str:
    [found] = faults(folder, **{"character": CHARACTER, **files})
    return found


@pytest.mark.parametrize(
    ("item", "where", "what"),
    [
        (
            "slots: [hnad]\n  unique: true",
            "items.yaml:3: x.slots.0",
            "there is no equipment slot 'hnad'; there are hand",
        ),
        ("slots: [hand]\n  unique: true\n  stats: {strenth: 1}", "items.yaml:5: x.stats.strenth", "there is no stat"),
        ("use: {restores: {helth: 1}}", "items.yaml:3: x.use.restores.helth", "there is no resource 'helth'"),
        ("use: {effects: [joy]}", "items.yaml:3: x.use.effects.0", "there is no effect 'joy'; there are none"),
        ("use: {teaches: magic}", "items.yaml:3: x.use.teaches", "there is no skill 'magic'"),
        ("use: {}", "items.yaml:3: x.use", "a use must restore, begin an effect, give experience, or teach a skill"),
        ("slots: [hand]", "items.yaml:1: x: ", "what is worn must be unique: write `unique: true`"),
        ("unique: true\n  stack: 5", "items.yaml:1: x: ", "unique items do not stack: `stack` must be 1"),
        ("stats: {strength: 1}", "items.yaml:1: x: ", "`stats` need `slots` in which the item is worn"),
        ("rarity: shiny", "items.yaml:3: x.rarity", "Input should be 'common'"),
    ],
)
def test_a_wrong_item_is_a_precise_fault(tmp_path: Path, item: str, where: str, what: str) -> None:
    found = fault(tmp_path, items=f"x:\n  title: X\n  {item}\n")
    assert found.startswith(where)
    assert what in found


@pytest.mark.parametrize(
    ("character", "what"),
    [
        ("levels: [100, 100]\n", "each level must take more experience than the one before"),
        ("resources:\n  mana: {title: Mana, base: 1, stat: wit}\n", "there is no stat 'wit'"),
        ("resources:\n  mana: {title: Mana, base: 1, per_stat: 2}\n", "needs a `stat` to go by"),
        ("skills: [fly]\n", "there is no skill 'fly'"),
    ],
)
def test_a_wrong_character_is_a_precise_fault(tmp_path: Path, character: str, what: str) -> None:
    [found] = faults(tmp_path, character=character)
    assert found.startswith("character.yaml:")
    assert what in found


def test_effects_and_skills_name_what_is_there(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        character=CHARACTER,
        effects="joy: {title: Joy, lasts_s: 5, stats: {mirth: 1}}\n",
        skills="fly:\n  title: Fly\n  costs: {feathers: 3}\n",
    )
    assert found == [
        "effects.yaml:1: joy.stats.mirth: there is no stat 'mirth'; there are strength",
        "skills.yaml:3: fly.costs.feathers: there is no resource 'feathers'; there are health",
    ]


def test_a_circle_of_recipes_names_its_line(tmp_path: Path) -> None:
    recipes = (
        "log:\n  title: Log\n  takes_s: 1\n  ingredients: {plank: 1}\n  outputs: {log: 1}\n"
        "plank:\n  title: Plank\n  takes_s: 1\n  ingredients: {log: 1}\n  outputs: {plank: 1}\n"
    )
    assert fault(tmp_path, items="log: {title: Log}\nplank: {title: Plank}\n", recipes=recipes) == (
        "recipes.yaml:4: log.ingredients.plank: goes in a circle: log needs plank needs log"
    )


def test_a_recipe_makes_no_heap_of_unique_items(tmp_path: Path) -> None:
    items = "ore: {title: Ore}\nring: {title: Ring, unique: true}\n"
    recipes = "ring: {title: Ring, takes_s: 1, ingredients: {ore: 1}, outputs: {ring: 6}}\n"
    assert fault(tmp_path, items=items, recipes=recipes) == (
        "recipes.yaml:1: ring.outputs.ring: no more than 5 of a unique item"
    )

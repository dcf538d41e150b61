"""How things are made: in line, by the turn's dice, with every ingredient accounted for."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from actors.content import Content, dangling
from actors.content.crafting import circles
from actors.core import SYSTEM, Turn, decide
from actors.player.crafting import FinishCraft
from actors.player.state import Player
from schemas import limits
from tests.unit.crafted_world import ALICE, SERVER, WORLD, Hero, small_stage
from tests.unit.stage import Stage, starter_content
from tests.unit.test_player_actions import refused


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = small_stage()
    yield stage
    stage.check()


@pytest.fixture
def alice(stage: Stage) -> Hero:
    return Hero(stage, "alice")


def jobs(hero: Hero) -> list[tuple[str, str]]:
    return [(job["recipe"], job["state"]) for job in hero.ask("crafting")["jobs"]]


def faults(**changed: Any) -> list[tuple[str, str]]:
    """What is wrong with the small world when these recipes are in it."""
    world = {**WORLD, "recipes": {**WORLD["recipes"], **changed}}
    return dangling(Content.model_validate(world, context={"lenient": True}))


def test_ingredients_go_at_once_and_outputs_come_when_the_time_is_over(stage: Stage, alice: Hero) -> None:
    alice.given(stone=3, saw=1)
    told = alice.say("craft", recipe="sword")
    assert (told["startsAt"], told["readyAt"]) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:14:20.000Z")
    assert alice.counts() == {"stone": 1, "saw": 1}
    stage.wait(59)
    assert jobs(alice) == [("sword", "running")]
    stage.wait(1)
    assert jobs(alice) == []
    assert alice.counts() == {"stone": 1, "saw": 1, "sword": 1}
    assert alice.ask("profile")["experience"] == 120
    [mark] = next(stack for stack in alice.stacks() if stack["item"] == "sword")["history"]
    assert (mark["how"], mark["by"]) == ("craft:sword", "alice")


def test_outputs_come_exactly_once(stage: Stage, alice: Hero) -> None:
    alice.given(wood=2)
    job = alice.say("craft", recipe="stone")["id"]
    stage.wait(10)
    assert alice.counts() == {"stone": 1}
    for _ in range(3):
        assert stage.send(ALICE, FinishCraft(id=job)) == {}
    assert alice.counts() == {"stone": 1}


def test_work_at_one_station_stands_in_line_and_elsewhere_goes_on(stage: Stage, alice: Hero) -> None:
    alice.given(wood=6, stone=2, saw=1)
    for _ in range(2):
        alice.say("craft", recipe="stone")
    alice.say("craft", recipe="sword")
    assert sorted(jobs(alice)) == [("stone", "running"), ("stone", "waiting"), ("sword", "running")]
    stage.wait(10)
    assert sorted(jobs(alice)) == [("stone", "running"), ("sword", "running")]
    stage.wait(50)
    assert alice.counts() == {"wood": 2, "saw": 1, "stone": 2, "sword": 1}


def test_what_is_missing_is_said(alice: Hero) -> None:
    alice.given(stone=2)
    with refused("recipe_unknown"):
        alice.say("craft", recipe="gold")
    with refused("tool_missing"):
        alice.say("craft", recipe="sword")
    with refused("items_missing"):
        alice.say("craft", recipe="stone")
    with refused("level_too_low"):
        alice.say("craft", recipe="crown")
    alice.say("lock_stack", stackId=alice.stack("stone"))
    alice.given(saw=1)
    with refused("item_locked"):
        alice.say("craft", recipe="sword")


def test_a_line_has_an_end(alice: Hero) -> None:
    alice.given(wood=20)
    for _ in range(3):
        alice.say("craft", recipe="stone")
    with refused("queue_full"):
        alice.say("craft", recipe="stone")
    assert alice.counts() == {"wood": 14}


def test_a_tool_may_be_worn(alice: Hero) -> None:
    world = {**WORLD["recipes"]["stone"], "tools": ["sword"]}
    alice.stage.content = Content.model_validate({**WORLD, "recipes": {"stone": world}})
    alice.given(wood=2, sword=1)
    alice.say("equip", stackId=alice.stack("sword"))
    alice.say("craft", recipe="stone")
    assert jobs(alice) == [("stone", "running")]


def test_cancelling_gives_back_and_the_line_moves_up(stage: Stage, alice: Hero) -> None:
    alice.given(wood=6)
    first, second, third = (alice.say("craft", recipe="stone")["id"] for _ in range(3))
    stage.wait(4)
    assert alice.say("cancel_craft", id=first) == {"items": {"wood": 2}}
    assert [(job["id"], job["state"]) for job in alice.ask("crafting")["jobs"]] == [
        (second, "running"),
        (third, "waiting"),
    ]
    with refused("craft_unknown"):
        alice.say("cancel_craft", id=first)
    stage.wait(9.999)
    assert alice.counts() == {"wood": 2}
    stage.wait(0.001)
    assert alice.counts() == {"wood": 2, "stone": 1}
    stage.wait(10)
    assert alice.counts() == {"wood": 2, "stone": 2}


def test_work_that_runs_is_not_hurried_by_a_cancel_behind_it(stage: Stage, alice: Hero) -> None:
    alice.given(wood=6)
    _, second, third = (alice.say("craft", recipe="stone")["id"] for _ in range(3))
    stage.wait(4)
    alice.say("cancel_craft", id=second)
    assert [job["readyAt"] for job in alice.ask("crafting")["jobs"]] == [
        "2026-09-21T14:13:30.000Z",
        "2026-09-21T14:13:40.000Z",
    ]
    alice.say("cancel_craft", id=third)
    stage.wait(6)
    assert alice.counts() == {"wood": 4, "stone": 1}


def test_what_is_done_cannot_be_cancelled_any_more(stage: Stage, alice: Hero) -> None:
    alice.given(wood=2)
    job = alice.say("craft", recipe="stone")["id"]
    # The reminder is late, as after a time in which all was down.
    stage.at += 11_000
    assert jobs(alice) == [("stone", "ready")]
    with refused("craft_finished"):
        alice.say("cancel_craft", id=job)
    stage.wait(0)
    assert alice.counts() == {"stone": 1}


def test_a_unique_ingredient_that_is_given_back_is_the_same_one(stage: Stage, alice: Hero) -> None:
    alice.say("award_experience", caller=SERVER, amount=100, reason="test")
    alice.given(sword=1)
    sword = alice.stack("sword")
    job = alice.say("craft", recipe="crown")["id"]
    assert alice.counts() == {}
    alice.say("cancel_craft", id=job)
    assert alice.stack("sword") == sword


def test_in_a_full_bag_outputs_wait(stage: Stage, alice: Hero) -> None:
    alice.given(stone=2, saw=1)
    alice.say("craft", recipe="sword")
    alice.given(wood=90)
    waiting = len(alice.ask("inventory")["waiting"])
    stage.wait(60)
    assert len(alice.ask("inventory")["waiting"]) == waiting + 1
    assert "sword" not in alice.counts()


def test_nobody_begins_anything_while_too_much_waits(alice: Hero) -> None:
    alice.given(wood=4)
    alice.given(sword=100)
    alice.given(sword=100)
    alice.given(sword=limits.ITEMS_WAITING_MAX - 197)
    with refused("bag_full"):
        alice.given(sword=1)
    with refused("bag_full"):
        alice.say("craft", recipe="stone")


def test_chance_is_fair_and_failure_leaves_what_the_recipe_says(stage: Stage, alice: Hero) -> None:
    for _ in range(100):
        alice.given(wood=2)
        for _ in range(2):
            alice.say("craft", recipe="gamble")
        stage.wait(2)
        for item in list(alice.counts()):
            for stack in [stack["id"] for stack in alice.stacks() if stack["item"] == item and stack["quantity"] == 10]:
                alice.say("discard_items", stackId=stack)
    names = [name for name, _ in stage.journal[ALICE]]
    won, lost = names.count("crafted"), names.count("craft_failed")
    assert won + lost == 200
    assert 70 < won < 130


def test_the_dice_are_the_turns_own_and_throw_the_same_again(stage: Stage, alice: Hero) -> None:
    alice.given(wood=1)
    job = alice.say("craft", recipe="gamble")["id"]
    player = stage.actor(ALICE)
    for seed in range(20):
        told = []
        for _ in range(2):
            copy = type(player).unpack_state(player.pack_state())
            turn = Turn(SYSTEM, stage.at + 1_000, stage.content, "op", seed, b"")
            told.append(decide(FinishCraft(id=job), copy, turn))
        assert told[0].reply == told[1].reply
        assert told[0].events == told[1].events


def test_work_on_what_is_no_longer_in_the_content_is_given_back(stage: Stage, alice: Hero) -> None:
    alice.given(wood=2)
    alice.say("craft", recipe="stone")
    without = {name: recipe for name, recipe in WORLD["recipes"].items() if name != "stone"}
    stage.content = Content.model_validate({**WORLD, "recipes": without})
    stage.wait(10)
    assert alice.counts() == {"wood": 2}


def test_a_recipe_that_names_what_is_not_there_is_a_precise_fault() -> None:
    recipe = {"title": "x", "ingredients": {"wod": 1}, "tools": ["swa"], "station": "banch", "takes_s": 1}
    told = dict(faults(x={**recipe, "outputs": {"swrod": 1}, "salvage": {"ston": 1}}))
    assert set(told) == {
        "recipes.x.ingredients.wod",
        "recipes.x.tools.0",
        "recipes.x.station",
        "recipes.x.outputs.swrod",
        "recipes.x.salvage.ston",
    }
    assert told["recipes.x.station"] == "there is no station 'banch'; there are bench, forge"


def test_recipes_that_go_in_a_circle_are_a_precise_fault() -> None:
    back = {"title": "Back", "ingredients": {"sword": 1}, "takes_s": 1, "outputs": {"wood": 1}}
    assert faults(back=back) == [
        ("recipes.stone.ingredients.wood", "goes in a circle: stone needs wood needs sword needs stone")
    ]
    own = {"title": "Own", "ingredients": {"wood": 1}, "takes_s": 1, "outputs": {"wood": 2}}
    assert faults(own=own) == [("recipes.own.ingredients.wood", "goes in a circle: wood needs wood")]


def test_circles_are_found_in_long_chains_without_getting_lost() -> None:
    chain = {str(number): [str(number + 1)] for number in range(5_000)}
    assert list(circles(chain)) == []
    [circle] = circles({**chain, "5000": ["0"]})
    assert len(circle) == 5_002


def test_the_starter_recipes_lead_from_what_is_found_to_the_best_there_is() -> None:
    content = starter_content()
    made = {item for recipe in content.recipes.values() for item in recipe.outputs}
    assert len(content.items) >= 60
    assert len(content.recipes) >= 40
    assert {item.rarity for item in content.items.values()} == {"common", "uncommon", "rare", "epic", "legendary"}

    def depth(item: str) -> int:
        ways = [recipe.ingredients for recipe in content.recipes.values() if item in recipe.outputs]
        return 1 + max(map(depth, ways[0])) if ways else 0

    assert depth("starforged_blade") == 5
    gear = [name for name, item in content.items.items() if item.type in ("equipment", "consumable")]
    unmade = {name for name in gear if name not in made}
    assert unmade == {"tome_of_frost", "tome_of_courage"}, "these are found, everything else can be made"


def thousand_recipes() -> dict[str, Any]:
    items = {f"thing_{number}": {"title": f"Thing {number}", "stack": 100} for number in range(1_001)}
    recipes = {
        f"recipe_{number:04}": {
            "title": f"Thing {number + 1}",
            "ingredients": {f"thing_{number}": 2},
            "takes_s": 1,
            "outputs": {f"thing_{number + 1}": 1},
        }
        for number in range(1_000)
    }
    return {**WORLD, "items": {**WORLD["items"], **items}, "recipes": recipes}


def test_a_thousand_recipes_load_and_serve() -> None:
    content = Content.model_validate_json(to_json(thousand_recipes()))
    stage = Stage(content)
    alice = Hero(stage, "alice")
    alice.given(thing_999=4)
    seen: list[str] = []
    after = None
    while True:
        page = alice.ask("recipes", limit=100, after=after)
        assert len(to_json(page)) < limits.BODY_BYTES_MAX
        seen += [recipe["recipe"] for recipe in page["recipes"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [f"recipe_{number:04}" for number in range(1_000)]
    assert [recipe["enough"] for recipe in page["recipes"]] == [False] * 99 + [True]
    alice.say("craft", recipe="recipe_0999")
    stage.wait(1)
    assert alice.counts() == {"thing_999": 2, "thing_1000": 1}
    stage.check()


def test_recipes_can_be_asked_for_by_station(alice: Hero) -> None:
    [recipe] = alice.ask("recipes", station="bench")["recipes"]
    assert recipe == {
        "recipe": "stone",
        "title": "Stone",
        "station": "bench",
        "level": 1,
        "ingredients": {"wood": 2},
        "tools": [],
        "takesS": 10,
        "chance": 100,
        "outputs": {"stone": 1},
        "enough": False,
    }


def test_a_job_survives_its_checkpoint(stage: Stage, alice: Hero) -> None:
    alice.given(wood=2)
    alice.say("craft", recipe="stone")
    player = stage.actor(ALICE)
    assert isinstance(player, Player)
    restored = Player.unpack_state(from_json(to_json(player.pack_state())))
    assert restored.fingerprint() == player.fingerprint()

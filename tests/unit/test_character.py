"""What a character is made of: levels, stats, resources that come back with time, and effects that end."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.player.effects import EndEffects
from actors.player.state import Player
from tests.unit.crafted_world import ALICE, SERVER, Hero, small_stage
from tests.unit.stage import Stage
from tests.unit.test_player_actions import refused


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = small_stage()
    yield stage
    stage.check()


@pytest.fixture
def alice(stage: Stage) -> Hero:
    return Hero(stage, "alice")


def test_a_new_player_is_whole(alice: Hero) -> None:
    sheet = alice.ask("profile")
    assert (sheet["level"], sheet["experience"], sheet["nextLevelAt"]) == (1, 0, 100)
    assert sheet["stats"]["strength"] == {"value": 5, "base": 5, "equipment": 0, "effects": 0}
    assert sheet["resources"] == {
        "health": {"current": 100, "max": 100, "regeneration": {"amount": 2, "everyS": 10}, "fullAt": None},
        "mana": {"current": 40, "max": 40, "regeneration": {"amount": 1, "everyS": 5}, "fullAt": None},
    }
    assert (sheet["effects"], sheet["skills"], sheet["equipment"]) == ([], ["strike"], {})


def test_stats_add_up_from_base_level_equipment_and_effects(alice: Hero) -> None:
    alice.given(sword=1, tonic=1)
    alice.say("equip", stackId=alice.stack("sword"))
    alice.use("tonic")
    alice.say("award_experience", caller=SERVER, amount=300, reason="test")
    sheet = alice.ask("profile")
    assert sheet["stats"]["strength"] == {"value": 16, "base": 7, "equipment": 4, "effects": 5}
    assert sheet["resources"]["health"]["max"] == 50 + 2 * 10 + 16 * 10
    alice.say("unequip", slot="hand")
    assert alice.ask("profile")["stats"]["strength"]["value"] == 12


def test_experience_raises_the_level_several_at_once_and_fills_everything(stage: Stage, alice: Hero) -> None:
    alice.lose("health", 60)
    assert alice.say("award_experience", caller=SERVER, amount=99, reason="a")["level"] == 1
    assert alice.health() == (40, 100)
    assert alice.say("award_experience", caller=SERVER, amount=201, reason="b") == {"experience": 300, "level": 3}
    assert alice.health() == (140, 140)
    names = [name for name, _ in stage.journal[ALICE]]
    assert names.count("level_reached") == 1
    alice.say("award_experience", caller=SERVER, amount=10**6, reason="c")
    assert (alice.ask("profile")["level"], alice.ask("profile")["nextLevelAt"]) == (4, None)
    assert alice.ask("public_profile")["level"] == 4


def test_resources_come_back_with_time_in_whole_portions(stage: Stage, alice: Hero) -> None:
    alice.lose("health", 51)
    with refused("resource_too_low"):
        alice.lose("health", 50)
    stage.wait(9.999)
    assert alice.health() == (49, 100)
    stage.wait(0.001)
    assert alice.health() == (51, 100)
    stage.wait(35)
    assert alice.health() == (57, 100)
    assert alice.ask("profile")["resources"]["health"]["fullAt"] == "2026-09-21T14:17:40.000Z"
    stage.wait(10_000)
    assert alice.health() == (100, 100)


@pytest.mark.parametrize("looks", [[], [3], [1, 7, 12, 13, 29], [0.5] * 80])
def test_it_makes_no_difference_how_often_one_looks(looks: list[float], stage: Stage, alice: Hero) -> None:
    alice.lose("mana", 30)
    for seconds in looks:
        stage.wait(seconds)
        # A turn that settles what has come back until now.
        alice.lose("mana", 0)
    stage.wait(63 - sum(looks))
    assert alice.ask("profile")["resources"]["mana"]["current"] == 10 + 12


def test_a_full_resource_begins_to_come_back_when_it_is_spent(stage: Stage, alice: Hero) -> None:
    stage.wait(7)
    alice.lose("mana", 1)
    stage.wait(4.999)
    assert alice.ask("profile")["resources"]["mana"]["current"] == 39
    stage.wait(0.001)
    assert alice.ask("profile")["resources"]["mana"]["current"] == 40


def test_changing_clothes_heals_nobody(stage: Stage, alice: Hero) -> None:
    alice.given(sword=1)
    alice.say("equip", stackId=alice.stack("sword"))
    assert alice.health() == (100, 140)
    stage.wait(100)
    assert alice.health() == (120, 140)
    alice.say("unequip", slot="hand")
    assert alice.health() == (100, 100)
    alice.say("equip", stackId=alice.stack("sword"))
    assert alice.health() == (100, 140)


def test_an_effect_ends_on_reading_as_it_does_by_reminder() -> None:
    """One stage plays its reminders, the other one loses them all; both show the same at every moment."""
    with_alarms, without = small_stage(), small_stage()
    heroes = [Hero(with_alarms, "alice"), Hero(without, "alice")]
    for hero in heroes:
        hero.given(tonic=2, poison=2, clover=1, sword=1)
    steps = [
        ("poison", 5), ("tonic", 31), ("clover", 29), ("poison", 1), ("tonic", 40), ("", 31), ("", 30), ("", 200),
    ]  # fmt: skip
    sheets: list[dict[str, Any]] = []
    for item, seconds in steps:
        sheets.clear()
        for hero in heroes:
            if item:
                hero.use(item)
            if hero.stage is without:
                hero.stage.reminders.clear()
            hero.stage.wait(seconds)
            sheets.append({**hero.ask("profile"), "bag": None})
        assert sheets[0] == sheets[1]
    assert sheets[0]["effects"] == []
    for stage in (with_alarms, without):
        stage.check()


def test_effects_end_by_reminder_one_after_the_other(stage: Stage, alice: Hero) -> None:
    alice.given(tonic=1, poison=1, clover=1)
    for item in ("tonic", "poison", "clover"):
        alice.use(item)
    assert [effect["effect"] for effect in alice.ask("profile")["effects"]] == ["lucky", "strong", "weak"]
    stage.wait(60)
    player = stage.actor(ALICE)
    assert isinstance(player, Player)
    assert list(player.effects) == ["weak"]
    stage.wait(40)
    assert player.effects == {}
    assert not [name for _, name in stage.reminders if name == "effects"]


def test_an_alarm_whose_clock_is_ahead_ends_the_effect_all_the_same(stage: Stage, alice: Hero) -> None:
    alice.given(tonic=1)
    alice.use("tonic")
    stage.at += 59_990
    assert stage.send(ALICE, EndEffects(until=stage.at + 10))["ended"] == ["strong"]
    assert stage.send(ALICE, EndEffects(until=stage.at + 10))["ended"] == []


def test_an_effect_that_begins_again_lasts_longer_and_is_no_stronger(stage: Stage, alice: Hero) -> None:
    alice.given(tonic=2)
    alice.use("tonic")
    stage.wait(50)
    alice.use("tonic")
    stage.wait(59)
    assert alice.ask("profile")["stats"]["strength"]["effects"] == 5
    stage.wait(1)
    assert alice.ask("profile")["stats"]["strength"]["effects"] == 0


def test_less_strength_means_less_health_and_it_comes_back_slowly(stage: Stage, alice: Hero) -> None:
    alice.given(poison=1)
    alice.use("poison")
    assert alice.health() == (70, 70)
    stage.wait(100)
    assert alice.health() == (70, 100)
    stage.wait(10)
    assert alice.health() == (72, 100)


def test_a_book_teaches_once_and_only_who_is_ready(alice: Hero) -> None:
    alice.given(book=2)
    with refused("level_too_low"):
        alice.use("book")
    alice.say("award_experience", caller=SERVER, amount=100, reason="test")
    assert alice.use("book")["learnt"] == "frost"
    assert alice.ask("profile")["skills"] == ["strike", "frost"]
    assert [skill["skill"] for skill in alice.ask("skills")["skills"]] == ["strike", "frost"]
    with refused("skill_known"):
        alice.use("book")
    assert alice.counts() == {"book": 1}


def test_known_skills_are_told_with_what_they_take(alice: Hero) -> None:
    strike: dict[str, Any] = {"skill": "strike", "title": "Strike", "text": None, "costs": {}, "cooldownMs": 0}
    assert alice.ask("skills") == {"skills": [strike]}


def test_an_item_that_raises_the_level_keeps_its_effect(alice: Hero) -> None:
    alice.given(tale=1)
    told = alice.use("tale")
    sheet = alice.ask("profile")
    assert (sheet["level"], [effect["effect"] for effect in sheet["effects"]]) == (2, ["strong"])
    assert told["resources"]["health"] == sheet["resources"]["health"]["current"] == 50 + 10 + 11 * 10


def test_what_is_not_used_up_can_be_used_again(alice: Hero) -> None:
    alice.given(clover=1)
    for _ in range(2):
        alice.use("clover")
    assert alice.counts() == {"clover": 1}

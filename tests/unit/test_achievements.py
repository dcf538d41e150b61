"""Achievements: brought forward by the player's own events, unlocked tier by tier, each tier once."""

from typing import Any

import pytest
from pydantic import ValidationError

from actors.achievement import CountHolder, Holders
from actors.core import ANYONE, Address
from schemas import limits
from tests.unit.quest_world import WIN, achievement, alone, happened, quest, world
from tests.unit.stage import Person, Stage, starter_content
from tests.unit.test_player_actions import refused

PRIZE: dict[str, Any] = {"rewards": {"currencies": {"gold": 7}}}


def feats(person: Person) -> dict[str, dict[str, Any]]:
    """What the player sees of its achievements, by name."""
    return {shown["achievement"]: shown for shown in person.ask("achievements")["achievements"]}


def unlocked(person: Person) -> list[tuple[str, int]]:
    return [(fields["achievement"], fields["tier"]) for fields in happened(person, "achievement_unlocked")]


def holders(stage: Stage, name: str) -> list[int]:
    counted: list[int] = stage.query(Address("achievement", name), Holders())["holders"]
    return counted


def test_tiers_are_unlocked_one_by_one_and_each_is_rewarded_once() -> None:
    tiers = [{"target": 1, **PRIZE}, {"target": 3, "title": "Three", **PRIZE}]
    stage, alice = alone(world({}, {"wins": {"title": "Wins", "counts": [WIN], "tiers": tiers}}))
    for _ in range(5):
        alice.do("practice")
    assert unlocked(alice) == [("wins", 1), ("wins", 2)]
    assert alice.ask("wallet")["balances"] == {"gold": 114}
    reasons = [fields["reason"] for fields in happened(alice, "wallet_changed")]
    assert reasons == ["achievement:wins:1", "achievement:wins:2"]
    shown = feats(alice)["wins"]
    assert shown["progress"] == 3
    assert [(tier["title"], tier["unlockedAt"] is not None) for tier in shown["tiers"]] == [
        ("Wins", True),
        ("Three", True),
    ]
    assert alice.ask("achievements")["unlocked"] == 2
    assert len(happened(alice, "achievements_progressed")) == 3, "a complete one makes no more news"
    stage.check()


def test_an_unlocked_tier_is_told_to_the_player() -> None:
    _, alice = alone(world({}, {"wins": achievement(1)}))
    alice.do("practice")
    [message] = alice.ask("inbox")["messages"]
    assert message["template"] == "achievement_unlocked"
    assert message["data"] == {"achievement": "wins", "tier": 1, "title": "Feat"}


def test_several_tiers_may_fall_at_once() -> None:
    points = {"event": "score_awarded", "adds": "points"}
    stage, alice = alone(world({}, {"points": achievement(5, 10, 20, counts=points)}))
    alice.award(15)
    assert unlocked(alice) == [("points", 1), ("points", 2)]
    alice.award(1_000)
    assert feats(alice)["points"]["progress"] == 20
    stage.check()


def test_the_game_knows_how_many_have_each_tier() -> None:
    stage = Stage(world({}, {"wins": achievement(1, 2)}))
    for name, wins in (("alice", 3), ("bob", 1), ("carol", 0)):
        person = Person(stage, name)
        for _ in range(wins):
            person.do("practice")
    assert holders(stage, "wins") == [2, 1]
    assert Holders.callers == {ANYONE}
    stage.check()


def test_the_count_of_an_unknown_achievement_is_refused() -> None:
    stage = Stage(world({}, {"wins": achievement(1)}))
    with refused("achievement_unknown", 404):
        holders(stage, "losses")
    with pytest.raises(ValidationError):
        CountHolder(tier=limits.TIERS_MAX + 1)


def test_a_hidden_achievement_is_seen_by_those_who_have_it() -> None:
    _, alice = alone(world({}, {"secret": achievement(2, hidden=True)}))
    alice.do("practice")
    assert feats(alice) == {}
    alice.do("practice")
    assert list(feats(alice)) == ["secret"]


def test_achievements_count_quests_and_each_other_in_the_same_turn() -> None:
    both = {
        "quests": achievement(1, counts={"event": "quest_completed"}),
        "medals": achievement(1, 2, 3, counts={"event": "achievement_unlocked"}),
    }
    stage, alice = alone(world({"wins": quest()}, both))
    alice.say("start_quest", quest="wins")
    alice.do("practice")
    assert unlocked(alice) == [("quests", 1), ("medals", 1), ("medals", 2), ("medals", 3)]
    assert len(happened(alice, "achievements_progressed")) == 1
    stage.check()


def test_a_tier_that_a_new_version_lowers_or_adds_is_unlocked_with_the_next_event() -> None:
    stage, alice = alone(world({}, {"wins": achievement(10)}))
    for _ in range(4):
        alice.do("practice")
    stage.content = world({}, {"wins": achievement(2, 4)})
    alice.do("practice")
    assert unlocked(alice) == [("wins", 1), ("wins", 2)]
    stage.content = world({}, {"wins": achievement(2, 4, 5)})
    alice.do("practice")
    assert unlocked(alice)[2:] == [("wins", 3)]
    stage.content = world({}, {"wins": achievement(2)})
    alice.do("practice")
    assert len(feats(alice)["wins"]["tiers"]) == 1
    stage.check()


def test_a_player_remembers_so_many_achievements_at_most() -> None:
    _, alice = alone(world({}, {f"a{number}": achievement(9) for number in range(limits.ACHIEVEMENTS_MAX)}))
    alice.do("practice")
    alice.stage.content = world({}, {"one_more": achievement(9)})
    alice.do("practice")
    assert feats(alice)["one_more"]["progress"] == 0
    assert len(happened(alice, "achievements_progressed")) == 1


@pytest.mark.parametrize(
    ("achievement_", "said"),
    [
        (achievement(2, 2), "must be higher"),
        (achievement(), "achievements.a.tiers"),
        (achievement(1, counts={"event": "nothing"}), "achievements.a.counts.0.event: there is no event of a player"),
        (achievement(1, counts={"event": "achievements_progressed"}), "there is no event of a player"),
        (achievement(1, counts={"event": "crafted", "adds": "items.moonsone"}), "no entry of items.yaml 'moonsone'"),
        (
            {**achievement(1), "tiers": [{"target": 1, "rewards": {"items": {"x": 1}}}]},
            "achievements.a.tiers.0.rewards.items.x: there is no item 'x'",
        ),
    ],
)
def test_an_achievement_must_make_sense(achievement_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        world({}, {"a": achievement_})
    assert said in str(caught.value)


def test_the_starter_achievements_are_as_promised() -> None:
    content = starter_content()
    assert len(content.achievements) >= 25
    assert sum(len(found.tiers) > 1 for found in content.achievements.values()) >= 20

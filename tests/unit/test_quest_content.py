"""What a designer can get wrong with quests, and what the starter quests have."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.quest_world import objective, quest, world
from tests.unit.stage import starter_content


def faults(quests: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        world(quests)
    return str(caught.value)


def triggered(**counts: Any) -> dict[str, Any]:
    return {"q": {"title": "Q", "objectives": {"o": objective(1, counts)}}}


@pytest.mark.parametrize(
    ("quests", "said"),
    [
        (
            triggered(event="boss_died"),
            "quests.q.objectives.o.counts.0.event: there is no event of a player 'boss_died'",
        ),
        (triggered(event="quests_progressed"), "there is no event of a player 'quests_progressed'"),
        (
            triggered(event="score_awarded", adds="poinst"),
            "there is no field of score_awarded 'poinst'; there are at, ",
        ),
        (
            triggered(event="score_awarded", where={"tpye": "x"}),
            "where.tpye: there is no field of score_awarded 'tpye'",
        ),
        (
            triggered(event="score_awarded", adds="reason"),
            "must be a list or a number; reason of score_awarded is a text",
        ),
        (triggered(event="score_awarded", adds="scores"), "scores of score_awarded is a map: write a name behind"),
        (triggered(event="score_awarded", highest="points.x"), "points of score_awarded is no map"),
        (triggered(event="score_awarded", at_least={"reason": 1}), "at_least.reason: must be a number"),
        (
            triggered(event="score_awarded", where={"points": "many"}),
            "must be a text; points of score_awarded is a number",
        ),
        (triggered(event="score_awarded", adds="points", highest="points"), "exclude each other"),
        (
            triggered(event="action_completed", where={"type": "bos_kill"}),
            "there is no entry of actions.yaml 'bos_kill'",
        ),
        (
            triggered(event="wallet_changed", where={"currency": "shells"}),
            "there is no entry of currencies.yaml 'shells'",
        ),
        (triggered(event="score_awarded", highest="scores.mian"), "there is no entry of boards.yaml 'mian'"),
        (triggered(event="quest_completed", where={"quest": "x"}), "there is no entry of quests.yaml 'x'"),
        ({"q": quest(requires={"quests": ["x"]})}, "quests.q.requires.quests.0: there is no quest 'x'; there are q"),
        ({"q": quest(requires={"level": 99})}, "quests.q.requires.level: can never be reached; the highest level is"),
        ({"q": quest(requires={"items": {"x": 1}})}, "quests.q.requires.items.x: there is no item 'x'"),
        ({"q": quest(repeats="hourly")}, "quests.q.repeats: there is no reset 'hourly'; there are none"),
        ({"q": quest(rewards={"currencies": {"x": 1}})}, "quests.q.rewards.currencies.x: there is no currency 'x'"),
        ({"q": {"title": "Q", "objectives": {}}}, "quests.q.objectives"),
    ],
)
def test_a_quest_must_make_sense(quests: dict[str, Any], said: str) -> None:
    assert said in faults(quests)


def test_quests_that_wait_for_each_other_are_never_reached() -> None:
    quests = {
        "a": quest(requires={"quests": ["b"]}),
        "b": {"title": "B", "objectives": {"o": objective(1, {"event": "quest_completed", "where": {"quest": "c"}})}},
        "c": quest(requires={"quests": ["a"]}),
        "d": quest(requires={"quests": ["a"]}),
        "e": quest(),
    }
    said = faults(quests)
    assert "quests.a: can never be completed: a waits for b waits for c waits for a" in said
    assert "quests.d: can never be completed: d waits for a waits for b waits for c waits for a" in said
    assert "quests.e" not in said


def test_the_starter_quests_are_as_promised() -> None:
    content = starter_content()
    assert len(content.quests) >= 25
    triggers = [t for quest in content.quests.values() for o in quest.objectives.values() for t in o.counts]
    assert {"adds", "takes", "highest"} <= {name for t in triggers for name, value in t if value}
    assert any(trigger.at_least for trigger in triggers)
    assert {quest.repeats for quest in content.quests.values()} == {None, "daily", "weekly"}
    assert any(quest.within_s for quest in content.quests.values())
    assert any(quest.turn_in for quest in content.quests.values())

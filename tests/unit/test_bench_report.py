"""What the bench says about its figures, and how it counts processes."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import typer

from scripts.bench import rules
from scripts.bench.board import run
from scripts.bench.command import wanted_figures
from scripts.bench.figures import GOALS, Results
from scripts.bench.mixed import CIRCLE, script
from scripts.bench.processes import cpu_seconds, pss_bytes
from scripts.bench.report import as_json, notes_of, write_page
from scripts.bench.table import Table, play_a_day
from tests.unit.stage import starter_content

BY_KEY = {goal.key: goal for goal in GOALS}


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [("1", 2.0, "aim"), ("1", 1.2, "floor"), ("1", 0.9, "missed"), ("5", 1.9, "aim"), ("5", 4.1, "missed")],
)
def test_a_figure_meets_its_aim_its_floor_or_neither(key: str, value: float, verdict: str) -> None:
    assert BY_KEY[key].verdict(value) == verdict


def test_a_figure_is_the_median_of_its_rounds_with_their_spread() -> None:
    results = Results()
    for ratio in (1.4, 0.2, 1.6):
        results.add("1", ratio, **{"a second": ratio * 100})
    figure = as_json(results, {})["figures"]["1"]
    assert (figure["median"], figure["spread"], figure["verdict"]) == (1.4, [0.2, 1.6], "floor")


def test_what_people_wrote_on_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    results = Results()
    results.add("12", 8.5)
    write_page(page, results, {"processor": "a small one"}, "\n## What stands out\n\nThe import is fast.\n")
    write_page(page, results, {"processor": "a large one"}, notes_of(page))
    text = page.read_text()
    assert "The import is fast." in text
    assert "a large one" in text
    assert "| 12 | import of 47,000 goals, each acknowledged durable | 8.5 s |" in text


def test_figures_are_picked_by_number_or_part() -> None:
    assert wanted_figures("2,9a,11") == {"2", "9a", "11a", "11b"}
    assert wanted_figures(None) == set(BY_KEY)
    with pytest.raises(typer.BadParameter, match="no figure 15"):
        wanted_figures("1,15")


def test_a_board_ranks_exactly_and_survives_its_checkpoint() -> None:
    found = run(entries=2_000, samples=500)
    assert found["wrongRanks"] == 0
    assert found["writeUs"] > 0


def test_a_mixed_game_has_the_weights_of_the_chaos_runs() -> None:
    commands = script("ann", "ben", "red-dragons", "lobby", "tea")
    names = Counter(f"{command['kind']} {command['name']}" for command in commands)
    assert sum(names.values()) == CIRCLE
    assert names["player award_score"] == 8
    assert names["player grant_currency"] + names["trade give"] == 4
    assert names["player award_items"] + names["player use_item"] == 3
    assert names["guild deposit"] + names["guild store_items"] == 2
    assert names["channel send"] == 2


def test_a_game_is_played_in_memory_and_every_turn_is_measured() -> None:
    table = Table(starter_content())
    for day in range(3):
        play_a_day(table, day)
    played = {name for name, times in table.took_us.items() if len(times) >= 3 and min(times) > 0}
    assert {
        "player complete_action", "player finish_craft", "player grant_rewards", "player use_item", "player put_up",
        "trade deliver", "guild receive_deposit", "guild take_out_items", "channel send", "player notify",
    } <= played  # fmt: skip


def test_what_many_triggers_look_at_is_measured_beside_what_nothing_looks_at() -> None:
    found = rules.run(days=2)
    assert found["heardUs"] > 0
    assert found["unheardUs"] > 0
    assert found["turns"] > 100


def test_what_children_use_counts() -> None:
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert cpu_seconds(os.getpid()).since(before).total >= 0.05
    assert pss_bytes(os.getpid()).total > 1_000_000

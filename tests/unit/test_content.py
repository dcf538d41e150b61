"""Content files are checked as a whole, and every fault says where it is and what would be right."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from actors.content import Content
from scripts.content_files import ContentFaults, load_content
from tests.unit.stage import CONTENT_FOLDER, starter_content


def faults(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    with pytest.raises(ContentFaults) as caught:
        load_content(folder)
    return [str(fault) for fault in caught.value.faults]


def test_the_starter_content_has_what_load_tests_and_clients_rely_on() -> None:
    content = starter_content()
    assert (content.actions["quick_win"].points, content.actions["quick_win"].minimum_ms) == (1, 0)
    assert (content.actions["boss_kill"].points, content.actions["boss_kill"].minimum_ms) == (50, 2_000)
    assert content.actions["quick_win"].board == content.actions["boss_kill"].board == "main"
    practice = content.actions["practice"]
    assert (practice.points, practice.board, practice.fraud) == (1, "practice", False)
    assert practice.starts_per_minute == practice.completions_per_minute == "unlimited"
    assert content.followers("main") == ["teams"]
    assert content.boards["teams"].subject == "team"
    assert (content.fraud.flag_above, content.fraud.suspend_above, content.fraud.half_life_s) == (50, 100, 3_600)


def test_what_the_database_keeps_is_read_back_the_same() -> None:
    content = load_content(CONTENT_FOLDER, version=7, note="as shipped")
    assert Content.model_validate_json(content.model_dump_json()) == content
    assert (content.version, content.note) == (7, "as shipped")


def test_a_field_of_the_wrong_kind_is_named_with_its_line(tmp_path: Path) -> None:
    found = faults(tmp_path, actions="quick_win:\n  board: main\n  points: many\n", boards="main: {}\n")
    assert found == ["actions.yaml:3: quick_win.points: Input should be a valid integer"]


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        actions="a:\n  points: 0\n  board: main\nb:\n  points: 1\n  bord: main\n",
        boards="main:\n  order: up\n",
        limits="actions:\n  starts_per_minute: never\n",
    )
    places = [fault.partition(": ")[0] + " " + fault.split(": ")[1] for fault in found]
    assert "actions.yaml:2 a.points" in places
    assert "actions.yaml:6 b.bord" in places
    assert "actions.yaml:4 b.board" in places
    assert "boards.yaml:2 main.order" in places
    assert any(place.startswith("limits.yaml:2 actions.starts_per_minute") for place in places)


def test_a_reference_to_nothing_says_what_there_is(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        actions="win:\n  points: 1\n  board: mian\n",
        boards="main: {}\nteams:\n  follows: nothing\n",
        limits=(
            "tokens: {action: win, starts_per_minute: 1, completions_per_minute: 1, lives_s: 1}\n"
            "scoreboard: {action: win, starts_per_minute: 1, completions_per_minute: 1, lives_s: 1}\n"
        ),
    )
    assert found == [
        "actions.yaml:3: win.board: there is no board 'mian'; there are main, teams",
        "boards.yaml:3: teams.follows: there is no board 'nothing'; there are main, teams",
    ]


def test_a_reward_in_a_currency_that_nobody_knows_is_a_fault(tmp_path: Path) -> None:
    boards = "day:\n  reset: daily\n  rewards:\n    - {first: 1, last: 1, currency: shells, amount: 1}\n"
    assert faults(tmp_path, boards=boards) == [
        "boards.yaml:4: day.rewards.0.currency: there is no currency 'shells'; there are none"
    ]


@pytest.mark.parametrize(
    ("boards", "said"),
    [
        ("b:\n  reset: season\n", "needs it"),
        ("b:\n  reset: season\n  seasons: [2026-02-01, 2026-01-01]\n", "in order"),
        ("b:\n  rewards: [{first: 1, last: 1, currency: x, amount: 1}]\n", "is reset"),
        ("b:\n  reset: daily\n  rewards: [{first: 2, last: 1, currency: x, amount: 1}]\n", "must not be smaller"),
        ("b:\n  actions: []\n", "missing"),
        ("b:\n  reset: season\n  seasons: [sometime]\n", "must be a day"),
        ("a: {}\nb: {follows: a}\nc: {follows: b}\n", "follows another board itself"),
    ],
)
def test_a_board_must_make_sense(tmp_path: Path, boards: str, said: str) -> None:
    [fault] = faults(tmp_path, boards=boards)
    assert fault.startswith("boards.yaml:")
    assert said in fault


def test_what_is_no_yaml_is_said_with_its_line(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, actions="win:\n  points: [1\n")
    assert fault.startswith("actions.yaml:3: is no YAML")


def test_a_name_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, boards="main:\n  title: One\nmain:\n  title: Two\n")
    assert found == ["boards.yaml:3: main: stands here twice"]


def test_a_file_that_is_no_map_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, boards="- main\n") == ["boards.yaml:1: must be a map of names"]


def test_a_file_that_is_not_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "boards.yaml").write_bytes(b"\xff\xfe\xff")
    assert faults(tmp_path) == ["boards.yaml: is not UTF-8 (byte 0)"]


def test_a_name_with_control_characters_is_a_fault(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, boards='"ma\\0in": {}\n')
    assert "must not hold control characters" in fault


def test_a_misspelt_file_is_noticed(tmp_path: Path) -> None:
    assert faults(tmp_path, bords="main: {}\n")[0].startswith("bords.yaml: is no content file; there are actions.yaml")


def test_a_missing_folder_is_said_so(tmp_path: Path) -> None:
    assert faults(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: there is no such folder"]


def test_an_empty_folder_is_an_empty_game(tmp_path: Path) -> None:
    assert load_content(tmp_path).boards == {}


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object:os.system {}\n", "a: {<<: {}}\n", "a: &a {title: *a}\n", "a: !!timestamp 1\n", "[" * 5_000],
)
def test_yaml_has_no_tricks_in_store(tmp_path: Path, text: str) -> None:
    (tmp_path / "boards.yaml").write_text(text, "utf-8")
    with pytest.raises(ContentFaults):
        load_content(tmp_path)


def test_content_that_code_builds_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="there is no board 'main'"):
        Content.model_validate({"actions": {"win": {"points": 1, "board": "main"}}})

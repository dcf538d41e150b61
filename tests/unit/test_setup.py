"""Which interpreter the environment is made with."""

from pathlib import Path

from scripts import setup


def _interpreter(folder: Path, name: str, says: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return str(path)


def test_a_clearly_quicker_build_is_taken(tmp_path: Path) -> None:
    first = _interpreter(tmp_path, "plain", "echo 0.010")
    quicker = _interpreter(tmp_path, "optimised", "echo 0.007")
    assert setup.fastest([first, quicker]) == quicker
    assert setup.fastest([quicker, first]) == quicker


def test_the_first_one_is_taken_when_the_others_are_about_as_quick_or_do_not_work(tmp_path: Path) -> None:
    first = _interpreter(tmp_path, "first", "echo 0.010")
    alike = _interpreter(tmp_path, "alike", "echo 0.009")
    silent = _interpreter(tmp_path, "silent", "true")
    broken = _interpreter(tmp_path, "broken", "echo 0.001; exit 1")
    assert setup.fastest([first, alike, silent, broken, str(tmp_path / "absent")]) == first


def test_this_interpreter_is_among_those_that_are_weighed() -> None:
    assert setup._seconds(setup._interpreters()[0]) < 10

"""Journals of every release give the same states for ever, in any process and under any Python (RT-11).

A new release adds files: `python -m tests.golden.fold --record SEED tests/golden/RELEASE.jsonl.gz`. Old ones stay as
they are. What is new in a state since has a default, so all that was recorded must be there, and as it was.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import PROJECT
from tests.golden.fold import States, fold, read

JOURNALS = sorted(Path(__file__).parent.glob("*.jsonl.gz"))


def recorded(path: Path) -> States:
    found: States = json.loads(path.with_name(path.name.replace(".jsonl.gz", ".states.json")).read_text("utf-8"))
    return found


def has(now: Any, then: Any) -> bool:
    """Whether everything that was there then is there now."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and has(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(has, now, then))
    return bool(now == then)


def as_recorded(states: States, path: Path) -> None:
    """Every actor has all that was recorded of it."""
    for actor, then in recorded(path).items():
        now = states[actor]
        assert now["version"] == then["version"], actor
        for name, value in then["state"].items():
            assert has(now["state"].get(name), value), f"{actor}: {name} was {value}, is {now['state'].get(name)}"


def pythons() -> list[str]:
    """Interpreters that are at hand and have what is needed."""
    names = [sys.executable, *(shutil.which(f"python3.{minor}") or "" for minor in (12, 13, 14))]
    able = "import pydantic, msgpack, structlog, asyncpg"
    return [name for name in names if name and subprocess.run([name, "-c", able], capture_output=True).returncode == 0]


def test_there_is_a_journal() -> None:
    assert JOURNALS


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.name)
def test_a_journal_of_a_release_gives_the_states_that_it_gave_then(path: Path) -> None:
    histories = read(path)
    assert sum(map(len, histories.values())) > 50
    as_recorded(fold(histories), path)


def test_a_state_that_differs_is_noticed() -> None:
    path = JOURNALS[0]
    histories = read(path)
    address = next(address for address in histories if address.kind == "player")
    del histories[address][-1]
    with pytest.raises(AssertionError):
        as_recorded(fold(histories), path)


@pytest.mark.parametrize("hash_seed", ["0", "1", "2"])
def test_states_do_not_depend_on_hashes_or_the_python(hash_seed: str) -> None:
    own = fold(read(JOURNALS[-1]))
    for python in pythons():
        program = [python, "-m", "tests.golden.fold", str(JOURNALS[-1])]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout
        assert json.loads(told) == own

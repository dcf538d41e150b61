"""Journals of every release give the same states for ever, in any process and under any Python (RT-11).

A new release adds files: `python -m tests.golden.fold --record SEED tests/golden/RELEASE.jsonl.gz`. Old ones stay as
they are. A field that is new in a state has a default, so what is recorded is every field that there was.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.settings import PROJECT
from tests.golden.fold import Hashes, fold, read

JOURNALS = sorted(Path(__file__).parent.glob("*.jsonl.gz"))


def recorded(path: Path) -> Hashes:
    found: Hashes = json.loads(path.with_name(path.name.replace(".jsonl.gz", ".hashes.json")).read_text("utf-8"))
    return found


def as_recorded(states: Hashes, path: Path) -> None:
    """Every field that was recorded has its hash."""
    for actor, fields in recorded(path).items():
        assert {name: states[actor].get(name) for name in fields} == fields, actor


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
    for python in pythons():
        program = [python, "-m", "tests.golden.fold", str(JOURNALS[-1])]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout
        as_recorded(json.loads(told), JOURNALS[-1])

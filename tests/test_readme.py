"""The README tells the truth: each row of its feature table has tests of that name, and its links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()
ROWS = re.findall(r"^\| ([A-Z]{2,3})-(\d\d) \|.*\| `(test_\w+_)\*` \|$", README, re.MULTILINE)


def names_of_tests() -> Iterator[str]:
    for path in (PROJECT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name


def rows_of(name: str) -> Iterator[str]:
    """`test_sc_01_and_05_...` stands for two rows."""
    named = re.match(r"test_([a-z]{2,3})_(\d\d(?:_and_\d\d)*)_", name)
    for number in named[2].split("_and_") if named else []:
        assert named is not None
        yield f"{named[1]}-{number}"


TESTED = {row for name in names_of_tests() for row in rows_of(name)}


def test_the_table_lists_what_greenroom_does() -> None:
    assert len(ROWS) > 50
    assert len(set(ROWS)) == len(ROWS)


@pytest.mark.parametrize(("family", "number", "prefix"), ROWS)
def test_each_row_of_the_table_has_tests_of_its_name(family: str, number: str, prefix: str) -> None:
    assert prefix == f"test_{family.lower()}_{number}_"
    assert f"{family.lower()}-{number}" in TESTED


@pytest.mark.parametrize(
    "page", ["README.md", "docs/architecture.md", *(f"docs/guides/{name}.md" for name in ("operators", "designers"))]
)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (PROJECT / page).read_text())
    made_by_a_run = {"performance.md"}
    assert [link for link in links if link not in made_by_a_run and not ((PROJECT / page).parent / link).exists()] == []

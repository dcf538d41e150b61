"""Servers that all tests of a session share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.runtime import faults
from tests.harness import Servers

TESTS = Path(__file__).parent

ORDER = ("unit", "models", "golden", "contract", "simulation", "integration", "chaos", "acceptance", "security")
"""Of the folders: what is quick and pure first, and what shares the one running server together, at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(TESTS).parts[0]
        return ORDER.index(folder) if folder in ORDER else -1

    items.sort(key=place)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A real Postgres and a real Redis, started once."""
    servers = Servers()
    with asyncio.Runner() as runner:
        runner.run(servers.__aenter__())
        yield servers
        runner.run(servers.__aexit__(None, None, None))


@pytest.fixture(autouse=True)
def _no_faults_left() -> Iterator[None]:
    yield
    faults.arm("")

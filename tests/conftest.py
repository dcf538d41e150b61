"""Servers that all tests of a session share."""

import asyncio
from collections.abc import Iterator

import pytest

from actors.runtime import faults
from tests.harness import Servers


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

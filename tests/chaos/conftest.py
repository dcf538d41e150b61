"""A cluster that the chaos tests of a session share, and what is collected in which tier."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.server import Server
from tests.chaos.summary import SUMMARY, place
from tests.chaos.tiers import runs_in

COLLECTED_FROM = {
    "test_unknown_commits.py": "F",
    "test_overload_gateways.py": "F",
    "test_push_catch_up.py": "F",
    "test_ray_rpc.py": "F",
    "test_slow_readers.py": "F",
    "test_soak.py": "F",
    "test_head.py": "N",
}
collect_ignore = [name for name, tier in COLLECTED_FROM.items() if not runs_in(tier)]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    """A whole Greenroom as `greenroom serve` starts it: it is struck, and lives on."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.remove()


def pytest_runtest_logreport(report: Any) -> None:
    """Keep how each test of this folder ended."""
    if report.when == "call" and "tests/chaos/" in report.nodeid:
        name = report.nodeid.rpartition("tests/chaos/")[2]
        SUMMARY.tests.append((name, str(report.outcome), float(report.duration)))


def pytest_sessionfinish() -> None:
    """Write down what was measured."""
    where = place()
    if where is not None and SUMMARY.tests:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(SUMMARY.written(), encoding="utf-8")

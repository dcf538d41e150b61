"""RT-08: Ray's head and its raylet are killed; the game stops, starts anew on the same journal, and nothing is lost."""

import json

import pytest

from tests.acceptance.server import Server
from tests.chaos.played import struck

pytestmark = [pytest.mark.slow, pytest.mark.restarts]


@pytest.mark.parametrize("part", ["head", "raylet"])
async def test_the_death_of_a_part_of_ray_loses_nothing(cluster: Server, part: str) -> None:
    """What players see meanwhile is in docs/reliability.md; that everything comes back without hands is asserted."""
    outcome = await struck(cluster, f"RT-08-{part}", 60.0, part, at=[5.0])
    assert outcome.verdict.findings == [], json.dumps(outcome.as_json(), indent=1)
    assert outcome.kills == 1
    last = max(operation.ended for operation in outcome.operations if operation.outcome == "ok")
    assert last > outcome.measured.costs[0].struck.at + 30.0

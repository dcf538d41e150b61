"""RT-07: one in five of Ray's calls fails, before or after it was carried out; links are made of such calls."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.server import Server
from tests.chaos.played import right, struck
from tests.chaos.summary import SUMMARY
from tests.harness.raynodes import RayNodes

pytestmark = [pytest.mark.slow, pytest.mark.restarts]

FAILS = '{"CoreWorkerService.grpc_client.PushTask":{"num_failures":-1,"req_failure_prob":10,"resp_failure_prob":10}}'
FAILED_AT_LEAST = 60
"""Calls: thirty in each direction, as either is as likely."""


@pytest_asyncio.fixture
async def shaky() -> AsyncIterator[Server]:
    """A Greenroom whose commands travel by calls of Ray actors, on a Ray whose calls fail."""
    nodes = RayNodes()
    nodes.environment["RAY_testing_rpc_failure"] = FAILS
    async with nodes:
        # Hosts and gateways inherit it from their node, and the director that starts them has it too.
        server = Server(environment={**nodes.environment, "GREENROOM_LINK": "ray"})
        try:
            server.start()
            yield server
        finally:
            server.stop()
            server.remove()


async def test_calls_of_ray_that_fail_before_or_after_they_were_carried_out_do_no_harm(shaky: Server) -> None:
    async with asyncio.timeout(300):
        outcome = await struck(shaky, "RT-07", 20.0, rate_per_s=60.0, players=16)
    right(outcome)
    failed = sum(len(re.findall(r"link_call_failed|link_broken", text)) for text in _logs(shaky))
    assert failed >= FAILED_AT_LEAST
    SUMMARY.note("RT-07", f"{failed} calls failed, {outcome.measured.per_s:.0f} operations a second")


def _logs(server: Server) -> list[str]:
    ray = server.environment["RAY_AUTH_TOKEN_PATH"].removesuffix("/token")
    paths = [path for path in Path(ray).rglob("*") if path.is_file() and path.suffix in (".log", ".err", ".out")]
    return [path.read_text(errors="replace") for path in paths]

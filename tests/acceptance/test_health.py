"""SPEC OP-01, OP-02: what probes are told while Redis is silent; its process is stopped, as by a debugger."""

import json
import os
import signal
import time

from tests.acceptance.clients import Answer, Door
from tests.acceptance.spare import Spare


async def test_op_01_who_does_not_answer_in_time_is_told_as_a_timeout(spare: Spare, spare_door: Door) -> None:
    """And a load balancer is told that commands still succeed."""
    redis = json.loads((spare.data / "run" / "redis.json").read_text())["pid"]
    healthy = await spare_door.until(
        "all is well", lambda: _health(spare_door, "/health"), lambda answer: answer.status == 200
    )
    assert set(healthy.body) == {"status", "redis", "database", "hosts", "uptime", "timestamp", "version"}
    os.kill(redis, signal.SIGSTOP)
    try:
        told = await spare_door.until(
            "Redis is missed", lambda: _health(spare_door, "/health"), lambda answer: answer.status == 503
        )
        assert (told.body["status"], told.body["redis"], told.body["database"]) == ("unhealthy", "timeout", "ok")
        assert told.seconds < 5
        ready = await _health(spare_door, "/health/ready")
        assert (ready.status, ready.body["status"]) == (200, "degraded")
        assert (await spare_door.play(await spare_door.guest()))["score"]["current"] == 1
    finally:
        os.kill(redis, signal.SIGCONT)
    again = await spare_door.until(
        "Redis is back", lambda: _health(spare_door, "/health"), lambda answer: answer.status == 200
    )
    assert again.body["redis"] == "ok"


async def _health(door: Door, path: str) -> Answer:
    """Health has a form of its own, also when it is not well."""
    began = time.monotonic()
    async with door.session.get(door.server.url + path) as response:
        return Answer(response.status, response.headers, await response.text(), time.monotonic() - began)

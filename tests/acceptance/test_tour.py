"""The README's five minutes work as they are written: every block is run, on a server of its own."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.server import PROJECT, Server, wait_until

README = (PROJECT / "README.md").read_text()
TOUR = README.partition("## Five minutes")[2].partition("\n## ")[0]
BLOCKS = [block for block in re.findall(r"```bash\n(.*?)```", TOUR, re.DOTALL) if block.strip() != "make serve"]
NEXT = "-- the next block --"

pytestmark = pytest.mark.restarts


@pytest.fixture
def fresh() -> Iterator[Server]:
    """A server that nobody has played on."""
    server = Server(environment={"GREENROOM_GATEWAYS": "1"})
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.remove()


def answers(url: str) -> bool:
    at = urlsplit(url)
    try:
        socket.create_connection((at.hostname or "", at.port or 0), timeout=2).close()
    except OSError:
        return False
    return True


async def test_the_tour_of_the_readme_works_as_written(fresh: Server) -> None:
    script = "set -e\n" + f"\necho {NEXT}\n".join(BLOCKS)
    here = {
        "http://127.0.0.1:7777": fresh.url,
        ".greenroom/": f"{fresh.data}/",
        ".venv/bin/": f"{Path(sys.executable).parent}/",
    }
    for written, place in here.items():
        assert written in script
        script = script.replace(written, place)
    # Ray's dashboard starts when the game is ready; a reader is slower than this test.
    await asyncio.to_thread(wait_until, lambda: answers(fresh.run["dashboard_url"]), "the dashboard answers", 60)
    done = await asyncio.to_thread(
        lambda: subprocess.run(
            ["bash", "-c", script],
            cwd=PROJECT,
            env=fresh.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    )
    assert done.returncode == 0, done.stdout + done.stderr
    parts = done.stdout.split(f"{NEXT}\n")
    assert len(parts) == len(BLOCKS) == 5
    registered, played, pushed, inspected, looked_after = parts
    assert '"accessToken"' in registered
    assert re.search(r'"score": ?{"previous": ?0, ?"current": ?1}', played)
    assert "pushed leaderboard.update" in pushed
    for seen in ("alice", "start_action", "complete_action", "version 2"):
        assert seen in inspected, seen
    for seen in ("host-1", "gateway-1", "All is well."):
        assert seen in looked_after, seen

"""The places at a node's door: so many processes have one at a time, and a death frees it."""

import asyncio
import sys
from pathlib import Path

from scripts.door import Place
from tests.harness import eventually

HOLDS = """
import sys
from pathlib import Path
from scripts.door import Place
place = Place(Path(sys.argv[1]), 1, "here")
print(place.take(), flush=True)
sys.stdin.read()
"""


def test_as_many_have_a_place_as_there_are(tmp_path: Path) -> None:
    first, second, third = (Place(tmp_path, 2, "here") for _ in range(3))
    assert [first.take(), second.take(), third.take()] == [True, True, False]
    first.leave()
    assert third.take()


def test_each_node_of_a_machine_has_places_of_its_own(tmp_path: Path) -> None:
    here, there = (Place(tmp_path, 1, node) for node in ("here", "there"))
    assert [here.take(), there.take()] == [True, True]


def test_leaving_without_a_place_harms_nobody(tmp_path: Path) -> None:
    first, second = Place(tmp_path, 1, "here"), Place(tmp_path, 1, "here")
    assert first.take()
    second.leave()
    assert not second.take()


async def test_a_death_frees_the_place_for_whoever_waits(tmp_path: Path) -> None:
    program = [sys.executable, "-c", HOLDS, str(tmp_path)]
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"True\n"
    waiting = asyncio.ensure_future(Place(tmp_path, 1, "here").wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    holder.kill()
    await eventually(waiting.done)
    await holder.communicate()

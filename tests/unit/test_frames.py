"""Frames: what clients may send, how answers look, how they are written, and what a slow client costs."""

import asyncio
import json
from typing import Any, cast

import msgpack
import pytest

from actors.core import Actor
from gateway import decode, forms
from gateway.limits import PUSHES_HELD_MAX, STALLED_S_MAX, Bucket, Limiter, Rate
from gateway.outlet import TRANSPORT_BYTES_MAX, Outlet
from gateway.topics import Listener, State, TurnTopic, ViewTopic, topic_of
from schemas import frames
from schemas.address import Address
from schemas.messages import Caller
from schemas.problems import Refusal


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "auth", "auth": "Bearer x"},
        {"type": "command", "id": "1", "op": "o", "kind": "guild", "key": "me", "name": "join", "data": {}},
        {"type": "query", "id": 7, "kind": "player", "key": "me", "name": "profile"},
        {"type": "subscribe", "topic": "leaderboard:main", "after": 0, "auth": "Bearer x"},
        {"type": "unsubscribe", "topic": "leaderboard:main"},
        {"type": "ping", "timestamp": "2026-01-31T12:00:00Z"},
        {"type": "pong"},
    ],
)
def test_the_frames_of_the_protocol_are_understood(frame: dict[str, Any]) -> None:
    read = decode.shaped_frame(frames.CLIENT_FRAMES[frame["type"]], frame)
    assert read.model_dump(by_alias=True, exclude_unset=True) == frame


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "command", "kind": "guild", "key": "me"},
        {"type": "command", "kind": "guild", "key": "me", "name": "join", "data": []},
        {"type": "command", "kind": "guild", "key": "", "name": "join"},
        {"type": "command", "kind": "guild", "key": "a\nb", "name": "join"},
        {"type": "command", "kind": "guild", "key": "k" * 129, "name": "join"},
        {"type": "command", "kind": "guild", "key": "k", "name": "join", "op": ""},
        {"type": "command", "kind": "guild", "key": "k", "name": "join", "role": "admin"},
        {"type": "command", "id": [], "kind": "guild", "key": "k", "name": "join"},
        {"type": "command", "id": 1.5, "kind": "guild", "key": "k", "name": "join"},
        {"type": "subscribe", "topic": "leaderboard:main", "after": -1},
        {"type": "subscribe", "topic": "leaderboard:main", "after": "1"},
        {"type": "auth"},
    ],
)
def test_other_frames_are_refused(frame: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        decode.shaped_frame(frames.CLIENT_FRAMES[frame["type"]], frame)


def test_answers_have_the_shape_of_the_protocol() -> None:
    assert frames.reply("2", 17, {"a": 1}) == {
        "meta": {"code": 200, "id": "2", "version": 17},
        "type": "reply",
        "data": {"a": 1},
    }
    problem = {"code": "guild_full", "message": "Full.", "requestId": "req_1"}
    assert frames.error("3", 409, problem) == {"meta": {"code": 409, "id": "3"}, "type": "error", "error": problem}
    for frame in (
        frames.reply(None, None, []),
        frames.error(None, 400, problem),
        frames.push("a:b", "a.update", 1, {}),
    ):
        frames.ServerFrame.model_validate(frame)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_says_its_length(size: int) -> None:
    framed = forms.framed(forms.MSGPACK, b"x" * size)
    assert framed[0] == 0x82
    length = framed[1]
    start = 2
    if length == 126:
        length, start = int.from_bytes(framed[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(framed[2:10], "big"), 10
    assert length == size == len(framed) - start


def test_a_shared_push_is_encoded_once_for_each_form_and_name() -> None:
    push = forms.Shared(frames.push("", "player.update", 5, {"a": 1}))
    text = push.bytes_for(forms.JSON, "player:me")
    assert push.bytes_for(forms.JSON, "player:me") is text
    assert json.loads(text[2:])["meta"] == {"code": 200, "topic": "player:me", "seq": 5}
    assert msgpack.unpackb(push.bytes_for(forms.MSGPACK, "player:x")[2:])["meta"]["topic"] == "player:x"


class Pipe(asyncio.Transport):
    """A transport that the test drains."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.waiting = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return False


async def test_what_is_ready_together_is_written_together() -> None:
    pipe = Pipe()
    outlet = Outlet(pipe, lambda: None)
    for number in range(100):
        outlet.put(b"%d," % number)
    assert pipe.written == []
    await asyncio.sleep(0)
    assert pipe.written == [b"".join(b"%d," % number for number in range(100))]


async def test_a_slow_client_gets_the_latest_of_what_conflates_and_is_then_cut_off() -> None:
    pipe = Pipe()
    pipe.waiting = TRANSPORT_BYTES_MAX + 1
    stalled: list[bool] = []
    outlet = Outlet(pipe, lambda: stalled.append(True))
    outlet.put(b"first")
    await asyncio.sleep(0)
    for number in range(1_000):
        outlet.put(b"top %d" % number, conflate="leaderboard:main")
    assert not stalled
    pipe.waiting = 0
    outlet.flush()
    assert pipe.written == [b"firsttop 999"]
    assert outlet.conflated == 999

    pipe.waiting = TRANSPORT_BYTES_MAX + 1
    outlet.put(b"again")
    await asyncio.sleep(0)
    for _ in range(100):
        outlet.put(b"reply")
    assert stalled == [True]
    outlet.put(b"never")
    outlet.flush()
    assert len(pipe.written) == 1


async def test_a_client_that_takes_nothing_is_cut_off_however_little_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("gateway.outlet.time.monotonic", lambda: now)
    pipe = Pipe()
    stalled: list[float] = []
    outlet = Outlet(pipe, lambda: stalled.append(now))
    pipe.waiting = 1_000

    def a_second_with_a_push() -> None:
        nonlocal now
        outlet.push(b"top", "leaderboard:main")
        outlet.flush()
        pipe.waiting += 3
        now += 1

    for _ in range(int(STALLED_S_MAX)):
        a_second_with_a_push()
    pipe.waiting -= 500  # it took something at last
    for _ in range(int(STALLED_S_MAX)):
        a_second_with_a_push()
    assert not stalled
    a_second_with_a_push()
    a_second_with_a_push()
    assert len(stalled) == 1


# Topics


class Ear:
    """Hears what a topic tells one socket."""

    def __init__(self, user: str = "ann") -> None:
        self.caller = Caller(user)
        self.form = forms.JSON
        self.pipe = Pipe()
        self.outlet = Outlet(self.pipe, lambda: None)

    def send(self, frame: dict[str, Any]) -> None:
        self.outlet.put(forms.encoded(self.form, frame))

    @property
    def frames(self) -> list[dict[str, Any]]:
        self.outlet.flush()
        stream = b"".join(self.pipe.written)
        found = []
        while stream:
            start = 4 if stream[1] == 126 else 2
            size = int.from_bytes(stream[2:4], "big") if start == 4 else stream[1]
            found.append(json.loads(stream[start : start + size]))
            stream = stream[start + size :]
        return found

    @property
    def heard(self) -> list[tuple[str, int, Any]]:
        return [(frame["type"], frame["meta"]["seq"], frame.get("data")) for frame in self.frames]


class Sheet(Actor):
    pushes = "turn"


class Board(Actor):
    pushes = "view"

    @classmethod
    def merge_views(cls, views: list[Any]) -> Any:
        return sorted(row for view in views for row in view)[-2:]

    @classmethod
    def changes(cls, before: Any, after: Any) -> list[Any]:
        return [row for row in after if row not in before]


def listening(topic: TurnTopic | ViewTopic, name: str = "sheet:me") -> tuple[Ear, Listener]:
    ear = Ear()
    listener = Listener(cast(Any, ear), topic, name)
    topic.listeners.add(listener)
    return ear, listener


def sheet_topic() -> TurnTopic:
    address = Address("sheet", "a")
    topic = topic_of(address, Sheet, [address])
    assert isinstance(topic, TurnTopic)
    return topic


async def test_pushes_that_overtake_the_answer_follow_it_in_order() -> None:
    topic = sheet_topic()
    ear, listener = listening(topic)
    topic.pushed("a", 5, {"n": 5}, None)
    topic.pushed("a", 6, {"n": 6}, None)
    assert ear.heard == []
    topic.answer(listener, "1", None, [State(5, {"whole": 5}, None)])
    topic.pushed("a", 7, {"n": 7}, None)
    topic.pushed("a", 7, {"n": 7}, None)
    assert ear.heard == [
        ("sheet.initial", 5, {"whole": 5}),
        ("sheet.update", 6, {"n": 6}),
        ("sheet.update", 7, {"n": 7}),
    ]


async def test_a_listener_knows_when_more_overtook_its_answer_than_can_be_held() -> None:
    topic = sheet_topic()
    _, listener = listening(topic)
    overtaken = []
    for number in range(PUSHES_HELD_MAX + 1):
        overtaken.append(listener.overtaken)
        topic.pushed("a", number + 1, {"n": number}, None)
    assert not any(overtaken)
    assert listener.overtaken
    assert len(listener.held or ()) == PUSHES_HELD_MAX


async def test_a_resumed_client_gets_what_it_missed_once() -> None:
    topic = sheet_topic()
    ear, listener = listening(topic)
    topic.pushed("a", 9, {"n": 9}, None)
    topic.answer(listener, "1", 6, [State(9, None, [[8, {"n": 8}], [9, {"n": 9}]])])
    assert ear.heard == [("sheet.resumed", 9, None), ("sheet.update", 8, {"n": 8}), ("sheet.update", 9, {"n": 9})]


async def test_a_heartbeat_ahead_of_what_was_heard_makes_the_topic_catch_up() -> None:
    topic, stale = sheet_topic(), []
    ear, listener = listening(topic)
    topic.answer(listener, None, None, [State(5, {}, None)])
    topic.pushed("a", 5, None, None)
    stale.append(topic.stale)
    topic.pushed("a", 8, None, None)
    stale.append(topic.stale)
    topic.pushed("a", 9, {"n": 9}, None)
    assert topic.after() == 5
    topic.caught_up([State(8, None, [[7, {"n": 7}], [8, {"n": 8}]])])
    stale.append(topic.stale)
    assert [seq for _, seq, _ in ear.heard] == [5, 7, 8, 9]
    assert stale == [False, True, False]


async def test_what_the_journal_cannot_replay_is_a_reset_with_the_present_state() -> None:
    topic = sheet_topic()
    ear, listener = listening(topic)
    topic.answer(listener, None, None, [State(5, {}, None)])
    topic.missed()
    topic.caught_up([State(5_000, {"whole": True}, None)])
    assert ear.heard[-1] == ("sheet.reset", 5_000, {"whole": True})
    assert ear.frames[-1]["meta"]["reset"] is True


async def test_a_push_that_names_an_unknown_predecessor_makes_the_topic_catch_up() -> None:
    topic, stale = sheet_topic(), []
    _, listener = listening(topic)
    topic.answer(listener, None, None, [State(5, {}, None)])
    topic.pushed("a", 6, {}, 5)
    stale.append(topic.stale)
    topic.pushed("a", 9, {}, 8)
    assert topic.stale
    assert stale == [False]


async def test_a_push_for_one_user_is_told_to_nobody_else() -> None:
    topic = sheet_topic()
    ears = {user: Ear(user) for user in ("ann", "bob")}
    for ear in ears.values():
        listener = Listener(cast(Any, ear), topic, "sheet:a")
        topic.listeners.add(listener)
        topic.answer(listener, "1", 4, [State(6, None, [[5, {"onlyFor": "ann"}], [6, {}]])])
    topic.pushed("a", 7, {"onlyFor": "bob"}, 6)
    assert [seq for _, seq, _ in ears["ann"].heard] == [6, 5, 6]
    assert [seq for _, seq, _ in ears["bob"].heard] == [6, 6, 7]


async def test_whoever_departs_hears_the_last_push_and_then_its_listener_ends() -> None:
    topic = sheet_topic()
    ended: list[Listener] = []
    topic.on_departed = ended.append
    _, early = listening(topic)
    topic.answer(early, "1", None, [State(5, {}, None)])
    ear, late = listening(topic)
    topic.answer(late, "2", None, [State(6, {}, None)])
    # The second one came back after this, and heard of it with its answer.
    topic.pushed("a", 6, {"departed": {"ann": "left"}}, 5)
    assert ended == [early]
    topic.pushed("a", 7, {"departed": {"bob": "left"}}, 6)
    assert ended == [early]
    topic.listeners.discard(early)
    topic.pushed("a", 8, {"departed": {"ann": "left"}}, 7)
    assert ended == [early, late]
    assert ear.heard[-1][1:] == (8, {"departed": {"ann": "left"}})


async def test_a_view_of_many_parts_is_told_as_one_when_it_changed() -> None:
    topic = topic_of(Address("board", "main"), Board, [Address("board", "main/0"), Address("board", "main/1")])
    assert isinstance(topic, ViewTopic)
    ear, listener = listening(topic, "board:main")
    topic.answer(listener, "1", None, [State(3, [1, 5], None), State(4, [2], None)])
    topic.pushed("main/1", 6, [2, 9], None)
    topic.pushed("main/0", 5, [0, 5], None)
    async with asyncio.timeout(5):
        while len(ear.heard) < 2:
            await asyncio.sleep(0.01)
    assert ear.heard == [("board.initial", 7, [2, 5]), ("board.update", 11, [5, 9])]
    assert ear.frames[1]["changes"] == [9]
    topic.pushed("main/0", 5, [7, 8], None)
    assert topic.view() == [5, 9]


async def test_a_kind_without_pushes_has_no_topics() -> None:
    with pytest.raises(Refusal):
        topic_of(Address("x", "y"), Actor, [])


# Limits


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(Rate(10, 5), 0.0)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0
    assert bucket.take(100.0, cost=5) == 0.0


def test_a_limiter_counts_each_client_for_itself_and_forgets_the_idlest() -> None:
    now = [0.0]
    limiter = Limiter(buckets_max=2, clock=lambda: now[0])
    rate = Rate(1, 1)
    limiter.take("a", rate)
    with pytest.raises(Refusal) as refused:
        limiter.take("a", rate)
    assert refused.value.status == 429
    assert refused.value.retry_after_s == 1
    limiter.take("b", rate)
    limiter.take("c", rate)
    assert len(limiter) == 2
    now[0] = 1.0
    limiter.take("b", rate)

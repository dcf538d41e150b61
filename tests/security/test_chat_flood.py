"""SE-17: one sender with several names and sockets floods a room; each name has its limit, and others are heard."""

import asyncio
import time
from collections import Counter
from typing import Any

from tests.acceptance.clients import API, Door, Sockets, User, Wire, fresh_name

ROOM = "trade"
NAMES, SOCKETS_EACH = 3, 2
PER_NAME, WITHIN_S = 10, 10.0
"""What the content allows each."""
FLOOD_S = 2.5
ANSWERED_WITHIN_S = 2.0
"""Of somebody else, during the flood."""


async def join(door: Door, *people: User) -> None:
    for person in people:
        joined = await door.post(f"{API}/actors/channel/{ROOM}/join", {}, as_=person)
        assert joined.status == 200, joined


async def flood(wire: Wire, mark: str) -> list[dict[str, Any]]:
    """As fast as answers come, ten at a time."""
    answers: list[dict[str, Any]] = []
    until, number = time.monotonic() + FLOOD_S, 0
    while time.monotonic() < until:
        ids = []
        for _ in range(10):
            number += 1
            ids.append(f"{mark}-{number}")
            data = {"text": f"{mark} {number}"}
            frame = {"type": "command", "id": ids[-1], "kind": "channel", "key": ROOM, "name": "send", "data": data}
            await wire.send(frame)
        for id_ in ids:
            answers.append(await wire.until(lambda frame, id_=id_: frame.get("meta", {}).get("id") == id_))
    return answers


async def test_se_17_a_flood_over_three_names_and_six_sockets_stays_within_each_limit(
    door: Door, sockets: Sockets, alice: User
) -> None:
    flooders = [await door.guest() for _ in range(NAMES)]
    await join(door, alice, *flooders)
    mark = fresh_name("flood")
    ways = [(user, await sockets.open(user, binary=bool(way))) for user in flooders for way in range(SOCKETS_EACH)]
    neighbour = await sockets.open(alice)

    async def be_heard() -> list[float]:
        took = []
        for number in range(5):
            began = time.monotonic()
            said = await neighbour.command("channel", ROOM, "send", {"text": f"{mark} calm {number}"})
            assert said["meta"]["code"] == 200, said
            took.append(time.monotonic() - began)
            await asyncio.sleep(FLOOD_S / 6)
        return took

    began = time.monotonic()
    took, *answers = await asyncio.gather(
        be_heard(), *(flood(wire, f"{mark} {number}") for number, (_, wire) in enumerate(ways))
    )
    passed: Counter[str] = Counter()
    for (user, _), told in zip(ways, answers, strict=True):
        codes = Counter(answer["meta"]["code"] for answer in told)
        assert set(codes) <= {200, 429}, codes
        passed[user.id] += codes[200]
        refusals = [answer["error"] for answer in told if answer["meta"]["code"] == 429]
        assert all(1 <= refusal["retryAfter"] <= 10 for refusal in refusals)
    most = PER_NAME * (1 + int((time.monotonic() - began) / WITHIN_S))
    assert all(PER_NAME <= passed[user.id] <= most for user in flooders), passed
    assert sum(len(told) for told in answers) > 2 * NAMES * PER_NAME, "that was no flood"
    assert max(took) < ANSWERED_WITHIN_S
    page = await door.get(f"{API}/channels/{ROOM}/messages", as_=alice, limit="100")
    by = Counter(message["userId"] for message in page.body["messages"] if message["text"].startswith(f"{mark} "))
    assert by == {**passed, alice.id: 5}


async def test_se_17_under_each_name_the_same_text_is_refused_however_it_is_dressed_up(door: Door) -> None:
    people = [await door.guest() for _ in range(NAMES)]
    await join(door, *people)
    text = fresh_name("gold").replace("0", "o")
    dressed = [text, text.upper(), text.replace("o", "0", 1), text.replace("g", "\u011f", 1)]
    for person in people:
        answers = [await door.post(f"{API}/actors/channel/{ROOM}/send", {"text": one}, as_=person) for one in dressed]
        assert [answer.status for answer in answers[:3]] == [200] * 3
        assert answers[3].code == "text_repeated"

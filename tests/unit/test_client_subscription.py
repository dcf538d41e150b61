"""What a reader of a topic gets to see, frame by frame."""

import asyncio
from typing import Any

from greenroom_client import Subscription
from greenroom_client.subscription import PUSHES_MAX


def frame(kind: str, seq: int, **meta: Any) -> dict[str, Any]:
    return {"meta": {"code": 200, "topic": "player:me", "seq": seq, **meta}, "type": kind, "data": {"seq": seq}}


def seen(subscription: Subscription) -> list[int]:
    subscription.end()

    async def read() -> list[int]:
        return [push.seq async for push in subscription]

    return asyncio.run(read())


def test_pushes_that_were_there_before_are_left_out() -> None:
    subscription = Subscription("player:me", None)
    subscription.answered(frame("player.initial", 10))
    for seq in (9, 10, 11, 11, 12):
        subscription.pushed(frame("player.update", seq))
    assert seen(subscription) == [11, 12]


def test_what_was_missed_follows_an_answer_that_resumes() -> None:
    subscription = Subscription("player:me", after=10)
    subscription.answered(frame("player.resumed", 13))
    for seq in (11, 12, 13, 14):
        subscription.pushed(frame("player.update", seq))
    assert seen(subscription) == [11, 12, 13, 14]


def test_a_reset_is_told_and_counts_from_there_even_when_it_goes_back() -> None:
    subscription = Subscription("player:me", None)
    subscription.answered(frame("player.initial", 10))
    subscription.pushed(frame("player.reset", 5, reset=True))
    subscription.pushed(frame("player.update", 6))
    assert seen(subscription) == [5, 6]


def test_a_reader_that_does_not_keep_up_loses_the_oldest_and_can_tell() -> None:
    subscription = Subscription("player:me", None)
    subscription.answered(frame("player.initial", 0))
    for seq in range(1, PUSHES_MAX + 6):
        subscription.pushed(frame("player.update", seq))
    assert subscription.dropped == 5
    assert seen(subscription)[0] == 6

"""A topic that a connection listens to: what it tells, in order, across reconnects."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from greenroom_client.errors import GreenroomError
from greenroom_client.frames import Frame
from greenroom_client.models import Push

PUSHES_MAX = 1_000


class Subscription(AsyncIterator[Push]):
    """Iterate to get what the topic tells; each push once, in order of `seq`.

    `initial` is the server's answer to the subscription, usually the present state. After a reconnect the server
    replays what was missed, or tells the present state anew: such a push is a `reset`, or its type ends in `.initial`.
    A reader that falls more than `PUSHES_MAX` behind loses the oldest, counted in `dropped`.
    """

    def __init__(self, topic: str, after: int | None) -> None:
        self.topic = topic
        self.seq = after
        self.initial: Push | None = None
        self.dropped = 0
        self._pushes: deque[Push] = deque()
        self._arrived = asyncio.Event()
        self._ended: GreenroomError | None = None
        self._closed = False

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Push:
        while not self._pushes:
            if self._ended is not None:
                raise self._ended
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._pushes.popleft()

    def answered(self, frame: Frame) -> Push:
        """Take the server's answer to the subscribe frame; the first one is `initial`, later ones are pushes."""
        push = _push(self.topic, frame)
        if _is_state(push) or self.seq is None:
            self.seq = push.seq
        if self.initial is None:
            self.initial = push
        elif _is_state(push):
            self._keep(push)
        return push

    def pushed(self, frame: Frame) -> None:
        """Take a push, unless it was there before."""
        push = _push(self.topic, frame)
        if _is_state(push) or push.seq == 0 or self.seq is None or push.seq > self.seq:
            self.seq = push.seq or self.seq
            self._keep(push)

    def end(self, error: GreenroomError | None = None) -> None:
        """No more will come; readers get what is left, then the error or the end."""
        self._ended = error
        self._closed = True
        self._arrived.set()

    def _keep(self, push: Push) -> None:
        if len(self._pushes) >= PUSHES_MAX:
            self._pushes.popleft()
            self.dropped += 1
        self._pushes.append(push)
        self._arrived.set()


def _push(topic: str, frame: Frame) -> Push:
    meta: dict[str, Any] = frame.get("meta") or {}
    return Push(
        topic=topic,
        type=frame.get("type", ""),
        seq=meta.get("seq") or 0,
        data=frame.get("data"),
        changes=frame.get("changes"),
        reset=bool(meta.get("reset")),
    )


def _is_state(push: Push) -> bool:
    return push.reset or push.type.endswith(".initial")

"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], Awaitable[T] | T], within_s: float = 15.0) -> T:
    """The condition's value as soon as it is true; an AssertionError when it has not become so in time."""
    deadline = time.monotonic() + within_s
    pause_s = 0.005
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(pause_s)
        pause_s = min(0.05, pause_s * 1.5)

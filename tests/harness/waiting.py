"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """The condition's value (awaited if need be) as soon as it is true; an AssertionError when that takes too long."""
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

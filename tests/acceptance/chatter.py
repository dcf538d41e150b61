"""What tests of crowds in channels have in common: talking, reading, and listening at Redis to what is published."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio

from schemas.messages import unpack
from tests.acceptance.clients import API, Answer, Door, User
from tests.acceptance.server import Server


def channel(key: str) -> str:
    return f"{API}/actors/channel/{key}"


def direct(one: User, other: User) -> str:
    first, second = sorted((one.id, other.id))
    return f"direct.{first}.{second}"


async def say(door: Door, key: str, user: User, text: str, *, op: str | None = None, **more: Any) -> Answer:
    return await door.post(f"{API}/channels/{key}/messages", {"text": text, **more}, as_=user, op=op)


async def do(door: Door, key: str, user: User, command: str, **fields: Any) -> Any:
    """The data of the reply to a command that is not refused."""
    answer = await door.post(f"{channel(key)}/{command}", fields, as_=user)
    assert answer.status == 200, answer
    return answer.body["data"]


async def texts(door: Door, key: str, user: User) -> list[str]:
    """What is to be read, newest first."""
    answer = await door.get(f"{API}/channels/{key}/messages", as_=user)
    assert answer.status == 200, answer
    return [message["text"] for message in answer.body["messages"]]


async def room(server: Server, door: Door, user: User, key: str, **fields: Any) -> None:
    """A room of this name is there, as designers write one while the game goes on."""
    server.edit_content("chat", {"rooms": {key: {"title": key.replace("_", " ").title(), **fields}}})
    await door.until(
        "the room is known",
        lambda: door.post(f"{channel(key)}/join", {}, as_=user),
        lambda answer: answer.status == 200,
        within_s=30,
    )


@asynccontextmanager
async def published(server: Server) -> AsyncIterator[list[Any]]:
    """Every change of channels that is published meanwhile, as [key, seq, data, ...] lists."""
    seen: list[Any] = []

    async def listen(listener: Any) -> None:
        async for message in listener.listen():
            if message["type"] == "message":
                seen.extend(unpack(message["data"]))

    async with redis.asyncio.from_url(server.run["redis_url"]) as client, client.pubsub() as listener:
        await listener.subscribe("push:channel")
        task = asyncio.create_task(listen(listener))
        yield seen
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

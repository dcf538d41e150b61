"""Players who use the Python client, over REST or over a connection: the same nouns, whichever way."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from greenroom_client import Client, Connection, Form, Tokens
from tests.acceptance.clients import User
from tests.acceptance.server import Server

T = TypeVar("T")
WAYS = ("rest", "json", "msgpack")


async def until(what: str, ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], within_s: float = 30.0) -> T:
    """Ask again until the answer is right; the answer."""
    end = time.monotonic() + within_s
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}; last: {answer}"
        await asyncio.sleep(0.05)


class Gamers:
    """Makes players, and closes what they opened when the test is over."""

    def __init__(self, server: Server, way: str) -> None:
        self.server = server
        self.way = way
        self.opened = AsyncExitStack()

    async def guest(self) -> "Gamer":
        """Somebody new."""
        client = await self.opened.enter_async_context(Client(self.server.url))
        device = str(uuid.uuid4())
        tokens = await client.guest(device)
        self.server.secrets |= {device, tokens.access_token, tokens.refresh_token}
        return await self._reached(client)

    async def known(self, user: User) -> "Gamer":
        """Somebody who is logged in already."""
        tokens = Tokens(access_token=user.token)
        return await self._reached(await self.opened.enter_async_context(Client(self.server.url, tokens=tokens)))

    async def _reached(self, client: Client) -> "Gamer":
        if self.way == "rest":
            return Gamer(client, client)
        return Gamer(client, await self.opened.enter_async_context(client.connect(Form(self.way))))


class Gamer:
    """One player; `game` is the way to it that is on trial."""

    def __init__(self, client: Client, game: Client | Connection) -> None:
        self.client = client
        self.game = game

    @property
    def id(self) -> str:
        return self.client.user_id

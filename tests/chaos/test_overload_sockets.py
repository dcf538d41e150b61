"""RT-17: a thousand sockets that are cut at once are back soon, by their tokens alone."""

import asyncio
import json
import random
import time

import aiohttp

from greenroom_client.backoff import Backoff
from tests.acceptance.clients import API, Door, User
from tests.acceptance.fixtures import door, gateways, server, session
from tests.acceptance.pinned import Pinned
from tests.acceptance.server import Server
from tests.chaos.summary import SUMMARY
from tests.chaos.tiers import by_tier

__all__ = ["door", "gateways", "server", "session"]

PER_USER = 20
CUT = by_tier(200, 1_000)
BACK_WITHIN_S = 15.0


async def people(door: Door, sockets: int) -> list[User]:
    """As many users as so many sockets need."""
    return [await door.guest() for _ in range(-(-sockets // PER_USER))]


async def summed(gateways: list[Pinned], name: str) -> float:
    return sum([(await one.metrics())[name] for one in gateways])


class Client:
    """One socket that stays connected: cut, it comes back with the jitter that clients are told to have."""

    def __init__(self, server: Server, session: aiohttp.ClientSession, user: User) -> None:
        self.url = server.url.replace("http", "ws", 1) + f"{API}/ws"
        self.session = session
        self.user = user
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.attempts = 0

    async def connect(self) -> None:
        """Until it is welcome."""
        backoff = Backoff()
        for attempt in range(100):
            self.attempts += 1
            try:
                self.socket = await self.session.ws_connect(self.url, headers={"Authorization": self.user.bearer})
                if json.loads(await self.socket.receive_str(timeout=10))["type"] == "welcome":
                    return
            except (aiohttp.ClientError, TimeoutError, TypeError, OSError):
                pass
            await asyncio.sleep(backoff.delay_s(attempt))
        raise AssertionError("never welcome")

    def cut(self) -> None:
        """The connection ends without a word."""
        assert self.socket is not None
        transport = self.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()


async def test_all_come_back_after_they_were_cut_at_once(
    door: Door, server: Server, session: aiohttp.ClientSession, gateways: list[Pinned]
) -> None:
    users = await people(door, CUT)
    clients = [Client(server, session, users[number // PER_USER]) for number in range(CUT)]
    for start in range(0, CUT, 50):
        await asyncio.gather(*(client.connect() for client in clients[start : start + 50]))
    for gateway in gateways:
        await gateway.metrics()  # the worst lag is told once
    logins = await summed(gateways, "greenroom_password_checks_total")

    async def come_back(client: Client) -> float:
        # What a gateway that stops says: anywhere within five seconds.
        await asyncio.sleep(random.uniform(0.2, 5.0))
        await client.connect()
        return time.monotonic() - cut_at

    cut_at = time.monotonic()
    for client in clients:
        client.attempts = 0
        client.cut()
    took = await asyncio.gather(*(come_back(client) for client in clients))
    lag_s = max([(await gateway.metrics())["greenroom_loop_lag_seconds"] for gateway in gateways])
    told = (
        f"all {CUT} back after {max(took):.1f} s, {sum(c.attempts for c in clients)} attempts, loop lag {lag_s:.3f} s"
    )
    SUMMARY.note("RT-17", told)
    assert max(took) <= BACK_WITHIN_S
    assert await summed(gateways, "greenroom_password_checks_total") == logins, "tokens need no bcrypt"
    assert lag_s <= 0.6, "the target is 0.2 s, on a machine that does nothing else"
    await asyncio.gather(*(client.socket.close() for client in clients if client.socket is not None))

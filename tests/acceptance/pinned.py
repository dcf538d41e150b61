"""A door that leads to one gateway only: all gateways share a port, and a connection stays with one of them."""

import re
import time

import aiohttp

from tests.acceptance.clients import Door
from tests.acceptance.server import Server

PROCESS = re.compile(r'^greenroom_users_connected\{process="([^"]+)"\}', re.MULTILINE)
READING = re.compile(r"^(greenroom_\w+)\{process=\"[^\"]+\"\} (\S+)$", re.MULTILINE)


class Pinned(Door):
    """One kept-alive connection, used for one request after the other; `process` is the gateway at its end."""

    process = ""

    @classmethod
    async def open(cls, server: Server) -> "Pinned":
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=60), timeout=aiohttp.ClientTimeout(total=30)
        )
        door = cls(server, session)
        door.process = await door.name()
        return door

    async def text(self) -> str:
        async with self.session.get(f"{self.server.url}/metrics") as response:
            return await response.text()

    async def name(self) -> str:
        """The gateway that answers."""
        [name] = PROCESS.findall(await self.text())
        return str(name)

    async def metrics(self) -> dict[str, float]:
        """What this gateway counts and labels with nothing but itself."""
        text = await self.text()
        assert f'process="{self.process}"' in text, "the connection was lost, and another gateway took the next one"
        return {name: float(value) for name, value in READING.findall(text)}


async def pinned_everywhere(server: Server, gateways: int) -> list[Pinned]:
    """A door of each gateway, in the order of their names."""
    doors: dict[str, Pinned] = {}
    end = time.monotonic() + 10
    while len(doors) < gateways:
        assert time.monotonic() < end, f"only {sorted(doors)} of {gateways} gateways were met"
        door = await Pinned.open(server)
        if door.process in doors:
            await door.session.close()
        else:
            doors[door.process] = door
    return [doors[name] for name in sorted(doors)]

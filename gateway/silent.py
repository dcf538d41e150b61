"""Connections that never finish a request's headers: found once a second, and closed."""

import asyncio
import time

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

FIRST_REQUEST_WITHIN_S = 10.0
LOOK_EVERY_S = 1.0


class SilentConnections:
    """The HTTP server itself waits for headers without a deadline; this one does not."""

    def __init__(self) -> None:
        self._spoken: set[RequestHandler] = set()
        self._seen_at: dict[RequestHandler, float] = {}

    def speaks(self, request: web.Request) -> None:
        """The connection has sent a whole request's headers."""
        self._spoken.add(request.protocol)

    async def run_forever(self, server: web.Server) -> None:
        """Close what has been silent for too long, as long as the server serves."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            connections = server.connections
            self._spoken.intersection_update(connections)
            self._seen_at = {
                connection: self._seen_at.get(connection, now)
                for connection in connections
                if connection not in self._spoken
            }
            for connection, seen_at in self._seen_at.items():
                if now - seen_at > FIRST_REQUEST_WITHIN_S:
                    connection.force_close()

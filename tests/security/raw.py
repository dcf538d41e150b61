"""A client that sends bytes as it pleases, for requests that no library would send."""

import asyncio
import base64
import contextlib
import os
from typing import Self

from tests.acceptance.server import Server


class Raw:
    """One connection to the server's port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: Server) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Send, as far as the server still takes it."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def status(self, within_s: float = 10.0) -> int:
        """The status of the response; 0 when the connection ended without one."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), within_s)
        except ConnectionError:
            return 0
        return int(line.split()[1]) if line.startswith(b"HTTP/1.") else 0

    async def ended(self, within_s: float) -> bool:
        """Whether the server closes the connection in time."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    async def upgrade(self, *headers: str) -> int:
        """Ask for a WebSocket; the status of the answer, whose headers are read."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /api/v1/ws HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = await self.status()
        if status == 101:
            head = await self.reader.readuntil(b"\r\n\r\n")
            self.extensions = b"sec-websocket-extensions" in head.lower()
        return status

    async def close_code(self, within_s: float = 10.0) -> int:
        """The code of the server's close frame; 1006 when there is none."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    first, second = await self.reader.readexactly(2)
                    size = second & 127
                    if size == 126:
                        size = int.from_bytes(await self.reader.readexactly(2), "big")
                    elif size == 127:
                        size = int.from_bytes(await self.reader.readexactly(8), "big")
                    payload = await self.reader.readexactly(size)
                    if first & 15 == 8:
                        return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006


def frame(opcode: int, payload: bytes, *, last: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """One WebSocket frame, well made or not."""
    size = len(payload)
    head = bytes([(0x80 if last else 0) | reserved | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    # A mask of zeros leaves the payload as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload

"""How a WebSocket begins: what the client offers, what it is told, and how its connection is set up."""

import asyncio
import socket as sockets
import time
from typing import Any

from aiohttp import hdrs, web

from actors.times import rfc3339
from gateway.limits import PING_EVERY_S, PONG_WITHIN_S
from schemas import limits

SUBPROTOCOLS = ("greenroom.json", "greenroom.msgpack")
SEND_BUFFER_BYTES = 64 * 1024
"""What the kernel keeps (Linux twice that) for a client that does not read, unseen by us: pushes of 25 KB a second
would take 20 seconds to fill half a megabyte, and twenty thousand such clients as many gigabytes."""


def welcome_of(user_id: str) -> dict[str, Any]:
    return {
        "userId": user_id,
        "serverTime": now_text(),
        "heartbeatS": int(PING_EVERY_S),
        "limits": {
            "frameBytes": limits.FRAME_BYTES_MAX,
            "nesting": limits.NESTING_MAX,
            "collectionItems": limits.COLLECTION_ITEMS_MAX,
            "outstandingCommands": limits.OUTSTANDING_COMMANDS_MAX,
            "connections": limits.CONNECTIONS_PER_USER_MAX,
            "pongWithinS": int(PONG_WITHIN_S),
        },
    }


def now_text() -> str:
    return rfc3339(int(time.time() * 1000))


def offered(request: web.Request) -> tuple[str | None, tuple[str, ...]]:
    """The token that came with the handshake, if one did, and the subprotocols to choose from. Never from the URL."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    offered = [part.strip() for part in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
    for protocol in offered:
        if protocol.startswith("bearer.") and header is None:
            header = f"Bearer {protocol.removeprefix('bearer.')}"
    return header, tuple(protocol for protocol in offered if protocol in SUBPROTOCOLS)


def tune(transport: asyncio.Transport) -> None:
    """Bound what the kernel keeps for a client that does not read, and notice one that is gone."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family == sockets.AF_UNIX:
        return
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(sockets, "TCP_USER_TIMEOUT"):
        connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, int(PONG_WITHIN_S * 1000))

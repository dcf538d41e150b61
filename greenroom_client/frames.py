"""The two forms of a frame on the wire: JSON in text, msgpack in binary."""

import json
from enum import StrEnum
from typing import Any

import aiohttp
import msgpack

Frame = dict[str, Any]


class Form(StrEnum):
    """How a connection writes its frames; the server answers likewise."""

    JSON = "json"
    MSGPACK = "msgpack"


def pack(form: Form, frame: Frame) -> str | bytes:
    """One frame as it goes over the wire: text for JSON, bytes for msgpack."""
    if form is Form.JSON:
        return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    packed: bytes = msgpack.packb(frame)
    return packed


async def send(socket: aiohttp.ClientWebSocketResponse, packed: str | bytes) -> None:
    """Write a packed frame."""
    if isinstance(packed, str):
        await socket.send_str(packed)
    else:
        await socket.send_bytes(packed)


def unpack(message: aiohttp.WSMessage) -> Frame:
    """The frame in a text or binary message, whichever the server chose; a ValueError when it is none."""
    frame = json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else msgpack.unpackb(message.data)
    if not isinstance(frame, dict):
        raise ValueError("a frame is a map")
    return frame

"""How frames are written: JSON in text frames, msgpack in binary ones, each as bytes ready for the connection."""

from typing import Any

from pydantic_core import to_json

from schemas.messages import pack

JSON, MSGPACK = 1, 2
"""The forms are the opcodes of their WebSocket frames."""
PONG = 10


def framed(opcode: int, payload: bytes) -> bytes:
    """One unmasked WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def encoded(form: int, frame: dict[str, Any]) -> bytes:
    """The frame in this form, ready for the connection."""
    return framed(form, to_json(frame) if form == JSON else pack(frame))


class Shared:
    """A frame for many sockets, encoded once for each form and each name that its topic goes by."""

    __slots__ = ("_encoded", "frame")

    def __init__(self, frame: dict[str, Any]) -> None:
        self.frame = frame
        self._encoded: dict[tuple[int, str], bytes] = {}

    def bytes_for(self, form: int, topic: str) -> bytes:
        known = self._encoded.get((form, topic))
        if known is None:
            frame = {**self.frame, "meta": {**self.frame["meta"], "topic": topic}}
            known = self._encoded[form, topic] = encoded(form, frame)
        return known

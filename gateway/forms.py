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


def payload(form: int, value: Any) -> bytes:
    """The value in this form."""
    return to_json(value) if form == JSON else pack(value)


def reply(form: int, meta: dict[str, Any], data: bytes) -> bytes:
    """The frame of a reply whose data is encoded already (see frames.reply for its shape)."""
    if form == JSON:
        return framed(form, b'{"meta":%b,"type":"reply","data":%b}' % (to_json(meta), data))
    return framed(form, b"".join((_REPLY_MAP, pack(meta), _REPLY_TYPE, data)))


_REPLY_MAP = b"\x83" + pack("meta")
"""A msgpack map of three members, and the name of the first."""
_REPLY_TYPE = pack("type") + pack("reply") + pack("data")


def encoded(form: int, frame: dict[str, Any]) -> bytes:
    """The frame in this form, ready for the connection."""
    return framed(form, payload(form, frame))


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

"""What a WebSocket carries: the frames that clients send, checked, and the frames that the server answers with."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from schemas.limits import INTEGER_MAX, KEY_CHARS_MAX, OP_CHARS_MAX
from schemas.shape import Key, Shape, holds_control_characters

TOKEN_CHARS_MAX = 8 * 1024
TIMESTAMP_CHARS_MAX = 64


def _printable(text: str) -> str:
    if holds_control_characters(text):
        raise ValueError("must not hold control characters")
    return text


FrameId = Annotated[str, Field(max_length=KEY_CHARS_MAX)] | Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
"""What the client calls the frame; the answer carries it in `meta.id`."""

Bearer = Annotated[str, Field(min_length=1, max_length=TOKEN_CHARS_MAX)]
"""`Bearer <access token>`, as in the header of the same name."""

Op = Annotated[str, Field(min_length=1, max_length=OP_CHARS_MAX), AfterValidator(_printable)]
"""Names the request: the same op id never has two effects."""

Topic = Annotated[str, Field(min_length=3, max_length=2 * KEY_CHARS_MAX), AfterValidator(_printable)]
"""`kind:key`, such as `leaderboard:main`; `player:me` is the caller's own player."""


class AuthFrame(Shape):
    """Proves who the client is; again before the token expires."""

    type: Literal["auth"]
    id: FrameId | None = None
    auth: Bearer


class CommandFrame(Shape):
    """A request to one actor; answered by `reply` or `error`."""

    type: Literal["command"]
    id: FrameId | None = None
    op: Op | None = None
    kind: Key
    key: Key
    name: Key
    data: dict[str, Any] = {}


class QueryFrame(Shape):
    """A question to one actor; answered by `reply` or `error`."""

    type: Literal["query"]
    id: FrameId | None = None
    kind: Key
    key: Key
    name: Key
    data: dict[str, Any] = {}


class SubscribeFrame(Shape):
    """Listen to a topic, from now on or from what came after push number `after`."""

    type: Literal["subscribe"]
    id: FrameId | None = None
    topic: Topic | None = None
    after: Annotated[int, Field(ge=0, le=INTEGER_MAX)] | None = None
    auth: Bearer | None = None


class UnsubscribeFrame(Shape):
    """Listen to a topic no longer."""

    type: Literal["unsubscribe"]
    id: FrameId | None = None
    topic: Topic


class PingFrame(Shape):
    """Asks for a sign of life; answered by `pong` with the same timestamp."""

    type: Literal["ping"]
    id: FrameId | None = None
    timestamp: Annotated[str, Field(max_length=TIMESTAMP_CHARS_MAX)] | int | None = None


class PongFrame(Shape):
    """Answers the server's `ping`."""

    type: Literal["pong"]
    id: FrameId | None = None
    timestamp: Annotated[str, Field(max_length=TIMESTAMP_CHARS_MAX)] | int | None = None


class PresenceFrame(Shape):
    """Says that the user is away from this connection, or back; being silent for five minutes says so as well."""

    type: Literal["presence"]
    id: FrameId | None = None
    status: Literal["online", "away"]


ClientFrame = (
    AuthFrame | CommandFrame | QueryFrame | SubscribeFrame | UnsubscribeFrame | PingFrame | PongFrame | PresenceFrame
)

CLIENT_FRAMES: dict[str, type[ClientFrame]] = {
    "auth": AuthFrame,
    "command": CommandFrame,
    "query": QueryFrame,
    "subscribe": SubscribeFrame,
    "unsubscribe": UnsubscribeFrame,
    "ping": PingFrame,
    "pong": PongFrame,
    "presence": PresenceFrame,
}


class Meta(Shape):
    """What every server frame says about itself. `code` is as in HTTP."""

    code: int
    id: FrameId | None = None
    topic: str | None = None
    seq: int | None = None
    version: int | None = None
    reset: bool | None = None


class Problem(Shape):
    """Why something was refused; further members depend on the code."""

    code: str
    message: str
    request_id: str


class ServerFrame(Shape):
    """An answer, a push, or news of the connection, by `type`."""

    meta: Meta
    type: str
    data: Any = None
    changes: list[Any] | None = None
    error: Problem | None = None


MISREAD, POLICY, RESTART, TRY_LATER = 1007, 1008, 1012, 1013
EXPIRED, BARRED, SLOW, SILENT, CROWDED = 4401, 4403, 4408, 4409, 4429
"""Codes that the gateway closes connections with; those from 4000 on are its own."""

CLOSES: dict[int, tuple[str, bool]] = {
    1000: ("closed by the client", False),
    1001: ("the server goes away", True),
    1002: ("protocol violated", False),
    MISREAD: ("a text frame was no UTF-8, or ten frames in a row could not be decoded", False),
    POLICY: ("not authenticated: no first frame in time, or a token that is not accepted", False),
    1009: ("a frame over 64 KiB", False),
    1011: ("a bug in the server", True),
    RESTART: ("the server restarts; the `disconnect` frame says when to come back", True),
    TRY_LATER: ("too many connections wait for authentication", True),
    EXPIRED: ("the token expired or was revoked: get a new one first", True),
    BARRED: ("banned or suspended", False),
    SLOW: ("slow_consumer: pushes were not read in time", True),
    SILENT: ("no pong within 60 s", True),
    CROWDED: ("too_many_connections of this user", False),
}
"""Close codes: what they mean, and whether connecting again may help."""


def reply(id_: str | int | None, version: int | None, data: Any) -> dict[str, Any]:
    """The answer to a command or query."""
    meta: dict[str, Any] = {"code": 200}
    if id_ is not None:
        meta["id"] = id_
    if version is not None:
        meta["version"] = version
    return {"meta": meta, "type": "reply", "data": data}


def error(id_: str | int | None, status: int, problem: dict[str, Any], topic: str | None = None) -> dict[str, Any]:
    """The refusal of whatever the client sent under this id."""
    meta: dict[str, Any] = {"code": status}
    if id_ is not None:
        meta["id"] = id_
    if topic is not None:
        meta["topic"] = topic
    return {"meta": meta, "type": "error", "error": problem}


def answer(id_: str | int | None, type_: str, data: Any = None, **meta: Any) -> dict[str, Any]:
    """Any other server frame; `meta` holds what is known of id, topic and seq."""
    known: dict[str, Any] = {"code": 200}
    if id_ is not None:
        known["id"] = id_
    known.update((name, value) for name, value in meta.items() if value is not None)
    frame: dict[str, Any] = {"meta": known, "type": type_}
    if data is not None:
        frame["data"] = data
    return frame


def push(topic: str, type_: str, seq: int, data: Any, changes: list[Any] | None = None) -> dict[str, Any]:
    """What a topic tells."""
    frame = {"meta": {"code": 200, "topic": topic, "seq": seq}, "type": type_, "data": data}
    if changes is not None:
        frame["changes"] = changes
    return frame

"""What travels between routers and hosts: requests, replies and news, packed as msgpack in batches."""

from typing import Any, NamedTuple

import msgpack

from schemas.problems import MOVED

COMMAND, QUERY, PARCEL, SUBSCRIBE, CONTROL = range(5)
"""Verbs of a request: a command, a query, a parcel of tells, a topic's present state or tail, the runtime's own."""


class Caller(NamedTuple):
    """Who asks. `internal` is Greenroom itself: a tell, a consult, a reminder or an operator's tool."""

    user: str = ""
    roles: tuple[str, ...] = ()
    internal: bool = False


SYSTEM = Caller(internal=True)


class Request(NamedTuple):
    """One message to one actor. `data` is msgpack of the validated fields, in field order, so equal requests are
    equal bytes. `attempt` counts resends by the router: a resend joins a turn that is still running."""

    verb: int
    kind: str
    key: str
    name: str
    op: str
    caller: Caller
    data: bytes
    attempt: int = 0
    trace: str = ""
    watch: bool = False


class Reply(NamedTuple):
    """The answer: `status` as in HTTP; `data` is the answer, or a packed Refusal when the status is not 200."""

    status: int
    version: int
    data: Any


MOVED_REPLY = Reply(MOVED, 0, None)
"""What a host answers for an actor that it does not own."""


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(packed: bytes) -> Any:
    return msgpack.unpackb(packed, raw=False, strict_map_key=False, use_list=True)

"""The host's end of a link: takes batches of requests in, and sends replies and news out, in order."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgpack
import structlog

from actors.runtime.cell import Delivery
from schemas.address import Address
from schemas.messages import Caller, Reply, Request, pack
from schemas.problems import Refusal

_log = structlog.get_logger("links")

NEWS, ACK = -1, -2
"""What stands where replies have their numbers."""


class Receiver(Protocol):
    """What a link delivers to: a Host."""

    def receive(self, session: Any, requests: Any) -> None: ...

    def accept(self, delivery: Delivery) -> None: ...


def unpack_batch(frame: bytes) -> Any:
    """What a router's frame says. Tuples, because that is what requests and callers are made of."""
    return msgpack.unpackb(frame, use_list=False)


def unpack_request(packed: tuple[Any, ...]) -> Request:
    verb, kind, key, name, op, (user, roles, internal), data, attempt, trace, watch = packed
    return Request(verb, kind, key, name, op, Caller(user, roles, internal), data, attempt, trace, watch)


class Outgoing:
    """The host's end of one link: collects replies and news of one pass of the event loop into one frame."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._write = write
        self._items: list[Any] = []
        self._scheduled = False

    def add(self, item: Any) -> None:
        self._items.append(item)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def flush(self) -> None:
        """Write what was collected, now."""
        items, self._items = self._items, []
        if items:
            self._write(items)

    def _flush(self) -> None:
        self._scheduled = False
        self.flush()


class HostSession:
    """A Session (see cell) over an Outgoing."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._out = Outgoing(write)

    def reply(self, number: int, reply: Reply) -> None:
        self._out.add((number, reply.status, reply.version, reply.data))

    def news(self, address: Address, version: int, *, last: bool = False) -> None:
        """Leaves at once: before the replies of the same commit, whose readers may ask this link's caches next."""
        self._out.add((NEWS, address.kind, address.key, version, last))
        self._out.flush()

    def ack(self) -> None:
        self._out.add((ACK,))

    def take(self, host: Receiver, batch: Iterable[Any]) -> None:
        """Hand a batch to the host and acknowledge it."""
        host.receive(self, [(number, unpack_request(packed)) for number, packed in batch])
        self.ack()


def pack_items(items: list[Any]) -> bytes:
    """What a host says, packed. A reply that cannot be packed becomes a refusal: it must not take the others along, nor
    the acknowledgement without which the link would stand still."""
    try:
        return pack(items)
    except (TypeError, ValueError, OverflowError):
        return pack([item if _can_be_packed(item) else _unsaid(item[0]) for item in items])


def _can_be_packed(item: Any) -> bool:
    try:
        pack(item)
    except (TypeError, ValueError, OverflowError) as error:
        _log.error("reply_not_packed", reason=str(error)[:200])
        return False
    return True


def _unsaid(number: int) -> tuple[int, int, int, Any]:
    refusal = Refusal("INTERNAL")
    return number, refusal.status, 0, refusal.pack()

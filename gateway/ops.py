"""Op ids: the identity of a request, in the name space of its caller, for one actor only."""

import asyncio
import hashlib
import itertools
import os
from collections import OrderedDict, deque

from aiohttp import web

from actors.runtime.bus import Bus
from gateway import decode
from schemas.address import Address
from schemas.frames import Op
from schemas.limits import OP_CHARS_MAX
from schemas.messages import Caller, pack, unpack
from schemas.problems import Refusal
from schemas.shape import Shape

CHANNEL = "ops"
"""Gateways tell each other here which op ids they were given: msgpack of [[op, kind, key], ...]."""
KEPT_MAX = 50_000
HEARD_BYTES_MAX = 8 << 20
"""Of what others told and nobody asked for yet: about as many op ids as are remembered."""
TELL_EVERY_S = 0.02
"""The first of several is told at once; a message for each would cost more than the requests."""

_made = (f"gw-{os.urandom(8).hex()}-{number:x}" for number in itertools.count(1))


class Named(Shape):
    """What the client calls its request, if anything."""

    op: Op | None = None


def key_of(request: web.Request) -> str | None:
    """The request's `Idempotency-Key`."""
    return decode.shaped(Named, {"op": decode.checked(request.headers.get("Idempotency-Key"))}).op


def op_of(caller: Caller, given: str | None) -> str:
    """The op id in the caller's own name space, whatever others call their requests; a new one when none is given."""
    if given is None:
        return next(_made)
    op = f"{caller.user}:{given}"
    if len(op) <= OP_CHARS_MAX:
        return op
    return f"{caller.user}:#{hashlib.blake2b(given.encode(), digest_size=24).hexdigest()}"


class Ops:
    """Op ids as clients give them, refused when they were given for another actor before.

    An actor itself knows the requests that it had, for good. That one op id went to two actors only their gateways can
    see: they remember the last 50,000 and tell each other at once, which takes about a millisecond.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._actors: OrderedDict[int, int] = OrderedDict()
        """By the op id's hash, the hash of the actor that it was for; the oldest first."""
        self._heard: deque[bytes] = deque()
        """What others told, as it came: a gateway that stands by need not look into it."""
        self._heard_bytes = 0
        self._untold: list[tuple[str, str, str]] = []
        self._telling = False
        """Whether `_tell` will look again for what is untold."""

    def open(self) -> None:
        self._bus.subscribe(CHANNEL, self._told)

    def close(self) -> None:
        self._bus.unsubscribe(CHANNEL, self._told)

    def of(self, caller: Caller, given: str | None, address: Address) -> str:
        """The op id as actors know it. Refused as OP_REUSED when it is known to be another actor's."""
        op = op_of(caller, given)
        if given is None:
            return op
        if self._heard:
            self._learn()
        before = self._actors.get(hash(op))
        if before is None:
            self._keep(op, address)
            self._untold.append((op, address.kind, address.key))
            if not self._telling:
                self._telling = True
                asyncio.get_running_loop().call_soon(self._tell)
        elif before != hash(address):
            raise Refusal("OP_REUSED", "This operation id was used for another request.")
        return op

    def _keep(self, op: str, address: Address) -> None:
        self._actors[hash(op)] = hash(address)
        if len(self._actors) > KEPT_MAX:
            self._actors.popitem(last=False)

    def _tell(self) -> None:
        self._telling = bool(self._untold)
        if self._telling:
            self._bus.publish(CHANNEL, pack(self._untold))
            self._untold.clear()
            asyncio.get_running_loop().call_later(TELL_EVERY_S, self._tell)

    def _told(self, message: bytes) -> None:
        self._heard.append(message)
        self._heard_bytes += len(message)
        while self._heard_bytes > HEARD_BYTES_MAX:
            self._heard_bytes -= len(self._heard.popleft())

    def _learn(self) -> None:
        """Take over what others told."""
        for message in self._heard:
            for op, kind, key in unpack(message):
                # The first word counts. Of two requests that cross, both are accepted, each by its own actor.
                if hash(op) not in self._actors:
                    self._keep(op, Address(kind, key))
        self._heard.clear()
        self._heard_bytes = 0

"""A command or query from outside, made ready for its actor: found, admitted, checked and packed."""

from asyncio import Future
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from actors.catalog import Catalog
from actors.core import ANYONE, OWNER, Command, Gather, Query, admit, pack_fields
from actors.runtime.router import Router
from gateway import decode
from gateway.floods import Floods
from gateway.ops import Ops
from schemas.address import Address
from schemas.limits import KEY_CHARS_MAX
from schemas.messages import COMMAND, Caller, Reply
from schemas.problems import Refusal
from schemas.shape import Key, Shape

ME = "me"

_KEY: TypeAdapter[str] = TypeAdapter(Key)
_SIMPLE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")

Message = type[Command[Any]] | type[Query[Any]] | type[Gather]
Audit = Callable[[Caller, str, Address, str, str], None]
"""Told of each call that only a role admits: who, by which role, to which actor, what, under which request id."""


class Found(NamedTuple):
    """What can be called by one name. `verb` is COMMAND or QUERY; `gathers` when several actors answer."""

    verb: int
    name: str
    message: Message
    gathers: bool


class Calls:
    """Prepares calls and hands them to the router."""

    def __init__(self, catalog: Catalog, router: Router, ops: Ops, audit: Audit) -> None:
        self.ops = ops
        self._catalog = catalog
        self._router = router
        self._audit = audit
        self._floods = Floods()
        self._found: dict[tuple[int, str, str], Found] = {}

    def find(self, verb: int, kind: str, name: str) -> Found:
        """The public command or query of this name; refused as unknown when there is none."""
        found = self._found.get((verb, kind, name))
        if found is not None:
            return found
        known = self._catalog.kind(kind)
        message: Message = known.command(name) if verb == COMMAND else known.query(name)
        if not message.public:
            raise known.no_command(name) if verb == COMMAND else known.no_query(name)
        found = Found(verb, name, message, issubclass(message, Gather))
        self._found[verb, kind, name] = found
        return found

    def admit(
        self,
        found: Found,
        kind: str,
        key: str,
        caller: Caller,
        trace: str = "",
        *,
        audited: bool = True,
        came_from: str = "",
        over: Refusal | None = None,
    ) -> Address:
        """The actor that is meant, when the caller may ask it this, and has not asked too much of the kind.

        Queries that a role admits are audited here. A command is audited by its turn in the journal, in one commit
        with its effect; the view `audit_log` shows both.
        """
        right = self.may(found, key, caller, over)
        if found.verb == COMMAND:
            self._floods.count(kind, found.name, caller, came_from)
        address = address_of(kind, key, caller)
        if found.verb != COMMAND and audited and right not in (OWNER, ANYONE):
            self._audit(caller, right, address, found.name, trace)
        return address

    def admit_many(self, found: Found, kind: str, caller: Caller, trace: str = "", over: Refusal | None = None) -> None:
        """Whether the caller may ask this of any actor of the kind; audited once, however many follow."""
        right = self.may(found, "", caller, over)
        if right not in (OWNER, ANYONE):
            self._audit(caller, right, Address(kind, "*"), found.name, trace)

    def may(self, found: Found, key: str, caller: Caller, over: Refusal | None = None) -> str:
        """By which right the caller may ask this of the actor with this key, which need not be a fit one. Who may, but
        has asked too much, meets the refusal `over`."""
        right = admit(found.message, caller.user if key == ME else key, caller)
        if over is not None:
            raise over
        return right

    def ask(self, found: Found, address: Address, fields: Shape, caller: Caller, op: str, trace: str) -> Future[Reply]:
        """Hand the checked message to the router; the future always gets a reply, a refusal included."""
        return self._router.ask(address, found.verb, found.name, pack_fields(fields), caller=caller, op=op, trace=trace)

    async def asked(
        self, found: Found, address: Address, fields: Shape, caller: Caller, op: str = "", trace: str = ""
    ) -> Reply:
        """The reply to the checked message; raises the Refusal when there is one."""
        reply = await self.ask(found, address, fields, caller, op, trace)
        if reply.status != 200:
            raise refusal_of(reply)
        return reply


def address_of(kind: str, key: str, caller: Caller) -> Address:
    """The address; key `me` is the caller's own player."""
    if key == ME:
        return Address(kind, caller.user)
    if len(key) <= KEY_CHARS_MAX and _SIMPLE.issuperset(key) and key:
        return Address(kind, key)
    try:
        return Address(kind, _KEY.validate_python(key))
    except ValidationError as error:
        raise decode.invalid(error, "key") from None


def refusal_of(reply: Reply) -> Refusal:
    """The refusal that a reply other than 200 carries."""
    return Refusal.unpack(reply.status, reply.data)

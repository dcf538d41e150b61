"""REST: one way for commands, one for queries, for the generic paths and for each row of the table."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from pydantic_core import to_json

from actors.core import Gather
from gateway import decode, errors
from gateway.cache import Cache
from gateway.calls import Calls, Found
from gateway.identity import address_of as address_of_peer
from gateway.identity import caller_of, identity, over_limit, request_id
from gateway.ops import Named, key_of
from gateway.presence_watch import PresenceWatch
from gateway.table import API, ROWS, Key, Row
from schemas.address import Address
from schemas.limits import BATCH_ITEMS_MAX
from schemas.messages import COMMAND, QUERY, Caller, Reply
from schemas.problems import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The handlers, and what they need."""

    def __init__(self, calls: Calls, cache: Cache, watch: PresenceWatch) -> None:
        self._calls = calls
        self._cache = cache
        self._watch = watch

    def routes(self) -> list[web.RouteDef]:
        """All paths that lead to actors."""
        # Among rows of one method, fixed paths stand before those with members.
        rows = sorted(ROWS, key=lambda row: "{" in row.path)
        return [
            *(web.route(row.method, row.path, self._batch(row) if row.batch else self._row(row)) for row in rows),
            web.post(f"{API}/actors/{{kind}}/{{key}}/{{name}}", self.command),
            web.get(f"{API}/actors/{{kind}}/{{key}}/{{name}}", self.query),
        ]

    async def command(self, request: web.Request) -> web.Response:
        """`POST /api/v1/actors/{kind}/{key}/{command}`"""
        kind, key, name = (request.match_info[part] for part in ("kind", "key", "name"))
        found = self._calls.find(COMMAND, kind, name)
        caller = caller_of(identity(request))
        peer, over = address_of_peer(request), over_limit(request)
        address = self._calls.admit(found, kind, key, caller, request_id(request), came_from=peer, over=over)
        reply = await self._asked(request, found, address, caller, await decode.body_value(request))
        return _json({"ok": True, "version": reply.version, "data": reply.data})

    async def query(self, request: web.Request) -> web.Response:
        """`GET /api/v1/actors/{kind}/{key}/{query}`"""
        kind, key, name = (request.match_info[part] for part in ("kind", "key", "name"))
        found = self._calls.find(QUERY, kind, name)
        caller = caller_of(identity(request))
        address = self._calls.admit(found, kind, key, caller, request_id(request), over=over_limit(request))
        version, data = await self._answered(request, found, address, caller, dict(request.query))
        return _json({"ok": True, "version": version, "data": data})

    def _row(self, row: Row) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            found = self._calls.find(row.verb, row.kind, row.name)
            caller = caller_of(identity(request))
            # Who may not call, or has called too often, is told before body and parameters are looked at.
            given = "" if row.key.source in ("body", "query") else _key(request, row.key, {})
            self._calls.may(found, given, caller, over_limit(request))
            try:
                fields = dict(request.query) if row.verb == QUERY else await _fields(request)
                key = _key(request, row.key, fields)
                peer = address_of_peer(request)
                address = self._calls.admit(found, row.kind, key, caller, request_id(request), came_from=peer)
                fields.update((name, request.match_info[part]) for part, name in row.fields.items())
                if row.verb == QUERY:
                    _, data = await self._answered(request, found, address, caller, fields)
                    if row.present:
                        data = await self._with_presence(data, row.present, caller)
                else:
                    data = (await self._asked(request, found, address, caller, fields)).data
            except Refusal as refusal:
                raise _retold(row, refusal) from None
            headers = {"Location": row.location.format_map(data)} if row.location else {}
            return _json(row.shape(data), row.status, headers)

        return handle

    def _batch(self, row: Row) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            found = self._calls.find(row.verb, row.kind, row.name)
            caller = caller_of(identity(request))
            self._calls.admit_many(found, row.kind, caller, request_id(request), over_limit(request))
            body = await decode.body_value(request)
            items = body.get("items") if isinstance(body, dict) else None
            if not isinstance(items, list) or not 1 <= len(items) <= BATCH_ITEMS_MAX:
                raise _unfit("items", f"should be a list of 1 to {BATCH_ITEMS_MAX} items")
            key = key_of(request)
            ops = (None if key is None else f"{key}/{number}" for number in range(len(items)))
            answers = await asyncio.gather(
                *(self._item(request, row, found, caller, item, op) for item, op in zip(items, ops, strict=True))
            )
            return _json({"items": answers})

        return handle

    async def _item(
        self, request: web.Request, row: Row, found: Found, caller: Caller, item: Any, default_op: str | None
    ) -> dict[str, Any]:
        given: dict[str, Any] = {}
        try:
            if not isinstance(item, dict):
                raise Refusal("INVALID", "An item should be an object.")
            op = decode.shaped(Named, {"op": item.pop("op", None)}).op
            given = {} if op is None else {"op": op}
            op = op or default_op
            address = self._calls.admit(found, row.kind, _key(request, row.key, item), caller, audited=False)
            fields = decode.shaped(found.message, item)
            op_id = self._calls.ops.of(caller, op, address)
            reply = await self._calls.asked(found, address, fields, caller, op_id, trace=request_id(request))
            return {**given, "status": row.status, **row.shape(reply.data)}
        except Refusal as refusal:
            told = _retold(row, refusal)
            problem = errors.problem_of(told, request_id(request))
            return {**given, "status": told.status, "error": problem}

    async def _with_presence(self, data: Any, member: str, caller: Caller) -> Any:
        """The answer, with the presence of each user in one of its lists; of friends only, if it says so."""
        users = [entry["userId"] for entry in data[member]]
        friends_only = data.get("presence") == "friends"
        statuses = await self._watch.seen_by(caller.user, users, friends_only=friends_only)
        return {**data, member: [{**entry, "presence": statuses[entry["userId"]]} for entry in data[member]]}

    async def _asked(self, request: web.Request, found: Found, address: Address, caller: Caller, fields: Any) -> Reply:
        message = decode.shaped(found.message, fields)
        op = self._calls.ops.of(caller, key_of(request), address)
        return await self._calls.asked(found, address, message, caller, op, trace=request_id(request))

    async def _answered(
        self, request: web.Request, found: Found, address: Address, caller: Caller, texts: dict[str, Any]
    ) -> tuple[int, Any]:
        message = decode.shaped_texts(found.message, texts)
        if found.gathers:
            answer = await self._cache.answer(address.kind, address.key, cast(Gather, message), caller)
            return answer.version, answer.data
        reply = await self._calls.asked(found, address, message, caller, trace=request_id(request))
        return reply.version, reply.data


async def _fields(request: web.Request) -> dict[str, Any]:
    body = await decode.body_value(request)
    if not isinstance(body, dict):
        raise Refusal("INVALID", "The body should be an object.")
    return body


def _key(request: web.Request, key: Key, fields: dict[str, Any]) -> str:
    """The actor's key; taken out of the fields where it is one of them."""
    if key.source == "fixed":
        return key.name
    if key.source == "path":
        return key.through(request.match_info[key.name])
    found = fields.pop(key.name, key.default)
    if not isinstance(found, str) or not found:
        raise _unfit(key.name, "should be a text")
    return key.through(found)


def _unfit(field: str, problem: str) -> Refusal:
    """What the shape of a message would say, of a member that is none of its fields."""
    return Refusal("INVALID", f"{field}: {problem}.", fields=[{"field": field, "problem": problem}])


def _retold(row: Row, refusal: Refusal) -> Refusal:
    status_and_code = row.refused_as.get(refusal.code)
    if status_and_code is None:
        return refusal
    status, code = status_and_code
    return Refusal(code, refusal.message, status=status, **refusal.details)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=to_json(value), content_type="application/json", headers=headers)

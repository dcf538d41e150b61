"""The OpenAPI document of REST, made from the table and the catalog."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from actors.catalog import Catalog
from actors.core import ANYONE, OWNER
from gateway.calls import Message
from gateway.plain import ROWS as PLAIN
from gateway.plain import Plain
from gateway.table import API, ROWS, Row
from schemas.limits import BATCH_ITEMS_MAX, OP_CHARS_MAX
from schemas.messages import COMMAND
from schemas.problems import PROBLEMS

_REF = "#/components/schemas/{model}"
_ERRORS = ("400", "401", "403", "404", "409", "413", "422", "429", "431", "500", "503")
_WHO = {"": "everybody", "player": "any authenticated user"}
_OP = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": OP_CHARS_MAX},
    "description": "Names the request: repeated under the same key it has one effect and gets the same answer.",
}


def messages(catalog: Catalog) -> Iterator[tuple[str, str, Message]]:
    """Every public message: its kind, `command` or `query`, and its class."""
    for kind in sorted(catalog.kinds.values(), key=lambda kind: kind.name):
        for command in kind.commands.values():
            if command.public:
                yield kind.name, "command", command
        for query in kind.queries.values():
            if query.public:
                yield kind.name, "query", query
        for gather in kind.gathers.values():
            if gather.public:
                yield kind.name, "query", gather


def schemas_of(catalog: Catalog) -> tuple[dict[str, Any], dict[str, Any]]:
    """References to the schema of each public message, by kind.name, and the schemas they refer to."""
    classes = {f"{kind}.{message.wire_name}": message for kind, _, message in messages(catalog)}
    refs, definitions = models_json_schema(
        [(message, "validation") for message in classes.values()], by_alias=True, ref_template=_REF
    )
    return {name: refs[message, "validation"] for name, message in classes.items()}, definitions.get("$defs", {})


def who(message: Message) -> str:
    """Who may send the message, in words."""
    names = {OWNER: "the player whose actor it is", ANYONE: "any authenticated user"}
    return ", ".join(names.get(caller, f"role {caller}") for caller in sorted(message.callers))


def document(catalog: Catalog, version: str) -> dict[str, Any]:
    """The document, as OpenAPI 3.1."""
    refs, definitions = schemas_of(catalog)
    paths: dict[str, Any] = {}
    for kind, form, message in messages(catalog):
        path = f"{API}/actors/{kind}/{{key}}/{message.wire_name}"
        method = "post" if form == "command" else "get"
        schema = refs[f"{kind}.{message.wire_name}"]
        paths.setdefault(path, {})[method] = _operation(
            message, f"{kind}.{message.wire_name}", kind, path, schema, definitions
        )
    public = {(kind, form, message.wire_name): message for kind, form, message in messages(catalog)}
    for row in ROWS:
        found = public.get((row.kind, "command" if row.verb == COMMAND else "query", row.name))
        if found is not None:
            operation_id = re.sub(r"\W+", "_", f"{row.method.lower()}{row.path}").strip("_")
            schema = refs[f"{row.kind}.{row.name}"]
            operation = _operation(found, operation_id, row.kind, row.path, schema, definitions, row)
            paths.setdefault(row.path, {})[row.method.lower()] = operation
    for plain in PLAIN:
        paths.setdefault(plain.path, {})[plain.method.lower()] = _plain_operation(plain, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": version,
            "description": "An actor-model game backend. Errors have one form everywhere; see `Error`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {**definitions, "Error": _error()},
            "responses": {
                "Refused": {
                    "description": "Refused; `code` says why",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _plain_operation(plain: Plain, definitions: dict[str, Any]) -> dict[str, Any]:
    """A path that leads to no actor."""
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{plain.method.lower()}{plain.path}").strip("_"),
        "tags": ["server" if plain.role is None and plain.body is None else "accounts"],
        "summary": plain.summary,
        "description": f"Open to {_WHO.get(plain.role or '', f'role {plain.role}')}.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", plain.path)
        ]
        + ([_OP] if plain.once else []),
        "responses": {
            str(plain.status): {"description": "Done"},
            **{status: {"$ref": "#/components/responses/Refused"} for status in _ERRORS},
        },
    }
    if plain.role is None:
        operation["security"] = []
    if plain.body is not None:
        schema = plain.body.model_json_schema(by_alias=True, ref_template=_REF)
        definitions.update(schema.pop("$defs", {}))
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _operation(
    message: Message,
    operation_id: str,
    kind: str,
    path: str,
    schema: dict[str, Any],
    definitions: dict[str, Any],
    row: Row | None = None,
) -> dict[str, Any]:
    """One operation. A row's path members and key are not fields of its body."""
    reads = row.method == "GET" if row is not None else not hasattr(message, "decide")
    in_path = re.findall(r"{(\w+)}", path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path
    ]
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [kind],
        "summary": (message.__doc__ or message.wire_name).strip().splitlines()[0],
        "description": f"Open to {who(message)}.",
        "parameters": parameters,
        "responses": {
            str(row.status if row is not None else 200): {
                "description": "Done",
                "content": {"application/json": {"schema": {}}},
            },
            **{status: {"$ref": "#/components/responses/Refused"} for status in _ERRORS},
        },
    }
    known = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    if reads:
        taken = set(row.fields.values()) if row is not None else set()
        for name, described in known.get("properties", {}).items():
            if name not in taken:
                required = name in known.get("required", ())
                parameters.append({"name": name, "in": "query", "required": required, "schema": described})
        if row is not None and row.key.source == "query":
            default = {"type": "string", "default": row.key.default}
            parameters.append({"name": row.key.name, "in": "query", "required": False, "schema": default})
    else:
        parameters.append(_OP)
        operation["requestBody"] = {"content": {"application/json": {"schema": _body(schema, known, row)}}}
    return operation


def _body(schema: dict[str, Any], known: dict[str, Any], row: Row | None) -> dict[str, Any]:
    if row is None or (row.key.source != "body" and not row.fields):
        return schema
    properties = {name: of for name, of in known.get("properties", {}).items() if name not in row.fields.values()}
    required = [name for name in known.get("required", ()) if name in properties]
    if row.key.source == "body":
        properties = {row.key.name: {"type": "string"}, **properties}
        required = [row.key.name, *required]
    body = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if not row.batch:
        return body
    body["properties"] = {"op": {"type": "string"}, **properties}
    items = {"type": "array", "items": body, "minItems": 1, "maxItems": BATCH_ITEMS_MAX}
    return {"type": "object", "properties": {"items": items}, "required": ["items"]}


def _error() -> dict[str, Any]:
    codes = sorted(PROBLEMS)
    return {
        "type": "object",
        "properties": {
            "error": {"type": "string", "description": "What happened, for people"},
            "code": {"type": "string", "description": f"For machines: a rule's fact, or one of {', '.join(codes)}"},
            "message": {"type": "string", "description": "Details, for people"},
            "requestId": {"type": "string", "description": "Finds the request in the log"},
            "retryAfter": {"type": "number", "description": "Seconds after which to try again"},
        },
        "required": ["error", "code", "message", "requestId"],
    }

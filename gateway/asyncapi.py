"""The AsyncAPI document of the WebSocket, made from the frames and the catalog."""

from typing import Any

from pydantic.json_schema import models_json_schema

from actors.catalog import Catalog
from gateway.openapi import messages, schemas_of, who
from gateway.table import API
from schemas.frames import CLIENT_FRAMES, CLOSES, ServerFrame

_REF = "#/components/schemas/{model}"


def document(catalog: Catalog, version: str) -> dict[str, Any]:
    """The document, as AsyncAPI 3.0. Its messages `command.<kind>.<name>` say what `data` holds."""
    models = [*CLIENT_FRAMES.values(), ServerFrame]
    refs, frame_schemas = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REF
    )
    data_refs, data_schemas = schemas_of(catalog)
    sent: dict[str, Any] = {}
    for type_, model in CLIENT_FRAMES.items():
        if type_ not in ("command", "query"):
            sent[type_] = _message(type_, model.__doc__ or type_, refs[model, "validation"])
    for kind, type_, message in messages(catalog):
        name = f"{type_}.{kind}.{message.wire_name}"
        frame = refs[CLIENT_FRAMES[type_], "validation"]
        narrowed = {
            "properties": {
                "kind": {"const": kind},
                "name": {"const": message.wire_name},
                "data": data_refs[f"{kind}.{message.wire_name}"],
            }
        }
        summary = f"{(message.__doc__ or name).strip().splitlines()[0]} Open to {who(message)}."
        sent[name] = _message(name, summary, {"allOf": [frame, narrowed]})
    received = {"frame": _message("frame", ServerFrame.__doc__ or "", refs[ServerFrame, "validation"])}
    topics = sorted(name for name, kind in catalog.kinds.items() if kind.actor.pushes)
    closes = "; ".join(f"{code} {meaning}" for code, (meaning, _) in sorted(CLOSES.items()))
    channels = {
        name: {
            "address": address,
            "description": description,
            "messages": {
                _id(message): {"$ref": f"#/components/messages/{_id(message)}"} for message in (*sent, *received)
            },
        }
        for name, address, description in (
            ("socket", f"{API}/ws", f"Topics: {', '.join(f'{kind}:<key>' for kind in topics)}. Closes: {closes}."),
            ("board", f"{API}/ws/leaderboard", "The same; it listens to leaderboard:main from its first frame."),
        )
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Greenroom",
            "version": version,
            "description": "JSON in text frames, msgpack in binary ones; answers come in the form last used.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"{verb}_{channel}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{_id(message)}"} for message in group],
            }
            for channel in channels
            for verb, action, group in (("ask", "receive", sent), ("tell", "send", received))
        },
        "components": {
            "messages": {_id(name): message for name, message in (sent | received).items()},
            "schemas": {**data_schemas, **frame_schemas.get("$defs", {})},
        },
    }


def _id(name: str) -> str:
    return name.replace(".", "_")


def _message(name: str, summary: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "summary": summary.strip().splitlines()[0], "payload": payload}

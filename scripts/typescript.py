"""The catalog as TypeScript types: what can be said to each kind, for the TypeScript client.

`python -m scripts.typescript` writes clients/typescript/src/catalog.ts anew.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from actors.catalog import Catalog

TARGET = Path(__file__).resolve().parents[1] / "clients" / "typescript" / "src" / "catalog.ts"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_HEAD = """\
/** What can be said to each kind of actor. Made from the catalog by `python -m scripts.typescript`: do not edit. */
"""


def catalog_types(catalog: Catalog) -> str:
    """The text of the module: three interfaces that map kinds and names to the fields of messages."""
    kinds = [kind for _, kind in sorted(catalog.kinds.items()) if kind.actor.__module__.startswith("actors.")]
    shelves: list[tuple[str, str, dict[str, Mapping[str, type[Any]]]]] = [
        ("Commands", "requests that change an actor", {kind.name: kind.commands for kind in kinds}),
        ("Queries", "questions to one actor", {kind.name: kind.queries for kind in kinds}),
        ("Gathers", "questions that several actors answer together", {kind.name: kind.gathers for kind in kinds}),
    ]
    parts = [_HEAD]
    for name, meaning, shelf in shelves:
        members = "".join(_member(kind, messages) for kind, messages in shelf.items())
        parts.append(f"/** By kind and name: {meaning}. */\nexport interface {name} {{\n{members}}}\n")
    return "\n".join(parts)


def _member(kind: str, messages: Mapping[str, type[Any]]) -> str:
    public = [(name, message) for name, message in sorted(messages.items()) if message.public]
    if not public:
        return ""
    lines = [f"  {kind}: {{\n"]
    for name, message in public:
        first, *_ = (message.__doc__ or "").strip().splitlines() or [""]
        if first:
            lines.append(f"    /** {first} */\n")
        lines.append(f"    {name}: {_type_of(message)};\n")
    lines.append("  };\n")
    return "".join(lines)


def _type_of(message: type[BaseModel]) -> str:
    schema = message.model_json_schema(by_alias=True)
    return _object(schema, schema.get("$defs", {}))


def _object(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    fields = [
        f"{_name(name)}{'' if name in required else '?'}: {_value(field, known)}"
        for name, field in schema.get("properties", {}).items()
    ]
    return f"{{ {'; '.join(fields)} }}" if fields else "Record<string, never>"


def _value(schema: Any, known: Mapping[str, Any]) -> str:
    if not isinstance(schema, Mapping):
        return "unknown"
    if "$ref" in schema:
        return _value(known[schema["$ref"].rpartition("/")[2]], known)
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(_value(option, known) for option in options))
    kind = schema.get("type")
    if kind == "array":
        return f"Array<{_value(schema.get('items'), known)}>"
    if kind == "object" and "properties" in schema:
        return _object(schema, known)
    if kind == "object":
        return f"Record<string, {_value(schema.get('additionalProperties'), known)}>"
    return _PLAIN.get(str(kind), "unknown")


def _name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)


def main() -> None:
    """Write the module."""
    TARGET.write_text(catalog_types(Catalog()))


if __name__ == "__main__":
    main()

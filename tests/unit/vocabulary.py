"""Everything that can be said to every kind, as text; `python -m tests.unit.vocabulary` writes it anew for review."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from actors.catalog import Catalog

GOLDEN = Path(__file__).with_name("vocabulary.txt")


def _fields(message: type[BaseModel]) -> str:
    schema = message.model_json_schema(by_alias=True)
    required = set(schema.get("required", []))
    names = [f"{name}{'' if name in required else '?'}" for name in schema.get("properties", {})]
    return f"({', '.join(names)})"


def _open_to(message: Any) -> str:
    return f" <- {', '.join(sorted(message.callers))}" if message.public else ""


def vocabulary(catalog: Catalog) -> str:
    """A line for each message of each kind that the product defines; `?` marks what may be left out."""
    lines = []
    for kind in sorted(catalog.kinds.values(), key=lambda kind: kind.name):
        if not kind.actor.__module__.startswith("actors."):
            continue
        lines.append(f"{kind.name} ({kind.actor.placement}, pushes {kind.actor.pushes or 'nothing'})")
        for shelf in ("commands", "queries", "gathers", "events"):
            for name, message in sorted(getattr(kind, shelf).items()):
                shown = " public" if shelf == "events" and message.public else ""
                callers = "" if shelf == "events" else _open_to(message)
                lines.append(
                    f"  {shelf[:-1] if shelf != 'queries' else 'query'} {name}{_fields(message)}{callers}{shown}"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(vocabulary(Catalog()), "utf-8")

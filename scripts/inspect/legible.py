"""Actors' states and turns as people read them: plain values, bounded, times as times, and no token in full."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from actors.times import rfc3339

ROWS_SHOWN = 10
_TIME_FIELD = re.compile(r"(^|_)(at|until|due)$")
_TIMES = range(10**12, 10**13)
_SECRET_FIELD = re.compile(r"token|hash|signature|password|secret", re.IGNORECASE)
_SECRET_CHARS_SHOWN = 8


def legible(value: Any) -> Any:
    """The value as maps, lists, strings, integers and booleans; of what is ordered and large the first rows."""
    if isinstance(value, BaseModel):
        return {name: legible(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value):
        return {field.name: legible(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): legible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [legible(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(legible, value), key=str)
    if hasattr(value, "rows") and hasattr(value, "__len__"):
        return {"entries": len(value), "first": legible(value.rows(0, ROWS_SHOWN))}
    if isinstance(value, bytes):
        return value.hex()
    return value


def masked(value: Any, name: str = "") -> Any:
    """The value with tokens and other secrets cut short: whoever looks needs to tell them apart, not to use them."""
    if isinstance(value, Mapping):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, name) for item in value]
    if isinstance(value, str) and len(value) > _SECRET_CHARS_SHOWN and _SECRET_FIELD.search(name):
        return value[:_SECRET_CHARS_SHOWN] + "..."
    return value


def timed(value: Any, name: str = "") -> Any:
    """The value with milliseconds in fields of times written as RFC 3339."""
    if isinstance(value, Mapping):
        return {key: timed(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [timed(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value in _TIMES and _TIME_FIELD.search(name):
        return rfc3339(value)
    return value


def as_text(value: Any) -> str:
    """The value as YAML, which also writes control characters so that no terminal obeys them."""
    text: str = yaml.safe_dump(timed(value), allow_unicode=True, sort_keys=False, width=110, default_flow_style=None)
    return text.rstrip("\n").removesuffix("\n...")


def changes(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What differs: the path, the value before and after; None where there is none. What is new or gone is told whole,
    and of a list that only grew what was added."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from changes(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list) and after[: len(before)] == before:
        yield f"{path}.+", None, after[len(before) :]
    else:
        yield path, before, after

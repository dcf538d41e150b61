"""Bytes from outside to checked values: bounded in size, depth and items, and fit for every layer behind."""

import asyncio
import re
from typing import Any, TypeVar

import msgpack
from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from gateway.wrong_fields import UNKNOWN, wrong_fields
from schemas.limits import BODY_BYTES_MAX, COLLECTION_ITEMS_MAX, INTEGER_MAX, NESTING_MAX, OP_CHARS_MAX
from schemas.problems import Refusal

BODY_TIMEOUT_S = 10.0
PROBLEMS_SHOWN_MAX = 10
LARGE_BODY_BYTES_MAX = 4 * BODY_BYTES_MAX
LARGE_BODIES = frozenset({"/api/v1/scores/award-batch", "/api/v1/players/provision"})
"""Batches of 500 items, which only a studio's own servers may send."""

T = TypeVar("T", bound=BaseModel)
READ: web.RequestKey[bytes | None] = web.RequestKey("read")
"""A body that came in chunks; None when it did not come in time."""

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def json_value(data: bytes | str) -> Any:
    """The value in this JSON text."""
    value = _parsed(data)
    # Without escapes, control characters cannot be in JSON's strings: no need to look into each.
    plain = type(data) is str and data.isascii() and "\\" not in data and "\x7f" not in data
    return checked(value, plain=plain)


def msgpack_value(data: bytes) -> Any:
    """The value in this msgpack."""
    return checked(_unpacked(data))


def id_of(data: bytes | str) -> str | int | None:
    """The `id` of a frame that was refused, so that its sender learns which one; None when it has none that is fit."""
    try:
        value = _unpacked(data) if type(data) is bytes else _parsed(data)
        given = checked(value.get("id")) if type(value) is dict else None
    except Refusal:
        return None
    return given if type(given) is int or (type(given) is str and len(given) <= OP_CHARS_MAX) else None


def _parsed(data: bytes | str) -> Any:
    try:
        return from_json(data, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refusal("INVALID", f"This is no JSON: {_first_line(error)}.") from None


def _unpacked(data: bytes | str) -> Any:
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_array_len=COLLECTION_ITEMS_MAX,
            max_map_len=COLLECTION_ITEMS_MAX,
            max_bin_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise Refusal("INVALID", f"This is no msgpack: {_first_line(error)}.") from None


def checked(value: Any, *, plain: bool = False) -> Any:
    """The same value, when nothing in it can harm what comes later; refused as INVALID otherwise.

    `plain` says that its texts are known to hold no control characters or surrogates.
    """
    level = [value]
    for _ in range(NESTING_MAX + 1):
        deeper: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                if len(item) > COLLECTION_ITEMS_MAX:
                    raise Refusal("INVALID", f"An object has more than {COLLECTION_ITEMS_MAX} members.")
                for key in item:
                    if type(key) is not str:
                        raise Refusal("INVALID", "An object's keys must be strings.")
                    if not plain and not (key.isascii() and key.isprintable()) and _UNFIT.search(key):
                        raise Refusal("INVALID", "A key holds control characters or lone surrogates.")
                deeper.extend(item.values())
            elif kind is list:
                if len(item) > COLLECTION_ITEMS_MAX:
                    raise Refusal("INVALID", f"A list has more than {COLLECTION_ITEMS_MAX} items.")
                deeper.extend(item)
            elif kind is str:
                if not plain and not (item.isascii() and item.isprintable()) and _UNFIT.search(item):
                    raise Refusal("INVALID", "A text holds control characters or lone surrogates.")
            elif kind is int:
                if not -INTEGER_MAX <= item <= INTEGER_MAX:
                    raise Refusal("INVALID", "An integer is beyond 2^53.")
            elif kind is float:
                # Also refuses NaN, which compares with nothing.
                if not -INTEGER_MAX <= item <= INTEGER_MAX:
                    raise Refusal("INVALID", "A number is not finite or beyond 2^53.")
            elif kind is not bool and item is not None:
                raise Refusal("INVALID", f"A value of type {kind.__name__} has no place here.")
        if not deeper:
            return value
        level = deeper
    raise Refusal("INVALID", f"Nested deeper than {NESTING_MAX}.")


def shaped(model: type[T], value: Any) -> T:
    """The checked value as this model; refused as INVALID with the name of each field that is wrong."""
    try:
        # By way of JSON: a list may become a tuple and a string a date, in msgpack just as in JSON.
        return model.__pydantic_validator__.validate_json(to_json(value), by_alias=True, by_name=False)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise invalid(error, value=value) from None


def shaped_frame(model: type[T], value: Any) -> T:
    """The same for models of texts, integers and maps only, which need no way by JSON."""
    try:
        return model.__pydantic_validator__.validate_python(value, by_alias=True, by_name=False)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise invalid(error, value=value) from None


def shaped_texts(model: type[T], texts: dict[str, Any]) -> T:
    """The same for the parameters of a URL, which are all texts."""
    for name, text in texts.items():
        if _UNFIT.search(name) or _UNFIT.search(text):
            raise Refusal("INVALID", "A parameter holds control characters or lone surrogates.")
    try:
        shape: T = model.__pydantic_validator__.validate_strings(texts, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error, value=texts) from None
    # A text may spell any integer; none beyond 2^53 is let in, as in a body, and beyond 2^64 none could be packed.
    checked(shape.model_dump(mode="json"))
    return shape


def invalid(error: ValidationError, whole: str = "body", value: Any = UNKNOWN) -> Refusal:
    """What is wrong with which field of the value (see wrong_fields)."""
    fields = wrong_fields(error, whole, value)[:PROBLEMS_SHOWN_MAX]
    told = "; ".join(f"{field['field']}: {field['problem']}" for field in fields)
    return Refusal("INVALID", f"{told}.", fields=fields)


async def refuse_too_large(request: web.Request) -> None:
    """Refuse a body that is too large before anything else is looked at: one that says how long it is by that, one
    that comes in chunks by reading it, no further than a body may go."""
    if (request.content_length or 0) > _bytes_max(request):
        raise _too_large(request)
    if request.content_length is None and request.can_read_body and READ not in request:
        request[READ] = await _read(request)


async def body_value(request: web.Request) -> Any:
    """What the request carries: JSON or msgpack, by its Content-Type; an empty body is an empty object."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal("INVALID", "Send the body without Content-Encoding.")
    await refuse_too_large(request)
    data = request[READ] if READ in request else await _read(request)
    if data is None:
        raise Refusal("INVALID", f"The body did not arrive within {BODY_TIMEOUT_S:g} s.")
    if not data:
        return {}
    if request.content_type in ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack"):
        return msgpack_value(data)
    if request.content_type in ("application/json", "application/octet-stream", "text/plain"):
        return json_value(data)
    raise Refusal("INVALID", f"Send application/json or application/msgpack instead of {request.content_type}.")


async def _read(request: web.Request) -> bytes | None:
    """The body, refused as soon as it is too long; None when it does not arrive in time."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.content.iter_any():
                data += part
                if len(data) > _bytes_max(request):
                    raise _too_large(request)
    except TimeoutError:
        return None
    return bytes(data)


async def body(request: web.Request, model: type[T]) -> T:
    """The request's body as this model; refused as INVALID with the name of each field that is wrong."""
    return shaped(model, await body_value(request))


def _bytes_max(request: web.Request) -> int:
    return LARGE_BODY_BYTES_MAX if request.path in LARGE_BODIES else BODY_BYTES_MAX


def _too_large(request: web.Request) -> Refusal:
    return Refusal("TOO_LARGE", f"A body has at most {_bytes_max(request)} bytes.")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]

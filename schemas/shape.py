"""The base of everything that is validated: strict types, camelCase outside, nothing unknown let in."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas import limits

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CONTROL_OR_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def holds_control_characters(text: str) -> bool:
    """Whether Postgres or a terminal would choke on the text (line breaks and tabs are allowed)."""
    return _CONTROL.search(text) is not None


def _single_line(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    if _CONTROL_OR_BREAK.search(text):
        raise ValueError("must not hold control characters or line breaks")
    return unicodedata.normalize("NFC", text)


def _text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    if _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return unicodedata.normalize("NFC", text)


class Shape(BaseModel):
    """A message that crosses a border. Field names are snake_case inside and camelCase outside."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )


Amount = Annotated[int, Field(ge=1, le=limits.INTEGER_MAX)]
"""A positive whole number of something that can be counted: points, coins, items."""

Count = Annotated[int, Field(ge=0, le=limits.INTEGER_MAX)]

Integer = Annotated[int, Field(ge=-limits.INTEGER_MAX, le=limits.INTEGER_MAX)]

Line = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS_MAX), AfterValidator(_single_line)]
"""One line of text such as a name, normalised to NFC."""

Text = Annotated[str, Field(min_length=1, max_length=limits.TEXT_CHARS_MAX), AfterValidator(_text)]

Key = Annotated[str, Field(min_length=1, max_length=limits.KEY_CHARS_MAX), AfterValidator(_single_line)]
"""The key of an actor, or a name in content."""

Attributes = Annotated[dict[Key, Key | Integer | bool], Field(max_length=limits.ATTRIBUTES_MAX)]
"""Named facts about something, such as the team that a score was for."""

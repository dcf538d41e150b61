"""What guilds may be called, and under which key."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from actors.core import Rejected
from schemas import lookalikes
from schemas.shape import Line

NAME_CHARS_MIN = 3
NAME_CHARS_MAX = 32

_BETWEEN = " -_.'&"
_LETTERS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}
_MARKS = {"Mn", "Mc"}
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_BARE = str.maketrans(dict.fromkeys(_BETWEEN))


def _well_formed(name: str) -> str:
    if not NAME_CHARS_MIN <= len(name) <= NAME_CHARS_MAX:
        raise ValueError(f"must have {NAME_CHARS_MIN} to {NAME_CHARS_MAX} characters")
    kinds = [unicodedata.category(character) for character in name]
    if kinds[0] not in _LETTERS or kinds[-1] not in _LETTERS | _MARKS:
        raise ValueError("must begin and end with a letter or digit")
    if lookalikes.holds_unseen_letters(name):
        raise ValueError("must hold only letters, digits, spaces, and - _ . ' & that can be seen")
    for before, character, kind in zip(" " + name, name, kinds, strict=False):
        if character in _BETWEEN and before == character:
            raise ValueError(f"must not have {character!r} twice in a row")
        if character not in _BETWEEN and kind not in _LETTERS | _MARKS:
            raise ValueError("must hold only letters, digits, spaces, and - _ . ' &")
    return name


GuildName = Annotated[Line, AfterValidator(_well_formed)]


def skeletons(name: str) -> list[str]:
    """What this name has in common with every name that looks like it, whatever stands between its words."""
    return sorted(set(lookalikes.skeletons(name.translate(_BARE))))


def check_key(key: str) -> None:
    """Refused as INVALID when a guild's key is no slug such as red-dragons."""
    if not (NAME_CHARS_MIN <= len(key) <= NAME_CHARS_MAX and _SLUG.fullmatch(key)):
        message = f"The key of a guild has {NAME_CHARS_MIN} to {NAME_CHARS_MAX} characters, such as red-dragons."
        raise Rejected("INVALID", message, field="key")

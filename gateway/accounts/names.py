"""Usernames: which are allowed. Two that are the same to the eye are one (see schemas.lookalikes)."""

import unicodedata
from functools import cache
from typing import Annotated

from confusable_homoglyphs import categories
from pydantic import AfterValidator

from schemas.lookalikes import folded, holds_unseen_letters, shown, skeletons

NAME_CHARS_MIN = 3
NAME_CHARS_MAX = 32
MARKS_IN_A_ROW_MAX = 2

_JOINERS = "_-."
_LETTERS_AND_DIGITS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}
_MARKS = {"Mn", "Mc"}
_ANY_SCRIPT = {"COMMON", "INHERITED"}
# Scripts that are written together in one language.
_WRITTEN_TOGETHER = [{"HAN", "HIRAGANA", "KATAKANA"}, {"HAN", "HANGUL"}, {"HAN", "BOPOMOFO"}]

_RESERVED = """
admin administrator anonymous everyone gamemaster greenroom me mod moderator nobody null official operator owner root
server staff support sysadmin system undefined
"""
_LEET = str.maketrans("0134578|l$@", "oieastbiisa")

__all__ = ["Username", "checked", "folded", "shown", "skeletons", "well_formed"]


def checked(name: str) -> str:
    """The name in NFC, as it is stored and shown; ValueError with what would be right."""
    shown_as = well_formed(name)
    if _is_reserved(unicodedata.normalize("NFKC", name)):
        raise ValueError("is reserved, or looks like a name that is")
    return shown_as


def well_formed(name: str) -> str:
    """As `checked`, but reserved words are allowed."""
    if len(name) > 4 * NAME_CHARS_MAX:  # before any work on it
        raise ValueError(f"must have {NAME_CHARS_MIN} to {NAME_CHARS_MAX} characters")
    shown = unicodedata.normalize("NFC", name)
    folded = unicodedata.normalize("NFKC", name)
    if not (NAME_CHARS_MIN <= len(shown) <= NAME_CHARS_MAX and NAME_CHARS_MIN <= len(folded) <= NAME_CHARS_MAX):
        raise ValueError(f"must have {NAME_CHARS_MIN} to {NAME_CHARS_MAX} characters")
    _check_characters(shown)
    _check_characters(folded)
    _check_scripts(folded)
    return shown


Username = Annotated[str, AfterValidator(checked)]


def _check_characters(name: str) -> None:
    kinds = [unicodedata.category(character) for character in name]
    if kinds[0] not in _LETTERS_AND_DIGITS or (name[-1] in _JOINERS):
        raise ValueError("must begin with a letter or digit, and end with one")
    if holds_unseen_letters(name):
        raise ValueError("must hold only letters, digits, and _ - . that can be seen")
    marks = 0
    for character, kind in zip(name, kinds, strict=True):
        if kind not in _LETTERS_AND_DIGITS and kind not in _MARKS and character not in _JOINERS:
            raise ValueError("must hold only letters, digits, and _ - .")
        marks = marks + 1 if kind in _MARKS else 0
        if marks > MARKS_IN_A_ROW_MAX:
            raise ValueError(f"must not pile more than {MARKS_IN_A_ROW_MAX} marks on one letter")


def _check_scripts(name: str) -> None:
    scripts = {categories.alias(character) for character in name} - _ANY_SCRIPT
    if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
        raise ValueError("must be written in one script")


def _is_reserved(name: str) -> bool:
    bare = name.translate({ord(joiner): None for joiner in _JOINERS})
    variants = [skeleton(variant) for variant in (bare, bare.rstrip("0123456789")) for skeleton in (folded, shown)]
    return any(variant.translate(_LEET) in _reserved_skeletons() for variant in variants)


@cache
def _reserved_skeletons() -> frozenset[str]:
    return frozenset(folded(word).translate(_LEET) for word in _RESERVED.split())

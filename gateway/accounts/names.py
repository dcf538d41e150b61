"""Usernames: which are allowed, and when two of them are the same to the eye (Unicode TR 39)."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Annotated

from confusable_homoglyphs import categories, confusables
from pydantic import AfterValidator

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


def folded(name: str) -> str:
    """What names that differ in case or in look-alikes of one case have in common. For comparing only."""
    return _skeleton(unicodedata.normalize("NFKC", name).casefold())


def shown(name: str) -> str:
    """What names have in common that look alike as they are written, such as `PayPaI` and `paypal`."""
    return _skeleton(unicodedata.normalize("NFKC", name)).casefold()


def skeletons(name: str) -> tuple[str, str]:
    """Both, as an account stores them; each is unique."""
    return folded(name), shown(name)


def _check_characters(name: str) -> None:
    kinds = [unicodedata.category(character) for character in name]
    if kinds[0] not in _LETTERS_AND_DIGITS or (name[-1] in _JOINERS):
        raise ValueError("must begin with a letter or digit, and end with one")
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


def _skeleton(name: str) -> str:
    prototypes = _prototypes()
    decomposed = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFD", "".join(prototypes.get(character, character) for character in decomposed))


@cache
def _prototypes() -> dict[str, str]:
    """For each character the one (or the few) that stand for all its look-alikes.

    The library's table links each character with its look-alikes in both directions, so what is linked is one class.
    """
    chosen: dict[str, str] = {}
    for members in _classes():
        prototype = min(members, key=_preference)
        chosen.update((member, prototype) for member in members if len(member) == 1)
    return {character: "".join(chosen.get(part, part) for part in prototype) for character, prototype in chosen.items()}


def _preference(member: str) -> tuple[bool, bool, bool, bool, str]:
    # Several characters (`rn` for `m`) are always what the table maps to; else plain letters before all else.
    return (len(member) == 1, not member.isascii(), not member.isalpha(), not member.islower(), member)


def _classes() -> Iterator[set[str]]:
    links: dict[str, set[str]] = {}
    for character, look_alikes in confusables.confusables_data.items():
        for look_alike in look_alikes:
            one, other = _bare(character), _bare(look_alike["c"])
            links.setdefault(one, set()).add(other)
            links.setdefault(other, set()).add(one)
    while links:
        members: set[str] = set()
        waiting = [next(iter(links))]
        while waiting:
            member = waiting.pop()
            if member not in members:
                members.add(member)
                waiting.extend(links.pop(member, ()))
        yield members


def _bare(text: str) -> str:
    return text.replace("\u200e", "").replace("\u200f", "")

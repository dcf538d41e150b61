"""When two names are the same to the eye (Unicode TR 39): names that must be unique are compared by their skeletons."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from confusable_homoglyphs import confusables

_FILLERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Letters and marks, by Unicode, that are not shown at all."""


def holds_unseen_letters(name: str) -> bool:
    """Whether something in the name counts as a letter or a mark and cannot be seen."""
    return _FILLERS.search(name) is not None


def is_unseen(character: str) -> bool:
    """Whether the character takes no place of its own: zero widths, directions, marks on a letter, fillers."""
    return unicodedata.category(character) in _UNSEEN or _FILLERS.match(character) is not None


_UNSEEN = frozenset({"Cf", "Mn", "Me"})


def letter(character: str) -> str:
    """The one that stands for this character and all that look like it, or the character when there is none."""
    prototype = _prototypes().get(character, character)
    return prototype if len(prototype) == 1 else character


def folded(name: str) -> str:
    """What names that differ in case or in look-alikes of one case have in common. For comparing only."""
    return _skeleton(unicodedata.normalize("NFKC", name).casefold())


def shown(name: str) -> str:
    """What names have in common that look alike as they are written, such as `PayPaI` and `paypal`."""
    return _skeleton(unicodedata.normalize("NFKC", name)).casefold()


def skeletons(name: str) -> tuple[str, str]:
    """Both, as whoever gives unique names stores them; each is unique."""
    return folded(name), shown(name)


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

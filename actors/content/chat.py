"""Content of chat: the rooms, how much may be said, and the words that nobody has to read."""

import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.content.part import Faults, Part
from actors.times import DAY_S, HOUR_S
from schemas import limits
from schemas.lookalikes import is_unseen, letter
from schemas.shape import Key, Line

if TYPE_CHECKING:
    from actors.content import Content

RETENTION_DAYS_MAX = 3_650
RESERVED = ("direct.", "guild.")
"""What keys of channels begin with that are no rooms."""

_TOKEN = re.compile(r"[^\W_]+")
_LOOKS_LIKE = str.maketrans("0134578@$", "oieastbas")
_RUN_MIN = 3


class Room(Part):
    """A channel that anyone may join."""

    title: Line
    members_max: Annotated[int, Field(ge=1, le=limits.CHANNEL_MEMBERS_MAX)] = limits.CHANNEL_MEMBERS_MAX


class Pace(Part):
    """How much one player may say in one channel."""

    messages: Annotated[int, Field(ge=1, le=limits.MESSAGES_IN_WINDOW_MAX)] = 10
    within_s: Annotated[int, Field(ge=1, le=600)] = 10
    same_text: Annotated[int, Field(ge=1, le=limits.MESSAGES_IN_WINDOW_MAX)] = 3
    """How often in a row the same may be said, within `same_text_within_s`."""
    same_text_within_s: Annotated[int, Field(ge=1, le=HOUR_S)] = 60
    mentions: Annotated[int, Field(ge=0, le=limits.MENTIONS_MAX)] = 5
    """Players that one message may mention."""


class Words(Part):
    """What is put out of sight; case, accents, look-alikes (`b4d`) and drawn-out letters (`baaad`) are no disguise."""

    whole: Annotated[list[Line], Field(max_length=limits.FILTERED_WORDS_MAX)] = []
    """Hidden where they stand as a word of their own."""
    anywhere: Annotated[list[Line], Field(max_length=limits.FILTERED_WORDS_MAX)] = []
    """Hidden inside other words too; at least three letters."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        letter("")  # the table of look-alikes takes half a second to make: now, not with the first message
        for word in (*self.whole, *self.anywhere):
            if not _TOKEN.fullmatch(folded(word)):
                raise PydanticCustomError("words", "{word} is not one word of letters and digits", {"word": repr(word)})
        short = [word for word in self.anywhere if len(folded(word)) < _RUN_MIN]
        if short:
            raise PydanticCustomError("words", "{word} is too short to hide it anywhere", {"word": repr(short[0])})
        return self

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(folded(word) for word in self.whole)

    @cached_property
    def _drawn_out(self) -> frozenset[str]:
        return frozenset(_squeezed(word) for word in self._whole)

    @cached_property
    def _anywhere(self) -> tuple[str, ...]:
        return tuple(sorted({folded(word) for word in self.anywhere}))

    def masked(self, text: str) -> str:
        """The text with asterisks in place of what is hidden. The time it takes grows with the text's length alone."""
        if not (self._whole or self._anywhere):
            return text
        # What is not seen is no disguise either, and goes with the word that it stands in.
        places = range(len(text)) if text.isascii() else [at for at, sign in enumerate(text) if not is_unseen(sign)]
        plain = folded(text if len(places) == len(text) else "".join(text[at] for at in places))
        hidden = [token.span() for token in _TOKEN.finditer(plain) if self._whole and self._is_hidden(token.group())]
        for part in self._anywhere:
            start = plain.find(part)
            while start >= 0:
                hidden.append((start, start + len(part)))
                start = plain.find(part, start + len(part))
        if not hidden:
            return text
        characters = list(text)
        for start, end in hidden:
            first, last = places[start], places[end - 1]
            characters[first : last + 1] = "*" * (last + 1 - first)
        return "".join(characters)

    def _is_hidden(self, token: str) -> bool:
        if token in self._whole:
            return True
        squeezed = _squeezed(token)
        return len(token) - len(squeezed) >= _RUN_MIN - 1 and squeezed in self._drawn_out


def folded(text: str) -> str:
    """The text for comparison, character for character: lower case, without accents, look-alikes as letters."""
    if text.isascii():
        return text.lower().translate(_LOOKS_LIKE)
    return "".join(map(_plain, text)).translate(_LOOKS_LIKE)


def _plain(character: str) -> str:
    """One character for one, so that places in the folded text are places in the text."""
    base = unicodedata.normalize("NFKD", character)[:1].lower()
    if len(base) != 1:
        return character
    return base if base.isascii() else letter(base)


def says_nothing(text: str) -> bool:
    """Whether there is nothing to be seen in the text."""
    return all(character.isspace() or is_unseen(character) for character in text)


def _squeezed(token: str) -> str:
    return "".join(letter for index, letter in enumerate(token) if letter != token[index - 1 : index])


class Chat(Part):
    """Everything about talking."""

    rooms: Annotated[dict[Key, Room], Field(max_length=limits.ROOMS_MAX)] = {}
    pace: Pace = Pace()
    words: Words = Words()
    edit_within_s: Annotated[int, Field(ge=0, le=DAY_S)] = 900
    """How long what one has said can be said otherwise, or unsaid."""
    retention_days: Annotated[int, Field(ge=1, le=RETENTION_DAYS_MAX)] = 30
    """What is older is shown to nobody."""


def faults_of_chat(content: "Content") -> Faults:
    """Rooms that would be taken for something else."""
    return [
        (f"chat.rooms.{name}", f"the name of a room cannot begin with {begin!r}")
        for name in content.chat.rooms
        for begin in RESERVED
        if name.startswith(begin)
    ]

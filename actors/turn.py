"""A turn: what a decision or an answer may know besides the state."""

import hashlib
import hmac
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.messages import Caller, Reply

if TYPE_CHECKING:
    from actors.content import Content
    from actors.core import Event


class Past(NamedTuple):
    """What an answer needs of the actor's own journal: the newest `turns` turns before the event of the number
    `before`, and those that begin with one of the events `also`."""

    before: int
    turns: int
    also: tuple[int, ...] = ()


class Happened(NamedTuple):
    """An event out of the journal, and its number."""

    number: int
    event: "Event[Any]"


@dataclass(slots=True)
class Turn:
    """What a decision may know besides the state: who asks, when, under which content, and fair dice.

    `at` is in milliseconds since 1970 UTC. `seed` is recorded with the turn, so a replay throws the same dice.
    """

    caller: Caller
    at: int
    content: "Content"
    op: str
    seed: int = 0
    secret: bytes = b""
    key: str = ""
    """The key of the actor whose turn it is."""
    version: int = 0
    """How many events the actor had before."""
    past: list[Happened] = field(default_factory=list)
    """What a query recalls of the actor's journal, in order."""
    answer: Reply | None = None
    """The answer to what the command consulted; None when nothing was, or it came too late (see `consulted`)."""
    earlier: tuple[Reply | None, ...] = ()
    """The answers to what was consulted before it (see Consult.then)."""
    consulted: bool = False
    _random: random.Random | None = None
    _ids: int = 0

    @property
    def random(self) -> random.Random:
        if self._random is None:
            self._random = random.Random(self.seed)  # dice that replay, not a secret
        return self._random

    @property
    def seed_used(self) -> bool:
        """Whether the dice were thrown or an id was made, so that the seed must be kept."""
        return self._random is not None or self._ids > 0

    def new_id(self) -> str:
        """A UUID of 122 random bits that replays with the turn."""
        self._ids += 1
        text = hashlib.blake2b(b"%d.%d" % (self.seed, self._ids), digest_size=16).hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def sign(self, text: str) -> str:
        """HMAC-SHA256 of the text under the installation's action key, in hex."""
        return hmac.digest(self.secret, text.encode(), "sha256").hex()

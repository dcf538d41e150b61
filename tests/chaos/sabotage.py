"""Ways to break each promise on purpose, from outside: the product has no code that lies, not even switched off."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actors.core import Tell
from actors.runtime.answers import Answers
from actors.runtime.cell import Cell, Delivery, Known, Played
from actors.runtime.topics import Push, Topics
from actors.runtime.turns import Turns
from schemas.messages import Reply


@contextmanager
def _instead(owner: type, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Let the class do something else for a while; `make` gets what it did."""
    honest = getattr(owner, name)
    setattr(owner, name, make(honest))
    try:
        yield
    finally:
        setattr(owner, name, honest)


@contextmanager
def replies_before_the_commit() -> Iterator[None]:
    """Against P1."""

    def make(honest: Any) -> Any:
        def enter(turns: Turns, cell: Cell, played: Played) -> None:
            honest(turns, cell, played)
            played.answer()

        return enter

    with _instead(Turns, "enter", make):
        yield


@contextmanager
def forgets_op_ids() -> Iterator[None]:
    """Against P2: what is repeated is done again, under a name of its own."""
    numbers = itertools.count(1)

    def make(honest: Any) -> Any:
        def again(answers: Answers, cell: Cell, before: Played | Known, delivery: Delivery, fingerprint: int) -> None:
            request = delivery.request
            delivery.request = request._replace(op=f"{request.op}~{next(numbers)}")
            answers.redeliver([delivery])

        return again

    with _instead(Answers, "again", make):
        yield


@contextmanager
def drops_a_tell() -> Iterator[None]:
    """Against P4: the third turn that sends something sends nothing."""
    passes = itertools.count(1)

    def make(honest: Any) -> Any:
        def enter(turns: Turns, cell: Cell, played: Played) -> None:
            if any(isinstance(effect, Tell) for effect in played.effects or ()) and next(passes) == 3:
                played.effects = [effect for effect in played.effects if not isinstance(effect, Tell)]
            honest(turns, cell, played)

        return enter

    with _instead(Turns, "enter", make):
        yield


@contextmanager
def shows_what_is_not_committed() -> Iterator[None]:
    """Against P5."""

    def make(honest: Any) -> Any:
        def when_committed(answers: Answers, cell: Cell, delivery: Delivery, reply: Reply) -> None:
            delivery.reply(reply)

        return when_committed

    with _instead(Answers, "when_committed", make):
        yield


@contextmanager
def hides_a_push() -> Iterator[None]:
    """Against P6: the third push of players is not told, and the fourth says that it follows the second."""
    passes = itertools.count(1)
    hidden: dict[str, Any] = {}

    def make(honest: Any) -> Any:
        def publish(topics: Topics, kind: str, pushes: Sequence[Push]) -> None:
            if kind != "player":
                honest(topics, kind, pushes)
                return
            told: list[Any] = []
            for key, seq, push, *before in pushes:
                if next(passes) == 3:
                    hidden[key] = before
                else:
                    told.append((key, seq, push, *hidden.pop(key, before)))
            honest(topics, kind, told)

        return publish

    with _instead(Topics, "_publish", make):
        yield

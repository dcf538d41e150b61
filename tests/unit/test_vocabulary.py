"""Names and fields are stored and public: what changes here changes for everybody."""

from tests.unit.stage import catalog
from tests.unit.vocabulary import GOLDEN, vocabulary


def test_the_vocabulary_is_the_reviewed_one() -> None:
    written = GOLDEN.read_text("utf-8")
    assert vocabulary(catalog()) == written, "review the change, then run: python -m tests.unit.vocabulary"


def test_every_message_says_what_it_is_for() -> None:
    for kind in catalog().kinds.values():
        for message in (*kind.commands.values(), *kind.queries.values(), *kind.gathers.values(), *kind.events.values()):
            if message.__module__.startswith("actors."):
                assert (message.__doc__ or "").strip(), f"{message.__module__}.{message.__name__} has no docstring"

"""Which actor is meant: its kind and its key."""

from typing import NamedTuple


class Address(NamedTuple):
    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address written as `kind:key`; ValueError when the text has no kind or no key."""
        kind, separator, key = text.partition(":")
        if not (kind and separator and key):
            raise ValueError(f"{text!r} is not an address; write it as kind:key, for example player:alice")
        return cls(kind, key)


def player(key: str) -> Address:
    return Address("player", key)

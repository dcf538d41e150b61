"""What the nouns of a game have in common: they ask one actor, and their answers are typed."""

from typing import Any, ClassVar, Protocol, TypeVar

from pydantic.alias_generators import to_camel

from greenroom_client.models import Json, Model, Reply

M = TypeVar("M", bound=Model)


class Asker(Protocol):
    """Who reaches actors: a `Client` over REST, or a `Connection` over WebSocket."""

    async def command(
        self, kind: str, key: str, name: str, data: Json | None = None, *, op: str | None = None
    ) -> Reply: ...

    async def query(self, kind: str, key: str, name: str, data: Json | None = None) -> Reply: ...


async def told(asker: Asker, kind: str, key: str, answer: type[M], name: str, op: str | None, /, **fields: Any) -> M:
    """The typed answer to a command, which happens once under its op id."""
    return answer.model_validate((await asker.command(kind, key, name, _sent(fields), op=op)).data)


async def asked(asker: Asker, kind: str, key: str, answer: type[M], name: str, /, **fields: Any) -> M:
    """The typed answer to a query."""
    return answer.model_validate((await asker.query(kind, key, name, _sent(fields))).data)


def _sent(fields: Json) -> Json:
    return {to_camel(name): value for name, value in fields.items() if value is not None}


class Noun:
    """A part of the game; `key` says of which actor, `me` is one's own player."""

    kind: ClassVar[str] = "player"

    def __init__(self, asker: Asker, key: str = "me") -> None:
        self.key = key
        self._asker = asker

    async def _command(self, answer: type[M], name: str, op: str | None, /, **fields: Any) -> M:
        return await told(self._asker, self.kind, self.key, answer, name, op, **fields)

    async def _query(self, answer: type[M], name: str, /, **fields: Any) -> M:
        return await asked(self._asker, self.kind, self.key, answer, name, **fields)


class Done(Model):
    """It happened; there is nothing more to say."""

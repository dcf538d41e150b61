"""Finds every kind by importing the rules, and looks up what can be said to each."""

import importlib
import pkgutil
from typing import Any

import actors
from actors.core import Actor, Command, Event, Gather, Query
from schemas.problems import Refusal


def _all(base: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for child in base.__subclasses__():
        found.append(child)
        found.extend(_all(child))
    return found


class Kind:
    """One kind of actor and all that can be said to it, by name."""

    def __init__(self, actor: type[Actor]) -> None:
        self.actor = actor
        self.commands: dict[str, type[Command[Any]]] = {}
        self.queries: dict[str, type[Query[Any]]] = {}
        self.gathers: dict[str, type[Gather]] = {}
        self.events: dict[str, type[Event[Any]]] = {}

    @property
    def name(self) -> str:
        return self.actor.kind

    def command(self, name: str) -> type[Command[Any]]:
        """The command of this name; refused as UNKNOWN_COMMAND when there is none."""
        found = self.commands.get(name)
        if found is None:
            raise self.no_command(name)
        return found

    def no_command(self, name: str) -> Refusal:
        """What clients are told of a command that there is not, or not for them."""
        return Refusal("UNKNOWN_COMMAND", f"{self.name} has no command {name!r}; it has {_listed(self.commands)}.")

    def query(self, name: str) -> type[Query[Any]] | type[Gather]:
        """The query or gather of this name; refused as UNKNOWN_QUERY when there is none."""
        found = self.queries.get(name) or self.gathers.get(name)
        if found is None:
            raise self.no_query(name)
        return found

    def no_query(self, name: str) -> Refusal:
        """The same for queries."""
        known = {**self.queries, **self.gathers}
        return Refusal("UNKNOWN_QUERY", f"{self.name} has no query {name!r}; it has {_listed(known)}.")


def _listed(messages: dict[str, Any]) -> str:
    return ", ".join(sorted(name for name, message in messages.items() if message.public)) or "none"


class Catalog:
    """Every kind of actor, found by importing the modules of `actors`; `refresh` finds those defined since."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        for module in pkgutil.walk_packages(actors.__path__, "actors."):
            if not module.name.startswith("actors.runtime"):
                importlib.import_module(module.name)
        self.refresh()

    def refresh(self) -> None:
        """Take in every class that is defined by now. Two classes of one kind and name are a TypeError."""
        kinds: dict[str, Kind] = {}
        for actor in _all(Actor):
            if actor.kind:
                if actor.kind in kinds:
                    raise TypeError(f"two actors of kind {actor.kind!r}")
                kinds[actor.kind] = Kind(actor)
        for base, shelf in ((Command, "commands"), (Query, "queries"), (Event, "events")):
            for message in _all(base):
                if "[" not in message.__name__ and message.actor.kind in kinds:
                    _add(getattr(kinds[message.actor.kind], shelf), message)
        for gather in _all(Gather):
            if gather.kind in kinds:
                _add(kinds[gather.kind].gathers, gather)
        self.kinds = kinds

    def kind(self, name: str) -> Kind:
        """The kind of this name; refused as UNKNOWN_KIND when there is none."""
        found = self.kinds.get(name)
        if found is None:
            raise Refusal("UNKNOWN_KIND", f"There is no kind {name!r}; there are {', '.join(sorted(self.kinds))}.")
        return found


def _add(shelf: dict[str, Any], message: type[Any]) -> None:
    other = shelf.get(message.wire_name)
    if other is not None and other is not message:
        raise TypeError(f"{other.__module__} and {message.__module__} both define {message.wire_name!r}")
    shelf[message.wire_name] = message

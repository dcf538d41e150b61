"""What counts for a quest or an achievement: events of the player, by name and by what they say."""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.catalog import Catalog
from actors.content.part import Faults, Part, missing
from schemas import limits
from schemas.shape import Integer, Key

if TYPE_CHECKING:
    from actors.content import Content
    from actors.core import Event

UNCOUNTED = frozenset({"quests_progressed", "achievements_progressed"})
"""Events that say how far something is; what counted them would count itself."""

NAMED_IN = {
    "achievement": "achievements",
    "board": "boards",
    "currency": "currencies",
    "item": "items",
    "items": "items",
    "quest": "quests",
    "recipe": "recipes",
    "skill": "skills",
    "scores": "boards",
    "wallet": "currencies",
}
"""Fields whose values (for maps: whose names) stand in a section of the content."""


class Trigger(Part):
    """An event of the player that counts, when, and how much: 1, unless it says otherwise."""

    event: Key
    where: Annotated[dict[Key, Key | Integer | bool], Field(max_length=limits.CONDITIONS_MAX)] = {}
    """What its fields must be; `attributes.team` is what the map `attributes` says of the team."""
    at_least: Annotated[dict[Key, Integer], Field(max_length=limits.CONDITIONS_MAX)] = {}
    """What its fields must be, or more."""
    adds: Key | None = None
    """The field that is added, when it is above zero; of a list, its length."""
    takes: Key | None = None
    """The field that is added with its sign turned, when it is below zero: what was spent."""
    highest: Key | None = None
    """The field whose highest value so far is the progress."""

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Self:
        if (self.adds, self.takes, self.highest).count(None) < 2:
            raise PydanticCustomError("counts", "`adds`, `takes` and `highest` exclude each other")
        return self


Triggers = Annotated[list[Trigger], Field(min_length=1, max_length=limits.TRIGGERS_MAX)]


@cache
def events_of_players() -> "dict[str, type[Event[Any]]]":
    """The events that a player can have, by name."""
    return Catalog().kind("player").events


def faults_of_triggers(place: str, triggers: Iterable[Trigger], content: "Content") -> Faults:
    """Events and fields that there are not, fields that hold something else, and names that mean nothing."""
    faults: Faults = []
    for index, trigger in enumerate(triggers):
        here = f"{place}.{index}"
        known = events_of_players().keys() - UNCOUNTED
        if trigger.event not in known:
            faults += missing(f"{here}.event", "event of a player", trigger.event, known)
            continue
        for path, value in trigger.where.items():
            wanted = "flag" if isinstance(value, bool) else "number" if isinstance(value, int) else "text"
            faults += _faults_of_path(f"{here}.where.{path}", trigger.event, path, {wanted}, content)
            if isinstance(value, str):
                faults += _faults_of_name(f"{here}.where.{path}", trigger.event, path, value, content)
        for path in trigger.at_least:
            faults += _faults_of_path(f"{here}.at_least.{path}", trigger.event, path, {"number"}, content)
        for way, holds in (("adds", {"number", "list"}), ("takes", {"number"}), ("highest", {"number"})):
            path = getattr(trigger, way)
            if path is not None:
                faults += _faults_of_path(f"{here}.{way}", trigger.event, path, holds, content)
    return faults


def _faults_of_path(place: str, event: str, path: str, wanted: set[str], content: "Content") -> Faults:
    head, dot, name = path.partition(".")
    fields = events_of_players()[event].model_fields
    if head not in fields:
        return missing(place, f"field of {event}", head, fields)
    held = _held(fields[head].annotation, inner=bool(dot))
    if wanted & held:
        section = getattr(content, NAMED_IN.get(head, ""), None)
        return missing(place, f"entry of {NAMED_IN[head]}.yaml", name, section) if dot and section is not None else []
    right = "no map" if dot else "a map: write a name behind a point" if "map" in held else _listed(held)
    return [(place, f"must be {_listed(wanted)}; {head} of {event} is {right}")]


def _listed(kinds: set[str]) -> str:
    return " or ".join(f"a {kind}" for kind in sorted(kinds)) or "something else"


def _faults_of_name(place: str, event: str, path: str, value: str, content: "Content") -> Faults:
    section = "actions" if path == "type" and event.startswith("action_") else NAMED_IN.get(path, "")
    known = getattr(content, section, None)
    return [] if known is None else missing(place, f"entry of {section}.yaml", value, known)


def _held(annotation: Any, *, inner: bool) -> set[str]:
    """What a field holds: flags, numbers, texts, lists, maps; `inner` asks for the values of a map."""
    if get_origin(annotation) is Annotated:
        return _held(get_args(annotation)[0], inner=inner)
    if get_origin(annotation) is dict:
        return _held(get_args(annotation)[1], inner=False) if inner else {"map"}
    if annotation in _SCALARS:
        return set() if inner else {_SCALARS[annotation]}
    if get_origin(annotation) is list:
        return set() if inner else {"list"}
    if get_origin(annotation) is Literal:
        return set() if inner else {"text"}
    return {kind for option in get_args(annotation) if option is not NoneType for kind in _held(option, inner=inner)}


_SCALARS = {bool: "flag", int: "number", str: "text"}

Read = Callable[[Any], Any]


def _reader(path: str) -> Read:
    head, dot, name = path.partition(".")
    if not dot:
        return attrgetter(head)
    return lambda event: getattr(event, head).get(name)


class Rule:
    """One trigger, and everything that it counts for: objectives of quests, and achievements, with their targets."""

    __slots__ = ("_at_least", "_sign", "_value", "_where", "achievements", "highest", "quests")

    def __init__(self, trigger: Trigger) -> None:
        # Whoever looks the rule up has looked at the first condition (see Listening).
        self._where = [(_reader(path), value) for path, value in trigger.where.items()][1:]
        least = [(_reader(path), least) for path, least in trigger.at_least.items()]
        self._at_least = least if trigger.where else least[1:]
        path = trigger.adds or trigger.takes or trigger.highest
        self._value = None if path is None else _reader(path)
        self._sign = -1 if trigger.takes else 1
        self.highest = trigger.highest is not None
        self.quests: dict[str, list[tuple[str, int]]] = {}
        self.achievements: list[tuple[str, list[int]]] = []

    def worth(self, event: Any) -> int:
        """How much the event counts, after the first of its conditions held; 0 when it does not count."""
        for read, value in self._where:
            if read(event) != value:
                return 0
        for read, least in self._at_least:
            found = read(event)
            if found is None or found < least:
                return 0
        if self._value is None:
            return 1
        found = self._value(event)
        if isinstance(found, list):
            return len(found)
        return max(0, self._sign * found) if isinstance(found, int) else 0


class Listening:
    """The rules that look at one event, by the value of the first field that they look at, or how much of it they want.

    So an event meets few of them, however many there are.
    """

    __slots__ = ("_equal", "_least", "_plain", "_readers")

    def __init__(self) -> None:
        self._plain: list[Rule] = []
        self._equal: dict[str, dict[Any, list[Rule]]] = {}
        self._least: dict[str, list[tuple[int, Rule]]] = {}
        self._readers: dict[str, Read] = {}

    def add(self, trigger: Trigger, rule: Rule) -> None:
        """Take the rule in under the trigger's first condition, which the rule itself does not look at again."""
        if trigger.where:
            path, value = next(iter(trigger.where.items()))
            self._readers[path] = _reader(path)
            self._equal.setdefault(path, {}).setdefault(value, []).append(rule)
            return
        if trigger.at_least:
            path, least = next(iter(trigger.at_least.items()))
            self._readers[path] = _reader(path)
            insort(self._least.setdefault(path, []), (least, rule), key=_threshold)
            return
        self._plain.append(rule)

    def counted(self, event: Any) -> list[tuple[Rule, int]]:
        """The rules for which the event counts, and how much."""
        met = list(self._plain)
        for path, by_value in self._equal.items():
            met += by_value.get(self._readers[path](event), ())
        for path, ladder in self._least.items():
            found = self._readers[path](event)
            if found is not None:
                met += [rule for _, rule in ladder[: bisect_right(ladder, found, key=_threshold)]]
        return [(rule, worth) for rule in met if (worth := rule.worth(event))]


def _threshold(step: tuple[int, Rule]) -> int:
    return step[0]


def listeners(content: "Content") -> dict[str, Listening]:
    """By the name of the event: what looks at it. Triggers that are alike are looked at once."""
    found: dict[str, Listening] = {}
    rules: dict[str, Rule] = {}

    def rule_of(trigger: Trigger) -> Rule:
        alike = trigger.model_dump_json()
        if alike not in rules:
            rules[alike] = Rule(trigger)
            found.setdefault(trigger.event, Listening()).add(trigger, rules[alike])
        return rules[alike]

    for name, quest in content.quests.items():
        for objective_name, objective in quest.objectives.items():
            for trigger in objective.counts:
                rule_of(trigger).quests.setdefault(name, []).append((objective_name, objective.target))
    for name, achievement in content.achievements.items():
        for trigger in achievement.counts:
            rule_of(trigger).achievements.append((name, [tier.target for tier in achievement.tiers]))
    return found

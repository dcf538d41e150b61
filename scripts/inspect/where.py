"""The conditions of `inspect list --where`: a field, a comparison, a value; joined by and, or, not, parentheses."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from actors.times import milliseconds

CHARS_MAX = 1_000
NESTING_MAX = 20

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<symbol>==|!=|<=|>=|[=<>~()])
    | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
    | (?P<word>[^\s=!<>~()"']+)
    )""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"[+-]?\d[\d_]*")
_COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=", "~")
_LITERALS: dict[str, Any] = {"true": True, "false": False, "none": None, "null": None}

Condition = Callable[[Any], bool]


class NotACondition(ValueError):
    """The text is no condition; the message says where and what is expected."""


class Token(NamedTuple):
    kind: str
    text: str
    at: int


class Where:
    """A condition on an actor's state.

    A field is a path such as `wallet.gold`; `*` stands for any name, and the beginning may be left out: `score` is
    any score in the state. It holds when it holds for one of the values found.
    """

    def __init__(self, text: str) -> None:
        if len(text) > CHARS_MAX:
            raise NotACondition(f"a condition has at most {CHARS_MAX} characters")
        self.text = text
        self.fields: list[str] = []
        self.seen: set[str] = set()
        """The fields that were found in some state."""
        self._tokens = list(_tokens(text))
        self._at = 0
        self._condition = self._either(0)
        if self._at < len(self._tokens):
            raise self._expected("`and`, `or`, or the end")

    def __call__(self, state: Any) -> bool:
        return self._condition(state)

    def _either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._word("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda state: any(part(state) for part in parts)

    def _both(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._word("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda state: all(part(state) for part in parts)

    def _one(self, depth: int) -> Condition:
        if depth > NESTING_MAX:
            raise NotACondition(f"a condition nests at most {NESTING_MAX} deep")
        if self._word("not"):
            part = self._one(depth + 1)
            return lambda state: not part(state)
        if self._symbol("("):
            inner = self._either(depth + 1)
            if not self._symbol(")"):
                raise self._expected("`)`")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        field = self._take("word", "a field such as score or wallet.gold")
        sign = self._take("symbol", f"a comparison ({' '.join(_COMPARISONS)}) after `{field.text}`")
        if sign.text not in _COMPARISONS:
            self._at -= 1
            raise self._expected(f"a comparison ({' '.join(_COMPARISONS)}) after `{field.text}`")
        value = _literal(self._take("value", f"a value after `{field.text} {sign.text}`"))
        holds = _comparer(sign.text, value)
        path = field.text.split(".")
        self.fields.append(field.text)

        def condition(state: Any) -> bool:
            for found in find(state, path):
                self.seen.add(field.text)
                if holds(found):
                    return True
            return False

        return condition

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _word(self, word: str) -> bool:
        return self._if("word", word)

    def _symbol(self, symbol: str) -> bool:
        return self._if("symbol", symbol)

    def _if(self, kind: str, text: str) -> bool:
        token = self._peek()
        matches = token is not None and token.kind == kind and token.text.lower() == text
        self._at += matches
        return matches

    def _take(self, kind: str, expected: str) -> Token:
        token = self._peek()
        fits = token is not None and (token.kind == kind or (kind == "value" and token.kind in ("word", "text")))
        if token is None or not fits:
            raise self._expected(expected)
        self._at += 1
        return token

    def _expected(self, what: str) -> NotACondition:
        token = self._peek()
        where = f"at `{self.text[token.at :].strip()}`" if token is not None else "at the end"
        return NotACondition(f"{where} {what} is expected")


def find(state: Any, path: list[str]) -> Iterator[Any]:
    """The values at the path; if there is none, those wherever in the state the path begins."""
    found = False
    for value in _at(state, path):
        found = True
        yield value
    if not found:
        for inner in _inner(state):
            yield from find(inner, path)


def _at(state: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield state
    elif path[0] == "*":
        for inner in _inner(state):
            yield from _at(inner, path[1:])
    elif isinstance(state, dict):
        for key, inner in state.items():
            if str(key) == path[0]:
                yield from _at(inner, path[1:])
    elif isinstance(state, list) and path[0].isdigit() and int(path[0]) < len(state):
        yield from _at(state[int(path[0])], path[1:])


def _inner(state: Any) -> Iterator[Any]:
    if isinstance(state, dict):
        yield from state.values()
    elif isinstance(state, list):
        yield from state


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotACondition(f"`{text[at:].strip()}` cannot be read; is a quotation mark missing?")
        kind = match.lastgroup or ""
        yield Token("text" if kind in ("double", "single") else kind, match[kind], match.start(kind))
        at = match.end()


def _literal(token: Token) -> Any:
    if token.kind == "text":
        return token.text
    if token.text.lower() in _LITERALS:
        return _LITERALS[token.text.lower()]
    if _INTEGER.fullmatch(token.text):
        return int(token.text)
    try:
        return milliseconds(token.text)
    except ValueError:
        return token.text


def _comparer(sign: str, value: Any) -> Condition:
    if sign in ("=", "=="):
        return lambda found: _same(found, value)
    if sign == "!=":
        return lambda found: not _same(found, value)
    if sign == "~":
        sought = str(value).casefold()
        return lambda found: _contains(found, sought)
    if isinstance(value, bool) or value is None:
        raise NotACondition(f"`{sign}` compares numbers, times and texts")
    if sign == "<":
        return lambda found: _comparable(found, value) and found < value
    if sign == "<=":
        return lambda found: _comparable(found, value) and found <= value
    if sign == ">":
        return lambda found: _comparable(found, value) and found > value
    return lambda found: _comparable(found, value) and found >= value


def _same(found: Any, value: Any) -> bool:
    return type(found) is type(value) and bool(found == value)


def _contains(found: Any, sought: str) -> bool:
    if isinstance(found, dict | list):
        return any(sought in str(item).casefold() for item in found)
    return sought in str(found).casefold()


def _comparable(found: Any, value: Any) -> bool:
    return type(found) is type(value)

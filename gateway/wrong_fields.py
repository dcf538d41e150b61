"""What is wrong with which field of what a client sent, in the names that clients know."""

from typing import Any

from pydantic import ValidationError

_KEY = "[key]"
"""How pydantic says that it is not the value but its name that is wrong."""
_ABSENT = object()
UNKNOWN = object()
"""What was validated is not known."""


def wrong_fields(error: ValidationError, whole: str, value: Any) -> list[dict[str, str]]:
    """Each field that is wrong, once, with what would be right; never the value itself, which may be a secret.

    `value` is what was validated, `whole` what all of it is called, where no field of it is wrong.
    """
    wrong: dict[str, list[Any]] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        wrong.setdefault(_field(problem, value) or whole, []).append(problem)
    return [{"field": field, "problem": _told(problems)} for field, problems in wrong.items()]


def _field(problem: Any, value: Any) -> str:
    """Where the problem lies. Of a field that may be one of several things, pydantic's path goes on with its own name
    for each of them, which is not to be found in what was sent."""
    parts = problem["loc"][:-2] if problem["loc"][-1:] == (_KEY,) else problem["loc"]
    if value is UNKNOWN:
        return ".".join(map(str, parts))
    path, here = [], value
    for part in parts:
        inside = _part(here, part)
        if inside is not _ABSENT:
            path.append(str(part))
            here = inside
    if problem["type"] == "missing":
        path.append(str(parts[-1]))
    return ".".join(path)


def _part(here: Any, part: str | int) -> Any:
    if isinstance(here, dict):
        return here.get(part, _ABSENT)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return _ABSENT


def _told(problems: list[Any]) -> str:
    """What is wrong with one field: of several things that it could be, what it is already is what was meant."""
    nearest = [problem for problem in problems if not problem["type"].endswith(("_type", "_parsing"))] or problems
    texts = list(dict.fromkeys(_problem(problem) for problem in nearest))
    should = [text.removeprefix("should be ") for text in texts if text.startswith("should be ")]
    if len(should) < len(texts) or len(texts) == 1:
        return "; ".join(texts)
    return f"should be {', '.join(should[:-1])} or {should[-1]}"


def _problem(problem: Any) -> str:
    message: str = problem["msg"]
    _, should, rest = message.partition(" should ")
    told = f"should {rest}" if should else message[:1].lower() + message[1:]
    told = message.removeprefix("Value error, ") if message.startswith("Value error, ") else told
    return f"each name {told}" if problem["loc"][-1:] == (_KEY,) else told

"""What clients sent and saw, read from a file of JSON lines: requests, queries and pushes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gateway.ops import op_of
from schemas.address import Address
from schemas.messages import Caller
from scripts.terminal import USAGE, Failed

_FAULTS_TOLD_MAX = 3
_MAY_BE_DONE = frozenset({"OP_IN_PROGRESS", "OP_REUSED"})
"""Refusals of an attempt, not of the request: another attempt under the same op id may have had its effect."""


def _address(text: Any) -> Address:
    return Address.parse(text) if isinstance(text, str) else text


Actor = Annotated[Address, BeforeValidator(_address)]


class Line(BaseModel):
    """What all lines have. Members that are not named here are the writer's own."""

    model_config = ConfigDict(extra="ignore")

    actor: Actor


class Request(Line):
    """One attempt of a client to have something done. A request that was repeated has a line for each attempt."""

    command: str
    op: str
    user: str | None = None
    """The account that sent it; None: `op` is written as the journal has it."""
    sent: float
    answered: float | None = None
    status: int | None = None
    """None: no answer came."""
    code: str = ""
    version: int | None = None
    reply: Any = None
    effect: bool = True
    """False: by its reply it changed nothing, so that it needs no turn."""

    @property
    def done(self) -> bool:
        """Whether the answer says that it was done."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the answer says that it was not done, and never will be under this op id."""
        return self.status is not None and 300 <= self.status < 500 and self.code not in _MAY_BE_DONE

    @property
    def key(self) -> tuple[Address, str]:
        """The actor and the op id, as the journal has it."""
        return self.actor, self.op if self.user is None else op_of(Caller(self.user), self.op)


class Query(Line):
    """One question to one actor that was answered."""

    query: str
    sent: float
    answered: float
    version: int


class Push(Line):
    """A push that a subscriber got, in the order in which it got them; `initial` and `reset` tell a state anew."""

    subscriber: str
    seq: int
    told: Literal["initial", "update", "resumed", "reset"] = "update"


@dataclass(slots=True)
class History:
    """A whole file."""

    requests: list[Request] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)


def read_history(path: Path) -> History:
    """The file's lines; raises Failed with the numbers of those that cannot be read."""
    history = History()
    faults: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                _take(history, json.loads(line))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                faults.append(f"line {number}: {where}: {first['msg'].removeprefix('Value error, ')}")
            except ValueError as error:
                faults.append(f"line {number}: {error}")
    if faults:
        told = "; ".join(faults[:_FAULTS_TOLD_MAX]) + (" ..." if len(faults) > _FAULTS_TOLD_MAX else "")
        raise Failed(f"{path} is not a history as docs/guides/verify.md describes it. {told}", USAGE)
    return history


def _take(history: History, line: Any) -> None:
    if not isinstance(line, dict):
        raise ValueError("is not a JSON object")
    if "command" in line:
        history.requests.append(Request.model_validate(line))
    elif "query" in line:
        history.queries.append(Query.model_validate(line))
    elif "subscriber" in line:
        history.pushes.append(Push.model_validate(line))
    else:
        raise ValueError("has none of `command`, `query` and `subscriber`")

"""What the players of a chaos run asked and were told: in memory for the figures, as JSON lines for `verify`."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from schemas.address import Address

SECRETS = ("actionToken",)
"""Members of replies that are written down as their hashes."""


@dataclass(slots=True)
class Attempt:
    """One sending of a request. Without `answered`, no answer came."""

    sent: float
    answered: float | None = None
    status: int | None = None
    code: str = ""
    version: int | None = None
    data: Any = None
    retry_after_s: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def by_the_game(self) -> bool:
        """Whether the rules of the game refused it, such as `balance_too_low`: no fault of the server."""
        return self.status is not None and 400 <= self.status < 500 and self.code.islower()

    @property
    def unknown(self) -> bool:
        """Whether it may or may not have been carried out, or may be by a repetition."""
        return self.status is None or self.status >= 500 or self.code in ("OP_IN_PROGRESS", "RATE_LIMITED")


@dataclass(slots=True)
class Operation:
    """One request with all its attempts under one op id. A question has no op id."""

    actor: Address
    name: str
    op: str
    user: str
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def sent(self) -> float:
        return self.attempts[0].sent

    @property
    def ended(self) -> float:
        """When its last answer came; its last sending when none did."""
        last = self.attempts[-1]
        return last.sent if last.answered is None else last.answered

    @property
    def outcome(self) -> str:
        """`ok`, `fail` (certainly not done) or `info` (unknown)."""
        last = self.attempts[-1]
        if last.ok:
            return "ok"
        return "info" if last.unknown else "fail"


class History:
    """Everything of one run, in the order in which it became known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.operations: list[Operation] = []
        self.questions = 0
        self.pushes = 0
        self._lines: IO[str] | None = None

    def __enter__(self) -> "History":
        self._lines = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def attempted(self, operation: Operation, attempt: Attempt, *, effect: bool = True) -> None:
        """Write down one attempt once it is over, answered or not. `effect`: False when its reply says it had none."""
        told: dict[str, Any] = {"actor": str(operation.actor), "sent": attempt.sent}
        if attempt.answered is not None:
            told |= {"answered": attempt.answered, "status": attempt.status, "code": attempt.code}
            told |= {"version": attempt.version, "reply": _without_secrets(attempt.data)} if attempt.ok else {}
            told |= {} if effect else {"effect": False}
        self._write({**told, "command": operation.name, "op": operation.op, "user": operation.user})

    def seen(self, operation: Operation, attempt: Attempt) -> None:
        """Write down the answer to a question, if it showed a version."""
        self.questions += 1
        if attempt.ok and attempt.version is not None:
            times = {"sent": attempt.sent, "answered": attempt.answered}
            told = {"actor": str(operation.actor), "query": operation.name, "version": attempt.version}
            self._write({**told, **times})

    def pushed(self, subscriber: str, actor: Address, seq: int, told: str) -> None:
        """Write down a push, or the answer to a subscription."""
        self.pushes += 1
        self._write({"subscriber": subscriber, "actor": str(actor), "seq": seq, "told": told})

    def _write(self, line: dict[str, Any]) -> None:
        if self._lines is not None:
            self._lines.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def _without_secrets(reply: Any) -> Any:
    if not isinstance(reply, dict):
        return reply
    hidden = {
        name: hashlib.blake2b(str(reply[name]).encode(), digest_size=12).hexdigest()
        for name in SECRETS
        if name in reply
    }
    return {**reply, **hidden}

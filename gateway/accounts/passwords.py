"""Password hashes: bcrypt in threads of its own, with a bounded queue."""

import asyncio
import base64
import hashlib
import os
import sys
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import bcrypt
from pydantic import AfterValidator, SecretStr

from schemas.problems import Refusal

COST = 12
WORKERS = 2
NICENESS = 10
"""Of the threads that hash, as in nice(1)."""
QUEUE_MAX = 32
CHARS_MIN = 8
CHARS_MAX = 64
BYTES_MAX = 256

_TAG = "v1$"
"""Version 1: bcrypt over the base64 of the SHA-256 of the password in NFC. bcrypt alone reads only 72 bytes."""

T = TypeVar("T")


def checked(password: SecretStr) -> SecretStr:
    """The password itself; ValueError when it is too short or too long."""
    secret = password.get_secret_value()
    if not CHARS_MIN <= len(secret) <= CHARS_MAX or len(secret.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        raise ValueError(f"must have {CHARS_MIN} to {CHARS_MAX} characters, and at most {BYTES_MAX} bytes")
    if any("\ud800" <= character <= "\udfff" for character in secret):
        raise ValueError("must hold whole characters only")
    return password


NewPassword = Annotated[SecretStr, AfterValidator(checked)]


class Passwords:
    """Hashes and checks passwords, a few at a time. Beyond the queue it refuses as OVERLOADED."""

    def __init__(self, *, cost: int = COST, workers: int = WORKERS, queue_max: int = QUEUE_MAX) -> None:
        self.cost = cost
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="passwords", initializer=_step_back)
        self._slots = asyncio.Semaphore(workers)
        self._bound = workers + queue_max
        self._present = 0
        self.checks = 0
        """Passwords that were hashed or checked since the start."""
        # No password has this hash; checking it takes as long as checking a real one.
        self._dummy = bcrypt.gensalt(cost) + b"." * 31

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def present(self) -> int:
        """Passwords that are being worked on or wait for it."""
        return self._present

    async def hash(self, password: SecretStr) -> str:
        """The hash to store, with its version in front."""
        hashed = await self._run(lambda: bcrypt.hashpw(_digest(password), bcrypt.gensalt(self.cost)))
        return _TAG + hashed.decode("ascii")

    async def verify(
        self, password: SecretStr, stored: str | None, before: Callable[[], Awaitable[None]] | None = None
    ) -> bool:
        """Whether the password is the stored one. Without a stored one it takes as long, and is false.

        `before` is awaited when the check's turn has come, and may refuse it.
        """
        hashed = stored.removeprefix(_TAG).encode("ascii") if stored is not None else self._dummy
        matches = await self._run(lambda: bcrypt.checkpw(_digest(password), hashed), before)
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made under an older version or a lower cost, and is to be made anew at login."""
        return not stored.startswith(_TAG) or int(stored.removeprefix(_TAG).split("$")[2]) < self.cost

    async def _run(self, work: Callable[[], T], before: Callable[[], Awaitable[None]] | None = None) -> T:
        if self._present >= self._bound:
            raise Refusal("OVERLOADED", "Too many logins at once; try again in a moment.", retry_after_s=3)
        self._present += 1
        try:
            async with self._slots:
                if before is not None:
                    await before()
                self.checks += 1
                # Shielded: a thread cannot be cancelled, and its slot is free only when it has ended.
                working = asyncio.get_running_loop().run_in_executor(self._pool, work)
                try:
                    return await asyncio.shield(working)
                except asyncio.CancelledError:
                    await asyncio.wait([working])
                    raise
        finally:
            self._present -= 1


def _step_back() -> None:
    """Have this thread give way to the game: it hashes with what the event loops leave of the cores."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _digest(password: SecretStr) -> bytes:
    normal = unicodedata.normalize("NFC", password.get_secret_value())
    return base64.b64encode(hashlib.sha256(normal.encode()).digest())

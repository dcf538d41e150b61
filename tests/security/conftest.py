"""The fixtures of security tests."""

from tests.acceptance.fixtures import (
    admin,
    alice,
    bob,
    door,
    moderator,
    server,
    session,
    sockets,
    staff,
    studio,
    waiting,
)

__all__ = [
    "admin",
    "alice",
    "bob",
    "door",
    "moderator",
    "server",
    "session",
    "sockets",
    "staff",
    "studio",
    "waiting",
]

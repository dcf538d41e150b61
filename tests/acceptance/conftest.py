"""The fixtures of acceptance tests."""

from tests.acceptance.fixtures import (
    admin,
    alice,
    bob,
    door,
    gateways,
    moderator,
    server,
    session,
    sockets,
    spare,
    spare_door,
    staff,
    studio,
    waiting,
)

__all__ = [
    "admin",
    "alice",
    "bob",
    "door",
    "gateways",
    "moderator",
    "server",
    "session",
    "sockets",
    "spare",
    "spare_door",
    "staff",
    "studio",
    "waiting",
]

"""What acceptance and security tests share: one running server, and clients that knock on its door."""

import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.clients import Door, Sockets, User
from tests.acceptance.pinned import Pinned, pinned_everywhere
from tests.acceptance.server import WIDE, Server
from tests.acceptance.spare import Spare
from tests.acceptance.waiting import Waiting


class _Shared:
    server: Server | None = None
    waiting: Waiting | None = None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The one server of the session; every folder of tests that takes this fixture gets the same."""
    if _Shared.server is None:
        starting = Server(environment=WIDE)
        try:
            starting.start()
            _Shared.waiting = Waiting(starting)
        except BaseException:
            starting.stop()
            raise
        _Shared.server = starting
    yield _Shared.server
    # Both folders' fixtures end with the session; the first to end stops what they share.
    if _Shared.server is not None:
        stopping, _Shared.server = _Shared.server, None
        if _Shared.waiting is not None:
            _Shared.waiting.stop()
        code = stopping.stop()
        leaked = secrets_in_logs(stopping)
        stopping.remove()
        assert code == 0
        assert leaked == []


def secrets_in_logs(server: Server) -> list[str]:
    """Where a secret that a test used stands in a log; never the secret itself."""
    return sorted(
        f"{path.name}: {text.count(secret)} times something of {len(secret)} characters"
        for path, text in server.logs().items()
        for secret in server.secrets
        if secret in text
    )


@pytest.fixture(scope="session")
def spare() -> Iterator[Spare]:
    """A second server whose boards nobody else touches, and that may be stopped; it has kinds of its own."""
    server = Spare()
    server.start()
    yield server
    code = server.stop()
    server.remove()
    assert code == 0


@pytest_asyncio.fixture
async def spare_door(spare: Spare, session: aiohttp.ClientSession) -> Door:
    return Door(spare, session)


@pytest.fixture(scope="session")
def waiting(server: Server) -> Waiting:
    """Sockets that were opened at the start of the session, for what takes its time."""
    assert _Shared.waiting is not None
    return _Shared.waiting


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30)
    ) as session:
        yield session


@pytest_asyncio.fixture
async def door(server: Server, session: aiohttp.ClientSession) -> Door:
    return Door(server, session)


@pytest_asyncio.fixture
async def sockets(server: Server, session: aiohttp.ClientSession) -> AsyncIterator[Sockets]:
    sockets = Sockets(server, session)
    yield sockets
    await sockets.close()


@pytest_asyncio.fixture
async def gateways(server: Server) -> AsyncIterator[list[Pinned]]:
    """A door of each of the two gateways."""
    doors = await pinned_everywhere(server, 2)
    yield doors
    for door in doors:
        await door.session.close()


@pytest_asyncio.fixture
async def alice(door: Door) -> User:
    """A player who is new."""
    return await door.guest()


@pytest_asyncio.fixture
async def bob(door: Door) -> User:
    """Another player who is new."""
    return await door.guest()


class _Staff:
    """Tokens live for 15 minutes: others take over in time."""

    ON_DUTY_S = 600.0

    admin: User | None = None
    roles: dict[str, User] = {}
    until = 0.0


async def _admin(door: Door) -> User:
    if _Staff.admin is None or time.monotonic() > _Staff.until:
        _Staff.until = time.monotonic() + _Staff.ON_DUTY_S
        _Staff.roles.clear()
        _Staff.admin = await door.admin()
    return _Staff.admin


async def _of_role(role: str, door: Door) -> User:
    admin = await _admin(door)
    if role not in _Staff.roles:
        _Staff.roles[role] = await door.with_role(role, admin)
    return _Staff.roles[role]


@pytest_asyncio.fixture
async def admin(door: Door) -> User:
    """The administrator that the settings made."""
    return await _admin(door)


@pytest_asyncio.fixture
async def studio(door: Door) -> User:
    """A studio's own game server."""
    return await _of_role("server", door)


@pytest_asyncio.fixture
async def moderator(door: Door) -> User:
    return await _of_role("moderator", door)


@pytest_asyncio.fixture
async def staff(door: Door) -> dict[str, User]:
    """Somebody of each role."""
    roles = ("player", "server", "moderator", "designer", "operator")
    people = {role: await _of_role(role, door) for role in roles}
    return {**people, "admin": await _admin(door)}

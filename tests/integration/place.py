"""The door's accounts on real Postgres and Redis, with any number of gateways that know nothing of each other."""

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from actors.core import Command, pack_fields
from actors.runtime.bus import Bus
from actors.runtime.database import Database
from actors.runtime.migrations import migrate
from actors.runtime.router import Router
from gateway import errors
from gateway.accounts import passwords
from gateway.accounts.access import Access
from gateway.accounts.routes import routes
from gateway.accounts.sessions import Identity
from gateway.identity import ACCESS, LIMITER, SETTINGS, identify, identity
from gateway.limits import Limiter
from schemas.address import Address
from schemas.messages import Caller, Reply
from schemas.problems import Refusal
from schemas.settings import Settings
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis

PASSWORD = "correct horse battery"
MIGRATED = "migrated"


class Players:
    """Stands where the hosts are: notes which players were made, and can be out of reach."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.ops: dict[str, bytes] = {}
        self.down = False

    def command(self, address: Address, command: Command[Any], caller: Caller, *, op: str) -> "asyncio.Future[Reply]":
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        refusal = Refusal("UNAVAILABLE") if self.down else None
        if self.ops.setdefault(op, pack_fields(command)) != pack_fields(command):
            refusal = Refusal("OP_REUSED")
        if refusal is None:
            self.names[address.key] = command.model_dump()["name"]
            answered.set_result(Reply(200, 1, {}))
        else:
            answered.set_result(Reply(refusal.status, 0, refusal.pack()))
        return answered


@dataclass
class Gateway:
    access: Access
    bus: Bus
    client: TestClient[web.Request, web.Application]
    revoked: list[tuple[str, str | None, int]] = field(default_factory=list)

    async def post(self, path: str, body: Any = None, token: str = "", **headers: str) -> tuple[int, Any]:
        return await self.ask("POST", path, body, token, **headers)

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> tuple[int, Any]:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.client.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def me(self, token: str) -> tuple[int, Any]:
        """Who the gateway takes the token's bearer for."""
        return await self.ask("GET", "/me", token=token)


@dataclass
class Place:
    """A Greenroom's servers and its gateways."""

    database_url: str
    redis_url: str
    players: Players
    stack: AsyncExitStack

    async def database(self) -> Database:
        database = Database(self.database_url)
        await database.open()
        self.stack.push_async_callback(database.close)
        return database

    async def gateway(self, redis_url: str | None = None, cost: int = 4, **settings: Any) -> Gateway:
        bus = Bus(redis_url or self.redis_url)
        await bus.open()
        self.stack.push_async_callback(bus.close)
        access = Access(await self.database(), bus, Settings(**settings), cast(Router, self.players))
        access.passwords = passwords.Passwords(cost=cost)
        await access.open()
        self.stack.push_async_callback(access.close)
        app = web.Application(middlewares=[rendered, identify])
        app[ACCESS], app[LIMITER], app[SETTINGS] = access, Limiter(), access.settings
        app.add_routes([*routes(access), web.get("/me", me)])
        client = TestClient(TestServer(app))
        await self.stack.enter_async_context(client)
        gateway = Gateway(access, bus, client)
        access.on_revoked.append(lambda *revoked: gateway.revoked.append(revoked))
        return gateway


@web.middleware
async def rendered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return errors.response_of(refusal, "req_test")


async def me(request: web.Request) -> web.Response:
    user = cast(Identity, identity(request))
    return web.json_response({"userId": user.user_id, "roles": user.roles, "username": user.username})


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """One Postgres and one Redis for all tests of this file, with one database that is migrated."""

    async def start() -> tuple[DataFolder, EmbeddedPostgres, EmbeddedRedis]:
        folder = DataFolder(Path(tempfile.mkdtemp(prefix="greenroom-test-", dir="/tmp")) / "data")
        folder.path.parent.chmod(0o755)
        await folder.__aenter__()
        postgres, redis = EmbeddedPostgres(folder, unsafe=True), EmbeddedRedis(folder)
        await asyncio.gather(postgres.start(), redis.start())
        database = Database(postgres.dsn)
        await database.open()
        await database.execute(f"CREATE DATABASE {MIGRATED}")
        await database.close()
        migrated = Database(_of(postgres.dsn, MIGRATED))
        await migrated.open()
        await migrate(migrated)
        await migrated.close()
        return folder, postgres, redis

    async def stop() -> None:
        await redis.stop()
        await postgres.stop()
        await folder.__aexit__()

    folder, postgres, redis = asyncio.run(start())
    yield postgres.dsn, redis.url
    asyncio.run(stop())
    shutil.rmtree(folder.path.parent)


@pytest.fixture
async def place(servers: tuple[str, str]) -> AsyncIterator[Place]:
    """The servers with nothing in the database."""
    dsn, redis_url = servers
    async with AsyncExitStack() as stack:
        made = Place(_of(dsn, MIGRATED), redis_url, Players(), stack)
        await _empty(await made.database())
        yield made


@pytest.fixture
async def own_place(servers: tuple[str, str]) -> AsyncIterator[Place]:
    """The servers with a database that nobody else uses: for tests that change the schema."""
    dsn, redis_url = servers
    name = f"t{uuid.uuid4().hex[:12]}"
    first = Database(dsn)
    await first.open()
    await first.execute(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
    await first.close()
    async with AsyncExitStack() as stack:
        yield Place(_of(dsn, name), redis_url, Players(), stack)


async def _empty(database: Database) -> None:
    tables = await database.fetch_value(
        """SELECT string_agg(relname, ', ') FROM pg_class
           WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
           AND relname <> 'migration'"""
    )
    async with database.transaction() as sql:
        # Some tables are append-only, by triggers that are silent for a replica.
        await sql.execute("SET LOCAL session_replication_role = replica")
        await sql.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


def _of(dsn: str, name: str) -> str:
    """The DSN of another database of the same server."""
    return dsn.replace("/greenroom?", f"/{name}?")


@pytest.fixture
async def gateway(place: Place) -> Gateway:
    return await place.gateway()


def named(prefix: str = "player") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}x"


async def registered(gateway: Gateway, username: str = "") -> Any:
    status, body = await gateway.post("/auth/register", {"username": username or named(), "password": PASSWORD})
    assert status == 201, body
    return body


async def with_role(place: Place, gateway: Gateway, role: str) -> Any:
    """A user with that role, given by SQL."""
    body = await registered(gateway)
    database = await place.database()
    await database.execute(
        "UPDATE account SET roles = roles || $2::text, changed_at = clock_timestamp() WHERE id = $1",
        body["userId"],
        role,
    )
    await until(lambda: has_role(gateway, body["accessToken"], role))
    return body


async def has_role(gateway: Gateway, token: str, role: str) -> bool:
    _, user = await gateway.me(token)
    return role in user["roles"]


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 3.0) -> float:
    """Wait for the condition; how long it took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within_s, "did not happen in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began

"""The load of a chaos run: accounts are made, and players use REST and both forms of the WebSocket at once."""

import asyncio
import itertools
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from pydantic_core import from_json

from actors.runtime.database import Database
from gateway.accounts import store
from greenroom_client import Backoff, Client, Form, GreenroomError, RateLimited
from schemas.address import Address
from scripts.chaos.game import Company, Game
from scripts.chaos.guests import Guest
from scripts.chaos.history import History
from scripts.chaos.players import Player, Trusted
from scripts.chaos.wires import Rest, Socket, Wire
from scripts.connect import operator
from scripts.terminal import Failed

_CONTENT = "SELECT body FROM content WHERE active"
_TRUSTED_ACCOUNTS = 8
_ROLES_KNOWN_S = 1.5
"""Every gateway has heard of a granted role by then."""


class Workload:
    """`async with workload(...)` makes it; `play` loads the server until `stop` is set."""

    def __init__(
        self, url: str, history: History, seed: int, rate_per_s: float, session: aiohttp.ClientSession
    ) -> None:
        self.url = url
        self.history = history
        self.rate_per_s = rate_per_s
        self.session = session
        self.players: list[Player] = []
        self.sockets: list[Socket] = []
        self.subjects: list[Address] = []
        """The player actors that are played with."""
        self.company = Company()
        self.stop = asyncio.Event()
        self._dice = random.Random(f"players {seed}")
        self._mark = secrets.token_hex(4)
        self._spoken_for: list[str] = []
        self._guests: list[Client] = []

    async def join(self, database: Database, count: int) -> None:
        """Make the accounts: half of the players are guests, half are studios' servers."""
        game = Game.of(from_json(await database.fetch_value(_CONTENT)))
        guests = [await self._guest(number) for number in range(count // 2)]
        self._guests = guests
        self.company.guests = [guest.user_id for guest in guests]
        trusted = [await self._trusted(database) for _ in range(_TRUSTED_ACCOUNTS)]
        await asyncio.sleep(_ROLES_KNOWN_S)
        self.subjects = [Address("player", guest.user_id) for guest in guests]
        names = [(f"chaos-{self._mark}-{number}", f"Chaos {number}") for number in range(count)]
        self.subjects += [Address("player", one.user_id) for one in await trusted[0].provision(names)]
        pace_s = count / self.rate_per_s
        for number, client in enumerate((*guests, *itertools.islice(itertools.cycle(trusted), count - len(guests)))):
            name = f"chaos-{self._mark}-{number}"
            is_guest = number < len(guests)
            wire = self._wire(number % 3, client, name, listens=is_guest)
            given = (name, client.user_id, wire, self.history, random.Random(f"{name} {self._dice.random()}"), pace_s)
            if is_guest:
                self.players.append(Guest(*given, game=game, company=self.company))
            else:
                self.players.append(Trusted(*given, players=self.subjects, game=game, company=self.company))

    def _wire(self, way: int, client: Client, name: str, *, listens: bool) -> Wire:
        if way == 0:
            return Rest(client, self.session)
        socket = self._socket(client, name, way, listens=listens)
        self.sockets.append(socket)
        return socket

    def listen(self, count: int) -> list[Socket]:
        """So many sockets more that only listen, each to the guest that it belongs to."""
        more = [
            self._socket(self._guests[number % len(self._guests)], f"listener-{self._mark}-{number}", number)
            for number in range(count if self._guests else 0)
        ]
        self.sockets += more
        return more

    def _socket(self, client: Client, name: str, number: int, *, listens: bool = True) -> Socket:
        def pushed(actor: Address, seq: int, told: str) -> None:
            self.history.pushed(name, actor, seq, told)

        form = Form.JSON if number % 2 else Form.MSGPACK
        topic = Address("player", client.user_id) if listens else None
        return Socket(client, self.session, form, topic, pushed)

    async def _guest(self, number: int) -> Client:
        client = Client(self.url, session=self.session, deadline_s=60.0)
        await self._log_in(client, f"chaos-{self._mark}-{number}-{secrets.token_hex(8)}")
        return client

    async def _trusted(self, database: Database) -> Client:
        """A guest too, which is made without a slow hash of a password; with the role only until the end of the run."""
        client = Client(self.url, session=self.session, backoff=Backoff(attempts_max=20), deadline_s=60.0)
        device = f"chaos-{self._mark}-server-{secrets.token_hex(16)}"
        await self._log_in(client, device)
        await self._let_speak_for_all(database, client.user_id, True)
        self._spoken_for.append(client.user_id)
        await self._log_in(client, device)
        return client

    async def _log_in(self, client: Client, device: str) -> None:
        client.tokens = None
        while client.tokens is None:
            try:
                await client.guest(device)
            except RateLimited as limited:
                await asyncio.sleep(limited.retry_after_s or 1.0)

    async def _let_speak_for_all(self, database: Database, user_id: str, grant: bool) -> None:
        async with database.transaction() as connection:
            await store.set_role(connection, user_id, "server", grant)
            details = {"role": "server", "grant": grant}
            await store.add_audit(connection, operator(), "operator", "set_role", user_id, details, "")

    async def leave(self, database: Database) -> None:
        """Close all connections, and take back the roles that were granted."""
        await asyncio.gather(*(player.wire.close() for player in self.players))
        await asyncio.gather(*(socket.close() for socket in self.sockets))
        for user_id in self._spoken_for:
            await self._let_speak_for_all(database, user_id, False)

    async def play(self) -> None:
        """Play until `stop` is set; then every player finishes what it has under way."""
        async with asyncio.TaskGroup() as playing:
            for player in self.players:
                playing.create_task(player.play(self.stop))

    async def look_back(self) -> None:
        """Ask every actor once more, patiently: the last reads of the history."""
        looking = next(player for player in self.players if isinstance(player, Trusted))
        for actor in self.subjects:
            for _ in range(20):
                if (await looking.look(actor, "public_profile")).ok:
                    break
                await asyncio.sleep(0.25)


@asynccontextmanager
async def workload(
    url: str, database: Database, history: History, *, seed: int, players: int, rate_per_s: float
) -> AsyncIterator[Workload]:
    """Players that have joined and may begin; their connections are closed at the end of the block."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        load = Workload(url, history, seed, rate_per_s, session)
        try:
            try:
                await load.join(database, players)
            except GreenroomError as error:
                raise Failed(f"No players could join: {error}. Is it well? `greenroom doctor` looks.") from None
            yield load
        finally:
            await load.leave(database)

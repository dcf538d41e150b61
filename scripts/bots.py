"""Bots that play like people: real clients over the network, polite about limits, each with a temper of its own."""

import asyncio
import random
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from greenroom_client import Client, Connection, Forbidden, Form, GreenroomError, RateLimited, Subscription

# fmt: off
_NAMES = (
    "Ada", "Ambrose", "Aoife", "Bao", "Carlos", "Chidi", "Dagny", "Elif", "Esra", "Fabio", "Femi", "Gloria", "Hana",
    "Ines", "Ivo", "Jun", "Kofi", "Lale", "Lena", "Malik", "Mia", "Nadia", "Noor", "Olga", "Oskar", "Paula", "Quin",
    "Rana", "Rosa", "Sana", "Soren", "Talia", "Tariq", "Uma", "Vera", "Wen", "Ximena", "Yara", "Yusuf", "Zoe",
)
# fmt: on
_TICKER_LINES = 40
_LATENCIES_KEPT = 2_000
_WORTH_TELLING_RANK = 10
_REGISTERED_EVERY = 5
_PAUSE_AFTER_TROUBLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Temper:
    """How a bot plays: what, how long each takes, and the pause after it (seconds, drawn evenly)."""

    name: str
    action: str
    takes_s: tuple[float, float]
    rests_s: tuple[float, float]


# All stay below 30 starts a minute and 8 completions in 10 s; no two pauses are alike, as nobody's are.
TEMPERS = (
    Temper("steady", "quick_win", (0.4, 1.6), (2.4, 6.0)),
    Temper("hunter", "boss_kill", (2.3, 5.5), (3.0, 9.0)),
    Temper("eager", "practice", (0.05, 0.3), (0.1, 0.7)),
    Temper("idler", "quick_win", (1.0, 3.0), (8.0, 25.0)),
)


_DEEDS = {"quick_win": "wins", "boss_kill": "slays a boss", "practice": "practises"}


@dataclass(slots=True)
class World:
    """What all bots did, for whoever watches."""

    began: float = field(default_factory=time.monotonic)
    playing: int = 0
    completed: int = 0
    points: int = 0
    pushes: int = 0
    reconnects: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    by_action: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))
    ticker: deque[str] = field(default_factory=lambda: deque(maxlen=_TICKER_LINES))
    boards: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    board_updates: int = 0

    def tell(self, line: str) -> None:
        self.ticker.append(line)

    def percentile_ms(self, share: float) -> float:
        """The latency below which this share of the latest answers lies; 0 without any."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def as_json(self) -> dict[str, Any]:
        seconds = time.monotonic() - self.began
        return {
            "seconds": round(seconds, 1),
            "completed": self.completed,
            "completedPerSecond": round(self.completed / seconds, 2),
            "byAction": dict(self.by_action),
            "points": self.points,
            "pushes": self.pushes,
            "boardUpdates": self.board_updates,
            "reconnects": self.reconnects,
            "troubles": dict(self.troubles),
            "p50Ms": round(self.percentile_ms(0.5), 2),
            "p99Ms": round(self.percentile_ms(0.99), 2),
            "boards": self.boards,
        }


class Bot:
    """One player. `live` ends when the player is banned, or with the task."""

    def __init__(
        self, number: int, url: str, session: aiohttp.ClientSession, world: World, joins: asyncio.Semaphore
    ) -> None:
        self.name = f"{_NAMES[number % len(_NAMES)]}{secrets.randbelow(10_000):04}"
        self.temper = TEMPERS[number % len(TEMPERS)]
        self.registers = number % _REGISTERED_EVERY == 0
        self.form = Form.MSGPACK if number % 2 else Form.JSON
        self.client = Client(url, session=session)
        self.world = world
        self._joins = joins
        self._dice = random.Random(secrets.randbits(64))

    async def live(self) -> None:
        """Join, connect, watch oneself and play."""
        await self._join()
        async with self.client.connect(self.form) as connection:
            self.world.playing += 1
            try:
                listening = asyncio.create_task(self._listen(await connection.subscribe("player:me")))
                try:
                    await self._play(connection)
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
            finally:
                self.world.playing -= 1
                self.world.reconnects += connection.reconnects

    async def _join(self) -> None:
        async with self._joins:
            while self.client.tokens is None:
                try:
                    if self.registers:
                        await self.client.register(self.name, secrets.token_urlsafe(12))
                    else:
                        await self.client.guest(f"demo-{secrets.token_hex(8)}")
                except GreenroomError as error:
                    await self._rest_after(error)
        who = self.name if self.registers else "a guest"
        self.world.tell(f"[cyan]{who}[/] joins, {self.temper.name}")

    async def _play(self, connection: Connection) -> None:
        await asyncio.sleep(self._dice.uniform(0, self.temper.rests_s[1]))
        while True:
            try:
                await self._act(connection)
            except Forbidden as error:
                self.world.troubles[error.code] += 1
                self.world.tell(f"[red]{self._who()} may not go on: {error.code}[/]")
                return
            except GreenroomError as error:
                await self._rest_after(error)
            await asyncio.sleep(self._dice.uniform(*self.temper.rests_s))

    async def _act(self, connection: Connection) -> None:
        action = self.temper.action
        started = await self._timed(connection, "start_action", {"type": action})
        await asyncio.sleep(self._dice.uniform(*self.temper.takes_s))
        proof = {"actionId": started["id"], "actionToken": started["actionToken"]}
        done = await self._timed(connection, "complete_action", proof)
        self.world.completed += 1
        self.world.by_action[action] += 1
        self.world.points += done["score"]["current"] - (done["score"]["previous"] or 0)
        self._boast(action, done)

    async def _timed(self, connection: Connection, name: str, data: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        answer: dict[str, Any] = (await connection.command("player", "me", name, data)).data
        self.world.latencies_ms.append((time.perf_counter() - began) * 1e3)
        return answer

    def _boast(self, action: str, done: dict[str, Any]) -> None:
        rank = done.get("rank") or {}
        before, now = rank.get("previous"), rank.get("current")
        climbed = f", rank {before or '-'} to {now}" if now and before != now else ""
        if action == "boss_kill" or (now and climbed and now <= _WORTH_TELLING_RANK):
            self.world.tell(f"[green]{self._who()}[/] {_DEEDS[action]}{climbed}")
        if done.get("warning"):
            self.world.tell(f"[yellow]{self._who()} is warned[/]")

    async def _listen(self, subscription: Subscription) -> None:
        async for _ in subscription:
            self.world.pushes += 1

    async def _rest_after(self, error: GreenroomError) -> None:
        self.world.troubles[error.code or type(error).__name__] += 1
        limited_s = error.retry_after_s if isinstance(error, RateLimited) else None
        await asyncio.sleep((limited_s or _PAUSE_AFTER_TROUBLE_S) + self._dice.random())

    def _who(self) -> str:
        return self.name if self.registers else f"guest-{self.client.user_id[:8]}"

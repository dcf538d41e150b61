"""The faults that a chaos run can bring about, each with what it does, to whom, and how it ends."""

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from actors.runtime.database import Database, Refused
from schemas.problems import Refusal
from scripts.chaos.target import Target, Victim, family, strike

PAUSE_S = 8.0
HOST_PAUSE_S = 10.0
STANDBY_WITHIN_S = 20.0
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(slots=True)
class Struck:
    """One fault that came about. `slots` are those whose host it hit; none: everybody may notice."""

    kind: str
    name: str
    at: float
    over_at: float = 0.0
    """When the fault itself ended: at once for a kill, at the end for a pause."""
    slots: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a fault needs: the processes, the database, dice, and a word for each that strikes."""

    target: Target
    database: Database
    dice: random.Random
    struck: Callable[[str, Victim], Struck]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault. `act` returns when it is over; nothing is struck where the victim is not ours to strike."""

    name: str
    says: str
    every_s: float
    act: Callable[[Surroundings], Awaitable[None]]


async def _standby(around: Surroundings) -> list[Victim]:
    """The hosts at work, once there are two shared ones, so that there is somebody to take over."""
    until = time.monotonic() + STANDBY_WITHIN_S
    while True:
        try:
            hosts = await around.target.hosts(around.database)
        except (Refusal, Refused):
            hosts = []
        if sum(host.role == "host" for host in hosts) >= 2 or time.monotonic() > until:
            return at_work(hosts)
        await asyncio.sleep(0.05)


def at_work(victims: list[Victim]) -> list[Victim]:
    """Those whose death anybody would notice; all, when none of them is at work."""
    return [victim for victim in victims if victim.at_work] or victims


def _kill(around: Surroundings, kind: str, victim: Victim | None, how: signal.Signals = signal.SIGKILL) -> None:
    if victim is None:
        return
    struck = around.struck(kind, victim)
    strike(victim, how)
    struck.over_at = struck.at


async def _pause(around: Surroundings, kind: str, victims: list[Victim], seconds: float) -> None:
    if not victims:
        return
    struck = around.struck(kind, victims[0])
    try:
        for victim in victims:
            strike(victim, signal.SIGSTOP)
        await asyncio.sleep(seconds)
    finally:
        for victim in victims:
            strike(victim, signal.SIGCONT)
        struck.over_at = time.monotonic()


async def _kill_host(around: Surroundings) -> None:
    hosts = await _standby(around)
    _kill(around, "host", around.dice.choice(hosts) if hosts else None)


async def _pause_host(around: Surroundings) -> None:
    hosts = [host for host in await _standby(around) if host.role == "host"]
    await _pause(around, "host-pause", [around.dice.choice(hosts)] if hosts else [], HOST_PAUSE_S)


async def _kill_gateway(around: Surroundings) -> None:
    until = time.monotonic() + STANDBY_WITHIN_S
    while len(gateways := around.target.gateways()) < 2 and time.monotonic() < until:
        # One after the other: the one that died must have come back before the next.
        await asyncio.sleep(0.1)
    _kill(around, "gateway", around.dice.choice(at_work(gateways)) if gateways else None)


async def _kill_director(around: Surroundings) -> None:
    _kill(around, "director", around.target.server("driver"))


async def _kill_head(around: Surroundings) -> None:
    await _kill_part_of_ray(around, "head", "gcs_server")


async def _kill_raylet(around: Surroundings) -> None:
    await _kill_part_of_ray(around, "raylet", "raylet")


async def _kill_part_of_ray(around: Surroundings, kind: str, program: str) -> None:
    ray = around.target.server("ray")
    parts = family(ray) if ray is not None else []
    _kill(around, kind, next((part for part in parts if part.name == program), None))


async def _kill_postgres(around: Surroundings) -> None:
    _kill(around, "postgres", around.target.server("postgres"))


async def _stop_postgres(around: Surroundings) -> None:
    """What `pg_ctl stop -m immediate` sends."""
    _kill(around, "postgres-stop", around.target.server("postgres"), signal.SIGQUIT)


async def _pause_postgres(around: Surroundings) -> None:
    postmaster = around.target.server("postgres")
    await _pause(around, "postgres-pause", family(postmaster) if postmaster is not None else [], PAUSE_S)


async def _end_sessions(around: Surroundings) -> None:
    struck = around.struck("sessions", Victim("postgres", "all sessions", 0))
    with contextlib.suppress(Refusal, Refused):
        await around.database.fetch_value(_TERMINATE)
    struck.over_at = struck.at


async def _kill_redis(around: Surroundings) -> None:
    _kill(around, "redis", around.target.server("redis"))


async def _pause_redis(around: Surroundings) -> None:
    redis = around.target.server("redis")
    await _pause(around, "redis-pause", [redis] if redis is not None else [], PAUSE_S)


async def _flush_redis(around: Surroundings) -> None:
    await _tell_redis(around, "redis-flush", b"FLUSHALL\r\n")


async def _hold_redis(around: Surroundings) -> None:
    await _tell_redis(around, "redis-hold", b"CLIENT PAUSE 5000 ALL\r\n")


async def _tell_redis(around: Surroundings, kind: str, words: bytes) -> None:
    """Only the embedded one: what else is in a Redis of the user's own is not ours to touch."""
    redis = around.target.server("redis")
    if redis is None:
        return
    struck = around.struck(kind, redis)
    await asyncio.to_thread(_say, socket_of(around.target.running.redis_url), words)
    struck.over_at = struck.at


def _say(path: Path, words: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        try:
            connection.connect(str(path))
            connection.sendall(words)
            connection.recv(64)
        except OSError:
            return


def socket_of(url: str) -> Path:
    """The socket of an embedded server's URL."""
    parts = urlsplit(url)
    return Path(parse_qs(parts.query)["host"][0] if "host=" in parts.query else parts.path)


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("host", "kill -9 of a host process", 3.0, _kill_host),
        Fault("gateway", "kill -9 of a gateway process", 10.0, _kill_gateway),
        Fault("director", "kill -9 of the director's process", 45.0, _kill_director),
        Fault("head", "kill -9 of the embedded Ray's head", 60.0, _kill_head),
        Fault("raylet", "kill -9 of the embedded Ray's raylet", 60.0, _kill_raylet),
        Fault("host-pause", f"SIGSTOP of a host for {HOST_PAUSE_S:g} s", 25.0, _pause_host),
        Fault("postgres", "kill -9 of the embedded Postgres", 20.0, _kill_postgres),
        Fault("postgres-stop", "immediate stop of the embedded Postgres", 20.0, _stop_postgres),
        Fault("postgres-pause", f"SIGSTOP of the embedded Postgres for {PAUSE_S:g} s", 40.0, _pause_postgres),
        Fault("sessions", "pg_terminate_backend of all sessions of the database", 12.0, _end_sessions),
        Fault("redis", "kill -9 of the embedded Redis", 15.0, _kill_redis),
        Fault("redis-flush", "FLUSHALL of the embedded Redis", 12.0, _flush_redis),
        Fault("redis-hold", "CLIENT PAUSE of the embedded Redis for 5 s", 20.0, _hold_redis),
        Fault("redis-pause", f"SIGSTOP of the embedded Redis for {PAUSE_S:g} s", 30.0, _pause_redis),
    )
}
USUAL = ("host", "gateway", "sessions", "postgres", "redis", "redis-flush")
"""What `greenroom chaos` does unless told otherwise."""

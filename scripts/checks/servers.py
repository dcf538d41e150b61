"""Checks of Redis, Ray and the gateways."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from actors.runtime.bus import Bus, BusDown
from schemas.settings import Settings
from scripts.checks import Finding, green, off, red, yellow
from scripts.connect import Running
from scripts.embedded.folder import DataFolder
from scripts.embedded.raycluster import RayHead

WITHIN_S = 3.0

# The releases with the cure for CVE-2025-49844, by series: older ones let a script take the server over.
_PATCHED = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}


async def redis(url: str | None) -> AsyncIterator[Finding]:
    """Whether Redis answers, and whether strangers could make it do so."""
    if url is None:
        yield off("redis", "not running")
        return
    bus = Bus(url)  # not opened: that would begin to listen, too
    try:
        began = time.monotonic()
        if not await bus.ping(WITHIN_S):
            advice = "Commands go on; pushes and shared caches pause until it is back."
            yield red("redis", "does not answer", advice)
            return
        took_ms = (time.monotonic() - began) * 1000
        facts = _facts(await bus.ask("INFO", "server"))
        yield _version(facts, took_ms)
        async for finding in _access(bus, url):
            yield finding
    except BusDown as down:
        yield red("redis", f"does not answer ({down})", "Commands go on; pushes pause until it is back.")
    finally:
        await bus.close()


def _facts(info: Any) -> dict[str, str]:
    if isinstance(info, dict):
        return {_text(name): _text(value) for name, value in info.items()}
    lines = (line.partition(":") for line in _text(info).splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _version(facts: dict[str, str], took_ms: float) -> Finding:
    valkey = facts.get("valkey_version")
    version = valkey or facts.get("redis_version", "unknown")
    found = f"{'Valkey' if valkey else 'Redis'} {version}, answers in {took_ms:.1f} ms"
    if not valkey and not _patched(version):
        advice = "Versions before 8.2.2 let a script take the server over, unless your distribution mended it: update."
        return yellow("redis", found, advice)
    return green("redis", found)


def _patched(version: str) -> bool:
    numbers = [int(part) for part in version.split(".")[:3] if part.isdigit()]
    if len(numbers) < 3:
        return False
    series = (numbers[0], numbers[1])
    return series > max(_PATCHED) or numbers[2] >= _PATCHED.get(series, numbers[2] + 1)


async def _access(bus: Bus, url: str) -> AsyncIterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        yield green("redis access", "a socket that only its owner can open")
        return
    if parts.password:
        yield green("redis access", "with a password")
        return
    protected = "unknown"
    try:
        answer = await bus.ask("CONFIG", "GET", "protected-mode")
        values = list(answer.values()) if isinstance(answer, dict) else list(answer)[1:]
        protected = _text(values[0]) if values else "unknown"
    except BusDown:
        pass
    advice = "Set requirepass (or an ACL without @scripting and @dangerous), and name it in REDIS_URL."
    if protected == "yes" and parts.hostname in ("127.0.0.1", "localhost", "::1", None):
        yield yellow("redis access", "no password; protected mode keeps it to this machine", advice)
    else:
        yield red("redis access", f"no password; protected mode {protected}", advice)


async def ray(settings: Settings, running: Running | None) -> AsyncIterator[Finding]:
    """Whether Ray answers those who have its token, and only those."""
    address = settings.ray_address or (running.ray_address if running else None)
    if address is None:
        yield off("ray", "not running")
        return
    if address != "auto":
        if not await _accepts(address):
            yield red("ray", f"{address} does not answer", "serve starts its own Ray again; see logs/ray.log.")
            return
        yield green("ray", f"answers at {address}")
    if settings.ray_address is not None:
        yield _own_cluster()
        return
    token = RayHead(DataFolder(settings.data), dashboard=False).token_path
    dashboard = running.dashboard_url if running else None
    if dashboard is None:
        yield green("ray token", f"in {token}; without the dashboard there is nobody to try it on")
        return
    for finding in await _with_token(dashboard, token.read_text().strip() if token.is_file() else ""):
        yield finding


def _own_cluster() -> Finding:
    return yellow(
        "ray token",
        "a cluster of your own",
        "Start it with RAY_AUTH_MODE=token: whoever reaches its ports without a token runs code on it.",
    )


async def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(WITHIN_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
    except (OSError, ValueError, TimeoutError):
        return False
    return True


async def _with_token(dashboard: str, token: str) -> Iterator[Finding]:
    findings = []
    with_token = await _status(f"{dashboard}/api/version", {"Authorization": f"Bearer {token}"})
    without = await _status(f"{dashboard}/api/version", {})
    if with_token == 200 and without in (401, 403):
        findings.append(green("ray token", "opens Ray, and nothing opens without it"))
    elif without == 200:
        findings.append(
            red("ray token", "Ray answers without one", "Whoever reaches its ports runs code: set RAY_AUTH_MODE.")
        )
    elif with_token is None:
        findings.append(
            yellow("ray dashboard", f"{dashboard} does not answer", "It starts seconds after the game is ready.")
        )
    else:
        findings.append(red("ray token", f"the token of the data folder is refused ({with_token})", "Restart serve."))
    return iter(findings)


async def _status(url: str, headers: dict[str, str]) -> int | None:
    try:
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


async def gateway(running: Running | None) -> AsyncIterator[Finding]:
    """What the gateways say of themselves."""
    if running is None:
        yield off("gateways", "not running")
        return
    try:
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{running.url}/health") as response:
            health = await response.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        yield red("gateways", f"{running.url} does not answer ({type(error).__name__})", "See logs/serve.log.")
        return
    parts = ", ".join(f"{name} {health.get(name)}" for name in ("redis", "database", "hosts"))
    if health.get("status") == "healthy":
        yield green("gateways", f"healthy: {parts}; version {health.get('version')}, up {health.get('uptime')} s")
    else:
        yield red("gateways", f"{health.get('status')}: {parts}", "What is not ok is looked at above.")

"""Requests to servers of others: no redirects, bounded answers, and only to addresses that are meant."""

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Literal

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from gateway import decode
from schemas.problems import Refusal

ANSWER_BYTES_MAX = 256 * 1024
WITHIN_S = 8.0
ASKING_MAX = 8
WAITING_MAX = 64

Reach = Literal["public", "private", "loopback"]
"""Which addresses are meant: the internet's; those and a private network's; this machine's alone."""

_NAT64 = IPv6Network("64:ff9b::/96")

log = structlog.get_logger(__name__)


class OutOfReach(OSError):
    """The name leads to an address that is not meant."""


class Outside:
    """A client for one other party, whose answers are JSON objects."""

    def __init__(self, reach: Reach) -> None:
        self.reach: Reach = reach
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(ASKING_MAX)
        self._present = 0

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def get(self, url: str) -> dict[str, Any]:
        """The object at this URL; refused as UNAVAILABLE when there is none."""
        status, answer = await self._ask("GET", url)
        if status != 200:
            raise _away(url, f"status {status}")
        return answer

    async def post_form(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """The status and object that answer this form; refused as UNAVAILABLE when the server is in trouble."""
        return await self._ask("POST", url, fields, headers)

    async def _ask(
        self, method: str, url: str, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        if self._present >= ASKING_MAX + WAITING_MAX:
            raise Refusal("OVERLOADED", "Too many logins at once; try again in a moment.", retry_after_s=3)
        self._present += 1
        try:
            async with asyncio.timeout(WITHIN_S), self._slots:
                return await self._answer(method, url, fields, headers or {})
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as trouble:
            raise _away(url, f"{type(trouble).__name__}: {trouble}") from None
        finally:
            self._present -= 1

    async def _answer(
        self, method: str, url: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        refuse_unmeant(url, self.reach)
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        async with self._opened().request(
            method, URL(url), data=fields, headers=sent, allow_redirects=False
        ) as response:
            if response.status >= 500 or 300 <= response.status < 400:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise ValueError("the answer is too large")
        try:
            value = decode.json_value(bytes(body))
        except Refusal as refusal:
            raise ValueError(refusal.message) from None
        if not isinstance(value, dict):
            raise ValueError("the answer is no object")
        return response.status, value

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=Resolver(self.reach), limit=ASKING_MAX)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session


class Resolver(AbstractResolver):
    """Names to addresses, of which only those that are meant come out: the connection goes to what was checked."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Reach = reach
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        meant = [one for one in found if is_meant(one["host"], self._reach)]
        if not meant:
            raise OutOfReach(f"{host} leads to addresses that are not meant")
        return meant

    async def close(self) -> None:
        await self._resolver.close()


def refuse_unmeant(url: str, reach: Reach) -> None:
    """ValueError for a URL that is not for this reach: plain HTTP is for loopback, addresses must be meant."""
    parts = URL(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and reach == "loopback"):
        raise ValueError("not an https:// URL")
    if not parts.host or parts.user is not None:
        raise ValueError("a URL without a host, or with a user")
    try:
        ip_address(parts.host)
    except ValueError:
        return
    if not is_meant(parts.host, reach):
        raise OutOfReach(f"{parts.host} is not meant")


def is_meant(address: str, reach: Reach) -> bool:
    """Whether this address is one of those to be reached; never one of a neighbour on the wire, or of a group."""
    parsed = _inner(ip_address(address.partition("%")[0]))
    if reach == "loopback":
        return parsed.is_loopback
    if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved:
        return False
    return parsed.is_global or (reach == "private" and parsed.is_private)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _away(url: str, reason: str) -> Refusal:
    log.warning("outside_away", host=URL(url).host if "://" in url else "", reason=reason[:200])
    return Refusal("UNAVAILABLE", "The login's issuer does not answer as it should; try again.", retry_after_s=5)

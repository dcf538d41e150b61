"""HTTP to one Greenroom server: tokens kept fresh, requests repeated under one op id, errors typed."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from greenroom_client.backoff import Backoff
from greenroom_client.errors import ConnectionLost, DeadlinePassed, GreenroomError, Unauthenticated, error_from
from greenroom_client.ids import new_op
from greenroom_client.models import Tokens

API = "/api/v1"
_REFRESH_BEFORE_EXPIRY_S = 30.0


def part(text: str) -> str:
    """One part of a path: whatever the text, it stays one part."""
    return quote(text, safe="")


class Transport:
    """Sends requests as one user; several transports may share one HTTP session."""

    def __init__(
        self,
        url: str,
        *,
        tokens: Tokens | None = None,
        session: aiohttp.ClientSession | None = None,
        backoff: Backoff | None = None,
        deadline_s: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.tokens = tokens
        self.backoff = backoff or Backoff()
        self.deadline_s = deadline_s
        self._session = session
        self._owns_session = session is None
        self._refreshing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._session

    async def access_token(self) -> str:
        """A token that is good for a while yet; refreshes the pair when it is not."""
        async with self._refreshing:
            if self.tokens is None:
                raise Unauthenticated("log in first", status=401, code="not_logged_in")
            expires_at_s = self.tokens.expires_at_s if self.tokens.refresh_token else None
            if expires_at_s is not None and expires_at_s - time.time() < _REFRESH_BEFORE_EXPIRY_S:
                await self._refresh(self.tokens)
            return self.tokens.access_token

    async def refresh(self) -> Tokens:
        """Exchange the refresh token for a new pair; the old pair's refresh token is then used up."""
        async with self._refreshing:
            if self.tokens is None:
                raise Unauthenticated("log in first", status=401, code="not_logged_in")
            return await self._refresh(self.tokens)

    async def _refresh(self, tokens: Tokens) -> Tokens:
        # Sent once only: a refresh token seen twice looks stolen, and the server would end the session.
        body = {"refreshToken": tokens.refresh_token}
        async with _Deadline(self.deadline_s, None):
            answer = await self._send("POST", f"{API}/auth/refresh", {}, body, {})
        self.tokens = Tokens.model_validate(answer)
        return self.tokens

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str | int] | None = None,
        op: str | None = None,
        anonymous: bool = False,
    ) -> Any:
        """The decoded answer; what may succeed later is repeated under the same op id until the deadline."""
        headers = {} if method == "GET" else {"Idempotency-Key": op or new_op()}
        op = headers.get("Idempotency-Key")
        attempt = 0
        async with _Deadline(self.deadline_s, op):
            while True:
                if not anonymous:
                    headers["Authorization"] = f"Bearer {await self.access_token()}"
                try:
                    return await self._send(method, path, headers, body, params or {})
                except GreenroomError as error:
                    error.op = op
                    if not error.worth_repeating or attempt >= self.backoff.attempts_max:
                        raise
                    await asyncio.sleep(self.backoff.delay_s(attempt, error.retry_after_s))
                    attempt += 1

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, params: Mapping[str, str | int]
    ) -> Any:
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            async with self.session.request(
                method,
                URL(self.url + path, encoded=True),
                headers=headers,
                data=data,
                params=params,
                allow_redirects=False,
            ) as response:
                return _decoded(response, await response.read())
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as cause:
            reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            raise ConnectionLost(f"no answer from {self.url}: {reason}") from cause


class _Deadline:
    """Bounds a block in time, and says so in this package's own words."""

    def __init__(self, seconds: float, op: str | None) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._seconds = seconds
        self._op = op

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        try:
            await self._timeout.__aexit__(*exc_info)
        except TimeoutError as cause:
            raise DeadlinePassed(f"no answer within {self._seconds:g} s", op=self._op) from cause


def _decoded(response: aiohttp.ClientResponse, text: bytes) -> Any:
    try:
        body = json.loads(text) if text else None
    except ValueError:
        body = None
    if response.status < 400:
        return body
    error = body if isinstance(body, dict) else {"message": text[:200].decode(errors="replace")}
    retry_after = response.headers.get("Retry-After", "")
    raise error_from(response.status, error, retry_after_s=float(retry_after) if retry_after.isdigit() else None)

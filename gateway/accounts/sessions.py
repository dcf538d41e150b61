"""Sessions as this gateway knows them: verified tokens in memory, kept true by asking Postgres every second."""

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import structlog

from actors.runtime.bus import Bus
from actors.runtime.database import Database, Refused, Row
from actors.times import rfc3339
from gateway.accounts import store
from gateway.accounts.tokens import Claims, Keys
from schemas import frames
from schemas.problems import Refusal

TOKENS_MAX = 32_768
"""Verified tokens kept in memory; the longest unused are verified again."""
POLL_S = 1.0
OVERLAP_MS = 10_000
"""How far back each poll reads: a change shows only when its transaction ends, so times are not seen in order."""
STALE_S = 5.0
"""Without an answer from Postgres for so long, privileges are not believed any more."""
SEEN_MAX = 100_000

CHANNELS = ("access", "sanctions")
"""What is published there says only that something changed; what it is, Postgres knows."""

UNPRIVILEGED = ("player",)

log = structlog.get_logger(__name__)

OnRevoked = Callable[[str, str | None, int], None]


@dataclass(slots=True, weakref_slot=True, eq=False)
class Account:
    """An account as far as requests need it; changed in place when Postgres says so."""

    user_id: str
    display_name: str
    roles: tuple[str, ...]
    player_made: bool
    standing: str | None = None
    until: int | None = None
    reason: str | None = None

    def barred(self, now_ms: int) -> Refusal | None:
        """Why the account may do nothing now; None when it may."""
        if self.standing is None or (self.until is not None and self.until <= now_ms):
            return None
        code = "BANNED" if self.standing == "banned" else "SUSPENDED"
        return Refusal(code, self.reason or "", until=rfc3339(self.until) if self.until is not None else None)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Session:
    session_id: str
    account: Account
    ended: bool


class Identity:
    """A user whose token was accepted. Roles and name are always those of now, also on a socket opened long ago."""

    __slots__ = ("_sessions", "expires_at", "session")

    def __init__(self, session: Session, expires_at: int, sessions: "Sessions") -> None:
        self.session = session
        self.expires_at = expires_at
        """When the token ends, in milliseconds since 1970 UTC."""
        self._sessions = sessions

    def __repr__(self) -> str:
        return f"Identity({self.user_id!r})"

    @property
    def user_id(self) -> str:
        return self.session.account.user_id

    @property
    def session_id(self) -> str:
        return self.session.session_id

    @property
    def username(self) -> str:
        return self.session.account.display_name

    @property
    def roles(self) -> tuple[str, ...]:
        """The account's roles; only `player` while Postgres cannot confirm the others."""
        return UNPRIVILEGED if self.in_doubt else self.session.account.roles

    @property
    def in_doubt(self) -> bool:
        """Whether the account has other roles than these, which Postgres cannot confirm at the moment."""
        return self.session.account.roles != UNPRIVILEGED and self._sessions.stale


class Sessions:
    """Accepts tokens. Hears of revocations, bans and roles within a second, with or without Redis."""

    def __init__(self, database: Database, bus: Bus, keys: Keys) -> None:
        self.on_revoked: list[OnRevoked] = []
        self._database = database
        self._bus = bus
        self._keys = keys
        self._tokens: OrderedDict[str, Identity] = OrderedDict()
        # Weak: what a cached token or a socket still holds is kept true, all else is forgotten.
        self._sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._accounts: WeakValueDictionary[str, Account] = WeakValueDictionary()
        self._seen: OrderedDict[tuple[str, str, str, int], None] = OrderedDict()
        self._reading: dict[str, asyncio.Task[Row | None]] = {}
        """Sessions that Postgres is being asked for."""
        self._since_ms = 0
        self._offset_ms = time.time() * 1000 - time.monotonic() * 1000
        self._confirmed_at = time.monotonic()
        self._asked = asyncio.Event()

    def now_ms(self) -> int:
        """Postgres' time, in milliseconds since 1970 UTC."""
        return int(time.monotonic() * 1000 + self._offset_ms)

    @property
    def stale(self) -> bool:
        """Whether Postgres has not answered for so long that privileges cannot be believed."""
        return time.monotonic() - self._confirmed_at > STALE_S

    async def open(self) -> None:
        """Read keys and time, and listen for changes."""
        await self._keys.load(self._database)
        self._since_ms = await store.now_ms(self._database) - OVERLAP_MS
        await self.poll()
        for channel in CHANNELS:
            self._bus.subscribe(channel, self._hear)
        self._bus.on_resubscribed.append(self._asked.set)

    def close(self) -> None:
        for channel in CHANNELS:
            self._bus.unsubscribe(channel, self._hear)
        if self._asked.set in self._bus.on_resubscribed:
            self._bus.on_resubscribed.remove(self._asked.set)

    def identity_of(self, token: str) -> Identity | None:
        """The user of a token that was accepted before and still is; None when `authenticate` has to look."""
        identity = self._tokens.get(token)
        if identity is None:
            return None
        session, now_ms = identity.session, self.now_ms()
        account = session.account
        barred = account.standing is not None and account.barred(now_ms) is not None
        if session.ended or identity.expires_at <= now_ms or barred or not account.player_made:
            return None
        if account.roles != UNPRIVILEGED and self.stale:
            return None
        self._tokens.move_to_end(token)
        return identity

    async def authenticate(self, token: str) -> Identity:
        """The user of the token; refused as UNAUTHENTICATED, BANNED, SUSPENDED, or UNAVAILABLE without Postgres."""
        identity = self._tokens.get(token)
        if identity is None:
            claims = self._keys.verify(token, self.now_ms())
            session = self._sessions.get(claims.session_id) or await self._load(claims)
            identity = Identity(session, claims.expires_at, self)
        # Kept whatever comes of it: who knocks with the token of a session that has ended, or of an account that is
        # barred, costs neither a signature nor a question to Postgres each time.
        self._tokens[token] = identity
        self._tokens.move_to_end(token)
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        session, now_ms = identity.session, self.now_ms()
        if session.ended or identity.expires_at <= now_ms:
            ended = "The session has ended." if session.ended else "The access token has expired; refresh it."
            raise Refusal("UNAUTHENTICATED", ended)
        if barred := session.account.barred(now_ms):
            raise barred
        if session.account.roles != UNPRIVILEGED and self.stale:
            raise Refusal("UNAVAILABLE", "Privileges cannot be confirmed at the moment.", retry_after_s=1)
        return identity

    async def _load(self, claims: Claims) -> Session:
        # Many requests at once with a token that is new here are one question to Postgres.
        reading = self._reading.get(claims.session_id)
        if reading is None:
            reading = asyncio.create_task(store.session(self._database, claims.session_id), name="session")
            self._reading[claims.session_id] = reading
            reading.add_done_callback(functools.partial(self._read, claims.session_id))
        row = await asyncio.shield(reading)
        if row is None or row["user_id"] != claims.user_id:
            raise Refusal("UNAUTHENTICATED", "The session has ended.")
        # Another request may have loaded it meanwhile; there is one object for each session and account.
        session = self._sessions.get(claims.session_id)
        if session is None:
            session = Session(row["id"], self._account(row), row["ended"])
            self._sessions[session.session_id] = session
        return session

    def _read(self, session_id: str, reading: asyncio.Task[Row | None]) -> None:
        self._reading.pop(session_id, None)
        if not reading.cancelled():
            reading.exception()  # told to whoever still waits

    def _account(self, row: Row) -> Account:
        account = self._accounts.get(row["user_id"])
        if account is None:
            account = Account(row["user_id"], row["display_name"], tuple(row["roles"]), row["player_made"])
            self._accounts[account.user_id] = account
        account.standing, account.until, account.reason = row["standing"], row["until"], row["reason"]
        return account

    # What changed

    def tell_others(self, channel: str = CHANNELS[0]) -> None:
        """Let every gateway look for changes now."""
        self._bus.publish(channel, b"1")
        self._asked.set()

    def end(self, user_id: str, session_ids: list[str]) -> None:
        """Sessions that were ended in Postgres by this gateway: refuse them from now on."""
        for session_id in session_ids:
            self._end(user_id, session_id)
        self.tell_others()

    async def keep_true(self) -> None:
        """Ask Postgres every second, and at once when somebody says that something changed. Runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(STALE_S):
                    await self.poll()
            except (Refusal, Refused, TimeoutError) as trouble:
                log.warning("sessions_not_polled", reason=type(trouble).__name__)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._asked.wait()
                # Many changes at once are one poll.
                await asyncio.sleep(POLL_S / 20)
            except TimeoutError:
                pass
            self._asked.clear()

    async def poll(self) -> None:
        """Take in what changed since the last time."""
        started = time.monotonic()
        rows = await store.changes(self._database, self._since_ms)
        now_ms = next(row["at"] for row in rows if row["what"] == "now")
        # A fresh key is used some seconds after it was made, so it is read long before its first token comes.
        if any(row["what"] == "key" and row["session_id"] not in self._keys for row in rows):
            await self._keys.load(self._database)
        self._offset_ms = now_ms - (started + time.monotonic()) / 2 * 1000
        self._since_ms = now_ms - OVERLAP_MS
        for row in rows:
            self._take(row)
        self._confirmed_at = started

    def _take(self, row: Row) -> None:
        what, user_id = row["what"], row["user_id"]
        change = (what, user_id, row["session_id"], row["at"])
        fresh = change not in self._seen
        self._seen[change] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        account = self._accounts.get(user_id)
        if what == "session":
            self._end(user_id, row["session_id"], fresh=fresh)
        elif what == "account" and account is not None:
            account.display_name, account.roles = row["name"], tuple(row["roles"])
        elif what == "standing":
            before = account.standing if account is not None else None
            if account is not None:
                account.standing, account.until, account.reason = row["standing"], row["until"], row["reason"]
            if row["standing"] is not None and (fresh or (account is not None and before is None)):
                self._revoked(user_id, None, frames.BARRED)

    def _end(self, user_id: str, session_id: str, *, fresh: bool = False) -> None:
        session = self._sessions.get(session_id)
        ends_now = session is not None and not session.ended
        if session is not None:
            session.ended = True
        if ends_now or fresh:
            self._revoked(user_id, session_id, frames.EXPIRED)

    def _revoked(self, user_id: str, session_id: str | None, code: int) -> None:
        for callback in tuple(self.on_revoked):
            callback(user_id, session_id, code)

    def _hear(self, message: bytes) -> None:
        self._asked.set()

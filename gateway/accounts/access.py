"""Access: what the gateway asks about users, and everything that can be done with an account."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import SecretStr

from actors.runtime.bus import Bus
from actors.runtime.database import Connection, Database, Refused, Row, UniqueConflict
from actors.runtime.router import Router
from actors.times import DAY_S, rfc3339
from gateway.accounts import identity_store, mfa_store, names, store, tokens
from gateway.accounts.audit import Audit
from gateway.accounts.entry import Entry, Origin, Tokens, account_of, described, device_of, taken
from gateway.accounts.first import secret
from gateway.accounts.identities import Identities
from gateway.accounts.limits import Failures, counters
from gateway.accounts.mfa import SecondFactor, Whence
from gateway.accounts.oidc import SignIn
from gateway.accounts.operations import KEPT_S, Operation, Operations, another_request
from gateway.accounts.oversight import Oversight
from gateway.accounts.passwords import Passwords
from gateway.accounts.players import Players
from gateway.accounts.sessions import Account, Identity, OnRevoked, Sessions
from gateway.mail import Mail
from schemas.problems import Refusal
from schemas.settings import Settings

SWEEP_S = 3600.0
FRESH_S = 600
"""How long after a login its session may change how the account is entered, without giving the password again."""

log = structlog.get_logger(__name__)


class Access:
    """One gateway's view of accounts. Postgres is the truth; nothing here is lost with the process."""

    def __init__(self, database: Database, bus: Bus, settings: Settings, router: Router) -> None:
        self.settings = settings
        self.keys = tokens.Keys()
        self.passwords = Passwords()
        self.sessions = Sessions(database, bus, self.keys)
        self.audit = Audit(database)
        self._failures = Failures(bus, self.sessions.now_ms)
        self._database = database
        self._players = Players(database, router)
        self.operations = Operations(database)
        self.oversight = Oversight(database, self.sessions, self._players)
        self.identities = Identities(database)
        self.sign_in = SignIn(database, settings, self._failures, self.sessions.now_ms)
        self.mfa = SecondFactor(database, Mail(settings), self._failures, self.sessions.now_ms)
        self._refresh_tokens = tokens.RefreshTokens(b"")
        self._life: asyncio.Task[None] | None = None
        self.on_opened: list[Callable[[str, str, str], None]] = []
        """Called with (user_id, address, device or "") when a session is opened."""

    @property
    def on_revoked(self) -> list[OnRevoked]:
        """Called with (user_id, session_id or None for all, close code) when sockets have to be closed."""
        return self.sessions.on_revoked

    async def open(self) -> None:
        """Make keys at the first start, read what is needed, and keep it true from now on."""
        await tokens.ensure_key(self._database)
        self._refresh_tokens = tokens.RefreshTokens(await secret(self._database, "refresh", 32))
        self._players.open()
        await self.mfa.open()
        await self.sign_in.open()
        await self.sessions.open()
        self._life = asyncio.create_task(self._live(), name="access")

    async def close(self) -> None:
        self.sessions.close()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
            await self.audit.close()
        self.passwords.close()
        await self.sign_in.close()

    async def keep(self) -> None:
        """Wait as long as all is kept true; raises what ended it, for then this gateway must not go on."""
        if self._life is not None:
            await asyncio.shield(self._life)

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sessions.keep_true(), name="access sessions")
            group.create_task(self.audit.keep_writing(), name="access audit")
            group.create_task(self._keep_sweeping(), name="access sweep")

    # Who asks

    def identity_of(self, token: str) -> Identity | None:
        """The user of a token that was accepted before and still is; None when `authenticate` has to look."""
        return self.sessions.identity_of(token)

    async def authenticate(self, bearer: str) -> Identity:
        """The user of the token; refused as UNAUTHENTICATED, BANNED, SUSPENDED, or UNAVAILABLE without Postgres."""
        identity = await self.sessions.authenticate(bearer)
        account = identity.session.account
        if not account.player_made:
            await self._players.make(account)
        return identity

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify access tokens, as a JSON Web Key Set."""
        return self.keys.jwks(self.sessions.now_ms())

    # Coming in

    async def register(
        self,
        operation: Operation,
        username: str,
        password: SecretStr,
        email: str | None,
        origin: Origin,
        device_id: str = "",
    ) -> Entry:
        """A new account and its player; refused as `username_taken` or `email_taken`. A repeat logs in to it again."""
        user_id, device = str(uuid.uuid4()), device_of(device_id).hex()
        kept = await operation.kept()
        if kept is None:
            hashed = await self.passwords.hash(password)

            async def add(connection: Connection) -> dict[str, Any]:
                skeletons = names.skeletons(username)
                await store.add_account(connection, user_id, username, skeletons, hashed, email)
                return {"userId": user_id}

            try:
                kept = await operation.once(add)
            except UniqueConflict as conflict:
                raise taken(conflict) from None
        if kept["userId"] != user_id:
            row = await self._repeated(kept["userId"], password, origin)
            if barred := account_of(row).barred(self.sessions.now_ms()):
                raise barred
            return await self._let_in(row, origin, device)
        account = Account(user_id, username, ("player",), player_made=False)
        return Entry(await self._open_session(account, origin, device), kept)

    async def login(self, name: str, password: SecretStr, origin: Origin, device_id: str = "") -> Entry:
        """Lets in by username or e-mail address. Wrong passwords and unknown users look the same."""
        by_name = "@" not in name
        folded = names.folded(name) if by_name else name.lower()
        find = store.account_by_name if by_name else store.account_by_email
        row = await find(self._database, folded)
        await self._check_password(row, f"? {folded}", password, origin)
        assert row is not None  # noqa: S101 - nothing matches an account that is not there
        if barred := account_of(row).barred(self.sessions.now_ms()):
            raise barred
        if self.passwords.is_outdated(row["password"]):
            await store.set_password(self._database, row["id"], row["password"], await self.passwords.hash(password))
        return await self._let_in(row, origin, device_of(device_id).hex())

    async def verify(self, mfa_token: str, code: str, origin: Origin) -> Entry:
        """Lets in whose login waited for this code."""
        waiting = await self.mfa.waiting(mfa_token)
        row = await store.account_by_id(self._database, waiting["user_id"])
        if row is None:
            raise Refusal("MFA_TOKEN_INVALID")
        account = account_of(row)
        if barred := account.barred(self.sessions.now_ms()):
            raise barred
        await self.mfa.complete(mfa_token, account.user_id, code, await self.whence(account.user_id, origin))
        return Entry(await self._open_session(account, origin, waiting["device"]), described(row))

    async def guest(self, device_id: str, origin: Origin) -> Entry:
        """The player of this device; a new one at the first time."""
        device = device_of(device_id)
        fresh = str(uuid.uuid4())
        user_id = await store.add_guest(self._database, fresh, f"guest-{fresh[:8]}", device)
        return await self.enter(user_id, origin, device.hex())

    async def enter(self, user_id: str, origin: Origin, device: str = "") -> Entry:
        """Lets in whose first factor was right."""
        row = await store.account_by_id(self._database, user_id)
        if row is None:
            raise Refusal("UNAVAILABLE", retry_after_s=1)
        if barred := account_of(row).barred(self.sessions.now_ms()):
            raise barred
        return await self._let_in(row, origin, device)

    async def upgrade(
        self,
        operation: Operation,
        identity: Identity,
        username: str,
        password: SecretStr,
        email: str | None,
        origin: Origin,
    ) -> dict[str, Any]:
        """Make the guest an account of this name; it keeps its id and all it has."""
        user_id = identity.user_id
        kept = await operation.kept()
        if kept is not None:
            await self._repeated(user_id, password, origin)
            return kept
        hashed = await self.passwords.hash(password)

        async def change(connection: Connection) -> dict[str, Any]:
            if not await store.upgrade(connection, user_id, username, names.skeletons(username), hashed, email):
                raise Refusal("already_upgraded", "This account has a username already.")
            row = await store.account_by_id(connection, user_id)
            return {"userId": user_id, "user": described(row) if row is not None else {}}

        try:
            answer = await operation.once(change)
        except UniqueConflict as conflict:
            raise taken(conflict) from None
        account = identity.session.account
        account.display_name, account.player_made = username, False
        self.sessions.tell_others()
        await self._players.make(account)
        return answer

    async def change_password(
        self, operation: Operation, identity: Identity, password: SecretStr, fresh: SecretStr, origin: Origin
    ) -> dict[str, Any]:
        """Replace the password, which has to be given; every other session ends, and every login that waits."""
        user_id = identity.user_id
        kept = await operation.kept()
        if kept is not None:
            await self._repeated(user_id, fresh, origin)
            return kept
        row = await store.account_by_id(self._database, user_id)
        if row is None or row["password"] is None:
            raise Refusal("no_password", "This account has no password yet; upgrade gives it one.")
        former = row["password"]
        await self._check_password(row, "", password, origin, wrong=403)
        hashed = await self.passwords.hash(fresh)
        ended: list[str] = []

        async def change(connection: Connection) -> dict[str, Any]:
            if not await store.set_password(connection, user_id, former, hashed):
                raise Refusal("password_changed", "The password was changed meanwhile.")
            ended.extend(await store.revoke_sessions(connection, user_id, "password_changed", identity.session_id))
            await mfa_store.forget_logins(connection, user_id)
            await store.add_audit(connection, user_id, "player", "change_password", user_id, {}, "")
            return {"ok": True}

        answer = await operation.once(change)
        self.sessions.end(user_id, ended)
        return answer

    async def refresh(self, token: str) -> Tokens:
        """New tokens for a refresh token, which is used up. A used one ends the whole session: somebody copied it."""
        session_id = self._refresh_tokens.session_of(token)
        row = await store.session(self._database, session_id) if session_id is not None else None
        if session_id is None or row is None or row["ended"]:
            raise Refusal("UNAUTHENTICATED", "The refresh token is not valid; log in again.")
        user_id = row["user_id"]
        account = Account(user_id, row["display_name"], tuple(row["roles"]), row["player_made"])
        account.standing, account.until, account.reason = row["standing"], row["until"], row["reason"]
        fresh = self._refresh_tokens.make(session_id)
        former, following = tokens.fingerprint(token), tokens.fingerprint(fresh)
        if barred := account.barred(self.sessions.now_ms()):
            raise barred
        if not await store.rotate_refresh(self._database, session_id, former, tokens.REFRESH_S, following):
            await self._end(user_id, session_id, "refresh_reused")
            raise Refusal("UNAUTHENTICATED", "The refresh token was used before; the session has ended. Log in again.")
        return Tokens(user_id, self._sign(account, session_id), fresh)

    async def logout(self, identity: Identity) -> None:
        """End this session."""
        await self._end(identity.user_id, identity.session_id, "logout")

    async def logout_all(self, user_id: str, reason: str = "logout_all") -> int:
        """End all sessions of the user; how many."""
        ended = await store.revoke_sessions(self._database, user_id, reason)
        self.sessions.end(user_id, ended)
        return len(ended)

    async def sessions_of(self, identity: Identity) -> list[dict[str, Any]]:
        """The user's sessions, the last used first."""
        return [
            {
                "sessionId": row["id"],
                "createdAt": rfc3339(row["created_at"]),
                "lastUsedAt": rfc3339(row["used_at"]),
                "expiresAt": rfc3339(row["expires_at"]),
                "address": row["address"],
                "userAgent": row["user_agent"],
                "current": row["id"] == identity.session_id,
            }
            for row in await store.sessions_of(self._database, identity.user_id)
        ]

    # Who is it really

    async def whence(self, user_id: str, origin: Origin) -> Whence:
        """The origin, and whether the account has come in from there before."""
        return Whence(origin.address, await store.is_known_address(self._database, user_id, origin.address))

    async def confirmed(self, identity: Identity, password: SecretStr | None, origin: Origin) -> Row:
        """The account of who gave its password, or logged in just now; refused as `fresh_login_needed`.

        With a second factor the password alone is not enough: who has it could add another factor, and come in by it.
        """
        row = await store.account_by_id(self._database, identity.user_id)
        if row is None:
            raise Refusal("UNAUTHENTICATED")
        if await store.is_fresh_session(self._database, identity.session_id, FRESH_S):
            return row
        if password is None or row["factors"]:
            raise Refusal("fresh_login_needed", "This session is too old for that; log in again.")
        await self._check_password(row, "", password, origin, wrong=403)
        return row

    # Parts

    async def _check_password(
        self, row: Row | None, unknown: str, password: SecretStr, origin: Origin, *, wrong: int = 401
    ) -> None:
        """Refused as CREDENTIALS_INVALID, in the same time with and without an account."""
        key = row["id"] if row is not None else unknown
        known = await store.is_known_address(self._database, key, origin.address)
        counted = counters(key, origin.address, known=known)
        await self._failures.check(counted)
        stored = row["password"] if row is not None else None
        # Checked again when the turn has come: of many guesses at once only the allowed ones are looked at.
        if not await self.passwords.verify(password, stored, lambda: self._failures.check(counted)):
            await self._failures.add(counted)
            raise Refusal("CREDENTIALS_INVALID", status=wrong)

    async def _repeated(self, user_id: str, password: SecretStr, origin: Origin) -> Row:
        """The account that a request made or changed before. Of its password nothing but the account's hash is kept:
        one that does not fit, by now, is another request (OP_REUSED), and counts as a failed login."""
        row = await store.account_by_id(self._database, user_id)
        try:
            await self._check_password(row, user_id, password, origin, wrong=422)
        except Refusal as refusal:
            raise another_request() if refusal.status == 422 else refusal from None
        assert row is not None  # noqa: S101 - nothing matches an account that is not there
        return row

    async def _let_in(self, row: Row, origin: Origin, device: str = "") -> Entry:
        """Whoever came with the first factor: to a session, or to the second one."""
        user = described(row)
        if row["factors"]:
            whence = await self.whence(row["id"], origin)
            return Entry(await self.mfa.challenge(row["id"], row["factors"], whence, device), user)
        return Entry(await self._open_session(account_of(row), origin, device), user)

    async def _open_session(self, account: Account, origin: Origin, device: str = "") -> Tokens:
        if not account.player_made:
            await self._players.make(account)
        session_id = str(uuid.uuid4())
        refresh = self._refresh_tokens.make(session_id)
        await store.open_session(
            self._database,
            *(session_id, account.user_id, tokens.REFRESH_S, tokens.fingerprint(refresh)),
            *(origin.address, origin.user_agent),
        )
        for listener in self.on_opened:
            listener(account.user_id, origin.address, device)
        return Tokens(account.user_id, self._sign(account, session_id), refresh)

    def _sign(self, account: Account, session_id: str) -> str:
        return self.keys.sign(account.user_id, session_id, account.roles, self.sessions.now_ms())

    async def _end(self, user_id: str, session_id: str, reason: str) -> None:
        await store.revoke_session(self._database, session_id, reason)
        self.sessions.end(user_id, [session_id])

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await store.forget_ended_sessions(self._database)
                await mfa_store.forget_ended(self._database, DAY_S)
                await identity_store.forget_ended(self._database)
                await store.forget_operations(self._database, KEPT_S)
            except (Refusal, Refused) as trouble:
                log.warning("sessions_not_swept", reason=type(trouble).__name__)
            await asyncio.sleep(SWEEP_S)

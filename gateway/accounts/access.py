"""Access: what the gateway asks about users, and everything that can be done with an account."""

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from pydantic import SecretStr

from actors.catalog import Catalog
from actors.core import Command
from actors.runtime.bus import Bus
from actors.runtime.database import Database, Refused, Row, UniqueConflict
from actors.runtime.router import Router
from actors.times import rfc3339
from gateway.accounts import names, store, tokens
from gateway.accounts.audit import Audit
from gateway.accounts.first import secret
from gateway.accounts.limits import Failures, counters
from gateway.accounts.passwords import Passwords
from gateway.accounts.sessions import UNPRIVILEGED, Account, Identity, OnRevoked, Sessions
from schemas.address import player
from schemas.messages import SYSTEM
from schemas.problems import Refusal
from schemas.settings import Settings

PLAYER_WITHIN_S = 5.0
SWEEP_S = 3600.0

_TAKEN = {
    "account_name_folded": ("username_taken", "This username is taken, or looks like one that is."),
    "account_name_shown": ("username_taken", "This username is taken, or looks like one that is."),
    "account_email": ("email_taken", "An account with this e-mail address exists."),
}

log = structlog.get_logger(__name__)


class Origin(NamedTuple):
    """Where a login comes from."""

    address: str
    user_agent: str = ""


class Tokens(NamedTuple):
    """What a login gives."""

    user_id: str
    access: str
    refresh: str


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
        self._router = router
        self._player_create: type[Command[Any]] | None = None
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
        self._player_create = Catalog().kind("player").command("create")
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
            await self._make(account)
        return identity

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify access tokens, as a JSON Web Key Set."""
        return self.keys.jwks(self.sessions.now_ms())

    # Coming in

    async def register(self, username: str, password: SecretStr, email: str | None, origin: Origin) -> Tokens:
        """A new account and its player; refused as `username_taken` or `email_taken`."""
        hashed = await self.passwords.hash(password)
        user_id = str(uuid.uuid4())
        try:
            await store.add_account(self._database, user_id, username, names.skeletons(username), hashed, email)
        except UniqueConflict as conflict:
            raise _taken(conflict) from None
        return await self._open_session(Account(user_id, username, ("player",), player_made=False), origin)

    async def login(self, name: str, password: SecretStr, origin: Origin) -> tuple[Tokens, dict[str, Any]]:
        """Tokens and the account, by username or e-mail address. Wrong passwords and unknown users look the same."""
        by_name = "@" not in name
        folded = names.folded(name) if by_name else name.lower()
        find = store.account_by_name if by_name else store.account_by_email
        row = await find(self._database, folded)
        key = row["id"] if row is not None else f"? {folded}"
        known = await store.is_known_address(self._database, key, origin.address)
        counted = counters(key, origin.address, known=known)
        await self._failures.check(counted)

        stored = row["password"] if row is not None else None
        # Checked again when the turn has come: of many guesses at once only the allowed ones are looked at.
        if not await self.passwords.verify(password, stored, lambda: self._failures.check(counted)):
            await self._failures.add(counted)
            raise Refusal("CREDENTIALS_INVALID")
        assert row is not None  # noqa: S101 - nothing matches an account that is not there
        account = _account(row)
        if barred := account.barred(self.sessions.now_ms()):
            raise barred
        if self.passwords.is_outdated(row["password"]):
            await store.set_password(self._database, row["id"], row["password"], await self.passwords.hash(password))
        return await self._open_session(account, origin), self._described(row)

    async def guest(self, device_id: str, origin: Origin) -> Tokens:
        """The player of this device; a new one at the first time."""
        device = tokens.fingerprint(f"device:{device_id}")
        fresh = str(uuid.uuid4())
        user_id = await store.add_guest(self._database, fresh, f"guest-{fresh[:8]}", device)
        row = await store.account_by_id(self._database, user_id)
        if row is None:
            raise Refusal("UNAVAILABLE", retry_after_s=1)
        account = _account(row)
        if barred := account.barred(self.sessions.now_ms()):
            raise barred
        return await self._open_session(account, origin, device.hex())

    async def upgrade(
        self, identity: Identity, username: str, password: SecretStr, email: str | None
    ) -> dict[str, Any]:
        """Make the guest an account of this name; it keeps its id and all it has."""
        hashed = await self.passwords.hash(password)
        user_id = identity.user_id
        try:
            done = await store.upgrade(self._database, user_id, username, names.skeletons(username), hashed, email)
        except UniqueConflict as conflict:
            raise _taken(conflict) from None
        if not done:
            raise Refusal("already_upgraded", "This account has a username already.")
        account = identity.session.account
        account.display_name, account.player_made = username, False
        self.sessions.tell_others()
        await self._make(account)
        row = await store.account_by_id(self._database, user_id)
        return self._described(row) if row is not None else {}

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

    # What the privileged do

    async def provision(
        self, by: Identity, role: str, items: Sequence[tuple[str, str]], request_id: str
    ) -> list[dict[str, Any]]:
        """Players by external id and display name, made where they are not there yet; in the order of the items."""
        async with self._database.transaction() as connection:
            rows, made = await store.add_provisioned(connection, *([part[at] for part in items] for at in (0, 1)))
            details = {"items": len(items), "created": len(made)}
            await store.add_audit(connection, by.user_id, role, "provision", "players", details, request_id)
        waiting = [row for row in rows if not row["player_made"]]
        replies = await asyncio.gather(*(self._create(row["id"], row["display_name"]) for row in waiting))
        acknowledged = [row["id"] for row, done in zip(waiting, replies, strict=True) if done]
        await store.players_made(self._database, acknowledged)
        if len(acknowledged) < len(waiting):
            raise Refusal("UNAVAILABLE", "Not all players could be made yet; send the same again.", retry_after_s=1)
        by_external = {row["external_id"]: row["id"] for row in rows}
        answer = []
        for external_id, _ in items:
            user_id = by_external[external_id]
            answer.append({"externalId": external_id, "userId": user_id, "created": user_id in made})
            made.discard(user_id)
        return answer

    async def sanction(
        self, by: Identity, role: str, user_id: str, standing: str, until: int | None, reason: str, request_id: str
    ) -> None:
        """Ban (`banned`), suspend (`suspended`) or reinstate (`clear`) an account."""
        target = await store.account_by_id(self._database, user_id)
        if target is None:
            raise Refusal("player_unknown")
        if standing != "clear" and tuple(target["roles"]) != UNPRIVILEGED and "admin" not in by.roles:
            raise Refusal("FORBIDDEN", "Only an admin may ban or suspend an account with a privileged role.")
        action = {"banned": "ban", "suspended": "suspend", "clear": "reinstate"}[standing]
        details = {"reason": reason, **({"until": rfc3339(until)} if until is not None else {})}
        async with self._database.transaction() as connection:
            await store.add_sanction(connection, user_id, standing, until, reason, by.user_id)
            await store.add_audit(connection, by.user_id, role, action, user_id, details, request_id)
        self.sessions.tell_others("sanctions")

    async def set_role(self, by: Identity, user_id: str, role: str, grant: bool, request_id: str) -> list[str]:
        """Grant or take back a role; all roles after that."""
        if user_id == by.user_id and role == "admin" and not grant:
            raise Refusal("own_admin_role", "Another admin has to take back your admin role.")
        async with self._database.transaction() as connection:
            roles = await store.set_role(connection, user_id, role, grant)
            if roles is None:
                raise Refusal("player_unknown")
            details = {"role": role, "grant": grant}
            await store.add_audit(connection, by.user_id, "admin", "set_role", user_id, details, request_id)
        self.sessions.tell_others()
        return roles

    # Parts

    async def _open_session(self, account: Account, origin: Origin, device: str = "") -> Tokens:
        if not account.player_made:
            await self._make(account)
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

    async def _make(self, account: Account) -> None:
        """Make the player of an account, once. When that is not possible now, the next request tries again."""
        if await self._create(account.user_id, account.display_name):
            await store.players_made(self._database, [account.user_id])
            account.player_made = True

    async def _create(self, user_id: str, name: str) -> bool:
        """Whether the player is there and has this name. The command is idempotent, under one op for each name."""
        if self._player_create is None:
            return False
        command = self._player_create.model_validate({"name": name})
        op = f"create:{user_id}:{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
        try:
            async with asyncio.timeout(PLAYER_WITHIN_S):
                reply = await self._router.command(player(user_id), command, SYSTEM, op=op)
        except TimeoutError:
            return False
        if reply.status != 200:
            log.warning("player_not_made", user_id=user_id, status=reply.status)
        return reply.status == 200

    def _described(self, row: Row) -> dict[str, Any]:
        last_login_at = row["last_login_at"]
        return {
            "userId": row["id"],
            "username": row["display_name"],
            "email": row["email"],
            "roles": list(row["roles"]),
            "createdAt": rfc3339(row["created_at"]),
            "lastLoginAt": rfc3339(last_login_at) if last_login_at is not None else None,
        }

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await store.forget_ended_sessions(self._database)
            except (Refusal, Refused) as trouble:
                log.warning("sessions_not_swept", reason=type(trouble).__name__)
            await asyncio.sleep(SWEEP_S)


def _taken(conflict: UniqueConflict) -> Refusal:
    return Refusal(*_TAKEN[conflict.constraint])


def _account(row: Row) -> Account:
    account = Account(row["id"], row["display_name"], tuple(row["roles"]), row["player_made"])
    account.standing, account.until, account.reason = row["standing"], row["until"], row["reason"]
    return account

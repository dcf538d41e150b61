"""The second factor: codes of an authenticator app or by mail, and recovery codes for when neither is at hand."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from actors.runtime.database import Connection, Database, Row, UniqueConflict
from actors.times import DAY_S
from gateway.accounts import codes, store
from gateway.accounts import mfa_store as rows
from gateway.accounts.first import secret
from gateway.accounts.limits import Counter, Failures, network_of
from gateway.accounts.tokens import fingerprint
from gateway.mail import Mail
from schemas.problems import Refusal

CHALLENGE_S = 300
ENROL_S = 600
TRIES_MAX = 5
MAILS_PER_LOGIN_MAX = 3
MAILS_TO_ADDRESS_MAX = 5
MAILS_FROM_ADDRESS_MAX = 20

FAILURES_LATELY_MAX, LATELY_S = 5, 600
FAILURES_A_DAY_MAX = 20
"""Wrong codes of one account, over all logins: who has the password cannot try all codes within a lifetime."""

INSIDE = "inside"
"""Where codes come from that somebody sends who is logged in."""

TOTP, EMAIL, RECOVERY = "totp", "email", "recovery_code"

Check = Callable[[Connection, Row | None], Awaitable[bool]]


class Challenge(NamedTuple):
    """What a login gives when the account asks for a second factor."""

    token: str
    methods: tuple[str, ...]


class Whence(NamedTuple):
    """From where a login comes, and whether its account has come from there before."""

    address: str
    known: bool

    def counted(self) -> str:
        return f"known {network_of(self.address)}" if self.known else "elsewhere"


class SecondFactor:
    """All that is done with codes. Postgres is the truth, so every gateway counts the same tries."""

    def __init__(self, database: Database, mail: Mail, failures: Failures, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._mail = mail
        self._mails = failures
        self._now_ms = now_ms
        self._hashes = codes.Hashes(b"")

    async def open(self) -> None:
        self._hashes = codes.Hashes(await secret(self._database, "mfa", 32))

    # At login

    async def challenge(self, user_id: str, methods: list[str], whence: Whence, device: str) -> Challenge:
        """A login that waits for a code; when only mail can bring one, it is on its way."""
        token = secrets.token_urlsafe(32)
        pending_id = fingerprint(token)
        if TOTP in methods:
            await rows.add_login(self._database, pending_id, user_id, device, None, CHALLENGE_S)
        else:
            address, code = await self._address_of(user_id), codes.fresh_short()
            await self._count_mail(address, whence)
            code_hash = self._hashes.of(pending_id, code)
            await rows.add_login(self._database, pending_id, user_id, device, code_hash, CHALLENGE_S)
            await self._send(address, code)
        return Challenge(token, (*sorted(methods, reverse=True), RECOVERY))

    async def waiting(self, token: str) -> Row:
        """Whose login waits (user_id, device); refused as MFA_TOKEN_INVALID."""
        row = await rows.pending_login(self._database, fingerprint(token))
        if row is None:
            raise _expired()
        return row

    async def send_again(self, token: str, whence: Whence) -> None:
        """Mail the waiting login a code, which replaces the one before."""
        user_id = (await self.waiting(token))["user_id"]
        address = await self._address_of(user_id)
        await self._count_mail(address, whence)
        pending_id, code = fingerprint(token), codes.fresh_short()
        if not await rows.mail_again(
            self._database, pending_id, self._hashes.of(pending_id, code), MAILS_PER_LOGIN_MAX
        ):
            raise Refusal("RATE_LIMITED", "This login had its mails; log in again.", retry_after_s=LATELY_S)
        await self._send(address, code)

    async def complete(self, token: str, user_id: str, code: str, whence: Whence) -> None:
        """Use up the code and the waiting login; refused as MFA_CODE_INVALID, MFA_TOKEN_INVALID or RATE_LIMITED."""
        pending_id = fingerprint(token)
        code = codes.normal(code)

        async def matches(sql: Connection, pending: Row | None) -> bool:
            return await self._is_right(sql, user_id, code, pending_id, pending)

        # Nobody guesses a recovery code: it works also when somebody else used up the account's failures.
        counted = None if codes.is_recovery(code) else whence.counted()
        await self._judge(user_id, counted, pending_id, "login", matches)

    # By those who are logged in

    async def status(self, user_id: str) -> dict[str, Any]:
        """Which factors the account has, and how many recovery codes are left."""
        found = await rows.factors(self._database, user_id)
        return {
            "enabled": bool(found),
            "totp": TOTP in found,
            "email": _masked(found[EMAIL]["address"]) if EMAIL in found else None,
            "recoveryCodesLeft": await rows.recovery_left(self._database, user_id),
        }

    async def enrol_totp(self, user_id: str, name: str) -> dict[str, Any]:
        """A secret for an authenticator app, which counts once a code of it was confirmed."""
        await self._refuse_second(user_id, TOTP)
        fresh = codes.fresh_secret()
        await rows.put_pending(self._database, _own(TOTP, user_id), user_id, TOTP, ENROL_S, secret=fresh)
        return {"secret": fresh, "qrUri": codes.uri(fresh, name), "expiresIn": ENROL_S}

    async def enrol_email(self, user_id: str, address: str, whence: Whence) -> dict[str, Any]:
        """Mail a code to the address, which counts once the code was confirmed."""
        await self._refuse_second(user_id, EMAIL)
        await self._mail_code(_own(EMAIL, user_id), user_id, EMAIL, address, whence)
        return {"email": _masked(address), "expiresIn": CHALLENGE_S}

    async def confirm(self, user_id: str, method: str, code: str) -> list[str]:
        """Turn the enrolled factor on; ten recovery codes, which replace those from before."""
        pending_id, code, shown = _own(method, user_id), codes.normal(code), codes.fresh_recovery()

        async def matches(sql: Connection, pending: Row | None) -> bool:
            assert pending is not None  # noqa: S101 - there is no confirming without one
            step: int | None = 0
            if method == TOTP:
                step = codes.step_of(pending["secret"], code, self._now_ms() // 1000)
            elif not self._hashes.matches(pending["code_hash"], pending_id, code):
                step = None
            if step is None:
                return False
            kept = {"secret": pending["secret"], "address": pending["address"], "last_step": step}
            await rows.add_factor(sql, user_id, method, **kept)
            await rows.replace_recovery(sql, user_id, self._hashes.of_recovery(user_id, shown))
            await store.add_audit(sql, user_id, "player", "mfa_enable", user_id, {"method": method}, "")
            return True

        try:
            await self._judge(user_id, INSIDE, pending_id, method, matches)
        except UniqueConflict:
            raise _has_it() from None
        return shown

    async def send_change(self, user_id: str, whence: Whence) -> None:
        """Mail a code with which the logged-in user can change or turn off second factors."""
        address = await self._address_of(user_id)
        await self._mail_code(_own("change", user_id), user_id, "change", address, whence)

    async def disable(self, user_id: str, method: str | None, code: str) -> None:
        """Turn one factor or all of them off, with a code of any of them."""

        async def turn_off(sql: Connection) -> None:
            await rows.remove_factors(sql, user_id, method)
            await store.add_audit(sql, user_id, "player", "mfa_disable", user_id, {"method": method or "all"}, "")

        await self._change(user_id, code, turn_off)

    async def fresh_recovery(self, user_id: str, code: str) -> list[str]:
        """Ten recovery codes, which replace those from before."""
        shown = codes.fresh_recovery()

        async def replace(sql: Connection) -> None:
            await rows.replace_recovery(sql, user_id, self._hashes.of_recovery(user_id, shown))

        await self._change(user_id, code, replace)
        return shown

    # Parts

    async def _change(self, user_id: str, code: str, change: Callable[[Connection], Awaitable[None]]) -> None:
        if not await rows.factors(self._database, user_id):
            raise Refusal("mfa_not_enabled", "This account has no second factor.")
        pending_id, code = _own("change", user_id), codes.normal(code)

        async def matches(sql: Connection, pending: Row | None) -> bool:
            if not await self._is_right(sql, user_id, code, pending_id, pending):
                return False
            await change(sql)
            return True

        await self._judge(user_id, None if codes.is_recovery(code) else INSIDE, pending_id, "change", matches)

    async def _judge(self, user_id: str, counted: str | None, pending_id: bytes, purpose: str, matches: Check) -> None:
        """One try of a code, in a transaction of its own: a wrong one is counted there, a right one used up."""
        async with self._database.transaction() as sql:
            await rows.lock(sql, user_id)
            refusal = await self._tried(sql, user_id, counted, pending_id, purpose, matches)
        if refusal is not None:
            raise refusal

    async def _tried(
        self, sql: Connection, user_id: str, counted: str | None, pending_id: bytes, purpose: str, matches: Check
    ) -> Refusal | None:
        if counted is not None and (wait_s := await self._wait_s(sql, user_id, counted)):
            return Refusal("RATE_LIMITED", "Too many wrong codes; wait a while.", retry_after_s=wait_s)
        pending = await rows.take_try(sql, pending_id, purpose, TRIES_MAX)
        if pending is None and purpose == "login":
            return _expired()
        if pending is None and purpose != "change":
            return Refusal("mfa_not_enrolling", "Nothing waits for this code (any more); begin the enrolment anew.")
        if await matches(sql, pending):
            await rows.remove_pending(sql, pending_id)
            if counted is not None:
                await rows.forget_failures(sql, user_id, counted)
            return None
        if counted is not None:
            await rows.add_failure(sql, user_id, counted)
        left = {"tries_left": pending["tries_left"]} if pending is not None else {}
        # Who is logged in and mistypes is still logged in, which a 401 would deny.
        status = 401 if purpose == "login" else 400
        return Refusal("MFA_CODE_INVALID", "The code is wrong, or was used before.", status=status, **left)

    async def _is_right(self, sql: Connection, user_id: str, code: str, pending_id: bytes, pending: Row | None) -> bool:
        """Whether the code is one of the account's, or the one that was mailed; it is used up then."""
        if codes.is_recovery(code):
            [code_hash] = self._hashes.of_recovery(user_id, [code])
            return await rows.use_recovery(sql, user_id, code_hash)
        if not codes.is_short(code):
            return False
        if pending is not None and self._hashes.matches(pending["code_hash"], pending_id, code):
            return True
        totp = (await rows.factors(sql, user_id)).get(TOTP)
        step = codes.step_of(totp["secret"], code, self._now_ms() // 1000) if totp is not None else None
        return step is not None and await rows.use_step(sql, user_id, step)

    async def _wait_s(self, sql: Connection, user_id: str, counted: str) -> int:
        """Seconds until the account may fail again; 0 when it may now."""
        ago_s = await rows.failures(sql, user_id, counted, DAY_S, FAILURES_A_DAY_MAX)
        waits = [
            window_s - ago_s[allowed - 1]
            for allowed, window_s in ((FAILURES_LATELY_MAX, LATELY_S), (FAILURES_A_DAY_MAX, DAY_S))
            if len(ago_s) >= allowed
        ]
        return max([0, *waits])

    async def _refuse_second(self, user_id: str, method: str) -> None:
        if method in await rows.factors(self._database, user_id):
            raise _has_it()

    async def _address_of(self, user_id: str) -> str:
        factor = (await rows.factors(self._database, user_id)).get(EMAIL)
        if factor is None:
            raise Refusal("mfa_no_email", "This account gets no codes by mail.")
        return str(factor["address"])

    async def _mail_code(self, pending_id: bytes, user_id: str, purpose: str, address: str, whence: Whence) -> None:
        await self._count_mail(address, whence)
        code = codes.fresh_short()
        code_hash = self._hashes.of(pending_id, code)
        await rows.put_pending(
            self._database, pending_id, user_id, purpose, CHALLENGE_S, address=address, code_hash=code_hash
        )
        await self._send(address, code)

    async def _count_mail(self, address: str, whence: Whence) -> None:
        """Refused as RATE_LIMITED: nobody's mailbox is filled from here."""
        network = network_of(whence.address)
        whose = f"{address.lower()} {network}" if whence.known else address.lower()
        counted = [
            Counter("mail", whose, MAILS_TO_ADDRESS_MAX),
            Counter("mails from", network, MAILS_FROM_ADDRESS_MAX),
        ]
        await self._mails.check(counted, "Too many mails; wait a while.")
        await self._mails.add(counted)

    async def _send(self, address: str, code: str) -> None:
        minutes = CHALLENGE_S // 60
        text = (
            f"Your code is {code}. It is good for {minutes} minutes.\n\n"
            "If you did not ask for it, somebody may know your password: change it, and tell nobody this code.\n"
        )
        await self._mail.send(address, f"{code} is your {codes.ISSUER} code", text)


def _own(purpose: str, user_id: str) -> bytes:
    """The id of what a user has only one of."""
    return fingerprint(f"{purpose}:{user_id}")


def _masked(address: str) -> str:
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}...@{domain}"


def _expired() -> Refusal:
    return Refusal("MFA_TOKEN_INVALID", "This login is over, or had too many wrong codes; log in again.")


def _has_it() -> Refusal:
    return Refusal("mfa_already_enabled", "The account has this factor already; turn it off first.")

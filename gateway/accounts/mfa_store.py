"""The SQL of second factors. All of one account's codes are judged one after the other, under its row's lock."""

from collections.abc import Sequence

from actors.runtime.database import Row
from gateway.accounts.store import Sql

PENDING_PER_USER_MAX = 20
"""Logins of one account that may wait for a code; the oldest give way."""


async def lock(sql: Sql, user_id: str) -> None:
    """Let nobody else judge codes of this account until the transaction ends."""
    await sql.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", user_id)


async def factors(sql: Sql, user_id: str) -> dict[str, Row]:
    """What the account asks for (secret, address, last_step), by method."""
    rows = await sql.fetch("SELECT method, secret, address, last_step FROM mfa_factor WHERE user_id = $1", user_id)
    return {row["method"]: row for row in rows}


async def add_factor(
    sql: Sql, user_id: str, method: str, *, secret: str | None = None, address: str | None = None, last_step: int = 0
) -> None:
    """From now on every login asks for it. UniqueConflict when the account has this method."""
    await sql.execute(
        "INSERT INTO mfa_factor (user_id, method, secret, address, last_step) VALUES ($1, $2, $3, $4, $5)",
        *(user_id, method, secret, address, last_step),
    )


async def use_step(sql: Sql, user_id: str, step: int) -> bool:
    """Use up the codes of the authenticator app up to this time step; False when they were used before."""
    tag = await sql.execute(
        "UPDATE mfa_factor SET last_step = $2 WHERE user_id = $1 AND method = 'totp' AND last_step < $2", user_id, step
    )
    return tag == "UPDATE 1"


async def remove_factors(sql: Sql, user_id: str, method: str | None) -> int:
    """Take away this method, or all; how many are left. What waits for a code is forgotten with it."""
    await sql.execute(
        "DELETE FROM mfa_factor WHERE user_id = $1 AND ($2::text IS NULL OR method = $2)", user_id, method
    )
    await sql.execute("DELETE FROM mfa_pending WHERE user_id = $1", user_id)
    left = int(await sql.fetch_value("SELECT count(*) FROM mfa_factor WHERE user_id = $1", user_id))
    if not left:
        await sql.execute("DELETE FROM mfa_recovery WHERE user_id = $1", user_id)
        await sql.execute("DELETE FROM mfa_failure WHERE user_id = $1", user_id)
    return left


# Recovery codes


async def replace_recovery(sql: Sql, user_id: str, hashes: Sequence[bytes]) -> None:
    await sql.execute("DELETE FROM mfa_recovery WHERE user_id = $1", user_id)
    await sql.execute(
        "INSERT INTO mfa_recovery (user_id, code_hash) SELECT $1, * FROM unnest($2::bytea[])", user_id, hashes
    )


async def use_recovery(sql: Sql, user_id: str, code_hash: bytes) -> bool:
    """Use up a recovery code; False when there is no such code."""
    tag = await sql.execute("DELETE FROM mfa_recovery WHERE user_id = $1 AND code_hash = $2", user_id, code_hash)
    return tag == "DELETE 1"


async def recovery_left(sql: Sql, user_id: str) -> int:
    return int(await sql.fetch_value("SELECT count(*) FROM mfa_recovery WHERE user_id = $1", user_id))


# What waits for a code


async def add_login(
    sql: Sql, pending_id: bytes, user_id: str, device: str, code_hash: bytes | None, life_s: int
) -> None:
    """A login that waits for its second factor."""
    await sql.execute(
        f"""
        WITH crowded_out AS (
            DELETE FROM mfa_pending WHERE id IN (
                SELECT id FROM mfa_pending WHERE user_id = $2 AND purpose = 'login'
                ORDER BY created_at DESC OFFSET {PENDING_PER_USER_MAX - 1})
        )
        INSERT INTO mfa_pending (id, user_id, purpose, device, code_hash, mails, expires_at)
        VALUES ($1, $2, 'login', $3, $4, CASE WHEN $4::bytea IS NULL THEN 0 ELSE 1 END,
                clock_timestamp() + $5 * interval '1 second')
        """,  # noqa: S608 - composed of constants
        *(pending_id, user_id, device, code_hash, life_s),
    )


async def put_pending(
    sql: Sql,
    pending_id: bytes,
    user_id: str,
    purpose: str,
    life_s: int,
    *,
    secret: str | None = None,
    address: str | None = None,
    code_hash: bytes | None = None,
) -> None:
    """What a user began while logged in; it replaces what it began before."""
    await sql.execute(
        "INSERT INTO mfa_pending (id, user_id, purpose, secret, address, code_hash, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second') "
        "ON CONFLICT (id) DO UPDATE SET secret = $4, address = $5, code_hash = $6, tries = 0, "
        "created_at = clock_timestamp(), expires_at = excluded.expires_at",
        *(pending_id, user_id, purpose, secret, address, code_hash, life_s),
    )


async def pending_login(sql: Sql, pending_id: bytes) -> Row | None:
    """Whose login waits (user_id, device)."""
    return await sql.fetch_row(
        "SELECT user_id, device FROM mfa_pending "
        "WHERE id = $1 AND purpose = 'login' AND expires_at > clock_timestamp()",
        pending_id,
    )


async def mail_again(sql: Sql, pending_id: bytes, code_hash: bytes, mails_max: int) -> bool:
    """Replace the login's code, which goes out by mail; False when it had enough mails."""
    tag = await sql.execute(
        "UPDATE mfa_pending SET code_hash = $2, mails = mails + 1 WHERE id = $1 AND purpose = 'login' AND mails < $3",
        *(pending_id, code_hash, mails_max),
    )
    return tag == "UPDATE 1"


async def forget_logins(sql: Sql, user_id: str) -> None:
    """Whoever waits with a first factor from before has to show it again."""
    await sql.execute("DELETE FROM mfa_pending WHERE user_id = $1 AND purpose = 'login'", user_id)


async def take_try(sql: Sql, pending_id: bytes, purpose: str, tries_max: int) -> Row | None:
    """One more try (secret, address, code_hash, tries_left); None when there is nothing to try at (any more)."""
    return await sql.fetch_row(
        "UPDATE mfa_pending SET tries = tries + 1 "
        "WHERE id = $1 AND purpose = $2 AND tries < $3 AND expires_at > clock_timestamp() "
        "RETURNING secret, address, code_hash, $3 - tries AS tries_left",
        *(pending_id, purpose, tries_max),
    )


async def remove_pending(sql: Sql, pending_id: bytes) -> None:
    await sql.execute("DELETE FROM mfa_pending WHERE id = $1", pending_id)


# Failures


async def failures(sql: Sql, user_id: str, whence: str, window_s: int, count_max: int) -> list[int]:
    """How many seconds ago the last failures were, the last first."""
    rows = await sql.fetch(
        "SELECT extract(epoch FROM clock_timestamp() - at)::bigint AS ago FROM mfa_failure "
        "WHERE user_id = $1 AND whence = $2 AND at > clock_timestamp() - $3 * interval '1 second' "
        "ORDER BY at DESC LIMIT $4",
        *(user_id, whence, window_s, count_max),
    )
    return [row["ago"] for row in rows]


async def add_failure(sql: Sql, user_id: str, whence: str) -> None:
    await sql.execute("INSERT INTO mfa_failure (user_id, whence) VALUES ($1, $2)", user_id, whence)


async def forget_failures(sql: Sql, user_id: str, whence: str) -> None:
    await sql.execute("DELETE FROM mfa_failure WHERE user_id = $1 AND whence = $2", user_id, whence)


async def forget_ended(sql: Sql, window_s: int) -> None:
    """Remove what nobody waits for any more, some at a time."""
    await sql.execute(
        "DELETE FROM mfa_pending WHERE id IN (SELECT id FROM mfa_pending "
        "WHERE expires_at < now() LIMIT 10000 FOR UPDATE SKIP LOCKED)"
    )
    await sql.execute("DELETE FROM mfa_failure WHERE at < now() - $1 * interval '1 second'", window_s)

"""The SQL of identities: who issuers say that somebody is, and which account that is."""

from actors.runtime.database import Row
from gateway.accounts.issuer import Proven
from gateway.accounts.store import Sql


async def owner(sql: Sql, issuer: str, subject: str) -> str | None:
    """Whose identity this is."""
    user_id: str | None = await sql.fetch_value(
        "SELECT user_id FROM identity WHERE issuer = $1 AND subject = $2", issuer, subject
    )
    return user_id


async def used(sql: Sql, proven: Proven) -> None:
    """It was come in by now, under this address."""
    await sql.execute(
        "UPDATE identity SET used_at = now(), email = $3, provider = $4 WHERE issuer = $1 AND subject = $2",
        *(proven.issuer, proven.subject, proven.email, proven.provider),
    )


async def add_account(sql: Sql, user_id: str, display_name: str) -> None:
    """An account without a name and password of its own."""
    await sql.execute("INSERT INTO account (id, display_name) VALUES ($1, $2)", user_id, display_name)


async def add(sql: Sql, user_id: str, proven: Proven) -> str:
    """Link it; its id. UniqueConflict when it is linked already, to whomever."""
    return str(
        await sql.fetch_value(
            "INSERT INTO identity (user_id, issuer, subject, provider, email) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            *(user_id, proven.issuer, proven.subject, proven.provider, proven.email),
        )
    )


async def of_user(sql: Sql, user_id: str) -> list[Row]:
    """The account's identities, the oldest first; times in milliseconds since 1970 UTC."""
    return await sql.fetch(
        "SELECT id, issuer, subject, provider, email, (extract(epoch FROM linked_at) * 1000)::bigint AS linked_at, "
        "(extract(epoch FROM used_at) * 1000)::bigint AS used_at FROM identity "
        "WHERE user_id = $1 ORDER BY linked_at, id",
        user_id,
    )


async def remove(sql: Sql, user_id: str, identity_id: str) -> None:
    await sql.execute("DELETE FROM identity WHERE user_id = $1 AND id = $2", user_id, identity_id)


async def has_other_way(sql: Sql, user_id: str) -> bool:
    """Whether the account can be entered without an issuer."""
    return bool(
        await sql.fetch_value("SELECT password IS NOT NULL OR device IS NOT NULL FROM account WHERE id = $1", user_id)
    )


# Logins that a client has yet to take up


async def add_proof(sql: Sql, proof_id: bytes, proven: Proven, challenge: str, life_s: int) -> None:
    await sql.execute(
        "INSERT INTO identity_proof (id, issuer, subject, provider, email, challenge, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second')",
        *(proof_id, *proven, challenge, life_s),
    )


async def take_proof(sql: Sql, proof_id: bytes) -> Row | None:
    """Use it up (issuer, subject, provider, email, challenge); None when there is none (any more)."""
    return await sql.fetch_row(
        "DELETE FROM identity_proof WHERE id = $1 AND expires_at > clock_timestamp() "
        "RETURNING issuer, subject, provider, email, challenge",
        proof_id,
    )


async def forget_ended(sql: Sql) -> None:
    """Remove what nobody took up, some at a time."""
    await sql.execute(
        "DELETE FROM identity_proof WHERE id IN (SELECT id FROM identity_proof "
        "WHERE expires_at < now() LIMIT 10000 FOR UPDATE SKIP LOCKED)"
    )

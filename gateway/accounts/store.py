"""The SQL of accounts, sessions, sanctions, operations, keys and the audit log."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic_core import to_json

from actors.runtime.database import Row

SESSIONS_PER_USER_MAX = 50
KNOWN_ADDRESSES_MAX = 20

_MS = "(extract(epoch FROM {}) * 1000)::bigint"
_NOW_MS = _MS.format("clock_timestamp()")
_KEY_LOCK = 0x67726B79  # "grky"
_OP_LOCK = 0x67726F70  # "grop"


class Sql(Protocol):
    """The database, or a transaction in it."""

    async def fetch(self, sql: str, *values: Any) -> list[Row]: ...
    async def fetch_row(self, sql: str, *values: Any) -> Row | None: ...
    async def fetch_value(self, sql: str, *values: Any) -> Any: ...
    async def execute(self, sql: str, *values: Any) -> str: ...


# Accounts

_ACCOUNT = f"""
SELECT a.id, a.username, a.display_name, a.email, a.password, a.roles, a.player_made,
       {_MS.format("a.created_at")} AS created_at, {_MS.format("a.last_login_at")} AS last_login_at,
       s.standing, s.until, s.reason, ARRAY(SELECT method FROM mfa_factor f WHERE f.user_id = a.id) AS factors
FROM account a LEFT JOIN standing s ON s.user_id = a.id
"""  # noqa: S608 - composed of constants


async def add_account(
    sql: Sql, user_id: str, username: str, skeletons: tuple[str, str], password: str, email: str | None
) -> None:
    """A registered account. UniqueConflict names account_name_folded, account_name_shown or account_email."""
    await sql.execute(
        "INSERT INTO account (id, username, name_folded, name_shown, display_name, password, email, email_folded) "
        "VALUES ($1, $2, $3, $4, $2, $5, $6, lower($6))",
        *(user_id, username, *skeletons, password, email),
    )


async def add_guest(sql: Sql, user_id: str, display_name: str, device: bytes) -> str:
    """The id of the account with this device: the one that stands there, or else the new one."""
    found = await sql.fetch_value(
        "INSERT INTO account (id, display_name, device) VALUES ($1, $2, $3) "
        "ON CONFLICT ON CONSTRAINT account_device DO NOTHING RETURNING id",
        *(user_id, display_name, device),
    )
    return str(found or await sql.fetch_value("SELECT id FROM account WHERE device = $1", device))


async def add_provisioned(sql: Sql, external_ids: Sequence[str], names: Sequence[str]) -> tuple[list[Row], set[str]]:
    """Make what is not there yet; all rows (id, external_id), and which ids are new."""
    made = await sql.fetch(
        "INSERT INTO account (external_id, display_name) SELECT * FROM unnest($1::text[], $2::text[]) "
        "ON CONFLICT ON CONSTRAINT account_external DO NOTHING RETURNING id",
        *(external_ids, names),
    )
    rows = await sql.fetch("SELECT id, external_id FROM account WHERE external_id = ANY($1::text[])", external_ids)
    return rows, {row["id"] for row in made}


async def account_by_id(sql: Sql, user_id: str) -> Row | None:
    return await sql.fetch_row(f"{_ACCOUNT} WHERE a.id = $1", user_id)


async def account_by_name(sql: Sql, folded: str) -> Row | None:
    return await sql.fetch_row(f"{_ACCOUNT} WHERE a.name_folded = $1", folded)


async def account_by_email(sql: Sql, email: str) -> Row | None:
    return await sql.fetch_row(f"{_ACCOUNT} WHERE a.email_folded = lower($1)", email)


async def upgrade(
    sql: Sql, user_id: str, username: str, skeletons: tuple[str, str], password: str, email: str | None
) -> bool:
    """Give a guest a username and a password; False when it has them already. UniqueConflict as add_account."""
    tag = await sql.execute(
        "UPDATE account SET username = $2, name_folded = $3, name_shown = $4, display_name = $2, password = $5, "
        "email = coalesce($6, email), email_folded = coalesce(lower($6), email_folded), "
        "player_made = false, changed_at = clock_timestamp() "
        "WHERE id = $1 AND username IS NULL",
        *(user_id, username, *skeletons, password, email),
    )
    return tag == "UPDATE 1"


async def set_password(sql: Sql, user_id: str, former: str, password: str) -> bool:
    """Replace the hash; False when somebody replaced it meanwhile."""
    tag = await sql.execute(
        "UPDATE account SET password = $3 WHERE id = $1 AND password = $2", user_id, former, password
    )
    return tag == "UPDATE 1"


async def set_role(sql: Sql, user_id: str, role: str, grant: bool) -> list[str] | None:
    """Grant or take back a role; all roles after that, None when there is no such account."""
    roles: list[str] | None = await sql.fetch_value(
        "UPDATE account SET changed_at = clock_timestamp(), roles = CASE WHEN $3 "
        "THEN array_remove(roles, $2) || $2 ELSE array_remove(roles, $2) END WHERE id = $1 RETURNING roles",
        *(user_id, role, grant),
    )
    return roles


async def without_player(sql: Sql, user_ids: Sequence[str]) -> list[Row]:
    """Those of these accounts (id, display_name) whose player is not known to be made."""
    return await sql.fetch(
        "SELECT id, display_name FROM account WHERE id = ANY($1::text[]) AND NOT player_made", user_ids
    )


async def players_made(sql: Sql, user_ids: Sequence[str]) -> None:
    await sql.execute("UPDATE account SET player_made = true WHERE id = ANY($1::text[])", user_ids)


# Sessions

_SESSION_LIFE = "now() + $3 * interval '1 second'"


async def open_session(
    sql: Sql, session_id: str, user_id: str, life_s: int, refresh_hash: bytes, address: str, user_agent: str
) -> None:
    """A login: the session, the address as a known one, the time; the oldest sessions beyond the bound end."""
    await sql.execute(
        f"""
        WITH opened AS (
            INSERT INTO session (id, user_id, expires_at, refresh_hash, address, user_agent)
            VALUES ($1, $2, {_SESSION_LIFE}, $4, $5, $6)
        ), known AS (
            INSERT INTO known_address (user_id, address) VALUES ($2, $5)
            ON CONFLICT (user_id, address) DO UPDATE SET used_at = now()
        ), forgotten AS (
            DELETE FROM known_address WHERE user_id = $2 AND address IN (
                SELECT address FROM known_address WHERE user_id = $2 AND address <> $5
                ORDER BY used_at DESC OFFSET {KNOWN_ADDRESSES_MAX - 1})
        ), crowded_out AS (
            UPDATE session SET revoked_at = clock_timestamp(), revoked_for = 'too_many' WHERE id IN (
                SELECT id FROM session WHERE user_id = $2 AND revoked_at IS NULL
                ORDER BY created_at DESC OFFSET {SESSIONS_PER_USER_MAX - 1})
        )
        UPDATE account SET last_login_at = now() WHERE id = $2
        """,  # noqa: S608 - composed of constants
        *(session_id, user_id, life_s, refresh_hash, address, user_agent),
    )


async def is_known_address(sql: Sql, user_id: str, address: str) -> bool:
    return bool(
        await sql.fetch_value("SELECT true FROM known_address WHERE user_id = $1 AND address = $2", user_id, address)
    )


async def session(sql: Sql, session_id: str) -> Row | None:
    """The session with its account and standing; `ended` when it was revoked or its time is over."""
    return await sql.fetch_row(
        """
        SELECT c.id, c.user_id, c.revoked_at IS NOT NULL OR c.expires_at <= now() AS ended,
               a.display_name, a.roles, a.player_made, s.standing, s.until, s.reason
        FROM session c JOIN account a ON a.id = c.user_id LEFT JOIN standing s ON s.user_id = c.user_id
        WHERE c.id = $1
        """,
        session_id,
    )


async def is_fresh_session(sql: Sql, session_id: str, within_s: int) -> bool:
    """Whether its user came in with a credential so recently."""
    return bool(
        await sql.fetch_value(
            "SELECT created_at > now() - $2 * interval '1 second' FROM session WHERE id = $1", session_id, within_s
        )
    )


async def sessions_of(sql: Sql, user_id: str) -> list[Row]:
    return await sql.fetch(
        f"SELECT id, {_MS.format('created_at')} AS created_at, {_MS.format('used_at')} AS used_at, "  # noqa: S608
        f"{_MS.format('expires_at')} AS expires_at, address, user_agent FROM session "
        "WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now() ORDER BY used_at DESC",
        user_id,
    )


async def rotate_refresh(sql: Sql, session_id: str, former: bytes, life_s: int, fresh: bytes) -> bool:
    """Replace the current refresh token; False when `former` is not the current one, or the session has ended."""
    tag = await sql.execute(
        f"UPDATE session SET refresh_hash = $4, used_at = now(), expires_at = {_SESSION_LIFE} "  # noqa: S608
        "WHERE id = $1 AND refresh_hash = $2 AND revoked_at IS NULL AND expires_at > now()",
        *(session_id, former, life_s, fresh),
    )
    return tag == "UPDATE 1"


async def revoke_session(sql: Sql, session_id: str, reason: str) -> str | None:
    """End one session; whose it was, or None when it had ended already."""
    user_id: str | None = await sql.fetch_value(
        "UPDATE session SET revoked_at = clock_timestamp(), revoked_for = $2 "
        "WHERE id = $1 AND revoked_at IS NULL RETURNING user_id",
        *(session_id, reason),
    )
    return user_id


async def revoke_sessions(sql: Sql, user_id: str, reason: str, but: str = "") -> list[str]:
    """End all sessions of the user but this one; their ids."""
    rows = await sql.fetch(
        "UPDATE session SET revoked_at = clock_timestamp(), revoked_for = $2 "
        "WHERE user_id = $1 AND revoked_at IS NULL AND id <> $3 RETURNING id",
        *(user_id, reason, but),
    )
    return [row["id"] for row in rows]


async def forget_ended_sessions(sql: Sql) -> None:
    """Remove sessions that ended more than a day ago, some at a time."""
    await sql.execute(
        "DELETE FROM session WHERE id IN (SELECT id FROM session "
        "WHERE expires_at < now() - interval '1 day' LIMIT 10000 FOR UPDATE SKIP LOCKED)"
    )


# What changed since: gateways ask once a second

_CHANGES = f"""
SELECT 'now' AS what, '' AS user_id, '' AS session_id, {_NOW_MS} AS at,
       NULL::text AS name, NULL::text[] AS roles, NULL::text AS standing, NULL::bigint AS until, NULL::text AS reason
UNION ALL
SELECT 'session', user_id, id, {_MS.format("revoked_at")}, NULL, NULL, NULL, NULL, NULL
FROM session WHERE revoked_at > to_timestamp($1::bigint / 1000.0)
UNION ALL
SELECT 'account', id, '', {_MS.format("changed_at")}, display_name, roles, NULL, NULL, NULL
FROM account WHERE changed_at > to_timestamp($1::bigint / 1000.0)
UNION ALL
SELECT 'standing', w.user_id, '', max({_MS.format("w.written_at")}), NULL, NULL, s.standing, s.until, s.reason
FROM sanction w LEFT JOIN standing s ON s.user_id = w.user_id
WHERE w.written_at > to_timestamp($1::bigint / 1000.0)
GROUP BY w.user_id, s.standing, s.until, s.reason
UNION ALL
SELECT 'key', '', kid, {_MS.format("created_at")}, NULL, NULL, NULL, NULL, NULL
FROM signing_key WHERE created_at > to_timestamp($1::bigint / 1000.0)
"""  # noqa: S608 - composed of constants


async def now_ms(sql: Sql) -> int:
    """Postgres' time, in milliseconds since 1970 UTC."""
    return int(await sql.fetch_value(f"SELECT {_NOW_MS}"))


async def changes(sql: Sql, since_ms: int) -> list[Row]:
    """The time, and sessions ended, accounts changed, standings changed and keys made since then."""
    return await sql.fetch(_CHANGES, since_ms)


# Sanctions and audit


async def add_sanction(sql: Sql, user_id: str, standing: str, until: int | None, reason: str, by: str) -> None:
    await sql.execute(
        "INSERT INTO sanction (user_id, standing, until, reason, by, at, source) "  # noqa: S608
        f"VALUES ($1, $2, $3, $4, $5, {_NOW_MS}, 'moderation')",
        *(user_id, standing, until, reason, by),
    )


async def add_audit(
    sql: Sql, actor: str, role: str, action: str, subject: str, details: Mapping[str, Any], request_id: str
) -> None:
    await sql.execute(
        "INSERT INTO audit (actor, role, action, subject, details, request_id) VALUES ($1, $2, $3, $4, $5, $6)",
        *(actor, role, action, subject, to_json(dict(details)), request_id),
    )


# Operations


async def lock_operation(sql: Sql, caller: str, op: bytes) -> bool:
    """Keep others from it until the transaction ends; False when somebody else does."""
    return bool(
        await sql.fetch_value(
            "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || encode($2, 'hex'), $3))", caller, op, _OP_LOCK
        )
    )


async def operation(sql: Sql, caller: str, op: bytes) -> Row | None:
    """What was asked and answered under this op id."""
    return await sql.fetch_row("SELECT request, answer FROM operation WHERE caller = $1 AND op = $2", caller, op)


async def add_operation(sql: Sql, caller: str, op: bytes, request: bytes, answer: bytes) -> None:
    await sql.execute(
        "INSERT INTO operation (caller, op, request, answer) VALUES ($1, $2, $3, $4)", caller, op, request, answer
    )


async def forget_operations(sql: Sql, kept_s: int) -> None:
    """Remove those that are older, some at a time."""
    await sql.execute(
        "DELETE FROM operation WHERE (caller, op) IN (SELECT caller, op FROM operation "
        "WHERE at < now() - $1 * interval '1 second' LIMIT 10000 FOR UPDATE SKIP LOCKED)",
        kept_s,
    )


# Keys and secrets


async def has_signing_key(sql: Sql) -> bool:
    return bool(await sql.fetch_value("SELECT EXISTS (SELECT FROM signing_key)"))


async def add_first_key(sql: Sql, kid: str, private_pem: str) -> None:
    """Add the key unless there is one by now. In a transaction: the lock holds until its end."""
    await sql.execute("SELECT pg_advisory_xact_lock($1)", _KEY_LOCK)
    await sql.execute(
        "INSERT INTO signing_key (kid, private_pem, active_at) "
        "SELECT $1, $2, now() WHERE NOT EXISTS (SELECT FROM signing_key)",
        *(kid, private_pem),
    )


async def rotate_key(sql: Sql, kid: str, private_pem: str, active_in_s: int, others_end_in_s: int) -> None:
    """Add a key, let the others end, and drop those that have."""
    await sql.execute(
        "WITH ending AS (UPDATE signing_key SET expires_at = clock_timestamp() + $4 * interval '1 second' "
        "WHERE expires_at IS NULL), gone AS (DELETE FROM signing_key WHERE expires_at < now() - interval '1 day') "
        "INSERT INTO signing_key (kid, private_pem, active_at) "
        "VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second')",
        *(kid, private_pem, active_in_s, others_end_in_s),
    )


async def signing_keys(sql: Sql) -> list[Row]:
    return await sql.fetch(
        f"SELECT kid, private_pem, {_MS.format('active_at')} AS active_at, {_MS.format('expires_at')} AS expires_at "  # noqa: S608
        "FROM signing_key WHERE expires_at IS NULL OR expires_at > now() ORDER BY active_at"
    )


async def get_or_add_secret(sql: Sql, name: str, fresh: bytes) -> bytes:
    """The secret of this name; `fresh` when there was none."""
    await sql.execute("INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, fresh)
    return bytes(await sql.fetch_value("SELECT value FROM secret WHERE name = $1", name))

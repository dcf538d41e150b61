"""Identities: which account an issuer's user is, and how several are linked to one account, never by address."""

import uuid
from typing import Any

from actors.runtime.database import Database, UniqueConflict
from actors.times import rfc3339
from gateway.accounts import identity_store as rows
from gateway.accounts import mfa_store, store
from gateway.accounts.issuer import Proven
from schemas.problems import Refusal

IDENTITIES_MAX = 10


class Identities:
    """Postgres decides who was first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account_of(self, proven: Proven) -> tuple[str, bool]:
        """The account of this identity, and whether it was made now."""
        found = await rows.owner(self._database, proven.issuer, proven.subject)
        if found is not None:
            await rows.used(self._database, proven)
            return found, False
        user_id = str(uuid.uuid4())
        try:
            async with self._database.transaction() as connection:
                # No name from outside: it could be a moderator's. `upgrade` gives one that nobody has.
                await rows.add_account(connection, user_id, f"player-{user_id[:8]}")
                await rows.add(connection, user_id, proven)
        except UniqueConflict:
            found = await rows.owner(self._database, proven.issuer, proven.subject)
            if found is None:
                raise Refusal("UNAVAILABLE", retry_after_s=1) from None
            return found, False
        return user_id, True

    async def of(self, user_id: str) -> list[dict[str, Any]]:
        """The account's identities, the oldest first."""
        return [
            {
                "id": row["id"],
                "provider": row["provider"],
                "issuer": row["issuer"],
                "email": row["email"],
                "linkedAt": rfc3339(row["linked_at"]),
                "lastUsedAt": rfc3339(row["used_at"]),
            }
            for row in await rows.of_user(self._database, user_id)
        ]

    async def link(self, user_id: str, proven: Proven) -> None:
        """Let this identity in to the account too; refused as `identity_taken` when it is another account's."""
        try:
            async with self._database.transaction() as connection:
                await mfa_store.lock(connection, user_id)
                present = await rows.of_user(connection, user_id)
                if any((row["issuer"], row["subject"]) == (proven.issuer, proven.subject) for row in present):
                    return
                if len(present) >= IDENTITIES_MAX:
                    raise Refusal("too_many_identities", f"An account has at most {IDENTITIES_MAX} identities.")
                await rows.add(connection, user_id, proven)
                details = {"issuer": proven.issuer}
                await store.add_audit(connection, user_id, "player", "identity_link", user_id, details, "")
        except UniqueConflict:
            raise Refusal("identity_taken", "This identity belongs to another account.") from None

    async def unlink(self, user_id: str, identity_id: str) -> None:
        """Take it away; refused as `last_way_in` when the account could not be entered any more."""
        async with self._database.transaction() as connection:
            await mfa_store.lock(connection, user_id)
            present = await rows.of_user(connection, user_id)
            gone = next((row for row in present if row["id"] == identity_id), None)
            if gone is None:
                raise Refusal("identity_unknown")
            if len(present) == 1 and not await rows.has_other_way(connection, user_id):
                raise Refusal("last_way_in", "Give the account a password, or link another identity, before.")
            await rows.remove(connection, user_id, identity_id)
            details = {"issuer": gone["issuer"]}
            await store.add_audit(connection, user_id, "player", "identity_unlink", user_id, details, "")

"""What is made at the first start: the first administrator, and the installation's secrets."""

import secrets
import uuid

from pydantic import SecretStr

from actors.runtime.database import Database, UniqueConflict
from gateway.accounts import names, store
from gateway.accounts.passwords import Passwords


async def secret(database: Database, name: str, size_bytes: int) -> bytes:
    """The installation's secret of this name; made of random bytes at the first use."""
    return await store.get_or_add_secret(database, name, secrets.token_bytes(size_bytes))


async def ensure_admin(database: Database, username: str, password: SecretStr) -> bool:
    """Make the first administrator; False when it is there. ValueError when the name belongs to somebody else."""
    shown = names.well_formed(username)
    row = await store.account_by_name(database, names.folded(shown))
    if row is None:
        passwords = Passwords(workers=1)
        try:
            hashed = await passwords.hash(password)
        finally:
            passwords.close()
        user_id = str(uuid.uuid4())
        try:
            async with database.transaction() as connection:
                await store.add_account(connection, user_id, shown, names.skeletons(shown), hashed, None)
                await store.set_role(connection, user_id, "admin", grant=True)
                await store.add_audit(connection, "system", "system", "ensure_admin", user_id, {}, "")
            return True
        except UniqueConflict:
            row = await store.account_by_name(database, names.folded(shown))
    if row is None or "admin" not in row["roles"]:
        raise ValueError(f"the username {shown!r} belongs to an account that is no administrator; choose another")
    return False

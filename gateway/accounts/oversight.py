"""What a role allows to do with other people's accounts; each such call is in the audit log, in one commit with it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from actors.runtime.database import Connection, Database
from actors.times import rfc3339
from gateway.accounts import mfa_store, store
from gateway.accounts.operations import Operation
from gateway.accounts.players import Players
from gateway.accounts.sessions import UNPRIVILEGED, Identity, Sessions
from schemas.problems import Refusal


class Oversight:
    """Whether `by` has the role is for the caller to know."""

    def __init__(self, database: Database, sessions: Sessions, players: Players) -> None:
        self._database = database
        self._sessions = sessions
        self._players = players

    async def provision(
        self, operation: Operation, by: Identity, role: str, items: Sequence[tuple[str, str]], request_id: str
    ) -> dict[str, Any]:
        """Players by external id and display name, made where they are not there yet; in the order of the items."""

        async def add(connection: Connection) -> dict[str, Any]:
            rows, made = await store.add_provisioned(connection, *([part[at] for part in items] for at in (0, 1)))
            details = {"items": len(items), "created": len(made)}
            await store.add_audit(connection, by.user_id, role, "provision", "players", details, request_id)
            by_external = {row["external_id"]: row["id"] for row in rows}
            answer = []
            for external_id, _ in items:
                user_id = by_external[external_id]
                answer.append({"externalId": external_id, "userId": user_id, "created": user_id in made})
                made.discard(user_id)
            return {"items": answer}

        answer = await operation.once(add)
        # A repeat too: the first may have ended here.
        waiting = await store.without_player(self._database, [item["userId"] for item in answer["items"]])
        replies = await asyncio.gather(*(self._players.create(row["id"], row["display_name"]) for row in waiting))
        acknowledged = [row["id"] for row, done in zip(waiting, replies, strict=True) if done]
        await store.players_made(self._database, acknowledged)
        if len(acknowledged) < len(waiting):
            raise Refusal("UNAVAILABLE", "Not all players could be made yet; send the same again.", retry_after_s=1)
        return answer

    async def sanction(
        self,
        operation: Operation,
        by: Identity,
        role: str,
        user_id: str,
        standing: str,
        until: int | None,
        reason: str,
        request_id: str,
    ) -> dict[str, Any]:
        """Ban (`banned`), suspend (`suspended`) or reinstate (`clear`) an account."""
        action = {"banned": "ban", "suspended": "suspend", "clear": "reinstate"}[standing]
        ends = None if until is None else rfc3339(until)

        async def impose(connection: Connection) -> dict[str, Any]:
            if until is not None and until <= self._sessions.now_ms():
                problem = "should be in the future"
                raise Refusal("INVALID", f"until: {problem}.", fields=[{"field": "until", "problem": problem}])
            target = await store.account_by_id(connection, user_id)
            if target is None:
                raise Refusal("player_unknown")
            if standing != "clear" and tuple(target["roles"]) != UNPRIVILEGED and "admin" not in by.roles:
                raise Refusal("FORBIDDEN", "Only an admin may ban or suspend an account with a privileged role.")
            details = {"reason": reason, **({"until": ends} if ends is not None else {})}
            await store.add_sanction(connection, user_id, standing, until, reason, by.user_id)
            await store.add_audit(connection, by.user_id, role, action, user_id, details, request_id)
            return {"ok": True, "userId": user_id, "standing": standing, "until": ends}

        answer = await operation.once(impose)
        self._sessions.tell_others("sanctions")
        return answer

    async def set_role(
        self, operation: Operation, by: Identity, user_id: str, role: str, grant: bool, request_id: str
    ) -> dict[str, Any]:
        """Grant or take back a role; all roles after that."""
        if user_id == by.user_id and role == "admin" and not grant:
            raise Refusal("own_admin_role", "Another admin has to take back your admin role.")

        async def change(connection: Connection) -> dict[str, Any]:
            roles = await store.set_role(connection, user_id, role, grant)
            if roles is None:
                raise Refusal("player_unknown")
            details = {"role": role, "grant": grant}
            await store.add_audit(connection, by.user_id, "admin", "set_role", user_id, details, request_id)
            return {"roles": roles}

        answer = await operation.once(change)
        self._sessions.tell_others()
        return answer

    async def reset_mfa(
        self, operation: Operation, by: Identity, user_id: str, reason: str, request_id: str
    ) -> dict[str, Any]:
        """Turn off all second factors of somebody who has lost them."""

        async def remove(connection: Connection) -> dict[str, Any]:
            await mfa_store.lock(connection, user_id)
            if await store.account_by_id(connection, user_id) is None:
                raise Refusal("player_unknown")
            await mfa_store.remove_factors(connection, user_id, None)
            details = {"reason": reason}
            await store.add_audit(connection, by.user_id, "admin", "reset_mfa", user_id, details, request_id)
            return {"ok": True}

        return await operation.once(remove)

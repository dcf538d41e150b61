"""What moderators and administrators do, over REST."""

from datetime import datetime
from typing import Any

from greenroom_client.models import Json
from greenroom_client.transport import API, Transport, part


class Moderation:
    """Bans, suspensions, fraud cases and reported messages (role `moderator`)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # Accounts

    async def ban(self, user_id: str, reason: str, until: datetime | None = None) -> Any:
        """Close the user's sockets and refuse every request, for ever or until a time."""
        body = {"reason": reason} | ({"until": until.isoformat()} if until else {})
        return await self._post(f"users/{part(user_id)}/ban", body)

    async def suspend(self, user_id: str, reason: str, until: datetime) -> Any:
        """Refuse every request until a time."""
        return await self._post(f"users/{part(user_id)}/suspend", {"reason": reason, "until": until.isoformat()})

    async def reinstate(self, user_id: str, reason: str) -> Any:
        """Lift a ban or suspension."""
        return await self._post(f"users/{part(user_id)}/reinstate", {"reason": reason})

    # Fraud

    async def cases(self, status: str = "open") -> Any:
        """The fraud cases of a status."""
        return await self._transport.request("GET", f"{API}/moderation/cases", params={"status": status})

    async def case(self, case_id: str) -> Json:
        """One fraud case with its evidence."""
        case: Json = await self._transport.request("GET", f"{API}/moderation/cases/{part(case_id)}")
        return case

    async def confirm(self, case_id: str, reason: str) -> Any:
        """The case is fraud."""
        return await self._post(f"cases/{part(case_id)}/confirm", {"reason": reason})

    async def dismiss(self, case_id: str, reason: str) -> Any:
        """The case is none: the flag and its limits are undone."""
        return await self._post(f"cases/{part(case_id)}/dismiss", {"reason": reason})

    # Chat and guilds

    async def reports(self, status: str = "open") -> Any:
        """The messages that players reported."""
        return await self._transport.request("GET", f"{API}/moderation/reports", params={"status": status})

    async def close_report(self, case_id: str, *, upheld: bool, note: str) -> Any:
        """A reported message was looked at: rightly reported, or not."""
        verdict = "upheld" if upheld else "dismissed"
        return await self._say("desk", "chat", "close_case", {"caseId": case_id, "verdict": verdict, "note": note})

    async def remove_message(self, channel: str, message: int, reason: str) -> Any:
        """A message is gone, however old."""
        return await self._say("channel", channel, "remove_message", {"message": message, "reason": reason})

    async def silence(self, channel: str, user_id: str, minutes: int, reason: str) -> Any:
        """Somebody may say nothing there for so long; 0 ends it."""
        body = {"player": user_id, "minutes": minutes, "reason": reason}
        return await self._say("channel", channel, "silence", body)

    async def expel(self, channel: str, user_id: str, reason: str) -> Any:
        """Somebody is put out of a room."""
        return await self._say("channel", channel, "expel", {"player": user_id, "reason": reason})

    async def appoint_leader(self, guild: str, user_id: str, reason: str) -> Any:
        """A guild whose leader is gone for good gets another."""
        return await self._say("guild", guild, "appoint_leader", {"player": user_id, "reason": reason})

    async def _say(self, kind: str, key: str, command: str, body: Json) -> Any:
        path = f"{API}/actors/{part(kind)}/{part(key)}/{command}"
        return (await self._transport.request("POST", path, body))["data"]

    async def _post(self, path: str, body: Json) -> Any:
        return await self._transport.request("POST", f"{API}/moderation/{path}", body)


class Admin:
    """Roles (role `admin`)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def grant(self, user_id: str, role: str) -> list[str]:
        """Give a role; answers all roles that the user then has."""
        return await self._set_role(user_id, role, grant=True)

    async def revoke(self, user_id: str, role: str) -> list[str]:
        """Take a role away; answers the roles that remain."""
        return await self._set_role(user_id, role, grant=False)

    async def _set_role(self, user_id: str, role: str, *, grant: bool) -> list[str]:
        answer = await self._transport.request(
            "POST", f"{API}/admin/users/{part(user_id)}/roles", {"role": role, "grant": grant}
        )
        return list(answer["roles"])

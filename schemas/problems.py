"""Every refusal that a client can meet: its stable code, its status and its title."""

from typing import Any, NamedTuple


class Problem(NamedTuple):
    status: int
    title: str


PROBLEMS: dict[str, Problem] = {
    "NOT_FOUND": Problem(404, "Not found"),
    "METHOD_NOT_ALLOWED": Problem(405, "Method not allowed"),
    "UNKNOWN_KIND": Problem(404, "Unknown kind"),
    "UNKNOWN_COMMAND": Problem(404, "Unknown command"),
    "UNKNOWN_QUERY": Problem(404, "Unknown query"),
    "player_unknown": Problem(404, "Player unknown"),
    "board_unknown": Problem(404, "Board unknown"),
    "case_unknown": Problem(404, "Case unknown"),
    "action_unknown": Problem(404, "Action unknown"),
    "message_unknown": Problem(404, "Message unknown"),
    "channel_unknown": Problem(404, "Channel unknown"),
    "currency_unknown": Problem(404, "Currency unknown"),
    "provider_unknown": Problem(404, "Issuer unknown"),
    "identity_unknown": Problem(404, "Identity unknown"),
    "guild_unknown": Problem(404, "Guild unknown"),
    "invitation_unknown": Problem(404, "Invitation unknown"),
    "request_unknown": Problem(404, "Request unknown"),
    "member_unknown": Problem(404, "Member unknown"),
    "territory_unknown": Problem(404, "Territory unknown"),
    "stored_item_unknown": Problem(404, "Stored item unknown"),
    "trade_unknown": Problem(404, "Trade unknown"),
    "not_a_member": Problem(403, "Not a member"),
    "role_too_low": Problem(403, "Role too low"),
    "not_ranked": Problem(404, "Not ranked on this board"),
    "TOO_LARGE": Problem(413, "Too large"),
    "UNAUTHENTICATED": Problem(401, "Not authenticated"),
    "TOKEN_INVALID": Problem(401, "Token invalid"),
    "SIGNATURE_INVALID": Problem(401, "Signature invalid"),
    "TOKEN_EXPIRED": Problem(401, "Token expired"),
    "CREDENTIALS_INVALID": Problem(401, "Username or password wrong"),
    "MFA_CODE_INVALID": Problem(401, "Code wrong"),
    "MFA_TOKEN_INVALID": Problem(401, "Login expired"),
    "ID_TOKEN_INVALID": Problem(401, "ID token invalid"),
    "LOGIN_CODE_INVALID": Problem(401, "Login code invalid"),
    "LOGIN_REFUSED": Problem(403, "Login refused by the issuer"),
    "FORBIDDEN": Problem(403, "Not allowed"),
    "BANNED": Problem(403, "Banned"),
    "SUSPENDED": Problem(403, "Suspended"),
    "silenced": Problem(403, "Silenced by a moderator"),
    "fresh_login_needed": Problem(403, "Fresh login needed"),
    "TOKEN_USED": Problem(403, "Token used"),
    "SUSPICIOUS_ACTIVITY": Problem(403, "Suspicious activity"),
    "RATE_LIMITED": Problem(429, "Too many requests"),
    "TOO_MANY_OUTSTANDING": Problem(429, "Too many outstanding commands"),
    "INVALID": Problem(400, "Invalid request"),
    "LOGIN_STATE_INVALID": Problem(400, "Login not begun here"),
    "action_type_unknown": Problem(400, "Action type unknown"),
    "hash_invalid": Problem(400, "Hash invalid"),
    "timestamp_invalid": Problem(400, "Timestamp invalid"),
    "OP_REUSED": Problem(422, "Operation id used for another request"),
    "OP_IN_PROGRESS": Problem(409, "Operation still running"),
    "OVERLOADED": Problem(503, "Overloaded"),
    "UNAVAILABLE": Problem(503, "Temporarily unavailable"),
    "QUARANTINED": Problem(500, "Actor quarantined"),
    "INTERNAL": Problem(500, "Internal error"),
}
"""A code that is not listed is a rule's fact, such as `guild_full`: status 409."""

MOVED = 307
"""Internal status between router and host: this host does not own the actor (any more); ask the directory again."""


def problem(code: str) -> Problem:
    """Status and title of a refusal's code."""
    return PROBLEMS.get(code) or Problem(409, code.replace("_", " ").capitalize())


class Refusal(Exception):
    """A request that is not carried out, with the code a client can act on.

    Inside one process it travels as an exception; between processes always as a value.
    `details` reach the client beside the code; `retry_after_s` becomes the Retry-After header.
    """

    def __init__(self, code: str, message: str = "", *, status: int | None = None, **details: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.status = status if status is not None else problem(code).status
        self.message = message or problem(code).title
        self.details = details

    @property
    def retry_after_s(self) -> int | None:
        value = self.details.get("retry_after_s")
        return int(value) if value is not None else None

    def pack(self) -> dict[str, Any]:
        """The value that crosses processes; `unpack` is its inverse."""
        return {"code": self.code, "message": self.message, "details": self.details}

    @classmethod
    def unpack(cls, status: int, packed: dict[str, Any]) -> "Refusal":
        return cls(packed["code"], packed["message"], status=status, **packed.get("details", {}))

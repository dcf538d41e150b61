"""What can go wrong between a client and a Greenroom server, as exceptions to act on."""

from collections.abc import Mapping
from typing import Any


class GreenroomError(Exception):
    """The server answered with an error; `code` is for machines, `message` for people."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
        op: str | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}" if status else message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.op = op

    @property
    def worth_repeating(self) -> bool:
        """Whether the same request, under the same op id, may succeed a moment later."""
        return isinstance(self, Unavailable | ConnectionLost) or self.code.upper() == "OP_IN_PROGRESS"


class Invalid(GreenroomError):
    """400, 413, 422: the request is not one that the server understands; do not repeat it."""


class Unauthenticated(GreenroomError):
    """401: no token, or one that is wrong, expired or revoked."""


class Forbidden(GreenroomError):
    """403: banned, suspended, or not allowed."""


class NotFound(GreenroomError):
    """404: no such route, player or thing."""


class Refused(GreenroomError):
    """409: a rule of the game said no; `code` is the rule's fact, such as `guild_full`."""


class RateLimited(GreenroomError):
    """429: too much; wait `retry_after_s`."""


class Unavailable(GreenroomError):
    """503: overloaded, or something behind the gateway is down; repeat under the same op id."""


class ServerBug(GreenroomError):
    """500: report it with its `request_id`."""


class ConnectionLost(GreenroomError):
    """No answer arrived: the outcome of what was asked is unknown, and the same op id finds it out."""


class DeadlinePassed(ConnectionLost):
    """The answer did not arrive in the time given: the outcome is unknown too."""


_BY_STATUS: Mapping[int, type[GreenroomError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Refused,
    413: Invalid,
    422: Invalid,
    429: RateLimited,
    500: ServerBug,
    503: Unavailable,
}


def error_from(
    status: int, error: Mapping[str, Any], *, retry_after_s: float | None = None, op: str | None = None
) -> GreenroomError:
    """The exception for an error body or an error frame's `error` member."""
    kind = _BY_STATUS.get(status, ServerBug if status >= 500 else GreenroomError)
    if retry_after_s is None and isinstance(error.get("retryAfter"), int | float):
        retry_after_s = float(error["retryAfter"])
    return kind(
        str(error.get("message") or error.get("error") or ""),
        status=status,
        code=str(error.get("code") or ""),
        request_id=str(error.get("requestId") or ""),
        retry_after_s=retry_after_s,
        op=op,
    )

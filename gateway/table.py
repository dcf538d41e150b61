"""The hand-shaped paths: each row says which message a path stands for, and how its reply becomes the body."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.catalog import Catalog
from actors.content import Content
from actors.core import Gather
from schemas.messages import COMMAND, QUERY

API = "/api/v1"

From = Literal["fixed", "path", "query", "body"]


@dataclass(frozen=True, slots=True)
class Key:
    """Where the actor's key is found: fixed, or a member of the path, the query string or the body."""

    source: From
    name: str
    default: str | None = None
    through: Callable[[str], str] = str
    """From what is found to the key."""


ME = Key("fixed", "me")
BOARD = Key("query", "board", "main")
DETECTOR = Key("path", "id", through=lambda case: case.partition("-")[0] or case)
"""The id of a case begins with the key of the detector that holds it."""


def as_is(data: Any) -> Any:
    """The reply itself."""
    return data


def new_score_and_rank(data: Any) -> Any:
    """The second family's answer to a score."""
    return {"newScore": data["score"]["current"], "newRank": (data.get("rank") or {}).get("current")}


@dataclass(frozen=True, slots=True)
class Row:
    """`POST /api/v1/actions` -> (player, me, start_action), and so on."""

    method: str
    path: str
    kind: str
    key: Key
    name: str
    status: int = 200
    shape: Callable[[Any], Any] = as_is
    fields: Mapping[str, str] = field(default_factory=dict)
    """Members of the path that are fields of the message, by path name."""
    location: str = ""
    """The Location header, with members of the reply in braces."""
    refused_as: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Codes that this path tells otherwise: code -> (status, code)."""
    present: str = ""
    """The list in the reply whose entries, each with a `userId`, get a `presence`: online, away or offline."""
    batch: bool = False
    """`{items: [...]}`, each item a call of its own with its own `op`."""

    @property
    def verb(self) -> int:
        return QUERY if self.method == "GET" else COMMAND


_TOKEN_IS_BAD_INPUT = {"TOKEN_INVALID": (400, "TOKEN_INVALID"), "SIGNATURE_INVALID": (400, "TOKEN_INVALID")}
_HASH_IS_BAD_INPUT = {"TOKEN_INVALID": (400, "hash_invalid"), "SIGNATURE_INVALID": (400, "hash_invalid")}

ROWS: tuple[Row, ...] = (
    # Actions and score, the canonical family
    Row("POST", f"{API}/actions", "player", ME, "start_action", status=201, location=f"{API}/actions/{{id}}"),
    Row("POST", f"{API}/actions/{{id}}/complete", "player", ME, "complete_action", fields={"id": "actionId"}),
    Row("GET", f"{API}/actions/{{id}}", "player", ME, "action", fields={"id": "actionId"}),
    # The second family
    Row("POST", f"{API}/actions/token", "player", ME, "request_token"),
    Row("POST", "/api/actions/token", "player", ME, "request_token"),
    *(
        Row(
            "POST",
            path,
            "player",
            ME,
            "increment_score",
            shape=new_score_and_rank,
            refused_as=_TOKEN_IS_BAD_INPUT,
        )
        for path in (f"{API}/scores/increment", "/scores/increment", "/api/scores/increment")
    ),
    # The first family
    *(
        row
        for base in ("/api", API)
        for row in (
            Row("POST", f"{base}/scoreboard/generate-action", "player", ME, "generate_action"),
            Row("POST", f"{base}/scoreboard/update", "player", ME, "update_score", refused_as=_HASH_IS_BAD_INPUT),
        )
    ),
    # A studio's own servers
    Row("POST", f"{API}/scores/award", "player", Key("body", "userId"), "award_score"),
    Row("POST", f"{API}/scores/award-batch", "player", Key("body", "userId"), "award_score", batch=True),
    # Players
    Row("GET", f"{API}/players/me", "player", ME, "profile"),
    Row("GET", f"{API}/players/{{id}}", "player", Key("path", "id"), "public_profile"),
    Row("GET", f"{API}/players/{{id}}/score", "player", Key("path", "id"), "score"),
    # Boards
    *(
        Row("GET", path, "leaderboard", BOARD, "top")
        for path in (f"{API}/leaderboard/top", f"{API}/leaderboard", f"{API}/scoreboard", "/api/scoreboard")
    ),
    Row("GET", f"{API}/leaderboard/me", "leaderboard", BOARD, "me"),
    Row("GET", f"{API}/leaderboard/around", "leaderboard", BOARD, "around"),
    Row("GET", f"{API}/leaderboard/users/{{id}}", "leaderboard", BOARD, "rank", fields={"id": "subject"}),
    # Friends, chat and notifications
    Row("GET", f"{API}/friends", "player", ME, "friends", present="friends"),
    Row("GET", f"{API}/notifications", "player", ME, "inbox"),
    Row("GET", f"{API}/channels/{{id}}/members", "channel", Key("path", "id"), "members", present="members"),
    Row("GET", f"{API}/channels/{{id}}/messages", "channel", Key("path", "id"), "history"),
    Row("POST", f"{API}/channels/{{id}}/messages", "channel", Key("path", "id"), "send", status=201),
    Row("GET", f"{API}/moderation/reports", "desk", Key("fixed", "chat"), "reports"),
    # Fraud cases
    Row("GET", f"{API}/moderation/cases", "fraud", Key("fixed", "all"), "cases"),
    Row("GET", f"{API}/moderation/cases/{{id}}", "fraud", Key("fixed", "all"), "case", fields={"id": "caseId"}),
    Row("POST", f"{API}/moderation/cases/{{id}}/confirm", "fraud", DETECTOR, "confirm_case", fields={"id": "caseId"}),
    Row("POST", f"{API}/moderation/cases/{{id}}/dismiss", "fraud", DETECTOR, "dismiss_case", fields={"id": "caseId"}),
)


def shared_key(kind: str, key: str, gather: Gather) -> str | None:
    """The key in Redis under which gateways share the answers of the most asked gather."""
    if (kind, gather.wire_name) != ("leaderboard", "top"):
        return None
    limit = getattr(gather, "limit", 10)
    return f"leaderboard:top:{limit}" if key == "main" else f"leaderboard:{key}:top:{limit}"


def warm_gathers(catalog: Catalog, content: Content) -> Iterator[tuple[str, str, Gather]]:
    """What a gateway asks before it opens: the top of each board."""
    top = catalog.kind("leaderboard").gathers.get("top")
    if top is not None:
        for board in content.boards:
            yield "leaderboard", board, top()

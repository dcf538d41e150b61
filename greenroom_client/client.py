"""A user of a Greenroom server over REST; `connect` opens the WebSocket."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from greenroom_client.connection import Connection
from greenroom_client.errors import GreenroomError, Unauthenticated, error_from
from greenroom_client.frames import Form
from greenroom_client.game import Game
from greenroom_client.game.presence import PresenceNow
from greenroom_client.models import (
    Action,
    Award,
    AwardOrder,
    Json,
    Provisioned,
    Reply,
    Score,
    Standing,
    Tokens,
)
from greenroom_client.moderation import Admin, Moderation
from greenroom_client.transport import API, Transport, part

_PROVISIONED = TypeAdapter(list[Provisioned])
_STANDINGS = TypeAdapter(list[Standing])


class MfaRequired(Unauthenticated):
    """The password was right; `Client.verify_mfa` with this `mfa_token` and a code completes the login."""

    def __init__(self, mfa_token: str) -> None:
        super().__init__("a second factor is needed", status=401, code="mfa_required")
        self.mfa_token = mfa_token


class Client(Transport, Game):
    """One user. Logging in keeps the tokens here and refreshes them in time."""

    # Accounts and sessions

    async def register(self, username: str, password: str, email: str | None = None) -> Tokens:
        """Make an account and be logged in."""
        body = {"username": username, "password": password} | ({"email": email} if email else {})
        return await self._log_in("/auth/register", body)

    async def login(self, username: str, password: str) -> Tokens:
        """Log in by name, or by e-mail when it holds an @; raises `MfaRequired` when there is a second factor."""
        name = "email" if "@" in username else "username"
        return await self._log_in("/auth/login", {name: username, "password": password})

    async def verify_mfa(self, mfa_token: str, code: str) -> Tokens:
        """Complete a login that asked for a second factor."""
        return await self._log_in("/auth/mfa/verify", {"mfaToken": mfa_token, "code": code})

    async def guest(self, device_id: str) -> Tokens:
        """Play at once; the same device id comes back to the same player."""
        return await self._log_in("/auth/guest", {"deviceId": device_id})

    async def upgrade(self, username: str, password: str) -> Json:
        """Turn this guest into an account that keeps everything."""
        answer: Json = await self.post("/auth/upgrade", {"username": username, "password": password})
        if "accessToken" in answer:
            self.tokens = Tokens.model_validate(answer)
        return answer

    async def logout(self) -> None:
        """End this session everywhere, within a second."""
        await self.post("/auth/logout", {})
        self.tokens = None

    async def logout_all(self) -> None:
        """End all of this user's sessions."""
        await self.post("/auth/logout-all", {})
        self.tokens = None

    async def sessions(self) -> Any:
        """Where this user is logged in."""
        return await self.get("/auth/sessions")

    @property
    def user_id(self) -> str:
        """Who this is; empty before the login."""
        return self.tokens.user_id if self.tokens else ""

    async def _log_in(self, path: str, body: Json) -> Tokens:
        answer = await self.request("POST", API + path, body, anonymous=True)
        if answer.get("mfaRequired"):
            raise MfaRequired(answer["mfaToken"])
        self.tokens = Tokens.model_validate(answer)
        return self.tokens

    # Players and score

    async def profile(self, user_id: str = "me") -> Json:
        """The whole character sheet of oneself, the public part of others."""
        sheet: Json = await self.get(f"/players/{part(user_id)}")
        return sheet

    async def score(self, user_id: str = "me", board: str = "main") -> Score:
        """A player's score and rank on a board."""
        return Score.model_validate(await self.get(f"/players/{part(user_id)}/score", board=board))

    async def start_action(self, type: str, *, op: str | None = None) -> Action:
        """Start an action; completing it scores."""
        return Action.model_validate(await self.post("/actions", {"type": type}, op=op))

    async def complete_action(self, action: Action, *, op: str | None = None) -> Award:
        """Complete a started action."""
        path = f"/actions/{part(action.id)}/complete"
        return Award.model_validate(await self.post(path, {"actionToken": action.action_token}, op=op))

    # Boards

    async def top(self, board: str = "main", limit: int = 10) -> list[Standing]:
        """The first of a board."""
        return _STANDINGS.validate_python(await self.get("/leaderboard/top", board=board, limit=limit))

    async def around(self, board: str = "main", window: int = 5) -> list[Standing]:
        """Those next to oneself on a board."""
        return _STANDINGS.validate_python(await self.get("/leaderboard/around", board=board, window=window))

    async def standing(self, user_id: str = "me", board: str = "main") -> Standing:
        """Somebody's line of a board."""
        path = "/leaderboard/me" if user_id == "me" else f"/leaderboard/users/{part(user_id)}"
        return Standing.model_validate(await self.get(path, board=board))

    # For a studio's own servers (role `server`)

    async def provision(self, players: Sequence[tuple[str, str]], *, op: str | None = None) -> list[Provisioned]:
        """Make players out of (external id, display name), up to 500; those that exist are found again."""
        items = [{"externalId": external_id, "displayName": name} for external_id, name in players]
        answer = await self.post("/players/provision", {"items": items}, op=op)
        return _PROVISIONED.validate_python(answer["items"])

    async def award(
        self,
        user_id: str,
        points: int,
        *,
        board: str | None = None,
        reason: str | None = None,
        attributes: dict[str, str | int | bool] | None = None,
        at: str | None = None,
        op: str | None = None,
    ) -> Award:
        """Give points, exactly once for each op id."""
        optional = {"board": board, "reason": reason, "attributes": attributes, "at": at}
        body = {"userId": user_id, "points": points} | {name: v for name, v in optional.items() if v is not None}
        return Award.model_validate(await self.post("/scores/award", body, op=op))

    async def award_batch(self, orders: Sequence[AwardOrder]) -> list[Award | GreenroomError]:
        """Up to 500 awards, each once for its own op id; answers in the same order, refusals among them as values."""
        items = [order.model_dump(mode="json", by_alias=True, exclude_none=True) for order in orders]
        return await self.award_items(items)

    async def award_items(self, items: Sequence[Json]) -> list[Award | GreenroomError]:
        """`award_batch` for items that are already in the wire's form."""
        answer = await self.post("/scores/award-batch", {"items": items})
        return [_award_or_error(item) for item in answer["items"]]

    # Any actor

    async def command(
        self, kind: str, key: str, name: str, data: Json | None = None, *, op: str | None = None
    ) -> Reply:
        """Any public command; key `me` is the caller's own player."""
        return Reply.model_validate(
            await self.post(f"/actors/{part(kind)}/{part(key)}/{part(name)}", data or {}, op=op)
        )

    async def query(self, kind: str, key: str, name: str, data: Json | None = None, **params: str | int) -> Reply:
        """Any public query; what it asks for stands in `data`, or is named."""
        path = f"/actors/{part(kind)}/{part(key)}/{part(name)}"
        return Reply.model_validate(await self.get(path, **{**(data or {}), **params}))

    async def health(self) -> Json:
        """How the server is; also when it is not well."""
        async with self.session.get(f"{self.url}/health") as response:
            health: Json = await response.json()
            return health

    @property
    def presence(self) -> PresenceNow:
        """Who is there at this moment; a connection tells it as it changes."""
        return PresenceNow(self)

    @property
    def moderation(self) -> Moderation:
        """What moderators do."""
        return Moderation(self)

    @property
    def admin(self) -> Admin:
        """What administrators do."""
        return Admin(self)

    def connect(self, form: Form = Form.JSON, **options: Any) -> Connection:
        """The WebSocket as this user: `async with client.connect() as connection`."""
        return Connection(self, form=form, **options)

    async def get(self, path: str, **params: str | int) -> Any:
        """GET a path below the API's base."""
        return await self.request("GET", API + path, params={name: _text(value) for name, value in params.items()})

    async def post(self, path: str, body: Any, *, op: str | None = None) -> Any:
        """POST to a path below the API's base, under one op id."""
        return await self.request("POST", API + path, body, op=op)


def _text(value: str | int) -> str | int:
    return str(value).lower() if isinstance(value, bool) else value


def _award_or_error(item: Json) -> Award | GreenroomError:
    if isinstance(error := item.get("error"), dict):
        return error_from(int(item.get("status") or error.get("status") or 409), error, op=item.get("op"))
    return Award.model_validate(item)

"""A player of the living game, over REST: says, asks, and looks into its bag."""

import uuid
from typing import Any

from tests.acceptance.clients import API, Answer, Door, User


class Hero:
    """One user's player."""

    def __init__(self, door: Door, user: User, studio: User | None = None) -> None:
        self.door = door
        self.user = user
        self.studio = studio

    async def say(self, command: str, *, op: str | None = None, **data: Any) -> Answer:
        return await self.door.post(f"{API}/actors/player/me/{command}", data, as_=self.user, op=op)

    async def done(self, command: str, **data: Any) -> Any:
        """The reply's data of a command that must succeed."""
        answer = await self.say(command, **data)
        assert answer.status == 200, answer
        return answer.body["data"]

    async def refused(self, command: str, **data: Any) -> str:
        """The fact for which a command is refused."""
        answer = await self.say(command, **data)
        assert answer.status == 409, answer
        assert answer.code is not None
        return answer.code

    async def ask(self, query: str, **params: str) -> Any:
        answer = await self.door.get(f"{API}/actors/player/me/{query}", as_=self.user, **params)
        assert answer.status == 200, answer
        return answer.body["data"]

    async def sheet(self) -> Any:
        answer = await self.door.get(f"{API}/players/me", as_=self.user)
        assert answer.status == 200, answer
        return answer.body

    async def given(self, **items: int) -> Any:
        """Items from the studio."""
        return await self._awarded("award_items", {"items": items, "reason": "test"})

    async def learns(self, amount: int) -> Any:
        """Experience from the studio."""
        return await self._awarded("award_experience", {"amount": amount, "reason": "test"})

    async def _awarded(self, command: str, data: Any) -> Any:
        path = f"{API}/actors/player/{self.user.id}/{command}"
        answer = await self.door.post(path, data, as_=self.studio, op=str(uuid.uuid4()))
        assert answer.status == 200, answer
        return answer.body["data"]

    async def stacks(self) -> list[Any]:
        stacks: list[Any] = (await self.ask("inventory"))["stacks"]
        return stacks

    async def counts(self) -> dict[str, int]:
        """How many of each item lie in the bag."""
        counts: dict[str, int] = {}
        for stack in await self.stacks():
            counts[stack["item"]] = counts.get(stack["item"], 0) + stack["quantity"]
        return counts

    async def stack(self, item: str) -> str:
        """The id of the first stack of the item."""
        return next(str(stack["id"]) for stack in await self.stacks() if stack["item"] == item)

"""Quests and achievements that the shared server is given while it runs: content files are all that it takes."""

import json
from typing import Any

from tests.acceptance.clients import API, Answer, Door, User
from tests.acceptance.server import Server

GOLD = {"currencies": {"gold": 7}}
WIN = {"event": "action_completed", "where": {"type": "try_win"}}
ACTIONS = {"try_win": {"points": 1, "board": "practice", "fraud": False, "starts_per_minute": "unlimited"}}
"""An action of their own: nobody else's players get any further by these tests."""


def objective(target: int, *counts: dict[str, Any]) -> dict[str, Any]:
    return {"title": "Do it", "target": target, "counts": list(counts)}


EVERY_KIND = {
    "often": objective(2, WIN),
    "sum": objective(30, {"event": "score_awarded", "where": {"attributes.team": "red"}, "adds": "points"}),
    "spent": objective(20, {"event": "wallet_changed", "where": {"currency": "gold"}, "takes": "change"}),
    "best": objective(3, {"event": "level_reached", "highest": "level"}),
    "much": objective(1, {"event": "score_awarded", "at_least": {"points": 20}}),
    "listed": objective(1, {"event": "messages_read", "adds": "ids"}),
    "made": objective(2, {"event": "crafted", "adds": "items.oak_plank"}),
    "either": objective(1, {"event": "skill_learnt"}, {"event": "item_used", "where": {"item": "herbal_tea"}}),
    "chain": objective(1, {"event": "quest_completed", "where": {"quest": "try_turn_in"}}),
}
"""One objective of each kind; what brings it forward is in the names of the triggers' fields."""


def wins(target: int, **fields: Any) -> dict[str, Any]:
    """A quest for so many wins, and 7 gold."""
    steps = {"win": {"title": "Win", "target": target, "counts": [WIN]}}
    return {"title": "Wins", "objectives": steps, "rewards": GOLD, **fields}


QUESTS = {
    "try_two_wins": wins(2),
    "try_turn_in": wins(1, turn_in=True),
    "try_chained": wins(9, requires={"quests": ["try_turn_in"]}),
    "try_daily": wins(1, repeats="try_tomorrow"),
    "try_weekly": wins(1, repeats="try_next_week"),
    "try_soon": wins(9, within_s=1),
    "try_guild": wins(1, requires={"guild": True}),
    "try_everything": {"title": "All kinds", "objectives": EVERY_KIND, "rewards": GOLD, "turn_in": True},
}
ACHIEVEMENTS = {
    "try_wins": {"title": "Wins", "counts": [WIN], "tiers": [{"target": 2, "rewards": GOLD}, {"target": 4}]},
}
RESETS = {
    "try_tomorrow": {"at": "12:34", "zone": "Asia/Kathmandu"},
    "try_next_week": {"every": "week", "weekday": "thursday", "at": "12:34", "zone": "Asia/Kathmandu"},
}


async def prepare(door: Door, server: Server, user: User) -> None:
    """Write the content files, and wait until both gateways and all hosts have them."""
    if (await holders(door, user)).status == 200:
        return
    for name, added in (("actions", ACTIONS), ("resets", RESETS), ("quests", QUESTS), ("achievements", ACHIEVEMENTS)):
        server.edit_content(name, json.loads(json.dumps(added)))  # YAML would write `*name` for what is shared
    await door.until("the achievement is known", lambda: holders(door, user), lambda answer: answer.status == 200)
    await door.until(
        "the quests are known",
        lambda: quests(door, user),
        lambda answer: "try_two_wins" in {shown["quest"] for shown in answer.body["data"]["available"]},
    )


async def holders(door: Door, user: User) -> Answer:
    return await door.get(f"{API}/actors/achievement/try_wins/holders", as_=user)


async def quests(door: Door, user: User) -> Answer:
    return await door.get(f"{API}/actors/player/me/quests", as_=user)


class Traveller:
    """A player with quests, over REST."""

    def __init__(self, door: Door, user: User) -> None:
        self.door = door
        self.user = user

    async def wins(self) -> dict[str, Any]:
        """Start and complete the action that counts; what the completion replies."""
        told: dict[str, Any] = await self.door.play(self.user, "try_win")
        return told

    async def say(self, command: str, quest: str, op: str | None = None) -> Answer:
        return await self.door.post(f"{API}/actors/player/me/{command}", {"quest": quest}, as_=self.user, op=op)

    async def done(self, command: str, quest: str) -> dict[str, Any]:
        answer = await self.say(command, quest)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.body["data"]
        return told

    async def refused(self, command: str, quest: str) -> str:
        answer = await self.say(command, quest)
        assert answer.status in (404, 409), answer
        return answer.code

    async def asked(self, query: str) -> dict[str, Any]:
        answer = await self.door.get(f"{API}/actors/player/me/{query}", as_=self.user)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.body["data"]
        return told

    async def shown(self, part: str) -> dict[str, Any]:
        """What the query of the quests says under available, active or completed, by name."""
        return {shown["quest"]: shown for shown in (await self.asked("quests"))[part]}

    async def gold(self) -> int:
        balance: int = (await self.asked("wallet"))["balances"]["gold"]
        return balance

    async def until_paid(self, gold: int) -> None:
        """Rewards come after the commit, by a command of their own."""
        await self.door.until(
            f"{gold} gold",
            lambda: self.door.get(f"{API}/actors/player/me/wallet", as_=self.user),
            lambda answer: answer.body["data"]["balances"]["gold"] == gold,
        )

    async def journal(self, server: Server) -> list[tuple[str, list[str]]]:
        """The player's turns: the command of each, and the names of its events."""
        rows = await server.sql(
            """SELECT turn ->> 'command' AS command, array(SELECT e ->> 0 FROM json_array_elements(events) e) AS names
               FROM journal WHERE kind = 'player' AND key = $1 ORDER BY version""",
            self.user.id,
        )
        return [(row["command"], row["names"]) for row in rows]

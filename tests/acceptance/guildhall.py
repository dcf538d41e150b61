"""What tests of guilds have in common: how one is founded, asked and filled, and what everybody in it holds."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.acceptance.clients import API, Answer, Door, User, fresh_name

DIRECTORY = f"{API}/actors/guild_directory/main"
AT_ONCE = 20
"""Requests of a crowd that are under way at the same moment."""


def fresh_key() -> str:
    return fresh_name("guild-").lower()


def guild(key: str) -> str:
    return f"{API}/actors/guild/{key}"


async def say(door: Door, user: User, key: str, command: str, **fields: Any) -> Answer:
    return await door.post(f"{guild(key)}/{command}", fields, as_=user)


async def done(door: Door, user: User, key: str, command: str, **fields: Any) -> Any:
    """The data of the reply to a command that is not refused."""
    answer = await say(door, user, key, command, **fields)
    assert answer.status == 200, answer
    return answer.body["data"]


async def found(door: Door, user: User, **fields: Any) -> str:
    """The key of a guild that stands."""
    key = fresh_key()
    await done(door, user, key, "create", name=key, **fields)
    await member(door, user, key, user)
    return key


async def asked(door: Door, user: User, key: str, query: str) -> Any:
    answer = await door.get(f"{guild(key)}/{query}", as_=user)
    assert answer.status == 200, answer
    return answer.body["data"]


async def roster(door: Door, user: User, key: str) -> dict[str, str]:
    """The roles of the members, as the guild has them."""
    return {row["userId"]: row["role"] for row in (await asked(door, user, key, "profile"))["roster"]}


async def own_guild(door: Door, user: User) -> str | None:
    """The guild to which the player belongs, as the player has it."""
    answer = await door.get(f"{API}/actors/player/me/own_guild", as_=user)
    assert answer.status == 200, answer
    held = answer.body["data"]["guild"]
    return None if held is None else str(held["guild"])


async def member(door: Door, as_: User, key: str, user: User) -> None:
    """Wait until the user belongs to the guild, by its own word and by the guild's."""
    await door.until(
        "the player belongs to the guild",
        lambda: door.get(f"{API}/actors/player/me/own_guild", as_=user),
        lambda answer: (answer.body["data"]["guild"] or {}).get("guild") == key,
    )
    await door.until(
        "the guild has the player",
        lambda: door.get(f"{guild(key)}/profile", as_=as_),
        lambda answer: answer.status == 200 and user.id in {row["userId"] for row in answer.body["data"]["roster"]},
    )


async def free(door: Door, *users: User) -> None:
    """Wait until they belong to no guild, by their own word."""
    for user in users:
        await door.until(
            "the player belongs to no guild",
            lambda user=user: door.get(f"{API}/actors/player/me/own_guild", as_=user),
            lambda answer: answer.body["data"]["guild"] is None,
        )


async def no_member(door: Door, as_: User, key: str, user: User) -> None:
    """Wait until neither the player nor the guild says that it belongs there."""
    await free(door, user)
    assert user.id not in await roster(door, as_, key)


async def crowd(door: Door, count: int) -> list[User]:
    """So many new players."""
    users: list[User] = []
    while len(users) < count:
        users += await asyncio.gather(*(door.guest() for _ in range(min(AT_ONCE, count - len(users)))))
    return users


async def all_join(door: Door, key: str, users: Iterable[User]) -> None:
    """They join an open guild, some at a time, and belong to it."""
    waiting = list(users)
    for first in range(0, len(waiting), AT_ONCE):
        now = waiting[first : first + AT_ONCE]
        await asyncio.gather(*(done(door, user, key, "join") for user in now))
        await asyncio.gather(*(member(door, user, key, user) for user in now))


async def balance(door: Door, user: User, currency: str = "gold") -> int:
    """What is in the wallet, and what waits for room in it."""
    answer = await door.get(f"{API}/actors/player/me/wallet", as_=user)
    assert answer.status == 200, answer
    held = answer.body["data"]
    return int(held["balances"].get(currency, 0)) + int(held.get("surplus", {}).get(currency, 0))


async def bank(door: Door, user: User, key: str, currency: str = "gold") -> int:
    return int((await asked(door, user, key, "bank"))["balances"].get(currency, 0))


async def bag(door: Door, user: User) -> Counter[str]:
    """How many of each item the player has, those that wait for room in the bag among them."""
    answer = await door.get(f"{API}/actors/player/me/inventory", as_=user)
    assert answer.status == 200, answer
    counts: Counter[str] = Counter()
    for stack in (*answer.body["data"]["stacks"], *answer.body["data"]["waiting"]):
        counts[stack["item"]] += stack["quantity"]
    return counts


async def stored(door: Door, user: User, key: str) -> Counter[str]:
    """How many of each item lie in the guild's storage."""
    counts: Counter[str] = Counter()
    for lot in (await asked(door, user, key, "storage"))["stored"]:
        counts[lot["item"]] += lot["quantity"]
    return counts

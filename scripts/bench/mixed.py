"""Figure 13: a mixed game, with the weights of the chaos runs, against scores alone by the same players."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from greenroom_client import Client, direct_channel
from scripts.bench.figures import Results
from scripts.bench.harness import Accounts, BenchFailed, Loaded, Server, load
from scripts.bench.load import OP_MARK

KEYS = frozenset({"13"})
PLAYERS = 128
OUTSTANDING = 4
GUILD_SIZE = 16
ROOMS = ("lobby", "trade", "help")
GOLD = 100_000
CIRCLE = 19
"""Commands of a script, of them 8 scores, 4 of money and trade, 3 of items, 2 of a guild, 2 of chat: 40, 20, 15, 10 and
10 percent of a game, without the 5 of payments."""

Script = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Game:
    """Players who are in guilds and rooms and have something in their bags, and what each of them does."""

    tokens: list[str]
    scripts: list[Script]
    scoring: list[Script]


async def set_up(server: Server, accounts: Accounts) -> Game:
    """Make the players. They may award themselves, so that one socket does what a player and its game server do."""
    guests = await accounts.more_guests(PLAYERS)
    gate = asyncio.Semaphore(16)

    async def prepared(index: int) -> Script:
        async with gate:
            return await _prepared(guests, index, accounts)

    # Those who found guilds come before those who join them.
    founders = range(0, PLAYERS, GUILD_SIZE)
    scripts = dict(zip(founders, await asyncio.gather(*map(prepared, founders)), strict=True))
    others = [index for index in range(PLAYERS) if index not in scripts]
    scripts |= zip(others, await asyncio.gather(*map(prepared, others)), strict=True)
    scoring = [[_score(guest.user_id)] for guest in guests]
    tokens = [await guest.access_token() for guest in guests]
    return Game(tokens, [scripts[index] for index in range(PLAYERS)], scoring)


async def measure(server: Server, game: Game, results: Results, seconds: float) -> None:
    """One round."""
    scores = await _played(server, game.tokens, game.scoring, seconds)
    mixed = await _played(server, game.tokens, game.scripts, seconds)
    if mixed.result["errors"]:
        refused = ", ".join(f"{count} {why}" for why, count in sorted(mixed.result["errors"].items()))
        results.remark("13", f"refused in a round of {mixed.count}: {refused}")
    results.add(
        "13",
        mixed.per_second / scores.per_second,
        **{
            "a second": mixed.per_second,
            "scores a second": scores.per_second,
            "p50 ms": mixed.result["p50Ms"],
            "p99 ms": mixed.result["p99Ms"],
            "scores p50 ms": scores.result["p50Ms"],
            "ratio by server CPU": (mixed.count / mixed.cpu.total) / (scores.count / scores.cpu.total),
            "a server-CPU-second": mixed.count / mixed.cpu.total,
            "scores a server-CPU-second": scores.count / scores.cpu.total,
            "refused of 100": 100 * sum(mixed.result["errors"].values()) / mixed.count,
        },
    )


async def _played(server: Server, tokens: list[str], scripts: list[Script], seconds: float) -> Loaded:
    job = {
        "url": server.socket_url,
        "mode": "mixed",
        "tokens": tokens,
        "keys": [["-"]],
        "scripts": scripts,
        "outstanding": OUTSTANDING,
        "seconds": seconds,
    }
    return await load(server.pid, job)


async def _prepared(guests: list[Client], index: int, accounts: Accounts) -> Script:
    guest, studio = guests[index], accounts.trusted[0].studio
    await accounts.admin.admin.grant(guest.user_id, "server")
    await studio.grant_currency(guest.user_id, "gold", GOLD, "bench")
    await studio.award_items(guest.user_id, {"coal": 20, "herbal_tea": 20}, "bench")
    guild = f"bench-{guests[index - index % GUILD_SIZE].user_id[:8]}"
    if index % GUILD_SIZE:
        await guest.guild(guild).join()
    else:
        await guest.guild(guild).found(guild, open=True)
    await _until_member(guest, guild)
    for room in ROOMS:
        await guest.channel(room).join()
    tea = (await guest.bag.inventory()).first("herbal_tea").id
    return script(guest.user_id, guests[(index + 1) % PLAYERS].user_id, guild, ROOMS[index % len(ROOMS)], tea)


def script(player: str, other: str, guild: str, room: str, tea: str) -> Script:
    """What a player does in a circle; `tea` is the stack that it drinks from and that is filled up again."""
    rest = [*_deeds(player, other, guild, tea), _said(room), _said(direct_channel(player, other))]
    return list(_shuffled([_score(player)] * (CIRCLE - len(rest)), rest))


async def _until_member(guest: Client, guild: str) -> None:
    for _ in range(200):
        own = (await guest.guilds.own()).guild
        if own is not None and own.guild == guild:
            return
        await asyncio.sleep(0.05)
    raise BenchFailed(f"a player does not get into the guild {guild}")


def _score(player: str) -> dict[str, Any]:
    """The simple score command, to the player's own account."""
    data = {"points": 1, "board": "practice", "reason": "bench"}
    return {"kind": "player", "key": player, "name": "award_score", "data": data}


def _said(channel: str) -> dict[str, Any]:
    return {"kind": "channel", "key": channel, "name": "send", "data": {"text": OP_MARK}}


def _deeds(player: str, other: str, guild: str, tea: str) -> Iterator[dict[str, Any]]:
    """Money and trade, items, the guild."""
    for _ in range(3):
        data: dict[str, Any] = {"currency": "gold", "amount": 1, "reason": "bench"}
        yield {"kind": "player", "key": player, "name": "grant_currency", "data": data}
    yield {"kind": "trade", "key": OP_MARK, "name": "give", "data": {"to": other, "goods": {"currencies": {"gold": 1}}}}
    given = {"items": {"herbal_tea": 1}, "reason": "bench"}
    yield {"kind": "player", "key": player, "name": "award_items", "data": given}
    yield {"kind": "player", "key": player, "name": "use_item", "data": {"stackId": tea}}
    dug = {"items": {"coal": 1}, "reason": "bench"}
    yield {"kind": "player", "key": player, "name": "award_items", "data": dug}
    yield {"kind": "guild", "key": guild, "name": "deposit", "data": {"currency": "gold", "amount": 1}}
    yield {"kind": "guild", "key": guild, "name": "store_items", "data": {"items": {"coal": 1}}}


def _shuffled(scores: Script, others: Script) -> Iterator[dict[str, Any]]:
    """Others and scores by turns, as far as both reach."""
    for index in range(max(len(scores), len(others))):
        yield from others[index : index + 1]
        yield from scores[index : index + 1]

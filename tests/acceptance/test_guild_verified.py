"""SPEC sections 7 and 8: after all that guilds and channels did here, every sum is right and both sides agree."""

import asyncio
import json

from tests.acceptance.chatter import direct, do, say
from tests.acceptance.clients import Door, User
from tests.acceptance.guildhall import all_join, crowd, done, found, free, guild
from tests.acceptance.guildhall import say as order
from tests.acceptance.server import Server

JUDGED = {"K4", "K5", "K6", "K7", "K9", "K15"}
"""Histories, replay, money, items, messages between actors, guilds and players."""


async def test_gs_08_gs_09_gs_10_verify_finds_nothing_wrong_with_what_guilds_and_channels_did(
    server: Server, door: Door, studio: User, alice: User, bob: User
) -> None:
    """Whatever else was played here before; some of it is still under way, for nobody waits for it."""
    key = await found(door, alice)
    people = await crowd(door, 12)
    await all_join(door, key, people[:6])
    await done(door, studio, key, "claim_territory", territory="old_mill")
    await asyncio.gather(
        *(order(door, user, key, "join") for user in people[6:9]),
        *(order(door, alice, key, "invite", player=user.id) for user in people[9:]),
        *(order(door, user, key, "deposit", currency="gold", amount=30) for user in people[:5]),
        *(order(door, user, key, "leave") for user in people[4:6]),
        order(door, alice, key, "promote", player=people[0].id),
        order(door, alice, key, "withdraw", currency="gold", amount=10),
        order(door, alice, key, "transfer_leadership", player=people[1].id),
        *(say(door, direct(alice, user), user, "hello") for user in people[:4]),
    )
    other = await found(door, bob)
    await do(door, "lobby", bob, "join")
    await done(door, bob, other, "disband")
    await free(door, bob)
    told = await asyncio.to_thread(server.tool, "verify", "--json", within_s=150.0)
    assert told.returncode == 0, told.stdout[-4_000:] + told.stderr[-2_000:]
    report = json.loads(told.stdout)
    assert report["findings"] == []
    assert {line["id"] for line in report["invariants"] if line["verdict"] == "holds"} >= JUDGED
    assert (await door.get(f"{guild(key)}/profile", as_=alice)).status == 200

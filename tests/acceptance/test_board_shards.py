"""SPEC LB-10: a board of three shards ranks like one; compared with a count that knows of no shards."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio

from tests.acceptance.clients import API, Door, Sockets, User, fresh_name
from tests.acceptance.server import Server
from tests.acceptance.spare import Spare

BOARD = "arena"
SHARDS = 3
PLAYERS = 240
AWARDS = 480
TIES = 4
"""Awards are worth 1 to this many points: with so few scores, most ranks are decided by who was there first."""


@dataclass
class Count:
    """Who has how many points since when, added up in the plainest way."""

    scores: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, player: str, points: int, second: int) -> None:
        self.scores[player] = (self.scores.get(player, (0, 0))[0] + points, second)

    def rows(self) -> list[dict[str, Any]]:
        """The whole board, as the API shows it."""
        order = sorted(self.scores, key=lambda player: (-self.scores[player][0], self.scores[player][1]))
        return [
            {"rank": rank, "userId": player, "username": self.names[player], "score": self.scores[player][0]}
            for rank, player in enumerate(order, 1)
        ]

    def rank(self, player: str) -> int:
        return [row["userId"] for row in self.rows()].index(player) + 1


class _Played:
    count: Count | None = None
    studio: User | None = None


def time_of(second: int) -> str:
    return f"2024-01-01T00:{second // 60:02}:{second % 60:02}Z"


@pytest_asyncio.fixture
async def studio(spare_door: Door) -> User:
    if _Played.studio is None:
        _Played.studio = await spare_door.with_role("server", await spare_door.admin())
    return _Played.studio


@pytest_asyncio.fixture
async def count(spare: Spare, spare_door: Door, studio: User) -> Count:
    """Hundreds of awards, given once; and what they add up to."""
    if _Played.count is None:
        _Played.count = await played(spare_door, studio)
    return _Played.count


async def played(door: Door, studio: User) -> Count:
    count, chance = Count(), random.Random(10)
    assert (await door.get(f"{API}/leaderboard/top", as_=studio, board=BOARD)).body == []
    people = [{"externalId": fresh_name("shard"), "displayName": f"Shard {number}"} for number in range(PLAYERS)]
    made = await door.post(f"{API}/players/provision", {"items": people}, as_=studio)
    players = [item["userId"] for item in made.body["items"]]
    count.names = {player: item["displayName"] for player, item in zip(players, people, strict=True)}
    items = []
    for second in range(AWARDS):
        player = players[second] if second < PLAYERS else chance.choice(players)
        points = chance.randint(1, TIES)
        items.append({"op": f"shard-{second}", "userId": player, "points": points, "board": BOARD})
        items[-1]["at"] = time_of(second)
        count.add(player, points, second)
    answer = await door.post(f"{API}/scores/award-batch", {"items": items}, as_=studio)
    assert {item["status"] for item in answer.body["items"]} == {200}
    return count


async def test_lb_10_the_players_are_spread_over_all_shards(spare: Spare, count: Count) -> None:
    rows = await spare.sql(
        "SELECT key, sum(length) AS events FROM journal WHERE kind = 'leaderboard' AND key LIKE $1 || '%' GROUP BY key",
        BOARD,
    )
    assert len(rows) == SHARDS
    assert min(row["events"] for row in rows) > AWARDS // SHARDS // 4


async def test_lb_10_the_top_is_the_merged_top_of_all_shards(spare_door: Door, studio: User, count: Count) -> None:
    rows = count.rows()
    assert len({row["score"] for row in rows[:100]}) < 20
    for limit in (1, 10, 37, 100):
        top = await spare_door.get(f"{API}/leaderboard/top", as_=studio, board=BOARD, limit=str(limit))
        assert top.body == rows[:limit]


async def test_lb_10_the_rank_is_the_sum_over_all_shards(spare_door: Door, studio: User, count: Count) -> None:
    for row in count.rows():
        answer = await spare_door.get(f"{API}/leaderboard/users/{row['userId']}", as_=studio, board=BOARD)
        assert answer.body == row
    for row in random.Random(1).sample(count.rows(), 20):
        shown = await spare_door.score(row["userId"], studio, BOARD)
        assert (shown["score"], shown["rank"]) == (row["score"], row["rank"])


async def test_lb_10_the_rows_around_come_from_all_shards(spare_door: Door, studio: User, count: Count) -> None:
    """The first, the last, and some between: `around` is asked as the player, who must be able to log in."""
    guest = await spare_door.guest()
    count.names[guest.id] = (await spare_door.get(f"{API}/players/me", as_=guest)).body["username"]
    second = AWARDS + 1
    while True:
        rows = count.rows()
        rank = next((row["rank"] for row in rows if row["userId"] == guest.id), None)
        for window in (1, 5, 50) if rank is not None else ():
            answer = await spare_door.get(f"{API}/leaderboard/around", as_=guest, board=BOARD, window=str(window))
            assert rank is not None
            assert answer.body == rows[max(0, rank - 1 - window) : rank + window]
        if rank == 1:
            return
        await spare_door.award(studio, guest.id, 1, board=BOARD, at=time_of(second))
        count.add(guest.id, 1, second)
        second += 1


async def test_lb_10_an_award_is_answered_with_the_rank_on_the_whole_board(
    spare_door: Door, studio: User, count: Count
) -> None:
    chance = random.Random(2)
    shown = 0
    for second in range(1_000, 1_030):
        player = chance.choice(list(count.scores))
        before = count.rank(player)
        answer = await spare_door.award(studio, player, chance.randint(1, TIES), board=BOARD, at=time_of(second))
        count.add(player, answer["score"]["current"] - answer["score"]["previous"], second)
        assert answer["score"]["current"] == count.scores[player][0]
        if answer["rank"] is None:
            continue  # a board that did not answer in time says so; the score is safe
        shown += 1
        assert answer["rank"] == {"previous": before, "current": count.rank(player)}
    assert shown >= 25


async def test_lb_10_subscribers_see_the_merged_top(
    spare: Server, spare_door: Door, studio: User, count: Count
) -> None:
    sockets = Sockets(spare, spare_door.session)
    wire = await sockets.open(await spare_door.guest())
    initial = await wire.subscribe(f"leaderboard:{BOARD}")
    assert initial["data"] == count.rows()[:10]
    for second, row in enumerate(count.rows()[5:9], 1_100):
        await spare_door.award(studio, row["userId"], 100, board=BOARD, at=time_of(second))
        count.add(row["userId"], 100, second)
    expected = count.rows()[:10]
    update = await wire.until(lambda frame: frame["type"] == "leaderboard.update" and frame["data"] == expected, 5)
    assert update["meta"]["seq"] > initial["meta"]["seq"]
    await sockets.close()

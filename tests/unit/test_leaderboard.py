"""Who ranks where: ties, shards, periods and rewards."""

import random
from collections.abc import Iterator

import pytest

from actors.content import Board, Content, Reward
from actors.core import Address, Caller
from actors.leaderboard.gathers import Around, Me, Rank, Top
from actors.leaderboard.place import Place
from actors.leaderboard.shard import Leaderboard, shard_address
from actors.periods import end_of, period_of
from actors.times import DAY_MS
from schemas.messages import SYSTEM, pack, unpack
from tests.unit.stage import START_MS, Person, Stage, starter_content
from tests.unit.test_player_actions import refused


def staged(shards: int, **fields: object) -> Stage:
    board = Board.model_validate({"shards": shards, **fields})
    kept = starter_content().model_dump(include={"actions", "currencies", "limits", "fraud"})
    return Stage(Content.model_validate({**kept, "boards": {"main": board, "practice": {}}}))


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = staged(request.param)
    yield stage
    stage.check()


def people(stage: Stage, *names: str) -> list[Person]:
    return [Person(stage, name) for name in names]


def test_more_points_rank_higher(stage: Stage) -> None:
    alice, bob, carol = people(stage, "alice", "bob", "carol")
    assert alice.award(5)["rank"] == {"previous": None, "current": 1}
    assert bob.award(7)["rank"] == {"previous": None, "current": 1}
    assert carol.award(6)["rank"] == {"previous": None, "current": 2}
    assert alice.award(5)["rank"] == {"previous": 3, "current": 1}
    assert [row["userId"] for row in stage.gather(Top(), "main")] == ["alice", "bob", "carol"]
    assert stage.gather(Top(limit=1), "main") == [{"rank": 1, "userId": "alice", "username": "Alice", "score": 10}]


def test_of_equal_scores_the_one_reached_earlier_ranks_higher_whatever_came_in_first(stage: Stage) -> None:
    alice, bob, carol = people(stage, "alice", "bob", "carol")
    alice.award(2, at="2020-01-03T00:00:00Z")
    bob.award(2, at="2020-01-02T00:00:00Z")
    carol.award(1, at="2020-01-04T00:00:00Z")
    assert carol.award(1, at="2020-01-01T00:00:00Z")["rank"] == {"previous": 3, "current": 3}
    assert [row["userId"] for row in stage.gather(Top(), "main")] == ["bob", "alice", "carol"]


def test_equal_scores_of_one_moment_rank_by_id(stage: Stage) -> None:
    for person in people(stage, "carol", "alice", "bob"):
        person.award(1, at="1916-07-02T00:00:00Z")
    assert [row["userId"] for row in stage.gather(Top(), "main")] == ["alice", "bob", "carol"]


def test_ranks_agree_with_sorting_everything(stage: Stage) -> None:
    dice = random.Random(7)
    crowd = people(stage, *(f"p{number:02}" for number in range(40)))
    expected: dict[str, tuple[int, int]] = {}
    order: list[str] = []
    for _ in range(300):
        person, points = dice.choice(crowd), dice.randint(1, 3)
        stage.wait(dice.randint(0, 2))
        rank = person.award(points)["rank"]
        score, _ = expected.get(person.user, (0, 0))
        expected[person.user] = (score + points, stage.at)
        order = sorted(expected, key=lambda user: (-expected[user][0], expected[user][1], user))
        assert rank["current"] == order.index(person.user) + 1
    assert [row["userId"] for row in stage.gather(Top(limit=100), "main")] == order
    for place, user in enumerate(order, 1):
        assert stage.gather(Rank(subject=user), "main")["rank"] == place
        around = stage.gather(Around(window=3), "main", Caller(user))
        assert [row["rank"] for row in around] == list(range(max(1, place - 3), min(len(order), place + 3) + 1))
        assert [row["userId"] for row in around] == order[max(0, place - 4) : place + 3]


def test_those_who_have_not_scored_are_not_ranked(stage: Stage) -> None:
    Person(stage, "alice")
    for question in (Me(), Around(), Rank(subject="alice")):
        with refused("not_ranked", 404):
            stage.gather(question, "main", Caller("alice"))
    assert stage.gather(Top(), "main") == []


def test_an_unknown_board_is_refused(stage: Stage) -> None:
    for question in (Top(), Me(), Around(), Rank(subject="alice")):
        with refused("board_unknown", 404):
            stage.gather(question, "nowhere", Caller("alice"))
    with refused("board_unknown", 404):
        Leaderboard.parts("nowhere", stage.content)


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_the_top_has_one_to_a_hundred_rows(limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        Top(limit=limit)


def test_the_view_of_all_shards_is_the_top_ten(stage: Stage) -> None:
    for number, person in enumerate(people(stage, *(f"p{number:02}" for number in range(15)))):
        person.award(number + 1)
    parts = [stage.actor(part) for part in Leaderboard.parts("main", stage.content)]
    views = [unpack(pack(part.view())) for part in parts]
    assert Leaderboard.merge_views(views) == stage.gather(Top(), "main")


def test_changes_are_the_rows_that_differ() -> None:
    first = [
        {"rank": 1, "userId": "a", "username": "A", "score": 3},
        {"rank": 2, "userId": "b", "username": "B", "score": 2},
    ]
    second = [
        {"rank": 1, "userId": "a", "username": "A", "score": 3},
        {"rank": 2, "userId": "c", "username": "C", "score": 3},
    ]
    assert Leaderboard.changes(first, second) == [second[1], {**first[1], "rank": None}]
    assert Leaderboard.changes(first, first) == []
    assert Leaderboard.changes(None, first) == first


def test_only_changes_among_the_first_hundred_are_news() -> None:
    stage = staged(1)
    address = shard_address("main", 0)
    for number in range(100):
        stage.send(address, Place(subject=f"p{number:03}", name="x", points=1_000, at=START_MS))
    board = stage.actor(address)
    before = board.visible()
    stage.send(address, Place(subject="late", name="x", points=1, at=START_MS))
    assert board.visible() == before
    stage.send(address, Place(subject="late", name="x", points=1_000, at=START_MS))
    assert board.visible() == before + 1


def test_low_first_boards_turn_the_order_around() -> None:
    stage = staged(2, order="low_first")
    alice, bob = people(stage, "alice", "bob")
    alice.award(5)
    assert bob.award(3)["rank"] == {"previous": None, "current": 1}
    assert bob.award(3)["rank"] == {"previous": 1, "current": 2}
    assert [row["score"] for row in stage.gather(Top(), "main")] == [5, 6]
    stage.check()


@pytest.mark.parametrize("shards", [1, 3])
def test_when_a_day_is_over_the_first_are_rewarded_and_the_board_is_empty(shards: int) -> None:
    rewards = [
        {"first": 1, "last": 1, "currency": "gold", "amount": 100},
        {"first": 2, "last": 3, "currency": "gold", "amount": 7},
    ]
    stage = staged(shards, reset="daily", rewards=rewards)
    crowd = people(stage, "alice", "bob", "carol", "dave")
    for points, person in enumerate(crowd, 1):
        person.award(points)
    stage.wait(86_400)
    assert stage.gather(Top(), "main") == []
    crowd[0].award(1)
    stage.wait(60)
    assert [person.ask("profile")["wallet"]["gold"] for person in crowd] == [100, 107, 107, 200]
    assert crowd[3].ask("inbox")["messages"][0]["data"] == {
        "board": "main",
        "rank": 1,
        "amount": 100,
        "currency": "gold",
    }
    assert [row["userId"] for row in stage.gather(Top(), "main")] == ["alice"]
    stage.wait(2 * 86_400)
    assert crowd[0].ask("profile")["wallet"]["gold"] == 200
    stage.check()
    for part in Leaderboard.parts("main", stage.content):
        assert stage.actor(part).model_dump()["results"] == {}


def test_a_score_that_arrives_after_the_close_does_not_count() -> None:
    stage = staged(1, reset="daily")
    alice = Person(stage, "alice")
    alice.award(1)
    period = period_of("daily", [], stage.at)
    stage.wait(86_460)
    late = Place(subject="alice", name="Alice", points=1, at=stage.at, period=period)
    assert stage.send(shard_address("main", 0), late, SYSTEM) == {"previous": None, "current": None}
    stage.check()


@pytest.mark.parametrize("reset", ["daily", "weekly", "monthly", "season"])
def test_periods_follow_each_other_without_a_gap(reset: str) -> None:
    seasons = ["2026-01-01", "2026-04-01", "2026-07-15", "2030-01-01"] if reset == "season" else []
    at = START_MS
    period = period_of(reset, seasons, at)  # type: ignore[arg-type]
    end = end_of(reset, seasons, period)  # type: ignore[arg-type]
    assert end is not None
    assert end > at
    assert period_of(reset, seasons, end - 1) == period  # type: ignore[arg-type]
    assert period_of(reset, seasons, end) == period + 1  # type: ignore[arg-type]


def test_periods_begin_where_people_expect_them() -> None:
    monday = 1_789_948_800_000  # 2026-09-21
    assert monday % DAY_MS == 0
    assert end_of("weekly", [], period_of("weekly", [], monday - 1)) == monday
    assert end_of("monthly", [], period_of("monthly", [], monday)) == 1_790_812_800_000  # 2026-10-01
    assert end_of("never", [], period_of("never", [], monday)) is None
    assert end_of("season", ["2026-01-01"], period_of("season", ["2026-01-01"], monday)) is None


def test_rewards_name_real_ranks() -> None:
    with pytest.raises(ValueError, match="last"):
        Reward(first=2, last=1, currency="gold", amount=1)


def test_large_boards_are_checkpointed_in_proportion() -> None:
    board = Leaderboard()
    assert not board.checkpoint_due(999)
    assert board.checkpoint_due(1_000)


def test_names_follow_the_player() -> None:
    stage = staged(1)
    alice = Person(stage, "alice")
    alice.award(1)
    alice.say("create", caller=SYSTEM, name="Alicia")
    alice.award(1)
    assert stage.gather(Rank(subject="alice"), "main")["username"] == "Alicia"
    alice.say("create", caller=SYSTEM, name="alice")
    alice.award(1)
    assert stage.gather(Rank(subject="alice"), "main")["username"] == "alice"
    assert Address("leaderboard", "main/0") in stage.actors
    stage.check()

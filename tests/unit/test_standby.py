"""Which hosts the director gives slots to, and which stand by."""

from typing import Any

from actors.runtime.director import SHARED, active_hosts


def host(run: int, node: str = "one", *, active: int = 1, pool: str = SHARED, leaving: bool = False) -> Any:
    return {"run": run, "node": node, "active_hosts": active, "pool": pool, "leaving": leaving}


def runs(hosts: list[Any], **slots: int | None) -> list[int]:
    return [row["run"] for row in active_hosts(hosts, dict(slots))]


def test_the_first_host_of_a_node_works_and_the_second_stands_by() -> None:
    assert runs([host(1), host(2)]) == [1]


def test_whoever_has_slots_keeps_them_when_an_older_run_comes_back() -> None:
    assert runs([host(1), host(2)], a=2) == [2]


def test_the_one_that_stands_by_works_when_the_other_is_gone_or_leaves() -> None:
    assert runs([host(2)], a=1) == [2]
    assert runs([host(1, leaving=True), host(2)], a=1) == [2]


def test_each_node_has_its_own() -> None:
    assert runs([host(1), host(2, "two"), host(3), host(4, "two")], a=3, b=2) == [2, 3]


def test_homes_of_dedicated_actors_count_for_nothing() -> None:
    assert runs([host(1, pool="leaderboard:main/0"), host(2)], a=1) == [2]


def test_all_work_where_there_is_room_for_all() -> None:
    assert runs([host(1, active=4), host(2, active=4)]) == [1, 2]

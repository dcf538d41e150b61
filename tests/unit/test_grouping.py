"""Groups of turns: how large they become, and what is left of them without some actors."""

import time
from typing import Any

from actors.runtime.cell import Cell, Delivery, Played
from actors.runtime.group import Group, Late
from schemas import limits
from schemas.address import Address, player
from schemas.messages import COMMAND, SYSTEM, Reply, Request


class Asker:
    """Where answers go."""

    def reply(self, number: int, reply: Reply) -> None:
        raise AssertionError("nothing is answered before its commit")

    def news(self, address: Address, version: int, *, last: bool = False) -> None:
        raise AssertionError("nothing is told before its commit")


def delivery(number: int) -> Delivery:
    request = Request(COMMAND, "player", "anna", "create", f"op-{number}", SYSTEM, b"")
    return Delivery(request, Asker(), number, time.monotonic())


def cell(key: str) -> Cell:
    return Cell(player(key), "1", 1)


def turn(of: Cell, number: int, **more: Any) -> Played:
    played = Played(of, delivery(number), f"op-{number}", 0)
    for name, value in more.items():
        setattr(played, name, value)
    return played


def test_a_group_is_full_at_its_bounds() -> None:
    anna = cell("anna")
    almost, full, heavy = Group(), Group(), Group()
    almost.turns = [turn(anna, number) for number in range(limits.GROUP_ROWS_MAX - 1)]
    full.turns = [*almost.turns, turn(anna, 9_999)]
    heavy.bytes = limits.GROUP_BYTES_MAX
    assert (almost.full, full.full, heavy.full) == (False, True, True)


def test_a_group_without_some_actors_keeps_all_of_the_others() -> None:
    anna, berta = cell("anna"), cell("berta")
    group = Group()
    joined = delivery(7)
    group.turns = [turn(anna, 1), turn(berta, 2), turn(anna, 3, joined=[joined])]
    group.waiting = [(anna, delivery(4), Reply(200, 1, None)), (berta, delivery(5), Reply(200, 1, None))]
    group.views = [(anna, 1, "a"), (berta, 1, "b")]
    group.finished = [(anna, "p1"), (berta, "p2")]
    tell = ["t", "credit", {}]
    late = [
        Late("p", of.address, 1, tell, attempts=1, delay_ms=0, buried=False, reason="closed") for of in (anna, berta)
    ]
    group.late = [(anna, late[0]), (berta, late[1])]
    rest, again = group.without({anna})
    assert [played.op for played in rest.turns] == ["op-2"]
    assert [item.number for item in again] == [1, 3, 7, 4]
    assert [item[1].number for item in rest.waiting] == [5]
    assert rest.views == [(berta, 1, "b")]
    assert rest.finished == [(berta, "p2")]
    assert rest.late == [(berta, late[1])]
    assert rest.cells == {berta}
    assert group.without({anna, berta})[0].empty


def test_a_group_knows_all_its_actors() -> None:
    anna, berta = cell("anna"), cell("berta")
    group = Group()
    group.turns = [turn(anna, 1)]
    group.waiting = [(berta, delivery(2), Reply(200, 1, None))]
    assert group.cells == {anna, berta}

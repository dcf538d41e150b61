"""One op id is one request: of its caller, and for one actor."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.ops import KEPT_MAX, Ops
from schemas.address import player
from schemas.messages import Caller
from schemas.problems import Refusal

ALICE, BOB = Caller("alice"), Caller("bob")


class Air:
    """Carries what one gateway says to all of them, when the test lets it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[bytes], None]] = []
        self.said: list[bytes] = []

    def subscribe(self, _: str, callback: Callable[[bytes], None]) -> None:
        self.listeners.append(callback)

    def publish(self, _: str, message: bytes) -> None:
        self.said.append(message)

    def carry(self) -> None:
        said, self.said = self.said, []
        for message in said:
            for listener in self.listeners:
                listener(message)


def gateways() -> tuple[Air, Ops, Ops]:
    air = Air()
    doors = Ops(cast(Any, air)), Ops(cast(Any, air))
    for door in doors:
        door.open()
    return air, *doors


async def test_an_op_id_is_one_actors_and_stays_with_it() -> None:
    _, here, _ = gateways()
    op = here.of(ALICE, "1", player("a"))
    assert here.of(ALICE, "1", player("a")) == op
    with pytest.raises(Refusal, match="another request"):
        here.of(ALICE, "1", player("b"))
    assert here.of(BOB, "1", player("b")) != op


async def test_other_gateways_know_it_as_soon_as_they_are_told() -> None:
    air, here, there = gateways()
    here.of(ALICE, "1", player("a"))
    here._tell()
    air.carry()
    with pytest.raises(Refusal, match="another request"):
        there.of(ALICE, "1", player("b"))
    assert there.of(ALICE, "1", player("a")) == here.of(ALICE, "1", player("a"))


async def test_the_oldest_are_forgotten_first() -> None:
    _, here, _ = gateways()
    for number in range(KEPT_MAX + 1):
        here.of(ALICE, str(number), player("a"))
    here.of(ALICE, "0", player("b"))
    with pytest.raises(Refusal, match="another request"):
        here.of(ALICE, str(KEPT_MAX), player("b"))


async def test_what_others_tell_is_bounded_and_the_newest_of_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ops.HEARD_BYTES_MAX", 200)
    air, here, there = gateways()
    for number in range(50):
        here.of(ALICE, str(number), player("a"))
        here._tell()
    air.carry()
    assert there._heard_bytes <= 200
    there.of(ALICE, "0", player("b"))
    with pytest.raises(Refusal, match="another request"):
        there.of(ALICE, "49", player("b"))

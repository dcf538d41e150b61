"""What one user, and one address, may send to all channels together."""

import pytest

from gateway.floods import FLOODS, Floods
from gateway.limits import Limiter
from schemas.messages import Caller
from schemas.problems import Refusal

SEND = ("channel", "send")
ALICE = Caller("alice", ("player",))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def floods(clock: Clock) -> Floods:
    return Floods(Limiter(clock=clock))


def admitted(floods: Floods, caller: Caller, address: str, times: int = 1_000) -> int:
    """How many of so many are let through before the first that is not."""
    for count in range(times):
        try:
            floods.count(*SEND, caller, address)
        except Refusal:
            return count
    return times


def test_a_player_is_bounded_over_all_channels_and_the_bound_comes_back_with_time(floods: Floods, clock: Clock) -> None:
    rate = FLOODS[SEND].user
    assert admitted(floods, ALICE, "127.0.0.1") == rate.burst
    clock.now += 10
    assert admitted(floods, ALICE, "127.0.0.1") == 10 * rate.per_s


def test_what_was_said_is_not_changed_more_often_than_something_may_be_said(floods: Floods) -> None:
    for _ in range(FLOODS[SEND].user.burst):
        floods.count("channel", "edit", ALICE, "127.0.0.1")
    with pytest.raises(Refusal, match="RATE_LIMITED"):
        floods.count("channel", "edit", ALICE, "127.0.0.1")
    assert admitted(floods, ALICE, "127.0.0.1", 1) == 1, "who only says something is not bounded by it"


def test_many_players_of_one_address_are_bounded_together(floods: Floods) -> None:
    crowd = [Caller(f"player-{number}", ("player",)) for number in range(100)]
    said = sum(admitted(floods, caller, "192.0.2.7", 10) for caller in crowd)
    assert said == FLOODS[SEND].address.burst
    assert admitted(floods, ALICE, "192.0.2.8", 10) == 10, "others are not bounded by it"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", ""])
def test_nobody_shares_the_loopback_address(floods: Floods, address: str) -> None:
    crowd = [Caller(f"player-{number}", ("player",)) for number in range(100)]
    assert sum(admitted(floods, caller, address, 10) for caller in crowd) == 1_000


def test_a_studios_servers_and_other_commands_are_not_bounded_here(floods: Floods) -> None:
    assert admitted(floods, Caller("studio", ("server",)), "192.0.2.7") == 1_000
    for _ in range(1_000):
        floods.count("channel", "join", ALICE, "192.0.2.7")

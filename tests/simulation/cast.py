"""The actors of a world: few, so that everything meets."""

from schemas.address import Address, player
from tests.harness.kinds import counter

PLAYERS = tuple(player(key) for key in ("ann", "bea", "cleo"))
COUNTERS = tuple(counter(key) for key in ("one", "two", "three", "four"))
BOARDS = tuple(Address("leaderboard", f"{board}/0") for board in ("main", "daily", "teams"))
DETECTOR = Address("fraud", "0")
ACTORS = (*PLAYERS, *COUNTERS, *BOARDS, DETECTOR)

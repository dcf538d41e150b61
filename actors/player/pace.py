"""How often a player may do what is limited: a sliding window of one minute."""

from bisect import bisect_right

from actors.content import PerMinute
from actors.core import Rejected
from actors.player.state import Player
from actors.times import MINUTE_MS, whole_seconds
from schemas import limits

WINDOW_MS = MINUTE_MS


def over(player: Player, name: str, per_minute: PerMinute, at: int, *, halved: bool = False) -> int:
    """Milliseconds until one more is within the limit; 0 when it is now. Halved limits leave at least one."""
    if per_minute == "unlimited":
        return 0
    allowed = max(1, per_minute // 2) if halved else per_minute
    times = player.paces.get(name, [])
    if len(times) - bisect_right(times, at - WINDOW_MS) < allowed:
        return 0
    return max(1, times[-allowed] + WINDOW_MS - at)


def guard(player: Player, name: str, per_minute: PerMinute, at: int, *, halved: bool = False) -> None:
    """Refuse what is over the limit."""
    wait_ms = over(player, name, per_minute, at, halved=halved)
    if wait_ms:
        seconds = whole_seconds(wait_ms)
        raise Rejected("RATE_LIMITED", f"That is too often; try again in {seconds} s.", retry_after_s=seconds)


def count(player: Player, name: str, at: int) -> None:
    """One more was done; what is older than the window is forgotten."""
    start = at - WINDOW_MS
    for other in [other for other, times in player.paces.items() if times[-1] <= start]:
        del player.paces[other]
    times = player.paces.setdefault(name, [])
    times.append(max(at, times[-1]) if times else at)
    stale = max(bisect_right(times, start), len(times) - limits.ACTIONS_PER_MINUTE_MAX)
    if stale > 0:
        del times[:stale]

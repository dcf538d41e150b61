"""Fault points: named places where a test may crash, fail or delay the process; nothing at all in production.

`GREENROOM_FAULTS="after_decide=crash@3,lease_renew_lost=raise"` crashes at the third pass of the first and raises at
each pass of the second. Actions: crash (kill -9 of oneself), raise, delay:SECONDS, lose.
"""

import asyncio
import os
import signal

POINTS = frozenset(
    {
        "before_validate",
        "after_decide",
        "before_commit_send",
        "after_commit_send",
        "after_commit_before_reply",
        "after_reply_before_tell",
        "tell_delivered_before_mark",
        "receiver_applied_before_ack",
        "checkpoint_half",
        "lease_renew_lost",
        "takeover_before_load",
        "publish_before_version_mark",
    }
)


class FaultInjected(Exception):
    """Raised at a fault point by order of GREENROOM_FAULTS."""


class _Plan:
    def __init__(self, text: str) -> None:
        self.rules: dict[str, tuple[str, int]] = {}
        self.passes: dict[str, int] = {}
        for rule in filter(None, text.split(",")):
            point, _, action = rule.partition("=")
            if point not in POINTS:
                raise ValueError(f"unknown fault point {point!r}; there are {', '.join(sorted(POINTS))}")
            verb, _, nth = action.partition("@")
            self.rules[point] = (verb, int(nth or 0))

    def action(self, point: str) -> str:
        rule = self.rules.get(point)
        if rule is None:
            return ""
        self.passes[point] = self.passes.get(point, 0) + 1
        verb, nth = rule
        return verb if nth in (0, self.passes[point]) else ""


_plan = _Plan(os.environ.get("GREENROOM_FAULTS", ""))
armed = bool(_plan.rules)
"""False in production: callers on the hot path ask this before they call `point`."""


def arm(text: str) -> None:
    """Replace the plan, for tests within one process."""
    global _plan, armed
    _plan = _Plan(text)
    armed = bool(_plan.rules)


def point(name: str) -> bool:
    """Act out the plan here; True means that the caller should lose what it was about to do."""
    action = _plan.action(name)
    if action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "raise":
        raise FaultInjected(name)
    return action == "lose"


async def pause(name: str) -> bool:
    """As `point`, and delays where the plan says so."""
    action = _plan.action(name)
    if action.startswith("delay:"):
        await asyncio.sleep(float(action.removeprefix("delay:")))
        return False
    if action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "raise":
        raise FaultInjected(name)
    return action == "lose"

"""Fault points do what their plan says, and nothing without one."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest

from actors.runtime import faults
from schemas.settings import PROJECT


def test_nothing_is_armed_without_a_plan() -> None:
    faults.arm("")
    assert not faults.armed
    assert not any(faults.point(name) for name in faults.POINTS)


def test_a_plan_acts_at_its_point_only() -> None:
    faults.arm("after_decide=lose,checkpoint_half=raise")
    assert faults.armed
    assert faults.point("after_decide")
    assert not faults.point("before_validate")
    with pytest.raises(faults.FaultInjected):
        faults.point("checkpoint_half")


def test_a_plan_may_name_the_pass_at_which_it_acts() -> None:
    faults.arm("after_decide=lose@3")
    assert [faults.point("after_decide") for _ in range(4)] == [False, False, True, False]


async def test_a_plan_may_delay() -> None:
    faults.arm("before_commit_send=delay:0.05@1")
    started = time.monotonic()
    assert not await faults.pause("before_commit_send")
    assert time.monotonic() - started >= 0.05
    async with asyncio.timeout(1):
        assert not await faults.pause("before_commit_send")


def test_an_unknown_point_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"after_decode.*after_decide"):
        faults.arm("after_decode=crash")


def test_a_crash_is_a_kill() -> None:
    program = "from actors.runtime import faults; [faults.point('after_decide') or print(n) for n in range(3)]"
    environment = {"GREENROOM_FAULTS": "after_decide=crash@2"}
    done = subprocess.run([sys.executable, "-uc", program], cwd=PROJECT, env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"0\n")

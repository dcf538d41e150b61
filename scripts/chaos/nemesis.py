"""The nemesis: a schedule of faults that follows from a seed, and its execution."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.runtime.database import Database
from scripts.chaos.faults import FAULTS, Struck, Surroundings
from scripts.chaos.target import Target, Victim

FIRST_S = 2.0
"""The load runs undisturbed for so long."""
LAST_S = 3.0
"""Nothing is struck in the last seconds, so that each recovery is seen."""
APART_S = 1.0
"""Between two faults at least, so that what each costs can be told."""
SPREAD = 0.2


class Stroke(NamedTuple):
    """One fault that is planned, in seconds after the begin."""

    at_s: float
    fault: str


def schedule(seed: int, seconds: float, faults: Sequence[str]) -> list[Stroke]:
    """When what is struck: each kind at its own pace, give or take a fifth, and once at least if there is time."""
    strokes: list[Stroke] = []
    for name in faults:
        dice = random.Random(f"{seed} {name}")
        every_s = FAULTS[name].every_s
        latest_s = seconds - LAST_S
        at_s = FIRST_S + min(every_s, max(0.0, latest_s - FIRST_S)) * dice.uniform(0.3, 0.9)
        while at_s <= latest_s:
            strokes.append(Stroke(round(at_s, 3), name))
            at_s += every_s * dice.uniform(1 - SPREAD, 1 + SPREAD)
    return sorted(strokes)


class Nemesis:
    """Carries out a schedule, one fault after the other, and remembers what came about."""

    def __init__(self, target: Target, database: Database, seed: int, told: Callable[[Struck], None]) -> None:
        self.struck: list[Struck] = []
        self._told = told
        self._around = Surroundings(target, database, random.Random(f"victims {seed}"), self._strikes)

    def _strikes(self, kind: str, victim: Victim) -> Struck:
        struck = Struck(kind, victim.name, time.monotonic(), slots=victim.slots)
        self.struck.append(struck)
        self._told(struck)
        return struck

    async def carry_out(self, strokes: Sequence[Stroke], seconds: float) -> None:
        """Strike in time, for so many seconds. A fault that takes long moves the next ones back, or out."""
        began = time.monotonic()
        for stroke in strokes:
            await asyncio.sleep(max(0.0, began + stroke.at_s - time.monotonic()))
            if time.monotonic() - began > seconds - LAST_S:
                return
            await self.strike(stroke.fault)
            await asyncio.sleep(APART_S)

    async def strike(self, fault: str) -> None:
        """Bring one fault about, now."""
        await FAULTS[fault].act(self._around)

"""Figure 14: what deciding costs in a played game, in a process of its own and without plumbing."""

import asyncio
import json
import sys
from statistics import median
from typing import Any

from actors.content import Content
from schemas.settings import PROJECT
from scripts.bench.figures import Results
from scripts.bench.harness import program
from scripts.bench.table import Table, play_a_day
from scripts.content_files import load_content

KEYS = frozenset({"14a", "14b"})
SLOWEST_SHOWN = 12
LISTENING = 200
"""Triggers that look at one event."""
COUNTING = 10
"""Of these, how many count."""


async def measure(results: Results, wanted: set[str], *, days: int) -> None:
    """One round."""
    async with program("rules", {"days": days}) as rules:
        found = await rules.line()
    p50_us = found["p50Us"]
    slowest = sorted(p50_us, key=lambda name: (-p50_us[name], name))
    if "14a" in wanted:
        heard = {
            f"a score that {LISTENING} triggers listen to": found["heardUs"],
            "the same unheard": found["unheardUs"],
        }
        results.add("14a", found["turnP50Us"], **{"turns a round": found["turns"], **heard})
    if "14b" in wanted:
        results.add("14b", p50_us[slowest[0]], **{name: p50_us[name] for name in slowest[:SLOWEST_SHOWN]})


def run(days: int) -> dict[str, Any]:
    """Play so many days of the starter game, and a score that many triggers listen to."""
    content = load_content(PROJECT / "content")
    table = Table(content)
    for day in range(days):
        play_a_day(table, day)
    turns = [took for times in table.took_us.values() for took in times]
    return {
        "p50Us": {name: median(times) for name, times in table.took_us.items() if len(times) > days // 2},
        "turnP50Us": median(turns),
        "turns": float(len(turns)),
        "heardUs": _scored(_listening(content, "score_awarded"), days),
        "unheardUs": _scored(_listening(content, "level_reached"), days),
    }


def _listening(content: Content, event: str) -> Content:
    """The same game, in which so many different triggers look at this event, and nothing at any other."""
    field = {"score_awarded": "points", "level_reached": "level"}[event]
    achievements = {
        f"feat_{number}": {
            "title": "Feat",
            "counts": [{"event": event, "at_least": {field: number}}],
            "tiers": [{"target": 1_000_000}],
        }
        for number in range(1, LISTENING + 1)
    }
    body = content.model_dump() | {"quests": {}, "achievements": achievements}
    return Content.model_validate(body, strict=False)


def _scored(content: Content, days: int) -> float:
    table = Table(content)
    ann = table.player("ann")
    for _ in range(days):
        table.say(ann, "award_score", "studio", points=COUNTING, board="practice", reason="bench")
    return median(table.took_us["player award_score"])


async def main() -> None:
    """Read the job from the input and print what came of it."""
    job = json.loads(sys.stdin.readline())
    print(json.dumps(run(job["days"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

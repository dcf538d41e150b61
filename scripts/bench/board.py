"""Figure 9: one shard of a board with a million entries, in a process of its own, with the game's own rules."""

import asyncio
import json
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from actors.content import Board, Content
from actors.core import SYSTEM, Turn, decide, pack_event
from actors.leaderboard.ladder import Ladder
from actors.leaderboard.place import Place, Placed
from actors.leaderboard.shard import Leaderboard
from schemas.messages import pack, unpack
from scripts.bench.figures import Results
from scripts.bench.harness import BenchFailed, program

KEYS = frozenset({"9a", "9b", "9c"})
_FIRST_MS = 1_700_000_000_000


async def measure(results: Results, wanted: set[str], *, entries: int, samples: int) -> None:
    """One round."""
    async with program("board", {"entries": entries, "samples": samples}) as board:
        found = await board.line()
    if found["wrongRanks"]:
        raise BenchFailed(f"{found['wrongRanks']} ranks of the board are not exact")
    if "9a" in wanted:
        results.add("9a", found["writeUs"], **{"p99 us": found["writeP99Us"]})
    if "9b" in wanted:
        results.add("9b", found["rankUs"], **{"ranks compared with a full sort": float(samples)})
    if "9c" in wanted:
        results.add(
            "9c",
            found["checkpointS"] + found["tailS"],
            **{
                "checkpoint s": found["checkpointS"],
                "longest tail s": found["tailS"],
                "checkpoint MB": found["checkpointMb"],
            },
        )


def shard_of(entries: int, dice: random.Random) -> Leaderboard:
    """A shard that holds so many entries, many of them with equal scores."""
    ladder = Ladder()
    rows = (
        (dice.randrange(1, entries // 10), _FIRST_MS + dice.randrange(10**9), f"player-{number:08}")
        for number in range(entries)
    )
    # Best first, because appending is what a sorted list does fastest.
    for score, reached, subject in sorted(rows, key=lambda row: ladder.key(*row)):
        ladder.add(subject, subject, score, reached)
    return Leaderboard.model_construct(ladders={0: ladder})


def wrong_ranks(ladder: Ladder, subjects: list[str]) -> int:
    """How many ranks differ from the places in a sorted list of everything."""
    rows = sorted((-score, reached, subject) for score, reached, subject, _ in ladder.rows())
    wrong = 0
    for subject in subjects:
        row = ladder.row(subject)
        place = None if row is None else bisect_left(rows, (-row[0], row[1], subject)) + 1
        wrong += place != ladder.rank(subject)
    return wrong


def run(entries: int, samples: int) -> dict[str, Any]:
    """Build the shard, write to it, ask it, and rebuild it as a waking host does."""
    dice = random.Random(9)
    shard = shard_of(entries, dice)
    ladder = shard.ladders[0]
    content = Content(boards={"main": Board()})
    subjects = [f"player-{dice.randrange(entries):08}" for _ in range(samples)]
    writes_us = sorted(_writes(shard, content, subjects, dice))
    began = time.thread_time()
    for subject in subjects:
        ladder.rank(subject)
    rank_us = (time.thread_time() - began) / samples * 1e6
    checkpoint = pack(shard.pack_state())
    stored = [
        json.dumps(pack_event(_placed(f"player-{dice.randrange(entries):08}", dice))) for _ in range(entries // 10)
    ]
    wrong = wrong_ranks(ladder, subjects)
    began = time.perf_counter()
    again = Leaderboard.unpack_state(unpack(checkpoint))
    checkpoint_s = time.perf_counter() - began
    wrong += again.ladders[0].rows(0, 100) != ladder.rows(0, 100)
    for text in stored:
        Placed.model_validate(json.loads(text)[1]).apply(again)
    tail_s = time.perf_counter() - began - checkpoint_s
    return {
        "writeUs": sum(writes_us) / len(writes_us),
        "writeP99Us": writes_us[len(writes_us) * 99 // 100],
        "rankUs": rank_us,
        "wrongRanks": wrong,
        "checkpointS": checkpoint_s,
        "checkpointMb": len(checkpoint) / 1e6,
        "tailS": tail_s,
    }


def _writes(shard: Leaderboard, content: Content, subjects: list[str], dice: random.Random) -> Iterator[float]:
    for number, subject in enumerate(subjects):
        at = _FIRST_MS + 10**9 + number
        turn = Turn(caller=SYSTEM, at=at, content=content, op=f"op-{number}", seed=number, key="main/0")
        command = Place(subject=subject, name=subject, points=dice.randrange(1, 100), at=at)
        # Pure computation: CPU time is its time, whatever else the machine does.
        began = time.thread_time()
        decide(command, shard, turn)
        yield (time.thread_time() - began) * 1e6


def _placed(subject: str, dice: random.Random) -> Placed:
    at = _FIRST_MS + 2 * 10**9
    points = dice.randrange(1, 100)
    return Placed(subject=subject, name=subject, points=points, at=at, period=0, high_first=True, shown=False)


async def main() -> None:
    """Read the job from the input and print what came of it."""
    job = json.loads(sys.stdin.readline())
    print(json.dumps(run(job["entries"], job["samples"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

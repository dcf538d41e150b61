"""One chaos run as tests want it: on a server of theirs, its report kept where GREENROOM_CHAOS_REPORTS says."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.settings import Settings
from scripts.chaos.nemesis import Nemesis, Stroke
from scripts.chaos.report import write
from scripts.chaos.session import PLAYERS, Outcome, Plan, run
from scripts.chaos.workload import Workload
from tests.acceptance.server import Server
from tests.chaos.summary import SUMMARY

SEED = int(os.environ.get("GREENROOM_CHAOS_SEED", "1"))


async def struck(
    server: Server,
    name: str,
    seconds: float,
    *faults: str,
    at: Sequence[float] = (),
    rate_per_s: float = 400.0,
    players: int = PLAYERS,
    seed: int = SEED,
    watch: Callable[[Workload, Nemesis], None] = lambda load, nemesis: None,
) -> Outcome:
    """Load the server for so long and strike it; `at` says when, one fault after the other, else the seed does."""
    strokes = tuple(Stroke(at_s, fault) for at_s, fault in zip(at, faults, strict=True)) if at else None
    plan = Plan(seed, seconds, tuple(dict.fromkeys(faults)), players, rate_per_s=rate_per_s, strokes=strokes)
    settings = Settings(_env_file=None, data=server.data)
    outcome = await run(settings, plan, server.home / f"{name}.jsonl", watch=watch)
    SUMMARY.runs.append((name, outcome))
    kept = os.environ.get("GREENROOM_CHAOS_REPORTS")
    if kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        write(outcome, folder / f"{name}.md")
        (folder / f"{name}.json").write_text(json.dumps(outcome.as_json(), indent=1))
    return outcome


def right(outcome: Outcome) -> None:
    """Nothing is lost, doubled or wrong, and nobody was left without an answer."""
    told = json.dumps({**outcome.as_json(), "verify": outcome.verdict.as_json()["findings"]}, indent=1)
    assert outcome.verdict.findings == [], told
    assert outcome.measured.errors == [], told
    last = [operation.attempts[-1] for operation in outcome.operations]
    assert not [one.code for one in last if not (one.ok or one.unknown or one.by_the_game)], told

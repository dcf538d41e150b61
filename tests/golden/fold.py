"""Folds a golden journal and prints what becomes of each actor, its state and a hash of it: `fold.py FILE.jsonl.gz`.

With `--record SEED`, a journal is made in a simulated world and written, with the states that it gives now.
"""

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from actors.catalog import Catalog
from actors.runtime.journal import StoredTurn
from actors.runtime.waker import play_tail
from schemas.address import Address

States = dict[str, dict[str, Any]]


def read(path: Path) -> dict[Address, list[StoredTurn]]:
    """The turns of each actor."""
    histories: dict[Address, list[StoredTurn]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            turn, events = (json.dumps(row[name]).encode() for name in ("turn", "events"))
            stored = StoredTurn(row["version"], row["length"], row["op"], row["run"], turn, events)
            histories[Address(row["kind"], row["key"])].append(stored)
    return histories


def fold(histories: dict[Address, list[StoredTurn]]) -> States:
    """What each actor has become, as JSON has it, and the hash over its state."""
    catalog = Catalog()
    states: States = {}
    for address, turns in sorted(histories.items()):
        kind = catalog.kind(address.kind)
        actor = kind.actor()
        version = play_tail(kind, actor, 0, turns, address)
        state = from_json(to_json(actor.pack_state(), bytes_mode="hex"))
        states[str(address)] = {"version": version, "hash": actor.fingerprint(), "state": state}
    return states


def record(seed: int, path: Path) -> None:
    """A journal of everything that this release can do in a world full of trouble."""
    from tests.simulation.cast import COUNTERS
    from tests.simulation.world import World

    world = World(seed)
    outcome = world.run()
    if outcome.failures:
        raise SystemExit(str(outcome))
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for row in world.store.journal.rows():
            if Address(row["kind"], row["key"]) not in COUNTERS:
                told = {**row, "turn": from_json(row["turn"]), "events": from_json(row["events"])}
                file.write(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    states = json.dumps(fold(read(path)), indent=1, ensure_ascii=False) + "\n"
    path.with_name(path.name.replace(".jsonl.gz", ".states.json")).write_text(states, "utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--record":
        record(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        json.dump(fold(read(Path(sys.argv[1]))), sys.stdout, indent=1)

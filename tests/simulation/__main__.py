"""Plays seeds again: `python -m tests.simulation [--steps=N] [--trace] SEED...`; a trace tells all that happened."""

import sys

from tests.simulation.world import STEPS, World

if __name__ == "__main__":
    failed, steps = False, STEPS
    for option in sys.argv[1:]:
        if option.startswith("--steps="):
            steps = int(option.partition("=")[2])
    for seed in [argument for argument in sys.argv[1:] if not argument.startswith("--")]:
        world = World(int(seed), steps)
        if "--trace" in sys.argv:
            world.recorded = []
        outcome = world.run()
        for line in world.recorded or ():
            sys.stdout.write(f"{line}\n")
        for failure in outcome.failures:
            sys.stderr.write(f"{failure}\n")
        failed = failed or bool(outcome.failures)
        what = f"{len(outcome.failures)} failures, {outcome.passes} steps, trace {outcome.trace}"
        sys.stdout.write(f"seed {seed}: {what}\n")
    sys.exit(failed)
